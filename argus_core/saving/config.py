"""config.json of a saved Argus: all but its tensors, as checked plain values."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, PlainSerializer

from argus_core.canvas import Canvas
from argus_core.common.files import read_json
from argus_core.common.options import check_options
from argus_core.errors import ArgusError, unknown
from argus_core.tasks import Calibration
from argus_core.tokens import FeatureInfo

FORMAT = "argus-bundle-1"
CONFIG = "config.json"
KEY = "argus"
"""The key of these values in config.json, which may hold values of other libraries too."""
HEADS_ONLY = "heads"
"""The variant without the backbone, whose weights must be installed where it is loaded."""
FILES = {None: "model.safetensors", "bf16_backbone": "model.bf16_backbone.safetensors", HEADS_ONLY: "heads.safetensors"}
"""The weights file of each variant."""
REACHING = ("weights", "device", "compile", "pretrained", "checkpoint", "cache", "file", "url")
"""How the names of backbone options begin that could reach beyond the folder."""
StoredCanvas = Annotated[Canvas | None, PlainSerializer(lambda canvas: canvas and canvas.to_dict())]
"""A canvas, without the key of its tiles if it has none, as files always were."""
_PATH = re.compile(r"""(?:(?<=^)|(?<=:)|(?<=:"))(?:[A-Za-z]:[\\/]|~?[\\/])\S""")


class Entry(BaseModel):
    """Frozen values without unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class BackboneEntry(Entry):
    """How to build the backbone, and the preprocessing and terms that belong to its weights.

    ``weights_sha256`` is that of the weights before any rounding; ``origin`` is the package that provides the name.
    Raises ArgusError for an option that could fetch or read anything but the bundle's weights.
    """

    name: str
    options: dict[str, Any]
    info: FeatureInfo
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    license: str
    weights_sha256: str
    origin: dict[str, str] = {}  # files of the first version lack it

    def model_post_init(self, context: Any, /) -> None:
        for option in self.options:
            if option.startswith(REACHING):
                raise ArgusError(
                    f"option {option!r} of backbone {self.name!r} could reach beyond the folder of a saved Argus; "
                    "load the backbone without it"
                )


class HeadEntry(Entry):
    """How to build a head: its registered name with the distribution that has it, options, task, canvas.

    ``decoding`` holds decoding options that were changed after the head was built. ``weights_sha256`` is of the
    tensors as stored. ``record`` tells how the head was trained and scored, as far as that is known. ``info`` is what
    the head was built for, where that is not the backbone's. ``calibration`` is applied to its confidences.
    """

    head: str
    distribution: str
    version: str
    options: dict[str, Any]
    task: dict[str, Any]
    canvas: StoredCanvas
    decoding: dict[str, Any] | None
    parameters: int
    license: str
    weights_sha256: str
    record: dict[str, Any]
    info: FeatureInfo | None = None
    calibration: Calibration | None = None

    @property
    def origin(self) -> dict[str, str]:
        """The package that provides the head."""
        return {"distribution": self.distribution, "version": self.version}


class BundleConfig(Entry):
    """A saved Argus; ``files`` gives for each weights file the sha256 of the backbone that it holds or needs.

    ``version`` is of argus-perception, ``api_version`` of the contract with plugins, in which heads were written.
    """

    format: str
    version: str
    api_version: str = ""
    canvas: StoredCanvas
    backbone: BackboneEntry
    heads: dict[str, HeadEntry]
    licenses: dict[str, Any]
    files: dict[str, str]


def portable(values: Any) -> Any:
    """The values with folders cut from absolute paths, also behind a prefix as in ``coco:PATH``, and nan as None."""
    if isinstance(values, Mapping):
        return {str(key): portable(value) for key, value in values.items()}
    if isinstance(values, list | tuple):
        return [portable(value) for value in values]
    if isinstance(values, Path):
        return values.name
    if isinstance(values, str):
        values = values.encode(errors="surrogateescape").decode(errors="replace")  # names of files that are no UTF-8
        path = _PATH.search(values)
        return values[: path.start()] + re.split(r"[\\/]", values.rstrip("\\/"))[-1] if path else values
    if isinstance(values, float) and not math.isfinite(values):
        return None
    if values is None or isinstance(values, bool | int | float):
        return values
    raise ArgusError(f"{values!r} in a record is no plain JSON value; keep numbers, texts, lists and dictionaries")


def file_of(variant: str | None) -> str:
    """The name of a variant's weights file."""
    if variant not in FILES:
        raise unknown("variant", str(variant), filter(None, FILES))
    return FILES[variant]


def read_config(folder: Path, called: str = "") -> BundleConfig:
    """The checked configuration of a bundle, ``called`` so in messages; raises ArgusError with one line per fault."""
    file = folder / CONFIG
    values = read_json(file, "save the model again, or fetch the file again")
    values = values.get(KEY) if isinstance(values, dict) else None
    if not isinstance(values, dict):
        raise ArgusError(
            f"{called or folder} is no saved Argus, as {file} has no {KEY!r} in it; such files come from Argus.save"
        )
    if values.get("format") != FORMAT:
        raise ArgusError(
            f"{file} is of format {values.get('format')!r}, this version reads {FORMAT!r}; update argus-perception"
        )
    return BundleConfig(**check_options(BundleConfig, values, str(file)))


def is_bundle(folder: Path) -> bool:
    """Whether a folder holds a saved Argus; a config.json alone may belong to another library."""
    with suppress(ArgusError):
        values = read_json(folder / CONFIG, "")
        return isinstance(values, dict) and KEY in values
    return False
