"""Recipes of distillations from TOML, with settings of the command line, and their faults in words."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from argus_arena.distill.recipe import (
    Augmentation,
    Comparison,
    DistillRecipe,
    Images,
    Network,
    ProbeSource,
    Stage,
    TeacherSource,
)
from argus_arena.requests import read_toml
from argus_core.errors import ArgusError, unknown
from argus_core.recipe import Recipe

PARTS: Mapping[str, type[BaseModel]] = {
    "networks": Network,
    "teachers": TeacherSource,
    "images": Images,
    "augmentation": Augmentation,
    "comparison": Comparison,
    "probes": ProbeSource,
    "stages": Stage,
}
"""The parts of a recipe by the first of their keys."""


def bundled_recipes() -> dict[str, Path]:
    """The recipes of the package, by name."""
    return {file.stem: file for file in sorted((Path(__file__).parent / "recipes").glob("*.toml"))}


def read_recipe(
    source: str | Path, data: tuple[str, ...] = (), settings: Mapping[str, Any] | None = None
) -> DistillRecipe:
    """A recipe from a TOML file, or one of the package by its name, with other ``data`` and single values changed.

    ``settings`` have dotted keys such as ``teachers.vit.weights`` or ``stages.student.recipe.lr``. Raises ArgusError
    with every fault.
    """
    values = _read(source)
    if data:
        values["images"] = {**values.get("images", {}), "data": list(data)}
    for key, value in (settings or {}).items():
        _set(values, key, value)
    try:
        return DistillRecipe.model_validate(values)
    except ValidationError as error:
        # A list of which one member is wrong is told to be empty too.
        entries = [entry for entry in error.errors() if entry["type"] != "too_short" or not entry["input"]]
        lines = [f"{source}: {_fault(entry, values)}" for entry in entries]
        raise ArgusError("\n".join(lines)) from error


def _fault(entry: Mapping[str, Any], values: Mapping[str, Any]) -> str:
    """One fault: its place, in which a stage has its name, and what is wrong there."""
    path = list(entry["loc"])
    if path[:1] == ["stages"] and len(path) > 1:
        path[1] = values["stages"][path[1]].get("name", f"number {path[1] + 1}")
    place, message = ".".join(map(str, path)), entry["msg"].removeprefix("Value error, ")
    if entry["type"] == "extra_forbidden":
        *above, key = path
        message = str(unknown("key", str(key), _kind(above).model_fields))
        place = ".".join(map(str, above))
    elif entry["type"] not in ("missing", "value_error"):
        message = f"{message}, not {entry['input']!r}"
    return f"{place}: {message}" if place else message


def _kind(path: list[Any]) -> type[BaseModel]:
    """The model of the part of a recipe at a path of keys."""
    if not path:
        return DistillRecipe
    return Recipe if path[-1] == "recipe" else PARTS[path[0]]


def _read(source: str | Path) -> dict[str, Any]:
    if Path(source).suffix == ".toml":
        return read_toml(Path(source))
    known = bundled_recipes()
    if str(source) not in known:
        raise unknown("recipe", str(source), known)
    return read_toml(known[str(source)])


def _set(values: Any, key: str, value: Any) -> None:
    """Change one value of a recipe; stages are found by their names."""
    *path, last = key.split(".")
    for step in path:
        if isinstance(values, list):
            names = [entry.get("name") for entry in values]
            if step not in names:
                raise ArgusError(f"--set {key}: {unknown('stage', step, names)}")
            values = values[names.index(step)]
        elif isinstance(values, dict):
            values = values.setdefault(step, {})
        if not isinstance(values, dict | list):
            raise ArgusError(f"--set {key}: there is no {step!r} in the recipe")
    if not isinstance(values, dict):
        raise ArgusError(f"--set {key}: name a stage first, as in stages.NAME.{last}")
    values[last] = value
