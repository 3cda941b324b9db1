"""What every part of ``gpu.py`` works with: the device, its sizes, and how to check and to measure."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor, nn

from argus_core.backbones import Backbone
from argus_core.backbones.base import Precision
from argus_core.backbones.timm_models import build, wrap
from argus_core.backbones.tiny import tiny
from argus_core.nn import without_tf32
from argus_core.testing.heads.subject import perturb
from argus_core.testing.kit.far_device import FAR, FarDevice
from gpu_parts.record import Check, Figure, Record, number, shown
from timing import seconds

NETWORK = "vit_base_patch16_dinov3_qkvb"
"""The architecture of ``eupe_vitb16``."""
ENOUGH, FEWEST, MOST = 1.0, 3, 30
"""Seconds and rounds of a measurement."""


class TimeUp(BaseException):
    """The time of a part is over; no ``except Exception`` of the code under test holds it up."""


@dataclass
class Bench:
    """One run: ``toy`` makes everything small enough for a CPU in CI; ``end`` is when the time of the run is over."""

    device: torch.device
    toy: bool
    record: Record
    end: float = float("inf")
    part: str = ""

    @property
    def left(self) -> float:
        """Seconds until the time of the run is over."""
        return self.end - time.monotonic()

    @contextmanager
    def check(self, name: str) -> Iterator[dict[str, float | str]]:
        """A check that holds unless the block raises; yields a dictionary for what the block measures."""
        values: dict[str, float | str] = {}
        reason = ""
        try:
            yield values
        except Exception as error:  # of whatever kind: the other checks go on
            reason = told(error)
        self._checked(Check(self.part, name, not reason, reason, values))

    def _checked(self, check: Check) -> None:
        self.record.checks.append(check)
        text = check.reason or shown(check.values)
        print(f"  {'ok' if check.passed else 'FAILED'} {check.name}{': ' if text else ''}{text}", flush=True)

    def figure(self, name: str, **values: float | str) -> None:
        """Keep and print what was measured."""
        self.record.figures.append(Figure(self.part, name, values))
        print(f"  {name}: {shown(values)}", flush=True)

    def time(self, name: str, work: Callable[[], object], images: int) -> float:
        """Measure work on some images: the median in milliseconds, nan where there is none.

        What does not fit into memory is noted, any other error is a check that fails.
        """
        try:
            took, peak = self._measured(work)
        except torch.OutOfMemoryError:
            self.figure(name, note="does not fit into memory")
        except Exception as error:  # of whatever kind: the other measurements go on
            self._checked(Check(self.part, name, False, told(error), {}))
        else:
            self.figure(name, **{"ms": took * 1e3, "images/s": images / took, **peak})
            return took * 1e3
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        return float("nan")

    def _measured(self, work: Callable[[], object]) -> tuple[float, dict[str, float]]:
        """The median of the seconds of a few rounds after a warm-up, and the peak memory of a GPU."""
        self.wait_for(work)
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
        times: list[float] = []
        while len(times) < FEWEST or (not self.toy and sum(times) < ENOUGH and len(times) < MOST):
            times.append(seconds(lambda: self.wait_for(work)))
        if self.device.type != "cuda":
            return statistics.median(times), {}
        return statistics.median(times), {"peak MiB": torch.cuda.max_memory_allocated(self.device) / 2**20}

    def wait_for(self, work: Callable[[], object]) -> None:
        """One call, with what it queued on a GPU."""
        work()
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def backbone(self, precision: Precision = "auto") -> Backbone:
        """ViT-B with random weights in which no branch is next to zero; the narrow ``tiny`` at toy size."""
        if self.toy:
            return tiny(precision=precision).to(self.device)
        return wrap(network(), NETWORK, license="apache-2.0", precision=precision).to(self.device)

    @contextmanager
    def elsewhere(self) -> Iterator[tuple[str, FarDevice | None]]:
        """The GPU in plain float32; without one the stand-in for one, which refuses to mix with the CPU."""
        if self.device.type == "cpu":
            with FarDevice() as far:
                yield FAR, far
        else:
            with without_tf32(self.device):
                yield str(self.device), None


@cache
def network() -> nn.Module:
    """The weights that all backbones of a run share; LayerScale begins at 1e-5, which would hide every mistake."""
    torch.manual_seed(0)
    return perturb(build(NETWORK))


def told(error: Exception) -> str:
    """Why a check failed."""
    text = str(error) or "no message"
    return text if isinstance(error, AssertionError) else f"{type(error).__name__}: {text}"


def relative(value: Tensor, exact: Tensor) -> float:
    """The largest difference, relative to the largest exact value."""
    return float((value - exact).abs().max() / exact.abs().max())


def close(difference: float, limit: float, what: str) -> None:
    """AssertionError if a difference is above its limit, or no number."""
    assert difference <= limit, f"{what} differs by {number(difference)}, more than {number(limit)}"
