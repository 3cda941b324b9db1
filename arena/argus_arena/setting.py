"""What a run stands on: data, tokens, their order, and the record of where they came from."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import torch

from argus_arena.config import RunConfig, RunRequest
from argus_arena.data import open_data, split_of, task_for
from argus_arena.evaluate import check_task, usable
from argus_arena.learner import Learner
from argus_arena.order import Order
from argus_arena.tokens import open_origin
from argus_arena.world import World
from argus_core.build import build_head, head_class
from argus_core.compose import check_name, merged_needs
from argus_core.data import Split
from argus_core.errors import ArgusError
from argus_core.head import Head
from argus_core.hooks import Plugins
from argus_core.source import TokenSource
from argus_core.tokens import FeatureInfo


@dataclass(frozen=True)
class Setting:
    """The training and scoring side of a run; ``record`` goes into every artefact the run writes."""

    train_split: Split
    val_split: Split
    train_source: TokenSource
    val_source: TokenSource
    heads: dict[str, Head]
    order: Order
    plugins: Plugins
    record: dict[str, Any]
    request: RunRequest

    def eval_steps(self, steps: int) -> int:
        """Steps between evaluations of a head trained for ``steps``: whole epochs, about ten evaluations in all."""
        epoch = self.order.steps_per_epoch
        if self.request.eval_every:
            return max(1, round(self.request.eval_every * epoch))
        return max(epoch, round(steps / 10 / epoch) * epoch)


def prepare(config: RunConfig, plugins: Plugins, world: World) -> Setting:
    """Open data and tokens, and build the heads."""
    request, batch = config.request, _shared_batch(config)
    data = open_data(request.data, plugins)
    train, val = split_of(data, request.train_split), split_of(data, request.val_split)
    origin = open_origin(request, str(world.device))
    heads = _build_heads(config, origin.info, train)
    train_source, val_source = origin.open(merged_needs(heads), train, val)
    for head in heads.values():
        check_task(head, val)
    images = tuple(usable(train_source))
    order = Order(images, _views(request, train_source), _batch(batch, len(images), world), request.seed)
    described = {"train": _described(train, train_source), "val": _described(val, val_source)}
    record = {"data": {"spec": request.data, **described}, **origin.record, "versions": versions()}
    return Setting(train, val, train_source, val_source, heads, order, plugins, record, request)


def make_learners(config: RunConfig, setting: Setting, world: World) -> list[Learner]:
    """A learner per head."""
    steps, seed = setting.order.steps_per_epoch, config.request.seed
    return [Learner(name, head, config.heads[name].recipe, steps, seed, world) for name, head in setting.heads.items()]


def versions() -> dict[str, str]:
    """Versions of what computes the numbers."""
    names = ("argus-perception", "torch", "timm", "numpy", "pycocotools")
    return {"python": platform.python_version(), **{name: version(name) for name in names}}


def _shared_batch(config: RunConfig) -> int:
    sizes = {name: head.recipe.batch for name, head in config.heads.items()}
    if len(set(sizes.values())) > 1:
        shown = ", ".join(f"{name} {size}" for name, size in sizes.items())
        raise ArgusError(f"heads that train side by side share each batch, but want {shown}; add --set batch=N")
    return next(iter(sizes.values()))


def _views(request: RunRequest, source: TokenSource) -> tuple[str, ...]:
    for view in request.views:
        if view not in source.views:
            raise ArgusError(f"view {view!r} is not cached; the cache holds {', '.join(source.views)}")
    return request.views or source.views


def _batch(wanted: int, images: int, world: World) -> int:
    """Images per step, at most all; every process needs as many as the others."""
    if not images:
        raise ArgusError("the training split has no images to train on; look at it with `arena data check SPEC`")
    batch = min(wanted, images)
    if batch % world.size:
        raise ArgusError(f"batch={batch} does not divide among {world.size} processes; choose another --set batch=N")
    return batch


def _described(split: Split, source: TokenSource) -> dict[str, Any]:
    return {"split": split.name, "images": len(usable(source)), "sha256": split.annotation_digest()}


def _build_heads(config: RunConfig, info: FeatureInfo, split: Split) -> dict[str, Head]:
    """Every head with initial weights that depend on the seed alone, not on its neighbours."""
    heads = {}
    for name, made in config.heads.items():
        check_name(name)  # or what was trained could not be used
        task = task_for(split, head_class(made.head).solves.name)
        torch.manual_seed(config.request.seed)
        heads[name] = build_head(made.head, info, task, made.options)
    return heads
