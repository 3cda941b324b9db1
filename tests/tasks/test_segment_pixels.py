"""Labels and confidence of image pixels, against the plain definition in float64: enlarge all classes, softmax."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from argus_core.canvas import Canvas, Flipped, Framing, Windows
from argus_core.tasks.segment import ClassMaps, Segment, Segmentation
from dense_help import larger, plain_image

FRAMINGS = [Canvas(96), Canvas(64, fit="crop"), Flipped(Canvas(96)), Flipped(Windows(64, 64, 40))]
CASES = [((72, 96), 150), ((72, 96), 1), ((120, 90), 2), ((5, 160), 3), ((161, 3), 20)]


def answer(maps: list[torch.Tensor], stride: int, framing: Framing, size: tuple[int, int]) -> Segmentation:
    task = Segment(classes=tuple(map(str, range(len(maps[0])))), ignore=65535)
    return task.merge([ClassMaps(one, stride) for one in maps], framing.passes(*size))


def check(maps: list[torch.Tensor], stride: int, framing: Framing, size: tuple[int, int]) -> None:
    """Both are those of the definition: labels where float32 can tell the two best classes apart."""
    found = answer(maps, stride, framing, size)
    plain = plain_image(maps, stride, framing.passes(*size))
    seen, largest = found.labels != 65535, max(float(one.abs().max()) for one in maps)
    rounding = 4e-7 * largest
    confidence = plain.softmax(0).amax(0)
    torch.testing.assert_close(found.confidence.double()[seen], confidence[seen], atol=max(1e-6, rounding / 2), rtol=0)
    best = plain.topk(min(2, len(plain)), dim=0).values
    sure = seen & (best[0] - best[-1] > rounding) if len(plain) > 1 else seen
    assert sure.sum() >= 0.999 * seen.sum() - 1
    assert torch.equal(found.labels[sure], plain.argmax(0)[sure])
    # Elsewhere it is one of those that are as good.
    chosen = plain.gather(0, found.labels.where(seen, 0)[None])[0]
    assert (best[0] - chosen)[seen].max() <= rounding


def grids(framing: Framing, size: tuple[int, int], stride: int) -> list[list[int]]:
    return [[-(-n // stride) for n in place.canvas_size] for place in framing.passes(*size)]


@pytest.mark.parametrize("framing", FRAMINGS, ids=repr)
@pytest.mark.parametrize(("size", "classes"), CASES)
def test_pixels_have_the_class_and_the_confidence_of_the_definition(framing, size, classes) -> None:
    random = torch.Generator().manual_seed(classes)
    check([3 * torch.randn(classes, *grid, generator=random) for grid in grids(framing, size, 16)], 16, framing, size)


@pytest.mark.parametrize("scale", [1e-30, 1e-6, 1e-2, 1, 10, 100, 1e4])
def test_logits_from_tiny_to_huge(scale) -> None:
    random = torch.Generator().manual_seed(0)
    check([scale * torch.randn(20, 6, 8, generator=random)], 16, Canvas(96, 128), (100, 133))


def test_a_thousand_classes() -> None:
    check([torch.randn(1000, 3, 4, generator=torch.Generator().manual_seed(0))], 16, Canvas(48, 64), (60, 80))


def test_smooth_maps_as_of_a_trained_head() -> None:
    rough = torch.randn(40, 3, 4, generator=torch.Generator().manual_seed(0))
    check([(8 * larger(rough, (12, 16)) - 4).float()], 8, Canvas(96, 128), (200, 266))


def test_a_class_that_wins_only_between_cells() -> None:
    """Neighbours are sure of different classes, and a third one is second everywhere."""
    checks = (torch.arange(6)[:, None] + torch.arange(8)) % 2
    maps = torch.stack([10.0 * checks, 10.0 * (1 - checks), torch.full((6, 8), 6.0)])
    check([maps], 16, Canvas(96, 128), (96, 128))
    assert (answer([maps], 16, Canvas(96, 128), (96, 128)).labels == 2).float().mean() > 0.2


def test_of_equal_classes_the_first_counts() -> None:
    one = torch.randn(4, 6, 8, generator=torch.Generator().manual_seed(0))
    found = answer([one.repeat(9, 1, 1)], 16, Canvas(96, 128), (100, 133))
    single = answer([one], 16, Canvas(96, 128), (100, 133))
    assert torch.equal(found.labels, single.labels)
    torch.testing.assert_close(found.confidence, single.confidence / 9, atol=1e-7, rtol=1e-6)
    flat = answer([torch.zeros(7, 6, 8)], 16, Canvas(96, 128), (100, 133))
    assert not flat.labels.any() and torch.allclose(flat.confidence, torch.tensor(1 / 7))


def test_ties_at_cell_centres_go_to_the_first_class() -> None:
    """Logits in steps, as of an 8-bit head, are often exactly equal; weights of a half are exact, too."""
    steps = torch.randint(-8, 8, (30, 6, 8), generator=torch.Generator().manual_seed(0)) / 4
    found = answer([steps], 2, Canvas(12, 16), (12, 16))
    logits = F.interpolate(steps[None], scale_factor=2, mode="bilinear", align_corners=False)[0]
    assert torch.equal(found.labels, logits.argmax(0))


def test_logits_that_are_not_numbers_give_a_class_that_exists() -> None:
    maps = torch.randn(5, 6, 8, generator=torch.Generator().manual_seed(0))
    maps[2, 3, 4] = torch.nan
    labels = answer([maps], 16, Canvas(96, 128), (96, 128)).labels
    assert labels.min() >= 0 and labels.max() < 5
