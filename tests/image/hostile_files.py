"""All unusual and malformed images of these tests."""

from __future__ import annotations

import hostile_arrays
import hostile_damage
import hostile_formats
import hostile_jpegs
import hostile_paths
import hostile_pngs
import hostile_tiffs
from hostile_case import Case

MODULES = (
    hostile_formats,
    hostile_pngs,
    hostile_jpegs,
    hostile_tiffs,
    hostile_damage,
    hostile_paths,
    hostile_arrays,
)


def every_case() -> list[Case]:
    """Every case; their names are distinct."""
    return [case for module in MODULES for case in module.cases()]
