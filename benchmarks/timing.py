"""Time two implementations in turn, so that noise of the machine affects both."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

from argus_core.backbones import Backbone
from argus_core.backbones.timm_models import build, wrap


def seconds(work: Callable[[], object]) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def compare(ours: Callable[[], object], peer: Callable[[], object], rounds: int = 7) -> tuple[float, float, float]:
    """Medians of both after a warm-up, and the median of the ratios ours / peer round by round."""
    ours(), peer()
    pairs = [(seconds(ours), seconds(peer)) for _ in range(rounds)]
    our_times, peer_times = zip(*pairs, strict=True)
    return statistics.median(our_times), statistics.median(peer_times), statistics.median(a / b for a, b in pairs)


def show(what: str, ours: float, peer: float, ratio: float, goal: str) -> None:
    """Print one line."""
    print(f"{what}: {ours * 1e3:.1f} ms against {peer * 1e3:.1f} ms, ratio {ratio:.3f} (goal {goal})")


def random_backbone(name: str = "vit_small_patch16_dinov3_qkvb") -> Backbone:
    """A full-width network of the EUPE architecture with untrained weights, which do not affect speed."""
    return wrap(build(name), name, license="apache-2.0")
