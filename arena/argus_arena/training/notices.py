"""What a run says before it starts: recipes in words, what the published training had, and runs on another canvas."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from argus_arena.requests import RunRequest
from argus_arena.requests.fields import ON_VAL
from argus_arena.run.config import settings_by_head
from argus_arena.run.phases import has_choice
from argus_arena.run.prepare import PreparedRun
from argus_arena.run.selection import LEAST, selected_count
from argus_arena.training.learner import Learner
from argus_core.canvas import Canvas
from argus_core.common.files import read_json
from argus_core.errors import ArgusError, counted
from argus_core.recipe import Recipe

Record = Mapping[str, Any]


def recipe_lines(request: RunRequest, run: PreparedRun, tokens: Record, learners: Sequence[Learner]) -> list[str]:
    """Images, canvas, batch; rate, length and warm-up of every head that takes steps: one line for one head.

    A line before says on what choices are made where that is not a part of the training images.
    """
    trained = [learner for learner in learners if learner.phases]
    if not trained:
        return []
    card = request.recipe == "card"
    by_default = request.cache is None and request.canvas is None
    canvas = Canvas(**tokens["canvas"])
    how = [canvas.fit, *([canvas.tiles.label] if canvas.tiles else []), *(["by default"] if by_default else [])]
    order, kept = run.training.order, len(run.training.images) - len(run.training.order.images)
    images = counted(len(order.images), "image") + (f" (and {kept} to choose on)" if kept else "")
    start = f"recipe: {'card, ' if card else ''}{images} on {_size(tokens)} ({', '.join(how)}) -> batch {order.batch}"
    first = _selection_lines(request, run, trained)
    hint = "" if card else "; --recipe card for the published one"
    warnings = [
        f"warning: {learner.name}: {text}"
        for learner in trained
        for text in unmet(learner.recipe, learner.head.options, tokens)
    ]
    if len(trained) == 1:
        return [*first, f"{start}, {_course(trained[0])}{hint}", *warnings]
    return [*first, f"{start}{hint}", *(f"  {learner.name}: {_course(learner)}" for learner in trained), *warnings]


def _selection_lines(request: RunRequest, run: PreparedRun, trained: Sequence[Learner]) -> list[str]:
    """What a reader should know of the choice of weights, if it is not as usual."""
    selection, images, steps = request.selection, len(run.training.images), run.training.order.steps_per_epoch
    if selection == ON_VAL:
        on = run.scoring.split.name
        return [f"selection: weights are chosen on {on}, the split that is scored: the scores are too good"]
    choice = any(each.head.fitted or has_choice(each.recipe, steps, request.eval_every) for each in trained)
    settings = settings_by_head(request)
    dropped = [each for each in trained if type(each.head).recipe.sweep and not each.recipe.sweep]
    swept = [each.name for each in dropped if "sweep" not in settings[each.name][0]]
    if run.selection is not None or not ((choice and float(selection)) or swept):
        return []
    rates = f", and of the rates of {' and '.join(swept)} only one is trained" if swept else ""
    why = f"--selection {selection} of {counted(images, 'image')} is fewer than {LEAST}, too few to choose on"
    if selected_count(images, selection):
        why = f"the {counted(images, 'image')} are of too few photographs to divide them"
    return [f"selection: {why}: heads train on all images, and the last weights are scored{rates}"]


def unmet(recipe: Recipe, options: Mapping[str, Any], tokens: Record) -> list[str]:
    """The conditions of a recipe's published training that this one does not meet, and how to meet each."""
    card = recipe.conditions
    if card is None:
        return []
    missing, command = [], "arena cache " if tokens["from"] == "cache" else ""
    if card.canvas and "x".join(map(str, card.canvas)) != _size(tokens):
        wanted = "x".join(map(str, card.canvas))
        missing.append(f"canvas {wanted}, here {_size(tokens)} (`{command}--canvas {wanted}`)")
    if not set(card.views) <= set(tokens["views"]):
        views = ",".join(card.views)
        missing.append(f"views {views}, here {','.join(tokens['views'])} (`{command}--views {views}`)")
    for key, value in card.settings.items():
        now = options.get(key, getattr(recipe, key, None))
        missing += [f"{key} {value}, here {now}"] if now != value else []
    missing += [f"{key} ({how})" for key, how in card.options.items() if options.get(key) is None]
    return [f"not as the card trained: it had {'; '.join(missing)}"] if missing else []


def canvas_notices(folder: Path, tasks: Collection[str], tokens: Record) -> list[str]:
    """A line per task that neighbouring runs solve on another canvas, and no run on this one, with the same backbone.

    One model of such runs takes a backbone pass for each canvas. ``tasks`` and ``tokens`` are of the run in ``folder``.
    """
    here = _canvas(tokens)
    shared, elsewhere = set(tasks), dict[str, tuple[Path, str]]()
    for path, other, other_tokens in _runs_beside(folder):
        if other_tokens["backbone"]["sha256"] != tokens["backbone"]["sha256"]:
            continue
        canvas = _canvas(other_tokens)
        for task in _tasks(other):
            if canvas == here:
                shared.add(task)
            elsewhere[task] = (path, canvas)
    return [
        f"notice: {task} in {path} is on {canvas}, this run on {here}: one model of both takes two backbone passes, "
        "train both on one canvas to share one"
        for task, (path, canvas) in elsewhere.items()
        if task not in shared
    ]


def _runs_beside(folder: Path) -> Iterator[tuple[Path, Record, Record]]:
    """Path, configuration and tokens of the other runs in the same folder; what cannot be read is passed over."""
    for file in sorted(folder.absolute().parent.glob("*/run.json")):
        if file.parent == folder.absolute():
            continue
        try:
            run = read_json(file, "it is only looked at")
            config, tokens = run["config"], run["record"]["tokens"]
            _tasks(config), _canvas(tokens), tokens["backbone"]["sha256"]
        except (ArgusError, OSError, KeyError, TypeError, AttributeError):
            continue
        yield folder.parent / file.parent.name, config, tokens


def _tasks(config: Record) -> list[str]:
    return [head["head"].partition(".")[0] for head in config["heads"].values()]


def _size(tokens: Record) -> str:
    return f"{tokens['canvas']['height']}x{tokens['canvas']['width']}"


def _canvas(tokens: Record) -> str:
    return Canvas(**tokens["canvas"]).label


def _course(learner: Learner) -> str:
    """Rate, length, warm-up and stages of one head."""
    recipe, (main, *stages) = learner.recipe, learner.phases
    rates = sorted({recipe.lr, *recipe.sweep})
    rate = f"lr {rates[0]:g}" if len(rates) == 1 else f"lr {rates[0]:g} to {rates[-1]:g} (the best of {len(rates)})"
    warm = counted(round(recipe.warmup * main.steps), "step")
    length = f"{learner.epochs:.4g} epoch{'' if learner.epochs == 1 else 's'} ({counted(learner.steps, 'step')})"
    parts = [rate, length, f"warm-up {warm}"]
    parts += [f"the last {counted(phase.steps, 'step')} a stage at lr {phase.lr:g}" for phase in stages]
    return ", ".join(parts)
