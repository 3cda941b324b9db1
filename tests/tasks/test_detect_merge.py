"""Detections of several passes over an image become one set: each object once, and none is lost."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torch import Tensor
from torchvision.ops import box_iou

from argus_core.canvas import Canvas, Placement
from argus_core.canvas.framing import Flipped, Windows
from argus_core.tasks.detect import LIMIT, Boxes, Detect, Detections

TASK = Detect.small()
TILE, STEP, SIZE = 100, 70, (240, 310)  # height, width; tiles overlap by 30 px or more
TILES = Windows(SIZE[0], TILE, STEP).passes(*SIZE)


def boxes_of(rows: list[tuple[float, float, float, float]], labels: list[int] | None = None) -> Boxes:
    array = np.array(rows, dtype=np.float64).reshape(-1, 4)
    chosen = np.array(labels if labels is not None else [0] * len(array), dtype=np.int64)
    return Boxes(array, chosen, np.zeros(len(array), dtype=bool), np.ones(len(array)))


def seen(truth: Boxes, placements: tuple[Placement, ...], generator: torch.Generator) -> list[Detections]:
    """What a detector that knows the truth finds in each pass: whole objects and parts, with any scores."""
    found = []
    for place in placements:
        target = TASK.target(truth, place)
        scores, order = torch.rand(len(target.labels), generator=generator).sort(descending=True)
        found.append(Detections(target.boxes[order], scores, target.labels[order]))
    return found


def scattered(generator: torch.Generator, count: int, largest: float) -> Boxes:
    """Objects of up to ``largest`` px, none of which overlaps another."""
    rows: list[list[float]] = []
    while len(rows) < count:
        size = 6 + (largest - 6) * torch.rand(2, generator=generator)
        start = torch.rand(2, generator=generator) * (torch.tensor([SIZE[1], SIZE[0]]) - size)
        box = torch.cat([start, start + size])
        if not rows or box_iou(box[None], torch.tensor(rows)).max() == 0:
            rows.append(box.tolist())
    labels = torch.randint(3, (count,), generator=generator).tolist()
    return boxes_of([(a, b, c, d) for a, b, c, d in rows], labels)


def same_set(found: Detections, truth: Boxes) -> None:
    rows = torch.cat([found.boxes, found.labels[:, None].float()], dim=1).double().numpy()
    wanted = np.column_stack([truth.boxes, truth.labels])
    assert len(rows) == len(wanted)
    np.testing.assert_allclose(
        rows[np.lexsort(rows[:, :2].round(1).T)], wanted[np.lexsort(wanted[:, :2].round(1).T)], atol=1e-2
    )


@pytest.mark.parametrize("seed", range(8))
def test_objects_that_fit_in_an_overlap_are_found_once_and_whole(seed: int) -> None:
    """Whichever part of them scores best: scores are random here."""
    generator = torch.Generator().manual_seed(seed)
    truth = scattered(generator, 25, largest=20)
    found = TASK.merge(seen(truth, TILES, generator), TILES)
    TASK.check(found, SIZE)
    same_set(found, truth)


@pytest.mark.parametrize("seed", range(4))
def test_mirrored_passes_count_once(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    truth = scattered(generator, 12, largest=60)
    passes = Flipped(Canvas(128, 192)).passes(*SIZE)
    same_set(TASK.merge(seen(truth, passes, generator), passes), truth)
    tiled = Flipped(Windows(SIZE[0], TILE, STEP)).passes(*SIZE)
    small = scattered(generator, 20, largest=20)
    same_set(TASK.merge(seen(small, tiled, generator), tiled), small)


def test_one_pass_is_left_as_it_is() -> None:
    """Also boxes that overlap: what one pass reports is not suppressed again."""
    place = Canvas(120, 155).place(*SIZE)
    found = Detections(
        torch.tensor([[0.0, 0, 50, 50], [1, 0, 50, 50]]), torch.tensor([0.9, 0.8]), torch.zeros(2).long()
    )
    merged, plain = TASK.merge([found], [place]), TASK.to_image(found, place)
    for name in ("boxes", "scores", "labels"):
        assert torch.equal(getattr(merged, name), getattr(plain, name))


def brute_force(found: list[Detections]) -> list[tuple[float, ...]]:
    """Greedy suppression by IoU over all boxes of a class, written out."""
    rows = sorted(
        ((float(s), int(k), b) for one in found for b, s, k in zip(one.boxes, one.scores, one.labels, strict=True)),
        key=lambda row: -row[0],
    )
    kept: list[tuple[float, int, Tensor]] = []
    for row in rows:
        if all(row[1] != other[1] or box_iou(row[2][None], other[2][None]) <= 0.5 for other in kept):
            kept.append(row)
    return [(score, label, *box.tolist()) for score, label, box in kept[:LIMIT]]


@pytest.mark.parametrize("seed", range(5))
def test_whole_objects_are_suppressed_as_by_brute_force(seed: int) -> None:
    """Boxes that no border cuts: passes over the whole image differ only in what they find."""
    generator = torch.Generator().manual_seed(seed)
    passes = [Canvas(*SIZE).place(*SIZE)] * 4
    found = []
    for _ in passes:
        start = 250 * torch.rand(60, 2, generator=generator) * torch.tensor([1, SIZE[0] / SIZE[1]])
        boxes = torch.cat([start, start + 8 + 40 * torch.rand(60, 2, generator=generator)], dim=1)
        scores = torch.rand(60, generator=generator).sort(descending=True).values
        found.append(Detections(boxes, scores, torch.randint(2, (60,), generator=generator)))
    merged = TASK.merge(found, passes)
    mapped = [TASK.to_image(one, place) for one, place in zip(found, passes, strict=True)]
    rows = [(float(s), int(k), *b.tolist()) for b, s, k in zip(merged.boxes, merged.scores, merged.labels, strict=True)]
    assert rows == brute_force(mapped) and 0 < len(rows) <= LIMIT


def test_the_parts_of_an_object_larger_than_an_overlap() -> None:
    """No tile sees all of it: its parts share more than half of the smaller one, so the better one stands for it."""
    wide = boxes_of([(50, 20, 120, 60)])  # in tiles from 0 to 100 and from 70 to 170
    found = [
        Detections(target.boxes, torch.full((len(target.labels),), score), target.labels)
        for score, target in zip((0.6, 0.8), (TASK.target(wide, place) for place in TILES[:2]), strict=True)
    ]
    merged = TASK.merge(found, TILES[:2])
    assert merged.boxes.tolist() == [[70, 20, 120, 60]] and merged.scores.tolist() == pytest.approx([0.8])


def test_other_objects_survive_beside_a_cut_one() -> None:
    """Of another class, within a part, or overlapping in the pass that saw both."""
    first, second = TILES[:2]  # x from 0 to 100, from 70 to 170
    part = [20.0, 20, 100, 80]
    inner, other = [30.0, 30, 40, 40], [20.0, 20, 99, 80]
    found = [
        Detections(torch.tensor([part, inner, other]), torch.tensor([0.9, 0.8, 0.7]), torch.tensor([0, 0, 1])),
        Detections(torch.zeros(0, 4), torch.zeros(0), torch.zeros(0, dtype=torch.long)),
    ]
    merged = TASK.merge(found, [first, second])
    assert merged.boxes.tolist() == [part, inner, other]


def test_borders_of_the_image_cut_nothing() -> None:
    """An object that ends with the image is whole; only sides between tiles cut."""
    last = TILES[-1]
    corner = boxes_of([(SIZE[1] - 20, SIZE[0] - 20, SIZE[1], SIZE[0])])
    found = TASK.merge(seen(corner, TILES, torch.Generator().manual_seed(0)), TILES)
    assert found.boxes.tolist() == corner.boxes.tolist() and last.extent == (TILE, TILE)


def test_no_detections_in_some_or_all_passes() -> None:
    nothing = Detections(torch.zeros(0, 4), torch.zeros(0), torch.zeros(0, dtype=torch.long))
    empty = TASK.merge([nothing] * len(TILES), TILES)
    TASK.check(empty, SIZE)
    assert len(empty.scores) == 0 and empty.boxes.shape == (0, 4)
    one = Detections(torch.tensor([[30.0, 30, 60, 60]]), torch.tensor([0.5]), torch.tensor([2]))
    merged = TASK.merge([nothing] * 4 + [one] + [nothing] * (len(TILES) - 5), TILES)
    assert len(merged.scores) == 1 and merged.labels.tolist() == [2]


def test_at_most_the_limit_and_the_best() -> None:
    """Three passes find 100 objects each, all of them different ones."""
    generator = torch.Generator().manual_seed(1)
    grid = torch.tensor([(9.0 * x, 9.0 * y) for x, y in itertools.product(range(20), range(15))])
    grid = grid[torch.randperm(300, generator=generator)]
    found = []
    for corners in grid.split(100):
        scores = torch.rand(100, generator=generator).sort(descending=True).values
        found.append(Detections(torch.cat([corners, corners + 8], dim=1), scores, torch.zeros(100, dtype=torch.long)))
    merged = TASK.merge(found, [Canvas(*SIZE).place(*SIZE)] * 3)
    TASK.check(merged, SIZE)
    assert torch.equal(merged.scores, torch.cat([one.scores for one in found]).topk(LIMIT).values)
