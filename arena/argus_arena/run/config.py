"""What the request of a run resolves to: every head of it with all its options and its whole recipe."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, get_args

from pydantic import BaseModel, ConfigDict, SerializerFunctionWrapHandler, model_serializer

from argus_arena.requests import RunRequest
from argus_arena.requests.fields import ON_VAL
from argus_arena.run.recipes import FIELDS as RECIPE_FIELDS
from argus_arena.run.recipes import card_recipe, suited_recipe
from argus_arena.run.selection import selected_count
from argus_core.common.options import check_options, options_model
from argus_core.errors import ArgusError, unknown
from argus_core.plugins.files import is_file_spec, source_of
from argus_core.plugins.files import resolve as resolve_file
from argus_core.recipe import Recipe
from argus_core.registry import HEADS
from argus_core.saving.build import head_class, head_options

MUTABLE = (
    "device",
    "workers",
    "eval_batch",
    "save_every",
    "require_license",
    "accept_faults",
    "new_device",
)
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

    ``resolve`` gives heads the recipes of their classes with the settings, ``sized`` those they are trained by.
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


def sized(config: RunConfig, images: int) -> RunConfig:
    """The run with the recipes that its heads train by, and the canvas and views that cards ask of live tokens.

    Of so many training ``images`` those that choices are made on are not trained on.
    """
    card, selection = config.request.recipe == "card", config.request.selection
    recipe_for = card_recipe if card else suited_recipe
    settings = settings_by_head(config.request)
    selected = selected_count(images, selection)
    heads = {}
    for name, head in config.heads.items():
        fields, options = settings[name]
        recipe = recipe_for(head_class(head.head).recipe, head.recipe, fields, images - selected)
        if recipe.sweep and not selected and selection != ON_VAL and "sweep" not in fields:
            recipe = recipe.model_copy(update={"sweep": ()})  # nothing tells which of the rates is the best
        update = {"recipe": recipe, "options": _card_options(head, options) if card else head.options}
        heads[name] = head.model_copy(update=update)
    return _with_conditions(config.model_copy(update={"heads": heads}))


def _card_options(head: HeadConfig, settings: Collection[str]) -> dict[str, Any]:
    """A head's options with those of its card, but for the ones in ``settings``."""
    card = head_class(head.head).recipe.conditions
    conditions = card.settings if card else {}
    update = {key: value for key, value in conditions.items() if key not in RECIPE_FIELDS and key not in settings}
    return head_options(head.head, {**head.options, **update})


def _with_conditions(config: RunConfig) -> RunConfig:
    """Live tokens on the canvas and in the views of the cards, where the request leaves them open."""
    request = config.request
    cards = {name: head.recipe.conditions for name, head in config.heads.items() if head.recipe.conditions}
    if request.cache is not None:
        return config
    update: dict[str, Any] = {}
    canvases = {name: card.canvas for name, card in cards.items() if card.canvas}
    if request.canvas is None and canvases:
        if len(set(canvases.values())) > 1:
            shown = ", ".join(f"{name} {height}x{width}" for name, (height, width) in canvases.items())
            raise ArgusError(
                f"heads side by side share one canvas, and their cards have {shown}; say which with --canvas"
            )
        update["canvas"] = "{}x{}".format(*next(iter(canvases.values())))
    views = [card.views for card in cards.values() if card.views]
    if not request.views and views:
        update["views"] = max(views, key=len)
    return config.model_copy(update={"request": request.model_copy(update=update)})


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
    if request.init is not None:
        _set_init(settings, names, request.init)
    return settings


def _set_init(settings: Mapping[str, tuple[Any, dict[str, Any]]], names: Mapping[str, str], init: str) -> None:
    """Let every head that has a choice of starts take ``init``; raises ArgusError where none has one."""
    able = [name for name, head in names.items() if _offers(head, init)]
    if not able:
        known = [entry.name for entry in HEADS.entries() if _offers(entry.name, init)]
        raise ArgusError(f"--init {init}: {', '.join(names.values())} has no such start; {', '.join(known)} have one")
    for name in able:
        settings[name][1].setdefault("init", init)


def _offers(head: str, init: str) -> bool:
    field = options_model(head_class(head)).model_fields.get("init")
    return field is not None and init in get_args(field.annotation)


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
