"""Checks of option values while the command line is parsed, before torch is imported: typos are reported at once."""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, get_args

from argus_core.canvas import Fit, Interpolation
from argus_core.canvas.large import Merge, TileSide
from argus_core.common.architecture import is_backbone_folder
from argus_core.common.dtypes import parse_dtype
from argus_core.common.folders import check_local
from argus_core.common.license import check_level
from argus_core.common.options import parse_size
from argus_core.common.places import Address, place
from argus_core.errors import ArgusError, unknown
from argus_core.formats.table import check_formats
from argus_core.plugins.files import is_file_spec
from argus_core.registry import BACKBONES, HEADS, PROTOCOLS
from argus_core.registry.places import head_files

Check = Callable[[Any], object]
"""Raises ArgusError for an invalid value."""


def checked(check: Check) -> Callable[[Any], Any]:
    """The callback of a typer option or argument that checks its value, or each of its values."""

    def callback(value: Any) -> Any:
        for item in value if isinstance(value, list | tuple) else [value]:
            if item is not None and item != "":
                check(item)
        return value

    return callback


def placed(check: Check) -> Callable[[Any], Any]:
    """As ``checked``, of an option or argument that takes addresses of object stores where others take paths."""
    inner = checked(check)

    def callback(value: Any) -> Any:
        if isinstance(value, list | tuple):
            return inner([place(item) if isinstance(item, Path) else item for item in value])
        return inner(place(value) if isinstance(value, Path) else value)

    return callback


def one_of(kind: str, known: Iterable[str]) -> Check:
    """The check of an option that takes one of a few values."""
    names = tuple(known)

    def check(value: str) -> None:
        if value not in names:
            raise unknown(kind, value, names)

    return check


def check_head(text: str) -> None:
    """A registered head, or NAME=HEAD; heads of files are checked when the file is read."""
    if not is_file_spec(text):
        HEADS.find(text.rpartition("=")[2])


def check_heads(text: str) -> None:
    """A registered head, or ``all``."""
    if text != "all":
        check_head(text)


def check_backbone(name: str) -> None:
    """A registered backbone or scheme, such as ``timm`` in ``timm:resnet18``, or the folder of a backbone."""
    if not is_file_spec(name) and not is_backbone_folder(name):
        BACKBONES.find(name.partition(":")[0])


def check_protocol(name: str) -> None:
    """A registered protocol."""
    PROTOCOLS.find(name)


def check_data(spec: str) -> None:
    """A data set of an installed plugin, with options that it has."""
    from argus_core.plugins.data_spec import find_opener

    find_opener(spec)


def named_data(spec: str) -> str:
    """The spec with the name of its data set; what a bare path was taken for is said on standard error.

    An empty one stays: `arena domains` fills it in later.
    """
    if not spec or (re.match(r"\w+:(?!//)", spec) and not Path(spec).exists()):
        return spec  # without loading plugins
    from argus_core.plugins.data_spec import explicit_spec

    explicit, reason = explicit_spec(spec)
    if reason:
        print(f"{spec}: taken for {explicit} ({reason})", file=sys.stderr)
    return explicit


def checked_data(spec: str | None) -> str | None:
    """The callback of an option or argument that is a data spec: checked, and with the name of its data set."""
    if not spec:
        return spec
    spec = named_data(spec)
    check_data(spec)
    return spec


def check_device(text: str) -> None:
    """The name of a device; whether it exists, only torch can tell."""
    if not re.fullmatch(r"(cpu|mps)|(cuda|xpu)(:\d+)?", text):
        raise ArgusError(f"unknown device {text!r}; give cpu, cuda, cuda:1, xpu or mps")


def check_saved(text: str) -> None:
    """Formats of results, with commas between them, whose libraries are installed."""
    check_formats(name.strip() for name in text.split(",") if name.strip())


def check_out(path: Path, option: str = "--out") -> None:
    """A path that can be written, or an address: a file, or a path whose nearest existing parent takes new files."""
    check_local(path)
    if isinstance(path, Address):
        if str(path).startswith(("http://", "https://")):
            raise ArgusError(f"{path} can be read, and nothing can be written there; choose another {option}")
        path.exists()  # raises if the store cannot be used
        return
    nearest = next(place for place in (path, *path.absolute().parents) if place.exists())
    if nearest != path and not nearest.is_dir():
        raise ArgusError(f"{path} cannot be written: {nearest} is a file; choose another {option}")
    try:  # permissions do not bind root, and say nothing about a full or foreign file system
        with open(nearest, "ab") if nearest.is_file() else tempfile.TemporaryFile(dir=nearest):
            pass
    except OSError as error:
        reason = error.strerror or str(error)
        raise ArgusError(f"{path} cannot be written: {nearest}: {reason}; choose another {option}") from error


def check_unused(out: Path, overwrite: bool) -> None:
    """A folder to write that holds nothing yet, unless ``overwrite`` says that it may."""
    if not overwrite and out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ArgusError(f"{out} exists already; choose another --out, or write into it with --overwrite")


def check_run(path: Path) -> None:
    """A run, or one head of it, with its best or last weights."""
    check_local(path)
    if not (path / "last.safetensors").exists() and not any(path.glob("*/last.safetensors")):
        head_files(path)


def check_path(path: Path) -> None:
    """An existing file or folder on this machine."""
    check_local(path)
    if not path.exists():
        raise ArgusError(f"there is no file or folder {path}")


def parse_tiles(text: str) -> TileSide:
    """``auto``, or pixels of the image."""
    if text == "auto":
        return "auto"
    if not text.strip().isdigit() or int(text) == 0:
        raise ArgusError(f"--tiles {text} is neither auto nor a number of pixels of the image, such as 640")
    return int(text)


def check_overlap(share: float) -> None:
    """A share of a tile."""
    if not 0 <= share < 1:
        raise ArgusError(f"--overlap {share:g} is no share of a tile; give 0 or more, and less than 1, such as 0.2")


check_size: Check = parse_size
check_tiles: Check = parse_tiles
check_merge = one_of("merging of tiles", get_args(Merge))
check_license: Check = check_level
check_fit = one_of("fit of a canvas", get_args(Fit))
check_interpolation = one_of("interpolation", get_args(Interpolation))
check_dtype: Check = parse_dtype
check_which = one_of("weights of a run", ("best", "last"))
