"""A small good detector, and one broken copy of it for every promise of the conformance kit."""

from __future__ import annotations

import os
import random
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from argus_core.detection import DenseHead, DenseOutput, Level
from argus_core.nn import total_over_batches
from argus_core.recipe import Recipe
from argus_core.tokens import Features, Needs


class Good(DenseHead):
    """Two convolutions at the stride of the last layer."""

    recipe = Recipe(lr=1e-2)

    def __init__(self, info, task, *, width: int = 24, layers: tuple[int, ...] = (-1,)) -> None:
        super().__init__(info, task)
        self.needs = Needs(layers=layers)
        self.strides = (info.strides[layers[-1]],)
        self.stem = nn.Conv2d(info.channels[layers[-1]], width, 3, padding=1)
        self.answer = nn.Conv2d(width, len(task.classes) + 5, 1)

    def forward(self, features: Features) -> DenseOutput:
        return self.reply(features.map, features)

    def reply(self, x, features):
        cls, ltrb, quality = self.answer(F.gelu(self.stem(x))).float().split([self.answer.out_channels - 5, 4, 1], 1)
        ltrb = self.strides[0] * ltrb.clamp(-4, 4).exp()
        return DenseOutput((Level(cls, ltrb, quality),), self.strides, features.extent)


class RequiredOption(Good):
    def __init__(self, info, task, *, width: int) -> None:
        super().__init__(info, task, width=width)


class AnyKeyword(Good):
    def __init__(self, info, task, **options: Any) -> None:
        super().__init__(info, task, **options)


class NotJson(Good):
    def __init__(self, info, task, *, activation: Any = nn.GELU) -> None:
        super().__init__(info, task)


class LayerOutOfRange(Good):
    needs = Needs(layers=(12,))

    def __init__(self, info, task) -> None:
        super().__init__(info, task)
        self.needs = Needs(layers=(12,))


class UnhashableNeeds(Good):
    def __init__(self, info, task) -> None:
        super().__init__(info, task)
        self.needs = Needs(layers=[11])  # type: ignore[arg-type]


class NeedsNothing(Good):
    def __init__(self, info, task) -> None:
        super().__init__(info, task)
        self.needs = Needs(maps=False)


class SquareOnly(Good):
    def reply(self, x, features):
        side = int((x.shape[2] * x.shape[3]) ** 0.5)
        return super().reply(x.flatten(2).unflatten(2, (side, side)), features)


class DropsBatchOfOne(Good):
    def reply(self, x, features):
        return super().reply(x.squeeze(0), features)


class UnsortedScores(Good):
    def decode(self, output, canvas):
        return [replace(found, scores=found.scores.flip(0)) for found in super().decode(output, canvas)]


class EvenGridOnly(Good):
    def reply(self, x, features):
        even = x[:, :, : x.shape[2] // 2 * 2, : x.shape[3] // 2 * 2]
        return super().reply(F.pad(even, (0, x.shape[3] % 2, 0, x.shape[2] % 2)), features)


class IgnoresALayer(Good):
    def __init__(self, info, task) -> None:
        super().__init__(info, task, layers=(5, -1))


class WritesFeatures(Good):
    def reply(self, x, features):
        return super().reply(x.mul_(2), features)


class WritesTargets(Good):
    def loss(self, output, targets):
        targets[0].boxes.mul_(0.5)
        return super().loss(output, targets)


class BatchStatistics(Good):
    def reply(self, x, features):
        return super().reply(x - x.mean((0, 2, 3), keepdim=True), features)


class PredictsInPadding(Good):
    def decode(self, output, canvas):
        whole = torch.tensor(canvas).expand(len(output.extent), 2)
        return super().decode(replace(output, extent=whole), canvas)


class LearnsFromPadding(Good):
    def loss(self, output, targets):
        return super().loss(output, targets) | {"all": output.levels[0].cls.square().mean()}


class FlattensByView(Good):
    def reply(self, x, features):
        return super().reply(x.view(len(x), -1).view(x.shape), features)


class CountsItsCalls(Good):
    calls = 0

    def reply(self, x, features):
        self.calls += 1
        return super().reply(x * self.calls, features)


class SharedByAll(Good):
    scale: torch.Tensor

    def __init__(self, info, task) -> None:
        super().__init__(info, task)
        type(self).scale = torch.rand(1)

    def reply(self, x, features):
        return super().reply(x * self.scale.to(x.device), features)


class PinnedToCpu(Good):
    def reply(self, x, features):
        return super().reply(x + torch.ones(x.shape), features)


class CountsOnTheCpu(Good):
    def loss(self, output, targets):
        seen = torch.zeros(len(self.task.classes))
        for target in targets:
            seen.index_add_(0, target.labels, torch.ones(len(target.labels)))
        return super().loss(output, targets) | {"classes": seen.sum() * output.levels[0].quality.mean()}


class FitsOnTheCpu(Good):
    def fit(self, batches):
        self.stem.bias.data = sum(features.map.mean(dim=(0, 2, 3)) for features, _ in batches)[:24] + torch.zeros(24)


class RemembersItsShare(Good):
    def fit(self, batches):
        seen = []
        total_over_batches(batches, lambda features, _: seen.append(features.map.sum(dim=(0, 2, 3))) or 1)
        self.stem.bias.data = torch.stack(seen).sum(dim=0)[: len(self.stem.bias)] / 1000


class ComparesEveryPair(Good):
    def extra_loss(self, output, targets, matched):
        """How near every box is to every other, seen from every cell."""
        boxes = targets[0].boxes
        near = (boxes[:, None] - boxes).abs().sum(dim=2)
        return {"near": (near[..., None] * output.levels[0].quality[0].flatten()[:64]).sigmoid().mean()}


class FreezesItsGrid(Good):
    def reply(self, x, features):
        return super().reply(x + torch.linspace(0, 1, int(x.shape[3]), device=x.device), features)


class BreaksTheGraph(Good):
    def reply(self, x, features):
        torch._dynamo.graph_break()
        return super().reply(x, features)


class BranchesOnValues(Good):
    def reply(self, x, features):
        return super().reply(x if x.mean() > 0 else -x, features)


class AssumesItsStride(Good):
    def __init__(self, info, task) -> None:
        super().__init__(info, task)
        self.strides = (16,)


class StacksAsTheyAre(Good):
    def __init__(self, info, task) -> None:
        super().__init__(info, task, layers=(5, -1))
        self.stem = nn.Conv2d(info.channels[5] + info.channels[-1], 24, 3, padding=1)

    def forward(self, features):
        return self.reply(torch.cat(features.maps, dim=1), features)


class VectorLoss(Good):
    def loss(self, output, targets):
        return {name: term[None] for name, term in super().loss(output, targets).items()}


class NanWithoutBoxes(Good):
    def loss(self, output, targets):
        boxes = sum(len(target.boxes) for target in targets)
        return {
            name: term * boxes / boxes if boxes else term / boxes
            for name, term in super().loss(output, targets).items()
        }


class UnusedParameter(Good):
    def __init__(self, info, task) -> None:
        super().__init__(info, task)
        self.idle = nn.Parameter(torch.zeros(3))


class Detached(Good):
    def __init__(self, info, task) -> None:
        super().__init__(info, task)
        self.mix = nn.Conv2d(info.channels[-1], info.channels[-1], 1)

    def reply(self, x, features):
        return super().reply(self.mix(x).detach(), features)


class ClimbsItsLoss(Good):
    def loss(self, output, targets):
        return {name: 2 * term.detach() - term for name, term in super().loss(output, targets).items()}


class OverflowsInBfloat16(Good):
    def loss(self, output, targets):
        low = torch.is_autocast_enabled("cpu")
        return {name: term / (0 if low else 1) for name, term in super().loss(output, targets).items()}


class UnseededStart(Good):
    def __init__(self, info, task) -> None:
        super().__init__(info, task)
        source = torch.Generator()
        source.seed()
        self.stem.weight.data.normal_(generator=source)


class DropoutInEval(Good):
    def reply(self, x, features):
        return super().reply(F.dropout(x, 0.2), features)


class UnsavedBuffer(Good):
    def __init__(self, info, task) -> None:
        super().__init__(info, task)
        self.register_buffer("code", torch.rand(1), persistent=False)

    def reply(self, x, features):
        return super().reply(x * self.code, features)


class MemoryOutsideBuffers(Good):
    mean = 1.0

    def reply(self, x, features):
        if self.training:
            self.mean = 0.5
        return super().reply(x * self.mean, features)


class SetsDtype(Good):
    def __init__(self, info, task) -> None:
        super().__init__(info, task)
        torch.set_default_dtype(torch.float64)


class SetsThreads(Good):
    def reply(self, x, features):
        torch.set_num_threads(torch.get_num_threads() + 1)
        return super().reply(x, features)


class TurnsGradientsOff(Good):
    def decode(self, output, canvas):
        torch.set_grad_enabled(False)
        return super().decode(output, canvas)


class SeedsTorch(Good):
    def __init__(self, info, task) -> None:
        torch.manual_seed(0)
        super().__init__(info, task)


class SeedsPython(Good):
    def __init__(self, info, task) -> None:
        super().__init__(info, task)
        random.seed(0)


class SetsEnvironment(Good):
    def __init__(self, info, task) -> None:
        super().__init__(info, task)
        os.environ["A_BROKEN_HEAD"] = str(random.Random().random())


BROKEN: dict[str, tuple[type[Good], ...]] = {
    "options": (RequiredOption, AnyKeyword, NotJson),
    "needs": (LayerOutOfRange, UnhashableNeeds, NeedsNothing),
    "any_size": (SquareOnly, DropsBatchOfOne, UnsortedScores),
    "reads_every_cell": (EvenGridOnly, IgnoresALayer),
    "features_untouched": (WritesFeatures, WritesTargets),
    "items_independent": (BatchStatistics,),
    "padding": (PredictsInPadding, LearnsFromPadding),
    "cached_is_live": (FlattensByView, CountsItsCalls),
    "company": (SharedByAll,),
    "device_agnostic": (PinnedToCpu, CountsOnTheCpu, FitsOnTheCpu),
    "pyramid": (AssumesItsStride, StacksAsTheyAre),
    "exports": (FreezesItsGrid, BranchesOnValues),
    "compiles": (BreaksTheGraph, BranchesOnValues),
    "loss": (VectorLoss, NanWithoutBoxes),
    "gradients": (UnusedParameter, Detached),
    "learns": (ClimbsItsLoss,),
    "bfloat16": (OverflowsInBfloat16,),
    "fit_parts": (RemembersItsShare,),
    "many_objects": (ComparesEveryPair,),
    "deterministic": (UnseededStart, DropoutInEval),
    "state_round_trip": (UnsavedBuffer, MemoryOutsideBuffers),
    "global_state": (SetsDtype, SetsThreads, TurnsGradientsOff, SeedsTorch, SeedsPython, SetsEnvironment),
}
"""The check that must catch each of them; ``import_hygiene`` needs modules of its own."""
