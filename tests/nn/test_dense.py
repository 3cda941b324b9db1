"""What every dense head inherits: oracle round trip, learning, padding, precision, independence of images."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from argus_core.detection import (
    ATSS,
    Assigner,
    DenseHead,
    DenseOutput,
    FCOSAssigner,
    Level,
    assign,
    boxes_to_ltrb,
    centerness,
)
from argus_core.tasks.detect import Boxes, BoxTarget, Detect
from argus_core.tokens import FeatureInfo, Features, Needs

INFO, TASK, CANVAS = FeatureInfo.vit(48), Detect.small(), (128, 160)


class Plain(DenseHead):
    """The smallest dense head: one convolution, shared by three levels."""

    strides = (8, 16, 32)

    def __init__(self, info: FeatureInfo, task: Detect) -> None:
        super().__init__(info, task)
        self.classes = len(task.classes)
        self.finer = nn.ConvTranspose2d(info.channels[-1], info.channels[-1], 2, 2)
        self.answer = nn.Conv2d(info.channels[-1], self.classes + 5, 3, padding=1)

    def forward(self, features: Features) -> DenseOutput:
        x = features.map
        levels = [
            self._level(self.answer(y), s)
            for y, s in zip((self.finer(x), x, F.avg_pool2d(x, 2, ceil_mode=True)), self.strides, strict=True)
        ]
        return DenseOutput(tuple(levels), self.strides, features.extent)

    def _level(self, y: Tensor, stride: int) -> Level:
        cls, ltrb, quality = y.split([self.classes, 4, 1], dim=1)
        return Level(cls - 3, F.softplus(ltrb) * 2 * stride, quality)


def head(seed: int = 0) -> Plain:
    torch.manual_seed(seed)
    return Plain(INFO, TASK)


def batch(images: int = 4, seed: int = 0) -> tuple[Features, list[BoxTarget]]:
    generator = torch.Generator().manual_seed(seed)
    tokens, targets = TASK.example(INFO, (-1,), CANVAS, images, generator)
    return tokens.features(Needs()), targets


def oracle(like: DenseOutput, targets: list[BoxTarget], assigner: Assigner) -> DenseOutput:
    """The output that says exactly what the assigner asks for."""
    points = like.points()
    cls, ltrb, quality = (torch.full_like(x, v) for x, v in zip(like.flat(), (-20.0, 1.0, -20.0), strict=True))
    for i, target in enumerate(targets):
        matched = assign(assigner, points, target, like.extent[i])
        positive = matched >= 0
        distances = boxes_to_ltrb(points.xy[positive], target.boxes[matched[positive]])
        cls[i, positive, target.labels[matched[positive]]] = 20
        ltrb[i, positive] = distances
        quality[i, positive] = centerness(distances).clamp(1e-4, 1 - 1e-4).logit()
    parts = []
    for index, level in enumerate(like.levels):
        h, w = level.cls.shape[2:]
        here = points.level == index
        maps = (
            x.flatten(2).transpose(1, 2).unflatten(2, (h, w))
            for x in (cls[:, here], ltrb[:, here], quality[:, here, None])
        )
        parts.append(Level(*maps))
    return replace(like, levels=tuple(parts))


@pytest.mark.parametrize("assigner", [ATSS(), FCOSAssigner(bounds=(0, 64, 128, float("inf")))])
def test_oracle_round_trip(assigner: Assigner) -> None:
    model, (features, targets) = head(), batch(8)
    output = oracle(model(features), targets, assigner)
    for found, target in zip(model.decode(output, CANVAS), targets, strict=True):
        assert len(found.scores) == len(target.boxes)
        order = torch.cdist(target.boxes, found.boxes, p=1).argmin(dim=1)
        torch.testing.assert_close(found.boxes[order], target.boxes, atol=1e-3, rtol=0)
        assert torch.equal(found.labels[order], target.labels)
    model.assigner = assigner
    terms = model.loss(output, targets)
    assert terms["cls"] < 1e-3 and terms["box"] < 1e-4


def test_learns_planted_scenes() -> None:
    model, (features, targets) = head(), batch(3)
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    for _ in range(60):
        optimizer.zero_grad()
        sum(model.loss(model(features), targets).values()).backward()
        optimizer.step()
    metric = TASK.metric()
    for i, (found, target) in enumerate(zip(model.decode(model(features), CANVAS), targets, strict=True)):
        TASK.check(found, CANVAS)
        boxes = target.boxes.double().numpy()
        area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
        metric.update(str(i), found, Boxes(boxes, target.labels.numpy(), target.crowd.numpy(), area))
    assert metric.compute()["AP50"] > 0.8


def test_images_do_not_influence_each_other() -> None:
    model, (features, targets) = head(), batch(4)
    output, order = model(features), [2, 0, 3, 1]
    shuffled = DenseOutput(
        tuple(Level(v.cls[order], v.ltrb[order], v.quality[order]) for v in output.levels),
        output.strides,
        output.extent[order],
    )
    model.decoding = replace(model.decoding, score=0.01)
    plain, permuted = model.decode(output, CANVAS), model.decode(shuffled, CANVAS)
    for i, found in zip(order, permuted, strict=True):
        assert torch.equal(found.boxes, plain[i].boxes) and torch.equal(found.scores, plain[i].scores)
    again = model.loss(shuffled, [targets[i] for i in order])
    for name, term in model.loss(output, targets).items():
        torch.testing.assert_close(again[name], term)


def test_what_padding_says_does_not_matter() -> None:
    model, (features, targets) = head(), batch(4)
    output = model(features)
    noisy = []
    for level, stride in zip(output.levels, output.strides, strict=True):
        h, w = level.cls.shape[2:]
        y, x = (torch.arange(h) + 0.5) * stride, (torch.arange(w) + 0.5) * stride
        away = (y[:, None] >= output.extent[:, :1, None]) | (x >= output.extent[:, 1:, None])
        noisy.append(Level(*(torch.where(away[:, None], 9.0, v) for v in (level.cls, level.ltrb, level.quality))))
    loud = replace(output, levels=tuple(noisy))
    assert model.loss(loud, targets) == model.loss(output, targets)
    for a, b in zip(model.decode(loud, CANVAS), model.decode(output, CANVAS), strict=True):
        assert torch.equal(a.boxes, b.boxes)


@pytest.mark.parametrize("crowd", [False, True])
def test_without_objects_every_parameter_still_has_a_gradient(crowd: bool) -> None:
    model, (features, targets) = head(), batch(4)
    count = 1 if crowd else 0
    nothing = [BoxTarget(t.boxes[:count], t.labels[:count], torch.ones(count, dtype=torch.bool)) for t in targets]
    terms = model.loss(model(features), nothing)
    assert terms["cls"] > 0 and terms["box"] == terms["quality"] == 0
    sum(terms.values()).backward()
    for parameter in model.parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all()


def test_losses_are_float32_under_autocast() -> None:
    model, (features, targets) = head(), batch(2)
    with torch.autocast("cpu", torch.bfloat16):
        output = model(features)
        terms = model.loss(output, targets)
        found = model.decode(output, CANVAS)
    assert output.levels[0].cls.dtype == torch.bfloat16
    assert all(term.dtype == torch.float32 and term.isfinite() for term in terms.values())
    assert found[0].boxes.dtype == found[0].scores.dtype == torch.float32


def test_knobs() -> None:
    class Weighted(Plain):
        box_weight = 2.0

        def extra_loss(self, output: DenseOutput, targets: list[BoxTarget], matched: Tensor) -> dict[str, Tensor]:
            return {"more": output.levels[0].cls.mean()}

    features, targets = batch(2)
    model = head()
    other = Weighted(INFO, TASK)
    other.load_state_dict(model.state_dict())
    plain, weighted = (m.loss(m(features), targets) for m in (model, other))
    assert weighted["box"] == 2 * plain["box"] and weighted["cls"] == plain["cls"]
    assert set(weighted) - set(plain) == {"more"}


def test_soft_suppression_by_option() -> None:
    model, (features, _) = head(), batch(2)
    output = model(features)
    model.decoding = replace(model.decoding, score=0.3)
    hard = model.decode(output, CANVAS)
    model.decoding = replace(model.decoding, soft=True)
    for a, b in zip(hard, model.decode(output, CANVAS), strict=True):
        TASK.check(b, CANVAS)
        assert len(b.scores) > len(a.scores) > 0 and b.scores[0] == a.scores[0]
