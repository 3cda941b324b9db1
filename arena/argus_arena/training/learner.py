"""One head while it learns: solved in closed form, then trained along its recipe, at one peak rate or at several."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel

from argus_arena.distributed import Distributed
from argus_arena.training.schedule import Phase, beta1, factor, phases
from argus_core.errors import ArgusError
from argus_core.head import Head
from argus_core.recipe import Recipe
from argus_core.tokens import Features, Tokens


class Learner:
    """Trains one head step by step; every step depends only on its index, the batch and the state before it.

    A sweep's trials take the same steps on the same features, each with a peak rate of its own.
    """

    def __init__(
        self, name: str, head: Head, recipe: Recipe, steps_per_epoch: int, seed: int, process: Distributed
    ) -> None:
        if recipe.sweep and recipe.stages:
            raise ArgusError(f"head {name!r}: a sweep of rates cannot have further stages; drop sweep or stages")
        self.name, self.recipe, self.seed, self.process = name, recipe, seed, process
        self.head = head.to(process.device)
        self.phases = phases(recipe, steps_per_epoch) if head.trained else []
        self.steps_per_epoch = steps_per_epoch
        self.steps = self.phases[-1].start + self.phases[-1].steps if self.phases else 0
        self.trials: list[Trial] = []
        self.seconds = 0.0
        self.failure = ""

    def start(self, batches: Iterable[tuple[Features, Sequence[Any]]]) -> None:
        """Fit what is solved in closed form, and begin the first phase."""
        if self.head.fitted:
            began = time.perf_counter()
            self.head.fit(batches)
            self.seconds += time.perf_counter() - began
        self._make_trials()
        for trial in self.trials:
            trial.begin(self.phases[0])

    def fail(self, reason: str) -> None:
        """Stop for good; the best weights so far stay."""
        self.failure = reason
        for trial in self.trials:
            trial.failure = trial.failure or reason

    def begin(self, phase: Phase) -> None:
        """A further stage, with a fresh optimiser and average."""
        for trial in self.trials:
            trial.begin(phase)

    @property
    def epochs(self) -> float:
        """Length of the whole training."""
        return round(self.steps / self.steps_per_epoch, 3)

    def phase_starting_at(self, step: int) -> Phase | None:
        """The further stage that begins at ``step``, if one does."""
        return next((phase for phase in self.phases[1:] if phase.start == step), None)

    def step(self, step: int, tokens: Tokens, targets: Sequence[Any]) -> dict[str, dict[str, float]]:
        """One optimiser step of every trial; returns loss terms and rate, by label, of those still running.

        A trial whose loss is not finite stops; the head fails when none is left.
        """
        began = time.perf_counter()
        features, terms = tokens.features(self.head.needs), {}
        for trial in self.running():
            # Noise inside a head depends on the step and the process, not on the head's neighbours.
            torch.manual_seed((self.seed * 1_000_003 + step) * self.process.size + self.process.rank)
            terms[trial.label] = self.process.mean(trial.step(step, features, targets))
            loss = terms[trial.label]["loss"]
            if not math.isfinite(loss):
                trial.failure = f"the loss became {loss} at step {step}; try a smaller lr"
                self.failure = "" if self.running() else trial.failure
        self.seconds += time.perf_counter() - began
        return terms

    def running(self) -> list[Trial]:
        """The trials that have not failed."""
        return [trial for trial in self.trials if not trial.failure]

    def variants(self) -> dict[str, Head]:
        """The weights to evaluate, by name: ``live`` alone for a head without gradients."""
        if not self.trials:
            return {"live": self.head}
        return {name: head for trial in self.running() for name, head in trial.variants().items()}

    def weights(self, variant: str) -> Head:
        """The weights of a variant, also of a trial that has stopped."""
        return {name: head for trial in self.trials for name, head in trial.variants().items()}.get(variant, self.head)

    def last(self, best: str) -> str:
        """The variant whose last weights are kept: unaveraged, and of the best rate of a sweep."""
        return best.removesuffix(" ema") if self.recipe.sweep else "live"

    def state(self) -> dict[str, Tensor]:
        """Everything a resumed run needs of this head, as tensors by name; its best weights are enough otherwise."""
        tensors = {f"{n}.{key}": value for n, trial in enumerate(self.trials) for key, value in trial.state().items()}
        return {**tensors, "seconds": torch.tensor(self.seconds, dtype=torch.float64)}

    def load(self, tensors: Mapping[str, Tensor], step: int, failures: Mapping[str, str]) -> None:
        """Continue from ``state`` saved before 0-based ``step``; a stage that starts there has begun."""
        self._make_trials()
        for number, trial in enumerate(self.trials):
            phase = next(p for p in reversed(self.phases) if p.start <= step)
            trial.load(without_prefix(tensors, f"{number}."), phase)
            trial.failure = failures.get(trial.label, "")
        self.seconds = float(tensors["seconds"])

    def _make_trials(self) -> None:
        """A trial per rate; all start from the same weights."""
        if not self.phases:
            return
        rates = list(dict.fromkeys((self.recipe.lr, *self.recipe.sweep)))
        labels = [f"lr={rate:g}" for rate in rates] if len(rates) > 1 else [""]
        heads = [self.head, *(copy.deepcopy(self.head) for _ in rates[1:])]
        self.trials = [
            Trial(label, rate / self.recipe.lr, head, self.recipe, self.process)
            for label, rate, head in zip(labels, rates, heads, strict=True)
        ]


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
        self.trained = chosen
        self.still = _frozen_modules(self.head, phase.only, chosen)
        self.optimizer = _optimizer(self.recipe, phase.lr, list(chosen.values()))
        self.average = Average(self.head, self.recipe.ema) if self.recipe.ema else None
        objective = Objective(self.head)
        self.objective: nn.Module = DistributedDataParallel(objective) if self.process.size > 1 else objective

    def step(self, step: int, features: Features, targets: Sequence[Any]) -> dict[str, float]:
        """One optimiser step; returns the loss terms and the rate."""
        place = (step - self.phase.start, self.phase.steps, self.recipe)
        rate, beta = self.scale * self.phase.lr * factor(*place), beta1(*place)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
            if beta is not None:
                group["betas"] = (beta, self.recipe.betas[1])
        self.objective.train()
        for module in self.still:
            module.eval()
        with self._autocast():
            terms = self.objective(features, targets)
            total = torch.stack(list(terms.values())).sum()
        self.optimizer.zero_grad(set_to_none=True)
        total.backward()
        if self.recipe.clip:
            nn.utils.clip_grad_norm_(list(self.trained.values()), self.recipe.clip)
        self.optimizer.step()
        if self.average is not None:
            self.average.update_parameters(self.head)
        values = torch.stack([total, *terms.values()]).detach().tolist()  # the one time that the device is waited for
        return {**dict(zip(("loss", *terms), values, strict=True)), "lr": rate}

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
        return {key: value.detach().cpu().clone() for key, value in tensors.items()}

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
                moved = {slot: v if slot == "step" else v.to(parameter.device) for slot, v in slots.items()}
                self.optimizer.state[parameter] = moved

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
