"""Which template serves what was asked for, and whether its names are free."""

from __future__ import annotations

from argus_arena.template.kinds import HEADS, KINDS, Kind
from argus_arena.template.names import Names
from argus_core.errors import ArgusError, unknown
from argus_core.plugins.hooks import load_plugins
from argus_core.registry import Registry


def choose(kind: str, task: str | None) -> Kind:
    """The template of a kind, for heads of a task; raises ArgusError for what there is no template of."""
    if kind != "head":
        if kind not in KINDS:
            raise unknown("kind of plugin", kind, ["head", *KINDS])
        if task is not None:
            raise ArgusError(f"--task {task} is for heads only; leave it out for --kind {kind}")
        return KINDS[kind]
    if task is None:
        raise ArgusError(f"a head solves a task: give --task {', '.join(HEADS)}")
    if task not in HEADS:
        raise ArgusError(f"there is no template of a head for task {task!r}; there is one for {', '.join(HEADS)}")
    return HEADS[task]


def check_free(kind: Kind, names: Names) -> None:
    """Raise ArgusError if an installed package has one of the names that the new one would register."""
    instead = f"choose another name than {names.project!r}"
    for group, (name, _) in kind.points.items():
        wanted = name.replace("$module", names.module)
        for entry in Registry(group, "").entries():
            if entry.name == wanted:
                raise ArgusError(f"the name {wanted!r} is taken by {entry}; {instead}")
    if kind.offers_data and names.module in load_plugins().datasets():
        raise ArgusError(f"there is a data set {names.module!r} already; {instead}")
