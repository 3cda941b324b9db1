"""Data specs: ``name:path,key=value`` opens a data set offered by a plugin."""

from __future__ import annotations

import os
import reprlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from argus_core.data import DataSet, Split
from argus_core.errors import ArgusError, unknown
from argus_core.hooks import Opener, Plugins, load_plugins
from argus_core.importing import shielded
from argus_core.options import check_options, options_model, parse_value

if TYPE_CHECKING:
    from argus_core.tasks.base import Task

__all__ = ["open_data", "split_of", "task_for"]


def open_data(spec: str, plugins: Plugins | None = None) -> DataSet:
    """The splits of ``spec``, as in ``coco:PATH,key=value``; a bare folder is opened as ``coco:FOLDER``.

    ``plugins`` are those that offer data sets, by default all installed ones. Raises ArgusError for a name that
    none offers and for options that it does not have.
    """
    plugins = plugins or load_plugins()
    name, opener, path, options = find_opener(spec, plugins)
    whose = f"data set {name!r} of {plugins.owners.get(name, 'a plugin')}"
    with shielded(f"{whose} cannot be opened", through=(ArgusError, OSError)):
        data = opener(path, **options)
    if not isinstance(data, Mapping) or not data or not all(isinstance(split, Split) for split in data.values()):
        raise ArgusError(f"{whose} gave {reprlib.repr(data)}; its opener must return splits by name, one or more")
    return data


def find_opener(spec: str, plugins: Plugins | None = None) -> tuple[str, Opener, str, dict[str, Any]]:
    """The data set that a spec names, its opener, and the path and checked options it is opened with."""
    plugins = plugins or load_plugins()
    openers = plugins.datasets()
    name, colon, rest = spec.partition(":")
    if not colon or (name not in openers and Path(spec).exists()):
        name, rest = ("coco", spec) if Path(spec.split(",")[0]).exists() else (name, rest)
    if name not in openers:
        if not colon and os.sep in spec:
            raise ArgusError(f"there is no folder {spec.split(',')[0]}")
        failed = f"; plugins that failed: {', '.join(plugins.failed)}; see arena plugins" if plugins.failed else ""
        raise ArgusError(f"{unknown('data set', name, openers)}{failed}")
    path, options = _parse(rest)
    return name, openers[name], path, check_options(options_model(openers[name]), options, f"data set {name!r}")


def split_of(data: DataSet, name: str) -> Split:
    """One split by name."""
    if name not in data:
        raise unknown("split", name, data)
    return data[name]


def task_for(split: Split, name: str) -> Task:
    """The split's task of this name, with the data set's numbers."""
    if name not in split.tasks:
        raise ArgusError(
            f"split {split.name!r} has no annotations for {name!r}; it has {', '.join(split.tasks) or 'none'}"
        )
    return split.tasks[name]


def _parse(rest: str) -> tuple[str, dict[str, Any]]:
    """The path, which may hold commas, and the options; what follows an option without = goes on with its value."""
    path: list[str] = []
    options: dict[str, str] = {}
    for piece in rest.split(","):
        key, equals, value = piece.partition("=")
        if equals:
            options[last := key.strip()] = value
        elif options:
            options[last] += f",{piece}"
        else:
            path.append(piece)
    return ",".join(path), {key: parse_value(value) for key, value in options.items()}
