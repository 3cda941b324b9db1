"""Pascal VOC detection folders as data sets of Argus."""

from __future__ import annotations

from collections.abc import Mapping

from argus_core import hookimpl
from argus_core.plugins.hooks import Opener
from argus_voc.folder import open_voc


@hookimpl
def argus_datasets() -> Mapping[str, Opener]:
    """Offer ``pascal:PATH``."""
    return {"pascal": open_voc}
