"""Data sets: COCO folders and procedural scenes."""

from __future__ import annotations

from collections.abc import Mapping

from argus_core.hooks import Opener, hookimpl
from argus_data.coco import open_coco
from argus_data.scenes import open_scenes


@hookimpl
def argus_datasets() -> Mapping[str, Opener]:
    """Offer ``coco:PATH`` and ``scenes:``."""
    return {"coco": open_coco, "scenes": open_scenes}
