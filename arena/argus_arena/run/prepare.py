"""From the configuration of a run to the objects that it trains and scores: heads, batches, and scoring."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch

from argus_arena.distributed import Distributed
from argus_arena.requests import RunRequest
from argus_arena.requests.fields import ON_VAL
from argus_arena.run.batches import Order, TrainingData
from argus_arena.run.config import RECIPE_FIELDS, RunConfig, flatten
from argus_arena.run.folder import versions
from argus_arena.run.phases import has_choice
from argus_arena.run.selection import without_choice
from argus_arena.run.sources import RunData, Sources
from argus_arena.scoring.evaluate import usable
from argus_arena.scoring.rules import Scoring, check_cache, check_scoring
from argus_core.cache import CacheSource
from argus_core.common.license import require
from argus_core.data import Split
from argus_core.errors import ArgusError
from argus_core.head import Head
from argus_core.model.heads import check_name, merged_needs
from argus_core.plugins.data_spec import task_for
from argus_core.protocols import find_protocol
from argus_core.saving.build import head_class, registered_head
from argus_core.tokens import FeatureInfo, TokenSource


@dataclass(frozen=True)
class PreparedRun:
    """Heads with initial weights, what they learn from, how they are scored, and where all of it came from.

    ``selection`` is how heads that take gradient steps are chosen among, None if the last weights are taken.
    ``record`` goes into every file that the run writes.
    """

    heads: Mapping[str, Head]
    training: TrainingData
    scoring: Scoring
    selection: Scoring | None
    record: Mapping[str, Any]


def prepare(config: RunConfig, data: RunData, process: Distributed) -> PreparedRun:
    """Open tokens and build the heads; raises ArgusError for what does not fit together."""
    request = config.request
    origin = data.origin(request, str(process.device))
    require({"backbone": origin.record}, request.require_license)
    heads = _build_heads(config, origin.info, data.train)
    sources = origin.open(merged_needs(heads), data.train, data.val)
    scoring = _scoring(request, data, sources, heads)
    _check_settings(config, heads)
    for head in heads.values():
        _check_learnable(head, data.train)
    images = tuple(usable(sources.train))
    selected = _selected(config, heads, data, len(images))
    selection = scoring if request.selection == ON_VAL else None
    if selected:
        selection = replace(scoring, source=sources.selection, split=data.train, images=selected)
    learned = tuple(index for index in images if index not in selected)
    batch = _batch(_shared_batch(config, heads), len(learned), process.size)
    order = Order(learned, _views(request.views, sources.train), batch, request.seed)
    record = {
        "data": {"spec": request.data, **_splits(data, len(images), len(usable(sources.val)))},
        **origin.record,
        "hardware": [{**process.hardware, "tokens": origin.precision, "from_step": 0}],
        "versions": versions(),
    }
    return PreparedRun(heads, TrainingData(sources.train, data.train, order, images), scoring, selection, record)


def _scoring(request: RunRequest, data: RunData, sources: Sources, heads: Mapping[str, Head]) -> Scoring:
    """How the validation split is scored; raises ArgusError if the heads, the tokens or the options do not fit."""
    protocol = find_protocol(request.protocol) if request.protocol else None
    scoring = Scoring(sources.val, data.val, request.metric, protocol)
    check_scoring(heads, scoring)
    if protocol is not None and isinstance(sources.val, CacheSource):
        check_cache(sources.val, protocol)
    return scoring


def _selected(config: RunConfig, heads: Mapping[str, Head], data: RunData, images: int) -> frozenset[int]:
    """The training images that choices are made on, none without a choice; only then they are looked for.

    Raises ArgusError for heads side by side that would learn from different images, and for a sweep without a choice.
    """
    trained = {name: config.heads[name].recipe for name, head in heads.items() if head.trained}
    selection, every = config.request.selection, config.request.eval_every
    chosen = {
        name: heads[name].fitted or has_choice(recipe, images // min(recipe.batch, images), every)
        for name, recipe in trained.items()
        if images
    }
    possible = data.selected(selection) if any(chosen.values()) else ()
    for name, recipe in trained.items():
        if recipe.sweep and not possible and selection != ON_VAL:
            raise without_choice(name, images, selection)
    if not possible:
        return frozenset()
    if len(set(chosen.values())) > 1:
        once = ", ".join(name for name, several in chosen.items() if not several)
        raise ArgusError(
            f"{once}: scored once, so trained on all images, and the heads beside it are chosen on a part of them: "
            "train it apart, or add --selection 0 to train all heads on all images"
        )
    return frozenset(possible)


def _splits(data: RunData, train: int, val: int) -> dict[str, Any]:
    """What a record says of both splits, of which so many images have tokens."""
    pairs = zip(("train", "val"), (data.train, data.val), (train, val), data.digests, strict=True)
    return {name: {"split": split.name, "images": images, "sha256": digest} for name, split, images, digest in pairs}


def _build_heads(config: RunConfig, info: FeatureInfo, split: Split) -> dict[str, Head]:
    """Every head with initial weights that depend on the seed alone, not on its neighbours."""
    heads = {}
    for name, head_config in config.heads.items():
        check_name(name)  # or what was trained could not be used
        task = task_for(split, head_class(head_config.head).solves.name)
        torch.manual_seed(config.request.seed)
        heads[name] = registered_head(head_config.head, info, task, head_config.options)
    return heads


def _check_learnable(head: Head, split: Split) -> None:
    """Raise ArgusError for a head that learns from samples of several images: batches hold single ones."""
    samples = split.samples(head.task.name)
    if (head.trained or head.fitted) and any(len(images) != 1 for images in samples):
        raise ArgusError(f"head {head.name!r} learns, but samples of task {head.task.name!r} compare several images")


def _check_settings(config: RunConfig, heads: Mapping[str, Head]) -> None:
    """Raise ArgusError for settings of gradient steps that reach only heads without any."""
    for key in flatten(config.request.settings, {name: head.head for name, head in config.heads.items()}):
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


def _batch(wanted: int, images: int, processes: int) -> int:
    """Images per step, at most all; every process needs as many as the others."""
    if not images:
        raise ArgusError("the training split has no images to train on; look at it with `arena data check SPEC`")
    batch = min(wanted, images)
    if batch % processes:
        raise ArgusError(f"batch={batch} does not divide among {processes} processes; choose another --set batch=N")
    return batch


def _views(wanted: tuple[str, ...], source: TokenSource) -> tuple[str, ...]:
    for view in wanted:
        if view not in source.views:
            raise ArgusError(f"view {view!r} is not cached; the cache holds {', '.join(source.views)}")
    return wanted or source.views
