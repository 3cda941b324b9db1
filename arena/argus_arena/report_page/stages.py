"""A distillation as the plain values that the page draws: losses, scores, agreement by size, and tokens as colours."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment

from argus_arena.distill.augment import Image, central_view, render_view
from argus_arena.distill.photographs import Photographs, open_photographs
from argus_arena.distill.recipe import DistillRecipe, Stage, TeacherSource
from argus_arena.distill.stage import BACKBONE, SWEEP
from argus_arena.distill.teachers import Seen, Teacher, load_teacher
from argus_arena.report_page.collect import thinned
from argus_arena.report_page.look import spaced
from argus_arena.report_page.pictures import tile
from argus_core.backbones import load_backbone
from argus_core.common.files import read_json
from argus_core.draw import draw_pca
from argus_core.errors import ArgusError
from argus_core.plugins.hooks import load_plugins

SIDE = 240
"""Pixels of the side of a picture."""
LOOK = 320
"""Pixels of the side that backbones see for a picture, or of the next one that divides into their cells."""
TEACHER = "teacher "
"""What the weights of a teacher's line of scores begin with."""


def stage_values(folder: Path, images: int, device: str | None) -> dict[str, Any]:
    """The values of one stage; where weights or photographs are gone, a note says so in place of pictures."""
    run = read_json(folder / "run.json", "remove the folder")
    recipe = DistillRecipe.model_validate(run["config"])
    stage = recipe.stage(run["identity"]["stage"]["name"])
    lines = _lines(folder)
    values = {
        "name": stage.name,
        "student": recipe.networks[stage.student].model,
        "teachers": list(stage.teachers),
        "steps": max((line["step"] for line in lines), default=0),
        "sizes": list(stage.sizes),
        "losses": _losses(lines),
        "scores": _scores(lines),
        "sweep": _sweep(folder / SWEEP),
        "pictures": [],
        "note": "no pictures were asked for",
    }
    if images:
        try:
            values |= {"pictures": _pictures(folder, recipe, stage, images, device), "note": ""}
        except (ArgusError, OSError) as error:
            values["note"] = f"there are no pictures: {error}"
    return values


def _lines(folder: Path) -> list[dict[str, Any]]:
    log = folder / "log.jsonl"
    return [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()] if log.is_file() else []


def _losses(lines: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """By term, (step, value)."""
    terms = {key: key for line in lines for key in line if "loss" in line and key not in ("step", "head", "lr", "loss")}
    return [
        {"label": term, "points": thinned([(line["step"], line[term]) for line in lines if term in line])}
        for term in terms
    ]


def _scores(lines: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """By score, the student's as (step, value) and each teacher's."""
    evals = [line for line in lines if "eval" in line]
    names = dict.fromkeys(name for line in evals for name in line["eval"])
    own = [line for line in evals if not line["weights"].startswith(TEACHER)]
    return [
        {
            "label": name,
            "points": thinned([(line["step"], line["eval"].get(name)) for line in own]),
            "teachers": {
                line["weights"].removeprefix(TEACHER): line["eval"][name]
                for line in evals
                if line["weights"].startswith(TEACHER) and line["eval"].get(name) is not None
            },
        }
        for name in names
    ]


def _sweep(file: Path) -> list[dict[str, Any]]:
    """By teacher and kind of token, (size, one minus the cosine)."""
    found = read_json(file, "remove it") if file.is_file() else {}
    return [{"label": key, "points": [[int(size), value] for size, value in by.items()]} for key, by in found.items()]


def _pictures(
    folder: Path, recipe: DistillRecipe, stage: Stage, count: int, device: str | None
) -> list[dict[str, Any]]:
    """For each of some photographs tiles of its pixels, and of the components of every teacher's and the student's."""
    photographs = open_photographs(recipe.images, load_plugins())
    results = {other.name: folder.parent / other.name / BACKBONE for other in recipe.stages}
    place = torch.device(device or "cpu")
    looks = [load_teacher(name, recipe.teachers[name], results, place) for name in stage.teachers]
    student = load_backbone(str(folder / BACKBONE), device=place)
    looks.append(Teacher("student", TeacherSource(backbone=str(folder), size=LOOK), student))
    return [_row(photographs, index, looks) for index in spaced(range(len(photographs)), count)]


def _row(photographs: Photographs, index: int, looks: Sequence[Teacher]) -> dict[str, Any]:
    image = photographs.read(index)
    split, own = photographs.place(index)
    shown = render_view(image, central_view(image), SIDE).permute(1, 2, 0).numpy()
    colors = [_colors(look, image) for look in looks]
    tiles = [
        tile(look.name, f"{_size(look)} px", matched(one, colors[0])) for look, one in zip(looks, colors, strict=True)
    ]
    return {"key": split.key(own), "tiles": [tile("photograph", "", shown), *tiles]}


def _size(look: Teacher) -> int:
    cell = max(look.backbone.info.strides)
    return -(-LOOK // cell) * cell


def matched(colors: Image, others: Image) -> Image:
    """Colours (h, w, 3) in the order and with the signs by which they are most like those of another picture.

    Neither is determined by principal components, so that equal structures could be shown in other colours.
    """
    with np.errstate(invalid="ignore"):  # a component may be constant
        found = np.corrcoef(colors.reshape(-1, 3).T, others.reshape(-1, 3).T)[:3, 3:]
    correlation = np.nan_to_num(found)
    own, wanted = linear_sum_assignment(-np.abs(correlation))
    out = np.empty_like(colors)
    for one, other in zip(own, wanted, strict=True):
        out[..., other] = 255 - colors[..., one] if correlation[one, other] < 0 else colors[..., one]
    return out


def _colors(look: Teacher, image: Image) -> Image:
    """The first three principal components of a backbone's patches as red, green and blue."""
    size = _size(look)
    crops = {size: render_view(image, central_view(image), size)[None].to(look.backbone.device)}
    patches = look.answer(Seen(crops, {}), size, step=0).patches
    assert patches is not None
    stride = look.backbone.info.strides[-1]
    return draw_pca(patches[0].cpu(), stride, size=(SIDE, SIDE))
