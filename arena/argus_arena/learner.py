"""One head while it is trained: weights, optimiser, average, and its place in the schedule."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel

from argus_arena.schedule import factor
from argus_arena.world import World
from argus_core.errors import ArgusError
from argus_core.head import Head
from argus_core.recipe import Recipe
from argus_core.tokens import Tokens


@dataclass(frozen=True)
class Phase:
    """A stretch of steps with one optimiser."""

    start: int
    steps: int
    lr: float
    only: tuple[str, ...]


def phases(recipe: Recipe, steps_per_epoch: int) -> list[Phase]:
    """The recipe's main phase and its further stages, in steps."""
    planned, start = [], 0
    for epochs, lr, only in [
        (recipe.epochs, recipe.lr, ()),
        *((s.epochs, s.lr, s.only) for s in recipe.stages),
    ]:
        steps = max(1, round(epochs * steps_per_epoch))
        planned.append(Phase(start, steps, lr, tuple(only)))
        start += steps
    return planned


class Objective(nn.Module):
    """Head and loss as one module, so that gradients are averaged over processes by the library's wrapper."""

    def __init__(self, head: Head) -> None:
        super().__init__()
        self.head = head

    def forward(self, tokens: Tokens, targets: Sequence[Any]) -> dict[str, Tensor]:
        """The head's named loss terms on a batch."""
        return self.head.loss(self.head(tokens.features(self.head.needs)), targets)


class Learner:
    """Trains one head step by step; every step depends only on its index, the batch and the state before it."""

    def __init__(self, name: str, head: Head, recipe: Recipe, steps_per_epoch: int, seed: int, world: World) -> None:
        self.name, self.recipe, self.seed, self.world = name, recipe, seed, world
        self.head = head.to(world.device)
        self.phases = phases(recipe, steps_per_epoch)
        self.steps = self.phases[-1].start + self.phases[-1].steps
        self.seconds = 0.0
        self.failure = ""
        self.begin(self.phases[0])

    def begin(self, phase: Phase) -> None:
        """Fresh optimiser and average for a phase, over the parameters it trains."""
        self.phase = phase
        chosen = {n: p for n, p in self.head.named_parameters() if not phase.only or _selects(phase.only, n)}
        if not chosen:
            raise ArgusError(f"stage only={list(phase.only)} selects no parameter of head {self.name!r}")
        for parameter_name, parameter in self.head.named_parameters():
            parameter.requires_grad_(parameter_name in chosen)
        self.trained = chosen
        self.optimizer = _optimizer(self.recipe, phase.lr, list(chosen.values()))
        self.average = _average(self.head, self.recipe.ema) if self.recipe.ema else None
        objective = Objective(self.head)
        self.objective: nn.Module = DistributedDataParallel(objective) if self.world.size > 1 else objective

    def phase_starting_at(self, step: int) -> Phase | None:
        """The further stage that begins at ``step``, if one does."""
        return next((phase for phase in self.phases[1:] if phase.start == step), None)

    def step(self, step: int, tokens: Tokens, targets: Sequence[Any]) -> dict[str, float]:
        """One optimiser step; returns the loss terms and the rate."""
        began = time.perf_counter()
        rate = self.phase.lr * factor(step - self.phase.start, self.phase.steps, self.recipe)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        # Noise inside a head depends on the step and the process, not on the head's neighbours.
        torch.manual_seed((self.seed * 1_000_003 + step) * self.world.size + self.world.rank)
        self.objective.train()
        with self._autocast():
            terms = self.objective(tokens, targets)
            total = torch.stack(list(terms.values())).sum()
        self.optimizer.zero_grad(set_to_none=True)
        total.backward()
        if self.recipe.clip:
            nn.utils.clip_grad_norm_(list(self.trained.values()), self.recipe.clip)
        self.optimizer.step()
        if self.average is not None:
            self.average.update_parameters(self.head)
        values = {name: float(term.detach()) for name, term in terms.items()}
        self.seconds += time.perf_counter() - began
        return {"loss": float(total.detach()), **values, "lr": rate}

    def variants(self) -> dict[str, Head]:
        """The weights to evaluate: ``live``, and ``ema`` where the recipe averages."""
        found = {"live": self.head}
        if self.average is not None:
            assert isinstance(self.average.module, Head)
            found["ema"] = self.average.module
        return found

    def state(self) -> dict[str, Tensor]:
        """Everything a resumed run needs of this head, as tensors by name."""
        tensors = {f"head.{k}": v for k, v in self.head.state_dict().items()}
        if self.average is not None:
            tensors |= {f"ema.{k}": v for k, v in self.average.module.state_dict().items()}
            tensors["averaged"] = self.average.n_averaged
        for name, parameter in self.trained.items():
            slots = self.optimizer.state.get(parameter, {})
            tensors |= {f"opt.{slot}.{name}": v for slot, v in slots.items() if isinstance(v, Tensor)}
        tensors["seconds"] = torch.tensor(self.seconds, dtype=torch.float64)
        return {key: value.detach().cpu().clone() for key, value in tensors.items()}

    def load(self, tensors: dict[str, Tensor], step: int) -> None:
        """Continue from ``state`` saved before 0-based ``step``; a stage that starts there has begun."""
        self.begin(next(p for p in reversed(self.phases) if p.start <= step))
        self.head.load_state_dict(_under(tensors, "head."))
        if self.average is not None:
            self.average.module.load_state_dict(_under(tensors, "ema."))
            self.average.n_averaged.copy_(tensors["averaged"])
        names = {parameter: name for name, parameter in self.trained.items()}
        for parameter, name in names.items():
            slots = {
                k.split(".")[1]: v for k, v in tensors.items() if k.startswith("opt.") and k.split(".", 2)[2] == name
            }
            if slots:
                moved = {slot: v if slot == "step" else v.to(parameter.device) for slot, v in slots.items()}
                self.optimizer.state[parameter] = moved
        self.seconds = float(tensors["seconds"])

    def _autocast(self) -> AbstractContextManager[Any]:
        if self.world.device.type != "cuda":
            return nullcontext()
        return torch.autocast("cuda", dtype=torch.bfloat16)


def _selects(only: Sequence[str], name: str) -> bool:
    return bool(set(only) & set(name.split(".")))


def _under(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}


def _optimizer(recipe: Recipe, lr: float, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
    # Norms, biases and scales have one dimension or none: pulling them to zero only hurts.
    decayed = [p for p in parameters if p.ndim > 1]
    plain = [p for p in parameters if p.ndim <= 1]
    groups = [
        {"params": decayed, "weight_decay": recipe.weight_decay},
        {"params": plain, "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=lr, momentum=recipe.momentum)
    return torch.optim.AdamW(groups, lr=lr, betas=recipe.betas)


def _average(head: Head, decay: float) -> AveragedModel:
    def update(averaged: Any, current: Any, count: Any) -> None:
        # An average of few steps must forget its random start faster.
        share = min(decay, (1 + float(count)) / (10 + float(count)))
        torch._foreach_lerp_(averaged, current, 1 - share)

    return AveragedModel(head, multi_avg_fn=update)
