"""What the request of a run resolves to: every head of it with all its options and its whole recipe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, SerializerFunctionWrapHandler, model_serializer

from argus_arena.requests import RunRequest
from argus_core.common.options import check_options, options_model
from argus_core.errors import ArgusError, unknown
from argus_core.plugins.files import is_file_spec, source_of
from argus_core.plugins.files import resolve as resolve_file
from argus_core.recipe import Recipe
from argus_core.registry import HEADS
from argus_core.saving.build import head_class, head_options

RECIPE_FIELDS = tuple(field for field in Recipe.model_fields if field != "conditions")
"""The fields of a recipe that settings may change."""
FREE = ("device", "workers", "eval_batch", "save_every", "require_license", "accept_faults", "new_device")
"""Request fields that may change when a run is continued: they do not say what it computes.

What a device changes is in ``hardware``, which ``RunFolder.open`` compares.
"""


class SourceFile(BaseModel):
    """The file of a head that belongs to no package, as ``PATH.py:CLASS``, and the sha256 of its text."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    spec: str
    sha256: str


class HeadConfig(BaseModel):
    """One head of a run: its registered name, options and recipe, and its file if it comes from one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    head: str
    options: dict[str, Any]
    recipe: Recipe
    file: SourceFile | None = None

    @model_serializer(mode="wrap")
    def _without_no_file(self, plain: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {key: value for key, value in plain(self).items() if key != "file" or value is not None}


class RunConfig(BaseModel):
    """A resolved run: the request, and its heads by their names in the run.

    ``resolve`` gives heads the recipes of their classes with the settings, ``recipes.sized`` those they are trained by.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    request: RunRequest
    heads: dict[str, HeadConfig]


def resolve(request: RunRequest) -> RunConfig:
    """Distribute settings over the heads; a key that fits no head is an error with a suggestion.

    ``fcos.width`` is for the head of that name in the run, or for all that are registered so, as ``detect.fcos.width``.
    """
    names = _instances(request.heads)
    if len(names) < len(request.heads):
        raise ArgusError(f"two heads of a run share a name: {', '.join(request.heads)}; give one its own as NAME=HEAD")
    heads = {}
    for name, (fields, options) in settings_by_head(request).items():
        head = names[name]
        recipe = _recipe(head, fields)
        heads[name] = HeadConfig(head=head, options=head_options(head, options), recipe=recipe, file=_file(head))
    return RunConfig(request=request, heads=heads)


def settings_by_head(request: RunRequest) -> dict[str, tuple[dict[str, Any], dict[str, Any]]]:
    """By the heads' names in the run: the fields of their recipes, and their options, that the request sets."""
    names = _instances(request.heads)
    settings: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {name: ({}, {}) for name in names}
    for key, value in flatten(request.settings, names).items():
        owner, _, field = key.rpartition(".")
        fits = False
        for name, head in names.items():
            if owner not in ("", name) and (owner != head or owner in names):
                continue
            recipe, options = settings[name]
            if field in RECIPE_FIELDS:
                recipe[field], fits = value, True
            elif field in options_model(head_class(head)).model_fields:
                options[field], fits = value, True
        if not fits:
            raise unknown("setting", key, _known(names))
    return settings


def flatten(settings: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """``{"fcos": {"width": 128}}``, as TOML tables give it, becomes ``{"fcos.width": 128}``."""
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        if key in names and isinstance(value, Mapping):
            flat |= {f"{key}.{inner}": v for inner, v in value.items()}
        else:
            flat[key] = value
    return flat


def _known(names: Mapping[str, str]) -> Sequence[str]:
    own = [field for head in names.values() for field in options_model(head_class(head)).model_fields]
    plain = [*RECIPE_FIELDS, *own]
    return [*plain, *(f"{name}.{field}" for name in names for field in plain)]


def _recipe(head: str, fields: Mapping[str, Any]) -> Recipe:
    default = head_class(head).recipe
    if "epochs" in fields and "steps" not in fields:
        default = default.model_copy(update={"steps": 0})  # else the recipe's steps would win over these epochs
    return Recipe(**check_options(Recipe, default.model_dump() | dict(fields), f"recipe of {head!r}"))


def check_files(config: RunConfig) -> None:
    """Raise ArgusError unless heads of files are registered, from the text that the run was resolved with."""
    for name, head in config.heads.items():
        if head.file is None:
            continue
        now = _file(head.head) if any(entry.name == head.head for entry in HEADS.entries()) else None
        if now is None:
            raise ArgusError(
                f"head {name!r} is of {head.file.spec}: add --plugin {head.file.spec} in front of the command"
            )
        if now.sha256 != head.file.sha256:
            raise ArgusError(
                f"{head.file.spec}, which head {name!r} is of, was changed: sha256 {now.sha256[:12]}, "
                f"the run has {head.file.sha256[:12]}; put that text back, or train again"
            )


def _file(head: str) -> SourceFile | None:
    cls = head_class(head)
    source = source_of(cls)
    return SourceFile(spec=f"{source[0]}:{cls.__name__}", sha256=source[1]) if source else None


def _instances(texts: Sequence[str]) -> dict[str, str]:
    """Registered heads by their names in the run: the part after the task, or all of it where several share that."""
    parts = [split_name(text) for text in texts]
    heads = [registered_name(head) for _, head in parts]
    short = [head.partition(".")[2] for (name, _), head in zip(parts, heads, strict=True) if not name]
    named = {}
    for (name, _), head in zip(parts, heads, strict=True):
        end = head.partition(".")[2]
        named[name or (head.replace(".", "_") if short.count(end) > 1 else end)] = head
    return named


def split_name(text: str) -> tuple[str, str]:
    """A head's own name in the run, or none, and what it is: ``a=fcos`` is ``("a", "fcos")``."""
    name, equals, head = text.partition("=")
    if not equals or (is_file_spec(text) and not name.isidentifier()):  # a path may hold a =
        return "", text
    if not name.isidentifier():
        raise ArgusError(f"{name!r} is no name for a head; use letters, digits and _")
    return name, head


def registered_name(text: str) -> str:
    """The full name of a head; that of a file is registered first."""
    return HEADS.find(resolve_file(text, "head")).name
