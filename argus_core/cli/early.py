"""Names on a command line, looked up while it is read and before torch is imported: a typo is told at once."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, get_args

from argus_core.canvas import Fit, Interpolation
from argus_core.common.folders import check_local
from argus_core.common.license import check_level
from argus_core.common.options import parse_size
from argus_core.errors import ArgusError, unknown
from argus_core.plugins.files import is_file_spec
from argus_core.registry import BACKBONES, HEADS, PROTOCOLS
from argus_core.registry.places import head_files

Check = Callable[[Any], object]
"""Raises ArgusError for a value that cannot be meant."""


def checked(check: Check) -> Callable[[Any], Any]:
    """The callback of a typer option or argument that hands its value, or each of its values, to ``check``."""

    def callback(value: Any) -> Any:
        for one in value if isinstance(value, list | tuple) else [value]:
            if one is not None and one != "":
                check(one)
        return value

    return callback


def one_of(kind: str, known: Iterable[str]) -> Check:
    """The check of an option whose values are few."""
    names = tuple(known)

    def check(value: str) -> None:
        if value not in names:
            raise unknown(kind, value, names)

    return check


def check_head(text: str) -> None:
    """A registered head, or NAME=HEAD; heads of files are left to those who read them."""
    if not is_file_spec(text):
        HEADS.find(text.rpartition("=")[2])


def check_heads(text: str) -> None:
    """``check_head``, or all."""
    if text != "all":
        check_head(text)


def check_backbone(name: str) -> None:
    """A registered backbone, with what its scheme makes of the rest."""
    if not is_file_spec(name):
        BACKBONES.find(name.partition(":")[0])


def check_protocol(name: str) -> None:
    """A registered protocol."""
    PROTOCOLS.find(name)


def check_data(spec: str) -> None:
    """A data set that an installed plugin opens, with options that it has."""
    from argus_core.plugins.data_spec import find_opener

    find_opener(spec)


def check_device(text: str) -> None:
    """What may be a device: whether it is here, only torch can tell."""
    if not re.fullmatch(r"(cpu|mps)|(cuda|xpu)(:\d+)?", text):
        raise ArgusError(f"unknown device {text!r}; give cpu, cuda, cuda:1, xpu or mps")


def check_out(path: Path) -> None:
    """Where something can be written: no address, and the nearest folder that exists takes new files."""
    check_local(path)
    there = next(one for one in (path, *path.absolute().parents) if one.exists())
    if path.exists() and path.is_file():
        there = path
    elif not there.is_dir():
        raise ArgusError(f"{path} cannot be written: {there} is a file; choose another --out")
    try:  # permissions do not bind root, and say nothing of a full or foreign file system
        with open(there, "ab") if there.is_file() else tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        reason = error.strerror or str(error)
        raise ArgusError(f"{path} cannot be written: {there}: {reason}; choose another --out") from error


def check_run(path: Path) -> None:
    """A run, or a head of one, with its best or its last weights."""
    check_local(path)
    if not (path / "last.safetensors").exists() and not any(path.glob("*/last.safetensors")):
        head_files(path)


def check_path(path: Path) -> None:
    """A file or folder that is there, on this machine."""
    check_local(path)
    if not path.exists():
        raise ArgusError(f"there is no file or folder {path}")


check_size: Check = parse_size
check_license: Check = check_level
check_fit = one_of("fit of a canvas", get_args(Fit))
check_interpolation = one_of("interpolation", get_args(Interpolation))
check_dtype = one_of("cache dtype", ("fp32", "fp16", "bf16", "int8"))
check_which = one_of("weights of a run", ("best", "last"))
