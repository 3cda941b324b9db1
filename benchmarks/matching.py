"""Matching 20 keypoints of a pair against enlarging maps to 512 x 512, which is equivalent: time, memory, matches."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F

from argus_core.nn.matching import Enlarged
from timing import compare

CHANNELS, GRID, SIZE, POINTS = 768, (32, 32), (512, 512), 20


def enlarge(maps: torch.Tensor) -> torch.Tensor:
    """The whole enlarged map (C, H, W)."""
    return F.interpolate(maps[None], SIZE, mode="bilinear", align_corners=False)[0]


def plain(source: torch.Tensor, target: torch.Tensor, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """As on the model card: enlarge both images, normalise, compare, take the best."""
    x, y = pixels.T
    first, second = (F.normalize(enlarge(maps), dim=0) for maps in (source, target))
    scores, index = (first[:, y, x].T @ second.flatten(1)).max(dim=1)
    return torch.stack([index % SIZE[1], index // SIZE[1]], dim=1), scores


def lean(source: torch.Tensor, target: torch.Tensor, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The same, optimised: only the target is enlarged, and its norms divide the dot products."""
    queries = F.normalize(Enlarged(source, SIZE, SIZE).at(pixels + 0.5), dim=1)
    whole = enlarge(target).flatten(1)
    scores, index = ((queries @ whole) / whole.norm(dim=0)).max(dim=1)
    return torch.stack([index % SIZE[1], index // SIZE[1]], dim=1), scores


def ours(source: torch.Tensor, target: torch.Tensor, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """From the small maps alone, including all work per image."""
    queries = Enlarged(source, SIZE, SIZE).at(pixels + 0.5)
    points, scores = Enlarged(target, SIZE, SIZE).nearest(queries)
    return (points - 0.5).long(), scores


def peak(work: Callable[[], object]) -> float:
    """The most MiB by which the process grew during ``work``, from Linux' peak of resident memory."""
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak
    before = _peak_resident()
    work()
    return _peak_resident() - before


def _peak_resident() -> float:
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1024


@torch.no_grad()
def main() -> None:
    """Print the ratios, and how many matches are the same."""
    generator = torch.Generator().manual_seed(0)
    source, target = (torch.randn(CHANNELS, *GRID, generator=generator) for _ in range(2))
    pixels = torch.randint(SIZE[0], (POINTS, 2), generator=generator)
    # First calls, with ours before the others: reusing freed memory would not show as growth.
    memory = {work: peak(lambda work=work: work(source, target, pixels)) for work in (ours, plain, lean)}
    points, scores = ours(source, target, pixels)
    expected_points, expected_scores = plain(source, target, pixels)
    same = int((points == expected_points).all(dim=1).sum())
    print(
        f"{same} of {POINTS} pixels the same, scores to {(scores - expected_scores).abs().max():.1e} (goal: all, 1e-5)"
    )
    for peer, rounds, goals in ((plain, 3, " (goals: >= 75, >= 50)"), (lean, 5, "")):
        our_time, peer_time, ratio = compare(
            lambda: ours(source, target, pixels), lambda peer=peer: peer(source, target, pixels), rounds
        )
        print(f"{peer.__name__}: {our_time * 1e3:.1f} against {peer_time * 1e3:.1f} ms", end=", ")
        print(f"{memory[ours]:.1f} against {memory[peer]:.1f} MiB:", end=" ")
        print(f"{1 / ratio:.0f} times faster, {memory[peer] / memory[ours]:.0f} times less memory{goals}")


if __name__ == "__main__":
    main()
