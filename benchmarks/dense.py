"""Masks of 150 classes and depth in image pixels, against the plain definition: `python dense.py [--large]`.

The definition enlarges every map to the canvas and from there to the image, then takes the softmax. Peak memory is that
of a first call. ``--large`` adds photographs, whose plain maps need up to 15 GB: only ours is measured there.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from argus_core.canvas import Canvas, Flipped, Framing, Placement, Windows
from argus_core.common.allocator import keep_memory
from argus_core.tasks.depth import Depth, DepthMaps
from argus_core.tasks.segment import ClassMaps, Segment
from matching import peak
from timing import compare, seconds, show

STRIDE, CLASSES = 16, 150
SEGMENT, DEPTH = Segment(classes=tuple(map(str, range(CLASSES)))), Depth()
ONE, MIRRORED, SLIDING = Canvas(640), Flipped(Canvas(640)), Windows(640, 640, 426)
Work = Callable[[], Sequence[Tensor]]


def plain(maps: Sequence[Tensor], places: Sequence[Placement]) -> Tensor:
    """(C, H, W): every pass at canvas pixels, their mean, and that at image pixels."""
    height, width = (round(n * s) for n, s in zip(places[0].image_size, places[0].scale, strict=True))
    total, count = torch.zeros(len(maps[0]), height, width), torch.zeros(height, width)
    for one, place in zip(maps, places, strict=True):
        canvas = F.interpolate(one[None], scale_factor=STRIDE, mode="bilinear")[0]
        canvas = canvas[:, : place.extent[0], : place.extent[1]]
        left = -round(place.offset[1])
        if place.mirrored:
            canvas, left = canvas.flip(2), width - left - canvas.shape[2]
        top = -round(place.offset[0])
        total[:, top : top + canvas.shape[1], left : left + canvas.shape[2]] += canvas
        count[top : top + canvas.shape[1], left : left + canvas.shape[2]] += 1
    return F.interpolate((total / count)[None], size=places[0].image_size, mode="bilinear")[0]


def masks(framing: Framing, size: tuple[int, int]) -> tuple[Work, Work]:
    """Labels and confidence: ours, and the definition."""
    places = framing.passes(*size)
    maps = [3 * torch.randn(CLASSES, 40, 40) for _ in places]

    def ours() -> Sequence[Tensor]:
        found = SEGMENT.merge([ClassMaps(one, STRIDE) for one in maps], places)
        return found.labels, found.confidence

    def definition() -> Sequence[Tensor]:
        confidence, labels = plain(maps, places).softmax(0).max(0)
        return labels, confidence

    return ours, definition


def depths(framing: Framing, size: tuple[int, int]) -> tuple[Work, Work]:
    """Depth and its deviation: ours, and the definition."""
    places = framing.passes(*size)
    maps = [1 + 4 * torch.rand(2, 40, 40) for _ in places]

    def ours() -> Sequence[Tensor]:
        found = DEPTH.merge([DepthMaps(one[0], one[1], STRIDE) for one in maps], places)
        return found.depth, found.uncertainty

    return ours, lambda: tuple(plain(maps, places))


def report(what: str, works: tuple[Work, Work], goal: str) -> None:
    """Print the times and memory of both, and how far they agree."""
    memory = [peak(work) for work in works]  # ours first: memory that was freed before would not show as growth
    (first, second), (other_first, other_second) = (work() for work in works)
    same = f"{int((first != other_first).sum())} labels differ" if first.dtype == torch.long else ""
    show(what, *compare(*works, rounds=5), goal)
    print(f"    {memory[0]:.0f} against {memory[1]:.0f} MiB, {same or (first - other_first).abs().max()}", end=", ")
    print(f"{(second - other_second).abs().max():.1e} apart")


@torch.no_grad()
def main() -> None:
    """Print a line of times and one of memory a case."""
    keep_memory()  # as the commands do
    torch.manual_seed(0)
    report("masks, 640x480", masks(ONE, (480, 640)), "60 ms")
    report("masks, 640x480, mirrored too", masks(MIRRORED, (480, 640)), "none")
    report("masks, 640x480, sliding windows", masks(SLIDING, (480, 640)), "none")
    report("masks, 1024x768", masks(ONE, (768, 1024)), "none")
    report("depth, 640x480", depths(ONE, (480, 640)), "none")
    report("depth, 4000x3000", depths(ONE, (3000, 4000)), "none")
    for size in ((1080, 1920), (3000, 4000)) if "--large" in sys.argv else ():
        ours = masks(ONE, size)[0]
        print(f"masks, {size[1]}x{size[0]}: {peak(ours):.0f} MiB, {min(seconds(ours) for _ in range(2)) * 1e3:.0f} ms")


if __name__ == "__main__":
    main()
