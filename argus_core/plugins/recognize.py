"""What a bare path is: the data set whose layout it has."""

from __future__ import annotations

from pathlib import Path

from argus_core.common.places import place, snapshot
from argus_core.data import Layout
from argus_core.errors import ArgusError
from argus_core.plugins.hooks import Plugins
from argus_core.registry.loading import describe_error


def recognize(path: str, quoted: str, plugins: Plugins) -> tuple[str, str]:
    """The data spec of ``path``, which is ``quoted`` in it, and by what it is known.

    Raises ArgusError, with all that was looked for, where no layout fits, and where several do.
    """
    layouts, there = plugins.layouts(), snapshot(place(path).expanduser())
    answers = {_with_path(spec, quoted): _found(layout, there, plugins) for spec, layout in layouts.items()}
    found = {spec: reason for spec, reason in answers.items() if isinstance(reason, str) and reason}
    if len(found) == 1:
        return next(iter(found.items()))
    if found:
        both = " and ".join(f"{spec} ({reason})" for spec, reason in found.items())
        raise ArgusError(f"{path} is more than one data set: {both}; give the one that is meant")
    looked = "".join(f"\n  {_with_path(spec, 'PATH')}: {layout.files}" for spec, layout in layouts.items())
    lacks = "".join(f"\nIt is not {spec}, as {why}\n" for spec, why in answers.items() if isinstance(why, ArgusError))
    raise ArgusError(
        f"{path} is not recognised as a data set; say which it is, as in coco:{quoted}."
        f"{lacks or ' '}Looked for:{looked}"
    )


def _with_path(spec: str, path: str) -> str:
    """As in ``images:PATH,masks=masks`` for ``images,masks=masks``."""
    name, comma, options = spec.partition(",")
    return f"{name}:{path}{comma}{options}"


def _found(layout: Layout, path: Path, plugins: Plugins) -> str | ArgusError:
    """What the layout says of the path, or why it does not fit; a layout that fails says nothing, and is noted."""
    try:
        return str(layout.found(path) or "")
    except ArgusError as error:
        return error
    except Exception as error:  # a plugin's code may raise anything
        plugins.failed[f"layout {layout.files!r}"] = f"raised {describe_error(error)} for {path}"
        return ""
