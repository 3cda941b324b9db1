"""The configuration of a training run: what was asked for, and what it resolves to."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from argus_core.build import head_class, head_options
from argus_core.errors import ArgusError, unknown
from argus_core.options import check_options, options_model
from argus_core.recipe import Recipe
from argus_core.registry import HEADS


class HeadConfig(BaseModel):
    """One head of a run: its registered name, all its options, its whole recipe."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    head: str
    options: dict[str, Any]
    recipe: Recipe


class RunRequest(BaseModel):
    """Everything ``arena train`` can be told; the same keys in ``--config FILE`` and on the command line."""

    model_config = ConfigDict(frozen=True, extra="forbid", coerce_numbers_to_str=True)  # canvas = 640 in a file

    heads: tuple[str, ...] = Field(
        min_length=1, description="registered names, or NAME=HEAD for an instance of its own name"
    )
    data: str = Field(description="data spec, such as coco:PATH or scenes:")
    cache: Path | None = Field(default=None, description="folder written by `arena cache`")
    backbone: str | None = Field(default=None, description="train on live tokens of this backbone")
    weights: Path | None = Field(default=None, description="weights file of the backbone")
    backbone_options: dict[str, Any] = Field(default_factory=dict)
    canvas: str | None = Field(
        default=None, description="SIZE or HEIGHTxWIDTH in pixels, for live tokens; default: the protocol's, or 640"
    )
    fit: str = "letterbox"
    views: tuple[str, ...] = Field(default=(), description="views to train on; default: all that the cache holds")
    train_split: str = "train"
    val_split: str = "val"
    seed: int = 0
    device: str | None = None
    workers: int = Field(default=0, ge=0, description="processes that read batches ahead")
    eval_every: float = Field(default=0.0, ge=0, description="epochs between evaluations; 0 picks about ten in all")
    eval_batch: int = Field(default=8, ge=1)
    metric: dict[str, Any] = Field(default_factory=dict, description="options of the scoring, such as backend")
    protocol: str | None = Field(default=None, description="score under this registered protocol")
    require_license: str | None = Field(default=None, description="refuse weights under other terms, as 'permissive'")
    save_every: int = Field(default=0, ge=0, description="steps between saved states; 0 saves once an epoch")
    settings: dict[str, Any] = Field(default_factory=dict)


class RunConfig(BaseModel):
    """A resolved run: the request, and every head with all its options and its whole recipe."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    request: RunRequest
    heads: dict[str, HeadConfig]


def resolve(request: RunRequest) -> RunConfig:
    """Distribute settings over the heads; a key that fits no head is an error with a suggestion."""
    names = _instances(request.heads)
    if len(names) < len(request.heads):
        raise ArgusError(f"two heads of a run share a name: {', '.join(request.heads)}; give one its own as NAME=HEAD")
    recipes: dict[str, dict[str, Any]] = {name: {} for name in names}
    options: dict[str, dict[str, Any]] = {name: {} for name in names}
    for key, value in flatten(request.settings, names).items():
        owner, _, field = key.rpartition(".")
        owners = [owner] if owner else list(names)
        taken = [o for o in owners if o in names and _put(field, value, names[o], recipes[o], options[o])]
        if not taken:
            raise unknown("setting", key, _known(names))
    heads = {
        name: HeadConfig(
            head=HEADS.find(head).name,
            options=head_options(head, options[name]),
            recipe=_recipe(head, recipes[name]),
        )
        for name, head in names.items()
    }
    return RunConfig(request=request, heads=heads)


def flatten(settings: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """``{"fcos": {"width": 128}}``, as TOML tables give it, becomes ``{"fcos.width": 128}``."""
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        if key in names and isinstance(value, Mapping):
            flat |= {f"{key}.{inner}": v for inner, v in value.items()}
        else:
            flat[key] = value
    return flat


def _instances(texts: Sequence[str]) -> dict[str, str]:
    """Heads by their names in the run: the part after the task, or all of it where several tasks share that."""
    full = [_registered(text) for text in texts if "=" not in text]
    short = [name.partition(".")[2] for name in full]
    plain = {
        name: name.replace(".", "_") if short.count(end) > 1 else end for name, end in zip(full, short, strict=True)
    }
    return dict(_named(text) if "=" in text else (plain[HEADS.find(text).name], text) for text in texts)


def _named(text: str) -> tuple[str, str]:
    name, _, head = text.partition("=")
    if not name.isidentifier():
        raise ArgusError(f"{name!r} is no name for a head; use letters, digits and _")
    return name, _registered(head)


def _registered(text: str) -> str:
    """The full name of a head; a wrong one is answered with full names, as their parts may be ambiguous."""
    parts = {entry.name: entry.name.partition(".")[2] or entry.name for entry in HEADS.entries()}
    if "." in text or text in parts.values():
        return HEADS.find(text).name
    near = difflib.get_close_matches(text, parts.values(), cutoff=0.5)
    raise unknown("head", text, parts, [name for name, part in parts.items() if part in near])


def _put(field: str, value: Any, head: str, recipe: dict[str, Any], options: dict[str, Any]) -> bool:
    if field in Recipe.model_fields:
        recipe[field] = value
    elif field in options_model(head_class(head)).model_fields:
        options[field] = value
    else:
        return False
    return True


def _known(names: Mapping[str, str]) -> Sequence[str]:
    own = [field for head in names.values() for field in options_model(head_class(head)).model_fields]
    plain = [*Recipe.model_fields, *own]
    return [*plain, *(f"{name}.{field}" for name in names for field in plain)]


def _recipe(head: str, values: Mapping[str, Any]) -> Recipe:
    default = head_class(head).recipe.model_dump()
    if "epochs" in values and "steps" not in values:
        default["steps"] = 0  # whoever says epochs does not want the recipe's steps
    return Recipe(**check_options(Recipe, default | dict(values), f"recipe of {head!r}"))
