"""Matching 20 keypoints of a pair against the enlargement to 512 x 512 that it equals: time, memory, answers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F

from argus_core.nn.matching import Enlarged
from timing import compare

CHANNELS, GRID, SIZE, POINTS = 768, (32, 32), (512, 512), 20


def enlarge(maps: torch.Tensor) -> torch.Tensor:
    """(C, H, W), made in full."""
    return F.interpolate(maps[None], SIZE, mode="bilinear", align_corners=False)[0]


def plain(source: torch.Tensor, target: torch.Tensor, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """As the model card has it: enlarge both images, normalise, compare, take the best."""
    x, y = pixels.T
    first, second = (F.normalize(enlarge(maps), dim=0) for maps in (source, target))
    scores, index = (first[:, y, x].T @ second.flatten(1)).max(dim=1)
    return torch.stack([index % SIZE[1], index // SIZE[1]], dim=1), scores


def lean(source: torch.Tensor, target: torch.Tensor, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The same with care: only the target is enlarged, and its features are divided after the dot products."""
    queries = F.normalize(Enlarged(source, SIZE, SIZE).at(pixels + 0.5), dim=1)
    whole = enlarge(target).flatten(1)
    scores, index = ((queries @ whole) / whole.norm(dim=0)).max(dim=1)
    return torch.stack([index % SIZE[1], index // SIZE[1]], dim=1), scores


def ours(source: torch.Tensor, target: torch.Tensor, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """From the small maps alone, everything counted that is done once per image."""
    queries = Enlarged(source, SIZE, SIZE).at(pixels + 0.5)
    points, scores = Enlarged(target, SIZE, SIZE).nearest(queries)
    return (points - 0.5).long(), scores


def peak(work: Callable[[], object]) -> float:
    """By how many MiB the process grew at most during ``work``, by Linux' own record."""
    Path("/proc/self/clear_refs").write_text("5")  # the record starts anew
    before = _record()
    work()
    return _record() - before


def _record() -> float:
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1024


@torch.no_grad()
def main() -> None:
    """Print the ratios and that the answers are the same."""
    generator = torch.Generator().manual_seed(0)
    source, target = (torch.randn(CHANNELS, *GRID, generator=generator) for _ in range(2))
    pixels = torch.randint(SIZE[0], (POINTS, 2), generator=generator)
    # First calls, and ours before all: memory that was freed already would not be seen to be taken again.
    memory = {work: peak(lambda work=work: work(source, target, pixels)) for work in (ours, plain, lean)}
    found, scores = ours(source, target, pixels)
    there, wanted = plain(source, target, pixels)
    same = int((found == there).all(dim=1).sum())
    print(f"{same} of {POINTS} pixels the same, scores to {(scores - wanted).abs().max():.1e} (goal: all, 1e-5)")
    for peer, rounds, goals in ((plain, 3, " (goals: >= 75, >= 50)"), (lean, 5, "")):
        one, other, ratio = compare(
            lambda: ours(source, target, pixels), lambda peer=peer: peer(source, target, pixels), rounds
        )
        print(f"{peer.__name__}: {one * 1e3:.1f} against {other * 1e3:.1f} ms", end=", ")
        print(f"{memory[ours]:.1f} against {memory[peer]:.1f} MiB:", end=" ")
        print(f"{1 / ratio:.0f} times faster, {memory[peer] / memory[ours]:.0f} times less memory{goals}")


if __name__ == "__main__":
    main()
