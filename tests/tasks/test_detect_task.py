"""The detection task: geometry of targets and predictions, the check, and the planted scenes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from argus_core.canvas import Canvas
from argus_core.errors import ArgusError
from argus_core.tasks.detect import Boxes, Detect, Detections
from argus_core.tokens import FeatureInfo, cell_mask

TASK = Detect.small()
CANVAS = (96, 160)
GOOD = Detections(
    torch.tensor([[0.0, 0.0, 160.0, 96.0], [5.0, 6.0, 7.0, 8.0]]), torch.tensor([0.9, 0.2]), torch.tensor([2, 0])
)


def truth(*boxes: tuple[float, float, float, float], label: int = 1) -> Boxes:
    array = np.array(boxes, dtype=np.float64).reshape(-1, 4)
    count = len(array)
    return Boxes(array, np.full(count, label), np.zeros(count, dtype=bool), np.ones(count))


@pytest.mark.parametrize("fit", ["letterbox", "stretch", "crop"])
@pytest.mark.parametrize("mirrored", [False, True])
def test_target_and_back(fit: str, mirrored: bool) -> None:
    placement = Canvas(96, 160, fit=fit).place(200, 250)
    placement = placement.mirror() if mirrored else placement
    annotated = truth((100, 80, 150, 120), (110.5, 60.25, 130, 140))
    target = TASK.target(annotated, placement)
    assert target.boxes.dtype == torch.float32 and target.labels.tolist() == [1, 1]
    assert target.crowd.tolist() == [False, False]
    height, width = placement.extent
    assert (target.boxes >= 0).all() and (target.boxes <= torch.tensor([width, height] * 2)).all()
    back = TASK.to_image(Detections(target.boxes, torch.ones(2), target.labels), placement)
    np.testing.assert_allclose(back.boxes.numpy(), annotated.boxes, atol=1e-3)


def test_a_crop_leaves_out_what_it_cut_away() -> None:
    placement = Canvas(100, fit="crop").place(100, 300)  # shows x from 100 to 200
    annotated = truth((0, 0, 100, 50), (90, 10, 120, 60), (210, 0, 300, 90), (150, 20, 160, 30))
    target = TASK.target(replace(annotated, labels=np.array([0, 1, 2, 0])), placement)
    assert target.boxes.tolist() == [[0, 10, 20, 60], [50, 20, 60, 30]]
    assert target.labels.tolist() == [1, 0]


def test_an_image_without_annotations() -> None:
    target = TASK.target(truth(), Canvas(64).place(30, 40))
    assert target.boxes.shape == (0, 4) and target.labels.dtype == torch.int64 and target.crowd.dtype == torch.bool


def test_predictions_are_clipped_to_the_image() -> None:
    placement = Canvas(100).place(50, 100)  # padded below 50
    found = TASK.to_image(Detections(torch.tensor([[-5.0, 10, 120, 90]]), torch.ones(1), torch.zeros(1)), placement)
    assert found.boxes.tolist() == [[0, 10, 100, 50]]


@pytest.mark.parametrize("classes, said", [((), "one or more"), (("a", "a"), "distinct")], ids=["none", "twice"])
def test_classes_must_be_distinct(classes: tuple[str, ...], said: str) -> None:
    with pytest.raises(ArgusError, match=said):
        Detect(classes=classes)


def test_labels_must_fit_the_classes() -> None:
    with pytest.raises(ArgusError, match=r"\{3\} do not fit the 3 classes"):
        TASK.target(truth((0, 0, 9, 9), label=3), Canvas(64).place(64, 64))


def test_good_predictions_pass() -> None:
    TASK.check(GOOD, CANVAS)
    TASK.check(Detections(torch.zeros(0, 4), torch.zeros(0), torch.zeros(0, dtype=torch.long)), CANVAS)


@pytest.mark.parametrize(
    "change, reason",
    [
        ({"scores": torch.tensor([0.2, 0.9])}, "sorted"),
        ({"scores": torch.tensor([1.2, 0.9])}, r"0\.\.1"),
        ({"scores": torch.tensor([0.9])}, "scores"),
        ({"scores": torch.tensor([0.9, float("nan")])}, "finite"),
        ({"labels": torch.tensor([3, 0])}, "classes"),
        ({"labels": torch.tensor([1.0, 0.0])}, "integers"),
        ({"labels": torch.tensor([1])}, "labels"),
        ({"boxes": torch.tensor([[0.0, 0.0, 161.0, 9.0]] * 2)}, "canvas"),
        ({"boxes": torch.tensor([[0.0, -1.0, 16.0, 9.0]] * 2)}, "canvas"),
        ({"boxes": torch.tensor([[9.0, 0.0, 1.0, 9.0]] * 2)}, "x1, y1"),
        ({"boxes": torch.zeros(2, 5)}, "boxes are"),
    ],
)
def test_bad_predictions_do_not(change: dict[str, torch.Tensor], reason: str) -> None:
    with pytest.raises(AssertionError, match=reason):
        TASK.check(replace(GOOD, **change), CANVAS)


def test_too_many_predictions() -> None:
    many = Detections(torch.zeros(101, 4), torch.ones(101), torch.zeros(101, dtype=torch.long))
    with pytest.raises(AssertionError, match="at most 100"):
        TASK.check(many, CANVAS)


@pytest.mark.parametrize("info", [FeatureInfo.vit(24), FeatureInfo((8, 16, 24, 24), (4, 8, 16, 32), prefix=0)])
def test_example_scenes(info: FeatureInfo) -> None:
    tokens, targets = TASK.example(info, (1, -1), CANVAS, 8, torch.Generator().manual_seed(3))
    layers = [1, info.depth - 1]
    assert sorted(tokens.maps) == layers and len(targets) == len(tokens) == 8
    assert len({tuple(e) for e in tokens.extent.tolist()}) == 3  # whole, narrower, lower
    for layer in layers:
        grid = info.grid(CANVAS, layer)
        assert tokens.maps[layer].shape == (8, info.channels[layer], *grid)
        assert tokens.prefix[layer].shape == (8, max(1, info.prefix), info.channels[layer])
        holds = cell_mask(tokens.extent, info.strides[layer], grid)
        assert ((tokens.maps[layer] != 0).any(1, keepdim=True) == holds).all() and not holds.all()
    for target, extent in zip(targets, tokens.extent, strict=True):
        assert 1 <= len(target.boxes) <= 3 and (target.labels < 3).all()
        assert (target.boxes[:, :2] >= 0).all() and (target.boxes[:, 2:] <= extent.flip(0)).all()


def test_example_plants_the_classes() -> None:
    """Least squares on the cells tells which share of a cell each class covers."""
    info = FeatureInfo.vit(24)
    tokens, targets = TASK.example(info, (-1,), CANVAS, 16, torch.Generator().manual_seed(0))
    cells = tokens.maps[11].permute(0, 2, 3, 1).reshape(-1, 24)
    wanted = torch.zeros(16, 6, 10, 3)
    for image, target in zip(wanted, targets, strict=True):
        for box, label in zip(target.boxes, target.labels, strict=True):
            y, x = (
                (torch.minimum(box[k + 2], e + 16) - torch.maximum(box[k], e)).clamp(min=0) / 16
                for k, e in ((1, torch.arange(6) * 16), (0, torch.arange(10) * 16))
            )
            image[..., label] += y[:, None] * x
    fit = torch.linalg.lstsq(cells, wanted.reshape(-1, 3)).solution
    assert (cells @ fit - wanted.reshape(-1, 3)).abs().max() < 0.2


def test_example_depends_on_the_seed_alone() -> None:
    first, second, other = (
        TASK.example(FeatureInfo.vit(8), (-1,), CANVAS, 2, torch.Generator().manual_seed(s)) for s in (1, 1, 2)
    )
    assert torch.equal(first[0].maps[11], second[0].maps[11])
    assert not torch.equal(first[0].maps[11], other[0].maps[11])


def test_heads_bring_their_own_loss_and_decoding() -> None:
    for call in (lambda: TASK.decode(None, CANVAS), lambda: TASK.loss(None, [])):
        with pytest.raises(NotImplementedError):
            call()
