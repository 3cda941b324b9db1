"""What a run stands on: data, tokens, their order, and the record of where they came from."""

from __future__ import annotations

from collections.abc import Mapping, Sized
from dataclasses import dataclass, field
from typing import Any

import torch

from argus_arena.distributed import Distributed
from argus_arena.run.config import RECIPE_FIELDS, RunConfig, RunRequest, flatten
from argus_arena.run.folder import versions
from argus_arena.run.order import Order
from argus_arena.run.sources import open_origin
from argus_arena.scoring.evaluate import usable
from argus_arena.scoring.rules import Scoring, check_cache, check_scoring
from argus_core.cache import CacheSource
from argus_core.common.license import require
from argus_core.data import Split
from argus_core.errors import ArgusError
from argus_core.head import Head
from argus_core.model.composition import check_name, merged_needs
from argus_core.plugins.data_spec import open_data, split_of, task_for
from argus_core.plugins.hooks import Plugins
from argus_core.protocols import find_protocol
from argus_core.saving.build import head_class, registered_head
from argus_core.tokens import FeatureInfo, TokenSource


@dataclass(frozen=True)
class Setting:
    """The training and scoring side of a run; ``record`` goes into every artefact the run writes."""

    train_split: Split
    train_source: TokenSource
    scoring: Scoring
    heads: dict[str, Head]
    order: Order
    plugins: Plugins
    record: dict[str, Any]
    request: RunRequest
    notes: list[str] = field(default_factory=list)
    """What every row of the run must say of its data."""


def prepare(config: RunConfig, plugins: Plugins, process: Distributed) -> Setting:
    """Open data and tokens, and build the heads."""
    request = config.request
    data = open_data(request.data, plugins)
    train, val = split_of(data, request.train_split), split_of(data, request.val_split)
    origin = open_origin(request, str(process.device))
    require({"backbone": origin.record}, request.require_license)
    heads = _build_heads(config, origin.info, train)
    train_source, val_source = origin.open(merged_needs(heads), train, val)
    scoring = Scoring(val_source, val, request.metric, find_protocol(request.protocol) if request.protocol else None)
    check_scoring(heads, scoring)
    if scoring.protocol is not None and isinstance(val_source, CacheSource):
        check_cache(val_source, scoring.protocol)
    _check_settings(config, heads)
    for head in heads.values():
        _check_learnable(head, train)
    images = tuple(usable(train_source))
    batch = _batch(_shared_batch(config, heads), len(images), process)
    order = Order(images, _views(request, train_source), batch, request.seed)
    described = {"train": _described(train, train_source), "val": _described(val, val_source)}
    hardware = [{**process.hardware, "tokens": origin.precision, "from_step": 0}]
    record = {
        "data": {"spec": request.data, **described},
        **origin.record,
        "hardware": hardware,
        "versions": versions(),
    }
    return Setting(train, train_source, scoring, heads, order, plugins, record, request)


def _check_learnable(head: Head, split: Split) -> None:
    """Raise ArgusError for a head that would learn from samples of several images, which no batch here is made of."""
    samples = split.samples(head.task.name)
    if (head.trained or head.fitted) and any(len(images) != 1 for images in samples):
        raise ArgusError(f"head {head.name!r} learns, but samples of task {head.task.name!r} compare several images")


def _check_settings(config: RunConfig, heads: Mapping[str, Head]) -> None:
    """Raise ArgusError for settings of gradient steps that reach only heads without any."""
    for key in flatten(config.request.settings, {name: made.head for name, made in config.heads.items()}):
        owner, _, field = key.rpartition(".")
        reached = [owner] if owner else list(heads)
        if field in RECIPE_FIELDS and field != "batch" and not any(heads[name].trained for name in reached):
            raise ArgusError(
                f"--set {key}=...: {field} is about gradient steps, and {' and '.join(reached)} takes none "
                "(it is fitted, or has nothing to learn); leave it out"
            )


def _shared_batch(config: RunConfig, heads: Mapping[str, Head]) -> int:
    """The batch of the heads that take gradient steps; without any, that of the first one."""
    trained = [name for name in heads if heads[name].trained] or list(heads)[:1]
    sizes = {name: config.heads[name].recipe.batch for name in trained}
    if len(set(sizes.values())) > 1:
        shown = ", ".join(f"{name} {size}" for name, size in sizes.items())
        raise ArgusError(f"heads that train side by side share each batch, but want {shown}; add --set batch=N")
    return next(iter(sizes.values()))


def _views(request: RunRequest, source: TokenSource) -> tuple[str, ...]:
    for view in request.views:
        if view not in source.views:
            raise ArgusError(f"view {view!r} is not cached; the cache holds {', '.join(source.views)}")
    return request.views or source.views


def _batch(wanted: int, images: int, process: Distributed) -> int:
    """Images per step, at most all; every process needs as many as the others."""
    if not images:
        raise ArgusError("the training split has no images to train on; look at it with `arena data check SPEC`")
    batch = min(wanted, images)
    if batch % process.size:
        raise ArgusError(f"batch={batch} does not divide among {process.size} processes; choose another --set batch=N")
    return batch


def _described(split: Split, source: Sized) -> dict[str, Any]:
    return {"split": split.name, "images": len(usable(source)), "sha256": split.annotation_digest()}


def _build_heads(config: RunConfig, info: FeatureInfo, split: Split) -> dict[str, Head]:
    """Every head with initial weights that depend on the seed alone, not on its neighbours."""
    heads = {}
    for name, made in config.heads.items():
        check_name(name)  # or what was trained could not be used
        task = task_for(split, head_class(made.head).solves.name)
        torch.manual_seed(config.request.seed)
        heads[name] = registered_head(made.head, info, task, made.options)
    return heads
