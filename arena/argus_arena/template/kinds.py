"""The kinds of plugins with a template: their files, names, and first commands."""

from __future__ import annotations

from dataclasses import dataclass
from textwrap import fill

from argus_core.errors import ArgusError, unknown

SCENES = "scenes:images=256,val=64,size=128"
LIVE = "--backbone tiny --canvas 128 --out runs/$module"


@dataclass(frozen=True)
class Kind:
    """A template: folders of files, of which a later one wins, and texts with the fields of the files.

    ``registered`` is the name under which Argus finds what is made, ``points`` entry points by group, ``commands``
    are what a user tries first. ``data`` names the data set that a head is trained on,
    ``offers_data`` is set if the package offers one. ``about`` is what the README adds to the summary.
    """

    summary: str
    folders: tuple[str, ...]
    registered: str
    points: dict[str, tuple[str, str]]
    commands: tuple[str, ...]
    data: str = ""
    offers_data: bool = False
    about: str = ""


def _head(task: str, summary: str, data: str = "scenes", files: str = "head", about: str = "") -> Kind:
    spec = SCENES.replace("scenes", data) if data != "scenes" else SCENES
    return Kind(
        summary,
        (*dict.fromkeys(("head", files)), f"{files}-{task}"),
        f"{task}.$module",
        {"argus.heads": (f"{task}.$module", "$module.head:$cls")},
        ("arena check $name", f"arena train --head $name --data {spec} {LIVE}", "arena board runs/$module"),
        data,
        about=about,
    )


HEADS = {
    "classify": _head("classify", "A classifier on the CLS token and the mean of the patch tokens"),
    "segment": _head("segment", "A segmenter that is a two-layer perceptron per cell"),
    "depth": _head("depth", "A depth head that knows how sure it is of every cell"),
    "detect": _head("detect", "A detector that answers once per cell of the backbone's grid"),
    "correspond": _head("correspond", "A matching head with centred descriptors", "scene_pairs"),
}
"""Heads by task."""

SUMS = (
    "Nothing is trained by gradients. `fit` goes once over the training split and adds up count, mean and scatter of "
    "{what}, in float64, so that neither the order of the images nor the number of processes matters, and memory does "
    "not grow with the data. Then it solves {how}; generalised cross-validation chooses the penalty. `arena train` "
    "calls `fit` and scores the result, in seconds from cached tokens."
)


def _solved(task: str, summary: str, what: str, how: str) -> Kind:
    return _head(task, summary, files="solved", about=f"\n{fill(SUMS.format(what=what, how=how), 120)}\n")


SOLVED = {
    "classify": _solved(
        "classify",
        "A classifier that is solved, not trained",
        "tokens and classes",
        "a ridge regression of every class",
    ),
    "segment": _solved(
        "segment",
        "A segmenter that is solved, not trained",
        "cells and their classes",
        "a ridge regression of every class",
    ),
    "depth": _solved(
        "depth",
        "A depth head that is solved, not trained",
        "cells and their log depths",
        "a ridge regression of log depth",
    ),
    "detect": _solved(
        "detect",
        "A detector that is solved, not trained",
        "cells and what lies there",
        "discriminants of classes and background, and ridge regressions of the sides of boxes",
    ),
}
"""Heads in closed form, by task."""

KINDS = {
    "task": Kind(
        "A task, counting the things in an image, with a head and a data set for it",
        ("head", "task"),
        "$module.density",
        {
            "argus.tasks": ("$module", "$module.task:$cls"),
            "argus.heads": ("$module.density", "$module.head:Density"),
            "argus.plugins": ("$module", "$module.data"),
        },
        (
            "arena check $module --kind task",
            "arena check $name",
            f"arena train --head $name --data $module:images=256,val=64,size=128 {LIVE}",
        ),
        data="$module",
        offers_data=True,
    ),
    "backbone": Kind(
        "A frozen backbone: small ConvNeXts with your own weights",
        ("backbone",),
        "$module",
        {"argus.backbones": ("$module", "$module.backbone:$module")},
        (
            "arena check $name --kind backbone --set random=true",
            f"arena train --head segment.linear --data {SCENES} "
            "--backbone $name --backbone-set random=true --canvas 128 --out runs/$module",
        ),
    ),
    "data": Kind(
        "A data set: images whose classes are listed in tables",
        ("data",),
        "$module",
        {"argus.plugins": ("$module", "$module.data")},
        ("arena data check $name:PATH", "arena check $name:PATH --kind data"),
        offers_data=True,
    ),
    "listener": Kind(
        "A listener that writes every number of a training run into one table",
        ("listener",),
        "$module",
        {"argus.plugins": ("$module", "$module.listener")},
        ("arena plugins", f"arena train --head segment.linear --data {SCENES} {LIVE}", "cat runs/$module/$module.csv"),
    ),
}
"""The kinds that are not heads."""


def choose(kind: str, task: str | None, closed_form: bool = False) -> Kind:
    """The template of a kind, for heads of a task; raises ArgusError for what there is no template of."""
    if kind != "head":
        return _other(kind, task, closed_form)
    heads = SOLVED if closed_form else HEADS
    if task is None:
        raise ArgusError(f"a head solves a task: give --task {', '.join(heads)}")
    if task in HEADS and task not in heads:
        raise ArgusError(f"a head for task {task!r} has nothing to solve: leave out --closed-form")
    if task not in heads:
        raise ArgusError(f"there is no template of a head for task {task!r}; there is one for {', '.join(heads)}")
    return heads[task]


def _other(kind: str, task: str | None, closed_form: bool) -> Kind:
    if kind not in KINDS:
        raise unknown("kind of plugin", kind, ["head", *KINDS])
    for given, option in ((task is not None, f"--task {task}"), (closed_form, "--closed-form")):
        if given:
            raise ArgusError(f"{option} is for heads only; leave it out for --kind {kind}")
    return KINDS[kind]
