"""One copy of a head in training: its optimiser, its steps, its average, and all of that as tensors to resume from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel

from argus_arena.distributed import Distributed
from argus_arena.run.phases import Phase
from argus_arena.training.schedule import beta1, factor
from argus_core.errors import ArgusError
from argus_core.head import Head
from argus_core.recipe import Recipe
from argus_core.tokens import Features


class Objective(nn.Module):
    """Head and loss as one module, so that gradients are averaged over processes by the library's wrapper."""

    def __init__(self, head: Head) -> None:
        super().__init__()
        self.head = head

    def forward(self, features: Features, targets: Sequence[Any]) -> dict[str, Tensor]:
        """The head's named loss terms on a batch."""
        return self.head.loss(self.head(features), targets)


class Trial:
    """Trains one copy of a head; ``label`` tells the copies of a sweep apart and is empty without one."""

    def __init__(self, label: str, scale: float, head: Head, recipe: Recipe, process: Distributed) -> None:
        self.label, self.scale, self.recipe, self.process = label, scale, recipe, process
        self.head = head.to(process.device)
        self.failure = ""

    def begin(self, phase: Phase) -> None:
        """Fresh optimiser and average for a phase, over the parameters it trains; all else stays as it is."""
        self.phase = phase
        chosen = {n: p for n, p in self.head.named_parameters() if not phase.only or _selects(phase.only, n)}
        if not chosen:
            raise ArgusError(f"stage only={list(phase.only)} selects no parameter of head {self.head.name!r}")
        for parameter_name, parameter in self.head.named_parameters():
            parameter.requires_grad_(parameter_name in chosen)
        objective = Objective(self.head)
        self.objective: nn.Module = self.spread(objective) if self.process.size > 1 else objective
        self.trained = {n: p for n, p in self.head.named_parameters() if n in chosen}  # spreading may replace them
        self.still = _frozen_modules(self.head, phase.only, chosen)
        self.optimizer = _optimizer(self.recipe, phase.lr, list(self.trained.values()))
        self.average = Average(self.head, self.recipe.ema) if self.recipe.ema else None

    def spread(self, objective: nn.Module) -> nn.Module:
        """The objective with gradients that are averaged over all processes."""
        return DistributedDataParallel(objective)

    def whole(self, value: Tensor) -> Tensor:
        """What is saved of a parameter, or of what the optimiser keeps for it."""
        return value

    def placed(self, value: Tensor, parameter: nn.Parameter) -> Tensor:
        """What was saved for a parameter, as the optimiser keeps it."""
        return value.to(parameter.device)

    def step(self, step: int, features: Features, targets: Sequence[Any]) -> dict[str, float]:
        """One optimiser step; returns the loss terms and the rate."""
        return self.accumulate(step, [(features, targets)], 1)

    def accumulate(self, step: int, parts: Iterable[tuple[Any, Any]], count: int) -> dict[str, float]:
        """One optimiser step on the mean loss of ``count`` batches; returns the mean loss terms and the rate."""
        rate = self._set_rate(step)
        self.objective.train()
        for module in self.still:
            module.eval()
        self.optimizer.zero_grad(set_to_none=True)
        sums: dict[str, Tensor] = {}
        for number, (features, targets) in enumerate(parts, 1):
            for name, value in self._backward(features, targets, 1 / count, last=number == count).items():
                sums[name] = sums[name] + value if name in sums else value
        if self.recipe.clip:
            nn.utils.clip_grad_norm_(list(self.trained.values()), self.recipe.clip)
        self.optimizer.step()
        if self.average is not None:
            self.average.update_parameters(self.head)
        values = torch.stack(list(sums.values())).tolist()  # the one time that the device is waited for
        return {**dict(zip(sums, values, strict=True)), "lr": rate}

    def _set_rate(self, step: int) -> float:
        place = (step - self.phase.start, self.phase.steps, self.recipe)
        rate, beta = self.scale * self.phase.lr * factor(*place), beta1(*place)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
            if beta is not None:
                group["betas"] = (beta, self.recipe.betas[1])
        return rate

    def _backward(self, features: Any, targets: Any, share: float, last: bool) -> dict[str, Tensor]:
        """Add a ``share`` of a batch's gradients; processes wait for each other at the last batch of a step."""
        alone = self.objective.no_sync() if isinstance(self.objective, DistributedDataParallel) and not last else None
        with alone or nullcontext():
            with self._autocast():
                terms = self.objective(features, targets)
                total = torch.stack(list(terms.values())).sum()
            (total * share).backward()
        return {name: value.detach() * share for name, value in {"loss": total, **terms}.items()}

    def variants(self) -> dict[str, Head]:
        """The weights to evaluate: ``live``, and ``ema`` where the recipe averages; a sweep's say their rate."""
        variants = {self.label or "live": self.head}
        if self.average is not None:
            assert isinstance(self.average.module, Head)
            variants[f"{self.label} ema".strip()] = self.average.module
        return variants

    def state(self) -> dict[str, Tensor]:
        """Everything a resumed run needs, as tensors by name."""
        tensors = {f"head.{k}": v for k, v in self.head.state_dict().items()}
        if self.average is not None:
            tensors |= {f"ema.{k}": v for k, v in self.average.module.state_dict().items()}
            tensors["averaged"] = self.average.n_averaged
        for name, parameter in self.trained.items():
            slots = self.optimizer.state.get(parameter, {})
            tensors |= {f"opt.{slot}.{name}": v for slot, v in slots.items() if isinstance(v, Tensor)}
        return {key: self.whole(value.detach()).cpu().clone() for key, value in tensors.items()}

    def load(self, tensors: Mapping[str, Tensor], phase: Phase) -> None:
        """Take up what ``state`` gave, in the middle of a phase."""
        weights = without_prefix(tensors, "head.")
        self.head.make_room(weights)
        self.head.load_state_dict(weights)
        self.begin(phase)
        if self.average is not None:
            self.average.module.load_state_dict(without_prefix(tensors, "ema."))
            self.average.n_averaged.copy_(tensors["averaged"])
        for name, parameter in self.trained.items():
            slots = {
                k.split(".")[1]: v for k, v in tensors.items() if k.startswith("opt.") and k.split(".", 2)[2] == name
            }
            if slots:
                self.optimizer.state[parameter] = {
                    slot: v if slot == "step" else self.placed(v, parameter) for slot, v in slots.items()
                }

    def _autocast(self) -> AbstractContextManager[Any]:
        if self.process.precision == "fp32":
            return nullcontext()
        return torch.autocast(self.process.device.type, dtype=torch.bfloat16)


def without_prefix(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose names begin with ``prefix``, without it."""
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}


def _frozen_modules(head: Head, only: Sequence[str], trained: Iterable[str]) -> list[nn.Module]:
    """The modules that a stage leaves alone, whose statistics would move and whose dropout would act in train mode."""
    if not only:
        return []
    above = {name.rsplit(".", depth)[0] for name in trained for depth in range(1, name.count(".") + 1)}
    return [module for name, module in head.named_modules() if name and name not in above and not _selects(only, name)]


def _selects(only: Sequence[str], name: str) -> bool:
    return bool(set(only) & set(name.split(".")))


def _optimizer(recipe: Recipe, lr: float, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
    # Norms, biases and scales have one dimension or none: pulling them to zero only hurts, but some cards did.
    least = 0 if recipe.decayed == "all" else 2
    decayed = [p for p in parameters if p.ndim >= least]
    plain = [p for p in parameters if p.ndim < least]
    groups = [
        {"params": decayed, "weight_decay": recipe.weight_decay},
        {"params": plain, "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=lr, momentum=recipe.momentum)
    return torch.optim.AdamW(groups, lr=lr, betas=recipe.betas)


class Average(AveragedModel):
    """The exponential average of a head's parameters, whose count of steps stays on the CPU; buffers are copied."""

    def __init__(self, head: Head, decay: float) -> None:
        super().__init__(head)
        self.decay = decay

    @torch.no_grad()
    def update_parameters(self, model: nn.Module) -> None:
        """Take one more step of ``model`` in; the first is copied."""
        count = int(self.n_averaged)
        # An average of few steps must forget its random start faster.
        share = min(self.decay, (1 + count) / (10 + count)) if count else 0.0
        torch._foreach_lerp_(list(self.module.parameters()), list(model.parameters()), 1 - share)
        for average, buffer in zip(self.module.buffers(), model.buffers(), strict=True):
            average.copy_(buffer)
        self.n_averaged += 1
