"""Where a distilled backbone comes from, and under which terms it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from argus_arena.distill.recipe import DistillRecipe, Stage
from argus_arena.distill.teachers import Teacher
from argus_arena.run.folder import versions
from argus_core.common.architecture import read_provenance
from argus_core.common.license import APACHE, Licenses, find_license


def result_licenses(recipe: DistillRecipe, start: str | None, teachers: Mapping[str, Teacher]) -> Licenses:
    """The licences of code, initial weights, teachers and photographs; the whole has the most restrictive one.

    ``start`` is the licence of the weights that the student began with, None if these were random. What they or a
    teacher were made of is part of their own licence already.
    """
    parts = {"code": APACHE}
    if start is not None:
        parts["start"] = find_license(start)
    for name, teacher in teachers.items():
        parts[f"teacher {name}"] = find_license(teacher.backbone.license)
    if recipe.images.license:
        parts["photographs"] = find_license(recipe.images.license)
    return Licenses(parts)


def provenance(
    recipe: DistillRecipe,
    stage: Stage,
    origin: Mapping[str, Any],
    teachers: Mapping[str, Teacher],
    licenses: Licenses,
) -> dict[str, Any]:
    """Teachers with hashes, licences and their own provenance; images, recipe of the stage, versions."""
    return {
        "recipe": recipe.name,
        "stage": stage.model_dump(mode="json"),
        "seed": recipe.seed,
        "start": origin["start"],
        "teachers": {name: _described(teacher) for name, teacher in teachers.items()},
        "images": origin["images"],
        "licenses": licenses.to_dict(),
        "versions": versions(),
    }


def _described(teacher: Teacher) -> dict[str, Any]:
    described = {**teacher.identity, "license": teacher.backbone.license}
    file = teacher.backbone.file if teacher.source.stage else None
    return described if file is None else {**described, "made_by": read_provenance(file.parent)}
