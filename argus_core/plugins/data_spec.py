"""Data specs: ``name:path,key=value`` opens a data set offered by a plugin."""

from __future__ import annotations

import os
import re
import reprlib
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from argus_core.common.options import check_options, options_model, parse_value
from argus_core.common.places import place
from argus_core.data import DataSet, Split
from argus_core.data.hold_out import TRAIN, VAL, hold_out
from argus_core.errors import ArgusError, unknown
from argus_core.plugins.hooks import Opener, Plugins, load_plugins
from argus_core.plugins.recognize import recognize
from argus_core.registry.loading import shielded

if TYPE_CHECKING:
    from argus_core.tasks import Task


HOLD_OUT = "hold_out"
"""The option that every data set has: which share of the images becomes ``val``."""
QUOTE = '"'
_KEY = re.compile(r"\s*([A-Za-z_]\w*)\s*=")
_PIECE = re.compile(r'(?:^|,)((?:\s*[A-Za-z_]\w*\s*=)?(?:"(?:[^"]|"")*(?:"|$))?[^,]*)')
"""What stands between commas; in double quotes that open a path or a value, commas do not count."""


def open_data(spec: str, plugins: Plugins | None = None) -> DataSet:
    """The splits of ``spec``, as in ``coco:PATH,key=value``; a bare path is opened as what its layout shows.

    A path or a value that holds commas or equals signs goes in double quotes: ``coco:"a,b=c",limit=5``.
    ``hold_out=0.2`` makes a fifth of the images ``val`` where nothing divides them. ``plugins`` are those that offer
    data sets, by default all installed ones. Raises ArgusError for an unknown name and for unknown options.
    """
    plugins = plugins or load_plugins()
    name, opener, path, options = find_opener(spec, plugins)
    source = f"data set {name!r} of {plugins.owners.get(name, 'a plugin')}"
    with shielded(f"{source} cannot be opened", through=(ArgusError, OSError)):
        data = opener(path, **options)
    if not isinstance(data, Mapping) or not data or not all(isinstance(split, Split) for split in data.values()):
        raise ArgusError(f"{source} gave {reprlib.repr(data)}; its opener must return splits by name, one or more")
    return data


def find_opener(spec: str, plugins: Plugins | None = None) -> tuple[str, Opener, str, dict[str, Any]]:
    """The data set that a spec names, its opener, and the path and checked options to open it with."""
    plugins = plugins or load_plugins()
    openers = plugins.datasets()
    name, _, rest = explicit_spec(spec, plugins)[0].partition(":")
    opener, what = openers[name], f"data set {name!r}"
    model = options_model(opener)
    path, options = split_spec(rest, {*model.model_fields, HOLD_OUT}, what)
    if HOLD_OUT in options and HOLD_OUT not in model.model_fields:
        opener = partial(_divided, opener, _share(options.pop(HOLD_OUT)))
    return name, opener, path, check_options(model, options, what)


def _divided(opener: Opener, share: float, path: str, **options: Any) -> DataSet:
    return hold_out(opener(path, **options), share)


def _share(value: Any) -> float:
    if isinstance(value, int | float):
        return float(value)
    raise ArgusError(f"{HOLD_OUT}={value} is no share of the images; write a number such as {HOLD_OUT}=0.2")


def explicit_spec(spec: str, plugins: Plugins | None = None) -> tuple[str, str]:
    """The spec with the name of its data set, and by what a bare path was known; empty for a spec with a name.

    Raises ArgusError for an unknown name, and for a path that is no data set, or more than one.
    """
    plugins = plugins or load_plugins()
    openers = plugins.datasets()
    name, colon, _ = spec.partition(":")
    if name in openers and (colon or not _exists(spec)):
        return spec, ""
    path = _bare_path(spec)
    if not path:
        raise _unknown_data(spec, openers, plugins)
    found, reason = recognize(_unquoted(path), path if path[0] == QUOTE else quoted(path), plugins)
    return found + spec[len(path) :], reason


def _bare_path(spec: str) -> str:
    """The path, perhaps in quotes, that a spec without a name begins with; empty if none is there."""
    pieces = _PIECE.findall(spec)
    if spec.startswith(QUOTE) and _exists(_unquoted(pieces[0])):
        return str(pieces[0])
    return next(filter(_exists, reversed(_beginnings(spec.split(",")))), "")


def _unknown_data(spec: str, openers: Mapping[str, Opener], plugins: Plugins) -> ArgusError:
    name = spec.partition(":")[0]
    if os.sep in name or Path(name).suffix:
        return ArgusError(f"there is no file or folder {spec.split(',')[0]}")
    failed = f"; plugins that failed: {', '.join(plugins.failed)}; see arena plugins" if plugins.failed else ""
    missing = "" if ":" in spec else f"; there is no file or folder {spec.split(',')[0]} either"
    return ArgusError(f"{unknown('data set', name, openers)}{missing}{failed}")


def split_of(data: DataSet, name: str) -> Split:
    """One split by name."""
    if name not in data:
        if name in (TRAIN, VAL) and VAL not in data and (len(data) == 1 or TRAIN in data):
            raise ArgusError(
                f"there is no split {name!r}, only {' and '.join(data)}; ,{HOLD_OUT}=0.2 at the end of the data spec "
                "makes a fifth of the images val"
            )
        raise unknown("split", name, data)
    return data[name]


def task_for(split: Split, name: str) -> Task:
    """The split's task of this name, with the data set's numbers."""
    if name not in split.tasks:
        raise ArgusError(
            f"split {split.name!r} has no annotations for {name!r}; it has {', '.join(split.tasks) or 'none'}"
        )
    return split.tasks[name]


def split_spec(rest: str, known: Collection[str], what: str) -> tuple[str, dict[str, Any]]:
    """The path and the options of what follows the name in a spec; ``known`` are the names that options have.

    Options begin at the first ``,KEY=``. Text in double quotes is taken literally, with "" for a quote in it. Without
    quotes a path may contain ``,KEY=`` if it exists, and a value may contain commas. Raises ArgusError for a spec
    that can be read in both ways.
    """
    pieces = _PIECE.findall(rest)
    first = _first_option(pieces, known, what)
    path = _unquoted(",".join(pieces[:first]))
    options: dict[str, str] = {}
    for piece in pieces[first:]:
        if match := _KEY.match(piece):
            options[last := match[1]] = piece[match.end() :]
        elif options:
            options[last] += f",{piece}"
    for key in options:
        if key not in known:
            hint = "" if not path or _exists(path) else f"; if {rest!r} is a path, put it in double quotes"
            raise ArgusError(f"{unknown(f'option of {what}', key, known)}{hint}")
    return path, {key: _value(text) for key, text in options.items()}


def _first_option(pieces: Sequence[str], known: Collection[str], what: str) -> int:
    """Which piece begins the options: the first ``KEY=``, unless a longer path exists."""
    first = next((n for n, piece in enumerate(pieces) if _KEY.match(piece)), len(pieces))
    longer = [n for n, path in enumerate(_beginnings(pieces), 1) if n > first and _exists(path)]
    if not longer:
        return first
    key, short, long = pieces[first].partition("=")[0].strip(), ",".join(pieces[:first]), ",".join(pieces[: longer[-1]])
    if key in known and (not short or _exists(short)):
        raise ArgusError(
            f"{what}: {long!r} is a path that is there, and {key}= an option; for the path put it in double quotes, "
            "for the option the path before it"
        )
    return next((n for n in range(longer[-1], len(pieces)) if _KEY.match(pieces[n])), len(pieces))


def quoted(path: str) -> str:
    """A path for use in a spec, in double quotes where it needs them."""
    return f"{QUOTE}{path.replace(QUOTE, QUOTE * 2)}{QUOTE}" if any(sign in path for sign in ',="') else path


def _beginnings(pieces: Sequence[str]) -> list[str]:
    return [",".join(pieces[:count]) for count in range(1, len(pieces) + 1)]


def _exists(path: str) -> bool:
    return bool(path) and place(path).expanduser().exists()


def _unquoted(text: str) -> str:
    return text[1:-1].replace(QUOTE * 2, QUOTE) if len(text) > 1 and text[0] == text[-1] == QUOTE else text


def _value(text: str) -> Any:
    return _unquoted(text) if text[:1] == QUOTE else parse_value(text)
