"""The configuration of a training run: what was asked for, and what it resolves to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer

from argus_core.common.options import check_options, options_model
from argus_core.errors import ArgusError, unknown
from argus_core.plugins.files import is_file_spec, source_of
from argus_core.plugins.files import resolve as resolve_file
from argus_core.recipe import Recipe
from argus_core.registry import HEADS
from argus_core.saving.build import head_class, head_options

RECIPE_FIELDS = tuple(field for field in Recipe.model_fields if field != "conditions")
"""What settings may say of a recipe."""


class SourceFile(BaseModel):
    """Where a head's class lies that no package has, as ``PATH.py:CLASS``, and the sha256 of the file's text."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    spec: str
    sha256: str


class HeadConfig(BaseModel):
    """One head of a run: its registered name, all its options, its whole recipe, and its file if it is of one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    head: str
    options: dict[str, Any]
    recipe: Recipe
    file: SourceFile | None = None

    @model_serializer(mode="wrap")
    def _without_no_file(self, plain: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {key: value for key, value in plain(self).items() if key != "file" or value is not None}


class RunRequest(BaseModel):
    """Everything ``arena train`` can be told; the same keys in ``--config FILE`` and on the command line."""

    model_config = ConfigDict(frozen=True, extra="forbid", coerce_numbers_to_str=True)  # canvas = 640 in a file

    heads: tuple[str, ...] = Field(
        min_length=1, description="registered names or FILE.py:CLASS, or NAME=HEAD for an instance of its own name"
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
    recipe: Literal["auto", "card"] = Field(
        default="auto", description="auto: suited to the size of the data; card: as the head's class has it"
    )
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
    accept_faults: bool = Field(default=False, description="train on data whose faults make the result wrong")
    save_every: int = Field(default=0, ge=0, description="steps between saved states; 0 saves once an epoch")
    new_device: bool = Field(default=False, description="go on with a run that another device or precision began")
    settings: dict[str, Any] = Field(default_factory=dict)


FREE = ("device", "workers", "eval_batch", "save_every", "require_license", "accept_faults", "new_device")
"""Request fields that may change when a run is continued: they do not say what it computes.

What a device changes is told by ``hardware``, which ``RunFolder.open`` compares.
"""


class RunConfig(BaseModel):
    """A resolved run: the request, and every head with all its options and its whole recipe.

    ``resolve`` gives heads the recipes of their classes with what was set, ``sizing.sized`` those they are trained by.
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
    recipes, options = _distribute(request.settings, names)
    heads = {
        name: HeadConfig(
            head=HEADS.find(head).name,
            options=head_options(head, options[name]),
            recipe=_recipe(head, recipes[name]),
            file=_file(head),
        )
        for name, head in names.items()
    }
    return RunConfig(request=request, heads=heads)


Settled = dict[str, dict[str, Any]]


def said(request: RunRequest) -> tuple[Settled, Settled]:
    """By the heads' names in the run: the fields of their recipes, and their options, that settings give."""
    return _distribute(request.settings, _instances(request.heads))


def _distribute(settings: Mapping[str, Any], names: Mapping[str, str]) -> tuple[Settled, Settled]:
    """Fields of recipes, and options, by the heads' names in the run."""
    recipes: Settled = {name: {} for name in names}
    options: Settled = {name: {} for name in names}
    for key, value in flatten(settings, names).items():
        owner, _, field = key.rpartition(".")
        owners = [name for name, head in names.items() if owner in ("", name) or (owner == head and owner not in names)]
        taken = [name for name in owners if _put(field, value, names[name], recipes[name], options[name])]
        if not taken:
            raise unknown("setting", key, _known(names))
    return recipes, options


def check_files(config: RunConfig) -> None:
    """Raise ArgusError unless heads of files are registered, from the text that the run was resolved with."""
    for name, made in config.heads.items():
        if made.file is None:
            continue
        now = _sha256(made.head)
        if now is None:
            raise ArgusError(
                f"head {name!r} is of {made.file.spec}: add --plugin {made.file.spec} in front of the command"
            )
        if now != made.file.sha256:
            raise ArgusError(
                f"{made.file.spec}, which head {name!r} is of, was changed: sha256 {now[:12]}, "
                f"the run has {made.file.sha256[:12]}; put that text back, or train again"
            )


def _sha256(head: str) -> str | None:
    """The text of the file that a head was registered from, if it was from one."""
    found = _file(head) if any(entry.name == head for entry in HEADS.entries()) else None
    return found.sha256 if found else None


def _file(head: str) -> SourceFile | None:
    cls = head_class(head)
    found = source_of(cls)
    return SourceFile(spec=f"{found[0]}:{cls.__name__}", sha256=found[1]) if found else None


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
    parted = {text: split_name(text) for text in texts}
    full = [registered_name(head) for name, head in parted.values() if not name]
    short = [name.partition(".")[2] for name in full]
    plain = {
        name: name.replace(".", "_") if short.count(end) > 1 else end for name, end in zip(full, short, strict=True)
    }
    return {name or plain[registered_name(head)]: registered_name(head) for name, head in parted.values()}


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


def _put(field: str, value: Any, head: str, recipe: dict[str, Any], options: dict[str, Any]) -> bool:
    if field in RECIPE_FIELDS:
        recipe[field] = value
    elif field in options_model(head_class(head)).model_fields:
        options[field] = value
    else:
        return False
    return True


def _known(names: Mapping[str, str]) -> Sequence[str]:
    own = [field for head in names.values() for field in options_model(head_class(head)).model_fields]
    plain = [*RECIPE_FIELDS, *own]
    return [*plain, *(f"{name}.{field}" for name in names for field in plain)]


def _recipe(head: str, values: Mapping[str, Any]) -> Recipe:
    default = head_class(head).recipe
    if "epochs" in values and "steps" not in values:
        default = default.model_copy(update={"steps": 0})  # whoever says epochs does not want the recipe's steps
    return Recipe(**check_options(Recipe, default.model_dump() | dict(values), f"recipe of {head!r}"))
