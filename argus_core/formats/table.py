"""The formats in which results can be written, by name. Nothing here imports torch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from types import MappingProxyType
from typing import TYPE_CHECKING

from argus_core.errors import ArgusError, unknown

if TYPE_CHECKING:
    from argus_core.formats.writer import Writer

ALWAYS = ("jsonl", "coco")
"""What commands write without being asked."""

LABELS = ("voc", "yolo", "yolo-scores")
"""Those with a file of labels for each image, which is called like the image."""


@dataclass(frozen=True)
class Format:
    """A format: what writes it (``module:class`` in this package), and whose answers it holds, by task; empty is all.

    ``library`` is what the writer needs, ``extra`` the extra of this distribution that installs it.
    """

    home: str
    tasks: tuple[str, ...] = ()
    library: str = ""
    extra: str = ""

    def writer(self) -> type[Writer]:
        """The class that writes it."""
        module, _, name = self.home.partition(":")
        return getattr(import_module(f"argus_core.formats.{module}"), name)


FORMATS = MappingProxyType(
    {
        "coco": Format("coco:CocoDetections", ("detect",)),
        "fiftyone": Format("fiftyone:FiftyOne", ("detect", "classify")),
        "jsonl": Format("jsonl:JsonLines"),
        "parquet": Format("parquet:Parquet", library="pyarrow", extra="parquet"),
        "rle": Format("coco:CocoMasks", ("segment",)),
        "voc": Format("voc:Voc", ("detect",)),
        "yolo": Format("yolo:Yolo", ("detect",)),
        "yolo-scores": Format("yolo:YoloScores", ("detect",)),
    }
)
"""The formats by name."""
OTHERS = tuple(name for name in FORMATS if name not in ALWAYS)
"""What they write when it is asked for."""


def check_formats(names: Iterable[str]) -> None:
    """Raise ArgusError for a name that is not in ``FORMATS``, or whose library is not installed."""
    for name in names:
        if name not in FORMATS:
            raise unknown("format of results", name, FORMATS)
        wanted = FORMATS[name]
        if wanted.library and find_spec(wanted.library) is None:
            raise ArgusError(f"{name} needs {wanted.library}: pip install 'argus-perception[{wanted.extra}]'")


def check_tasks(names: Iterable[str], tasks: Iterable[str]) -> None:
    """Raise ArgusError for a format that holds no answers of any of ``tasks``."""
    solved = sorted(set(tasks))
    for name in names:
        held = FORMATS[name].tasks
        if held and not set(held) & set(solved):
            raise ArgusError(
                f"{name} holds answers of {' and '.join(held)} heads, and here only {', '.join(solved)} answers; "
                f"choose such a head, or leave out {name}"
            )
