"""Thresholds on prototypes: where they start, what a closed gate lets through, and that each is its class's own."""

import itertools

import pytest
import torch
from torchvision.ops import box_iou

from argus_core import load_head, save_head
from argus_core.detection import grid_points
from argus_core.detection.geometry import pairwise_ltrb
from argus_core.nn import ClassText
from argus_core.nn.class_text import stand_in
from argus_core.registry import HEADS
from argus_core.saving.build import build_head
from argus_core.tasks.detect import Detect
from argus_core.tokens import FeatureInfo, Features
from argus_heads.experimental.threshold_prototype import GatedClassifier, ThresholdPrototype, upper_quantile

TASK = Detect.small()
INFO = FeatureInfo.vit(24)


def make(seed=0, **options):
    torch.manual_seed(seed)
    return ThresholdPrototype(INFO, TASK, **{"width": 16, **options})


def scenes(head, images=4, canvas=(80, 112), seed=0):
    tokens, targets = TASK.example(head.info, (-1,), canvas, images, torch.Generator().manual_seed(seed))
    return tokens.features(head.needs), targets


def logits(head, features):
    with torch.no_grad():
        return torch.cat([level.cls.flatten(2) for level in head(features).levels], dim=2)  # (B, K, N)


def stirred():
    head = make().eval()
    features, targets = scenes(head)
    head.fit([(features, targets)])
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
        head.classifier.threshold.zero_()
    return head, features


def test_size():
    head = ThresholdPrototype(FeatureInfo.vit(768), Detect(classes=tuple(f"class {i}" for i in range(80))))
    assert sum(p.numel() for p in head.parameters()) == 1_931_500


def test_below_the_thresholds_nothing_is_found():
    head, features = stirred()
    with torch.no_grad():
        head.classifier.cls_bias.fill_(9)
        assert all(len(one.scores) for one in head.decode(head(features), features.size))
        head.classifier.threshold.fill_(1.01)
        assert not any(len(one.scores) for one in head.decode(head(features), features.size))


def test_raising_a_threshold_gives_nested_sets_of_its_class_alone():
    head, features = stirred()
    before, found = logits(head, features), []
    for threshold in (-0.2, 0.0, 0.1, 0.3):
        with torch.no_grad():
            head.classifier.threshold[2] = threshold
        now = logits(head, features)
        assert torch.equal(now[:, :2], before[:, :2])
        found.append(now[:, 2] > -4)
    assert all((few <= many).all() and few.sum() < many.sum() for many, few in itertools.pairwise(found))
    assert found[-1].any()


def test_a_cold_gate_is_the_hard_one():
    torch.manual_seed(0)
    classifier = GatedClassifier(16, stand_in(3, 24))
    cosines = 2 * torch.rand(1, 3, 500) - 1
    with torch.no_grad():
        classifier.threshold.copy_(torch.tensor([-0.3, 0.0, 0.4]))
        margin = cosines - classifier.threshold[:, None]
        classifier.log_temperature.fill_(-12)
        soft, hard = classifier.log_gate(margin).exp(), classifier.eval().log_gate(margin).exp()
    assert hard.min() < 1e-8 and hard.max() == 1
    torch.testing.assert_close(soft, hard, atol=1e-6, rtol=0)


def test_gradients_are_finite_at_the_threshold():
    classifier = GatedClassifier(16, stand_in(3, 24))
    x = torch.randn(1, 16, 1, 1)
    with torch.no_grad():
        classifier.threshold.copy_(classifier.cosines(x.flatten(2))[0, :, 0])
    classifier(x).sum().backward()
    assert all(p.grad.isfinite().all() for p in classifier.parameters())
    assert (classifier.threshold.grad < 0).all() and classifier.cls_project.weight.grad.any()


def test_thresholds_start_where_one_in_a_thousand_of_the_background_passes():
    head = make().eval()
    features, targets = scenes(head, images=24, canvas=(128, 192))
    with torch.no_grad():
        # Scenes of one batch share their class vectors, so half of them is held out.
        train, held = ((Features((features.map[s],), (), features.extent[s], features.size), targets[s])
                       for s in (slice(0, 12), slice(12, None)))  # fmt: skip
        head.fit([train])
        assert torch.equal(head.classifier.log_temperature, make().classifier.log_temperature)
        for (view, of), most in ((train, 1e-3), (held, 4e-3)):
            levels = head(view).levels
            points = grid_points([tuple(x.cls.shape[2:]) for x in levels], head.strides)
            inside = torch.stack([(pairwise_ltrb(points.xy, t.boxes) > 0).all(-1).any(1) for t in of])
            background = points.within(view.extent) & ~inside
            fires = (logits(head, view) > -10).transpose(1, 2)[background]  # (N, K): an open gate
            assert len(fires) > 3000 and (fires.float().mean(dim=0) <= most).all()
        assert fires.shape[1] == 3


def test_quantiles_of_a_histogram_are_those_of_the_numbers():
    counts = torch.zeros(3, 10, dtype=torch.long)
    counts[0, [2, 9]] = torch.tensor([999, 1])
    counts[1, [2, 9]] = torch.tensor([998, 2])
    torch.testing.assert_close(upper_quantile(counts, 1e-3), torch.tensor([-0.4, 1.0, -1.0]))


def test_planted_objects_are_found():
    head = make(width=32)
    features, targets = scenes(head, images=2, canvas=(96, 128))
    head.fit([(features, targets)])
    optimizer = torch.optim.AdamW(head.parameters(), lr=4e-3)
    for _ in range(60):
        optimizer.zero_grad()
        sum(head.loss(head(features), targets).values()).backward()
        optimizer.step()
    with torch.no_grad():
        found = head.eval().decode(head(features), (96, 128))
    for one, target in zip(found, targets, strict=True):
        sure = one.scores > 0.4
        fits = box_iou(target.boxes, one.boxes[sure]) * (target.labels[:, None] == one.labels[sure])
        assert (fits.amax(dim=1) > 0.5).all()


@pytest.mark.parametrize("text", [False, True])
def test_an_added_class_has_a_threshold_and_travels_with_the_file(tmp_path, text):
    ClassText(TASK.classes, stand_in(4, 24)[1:], "m", ()).save(tmp_path / "text.safetensors")
    options = {"width": 16, **({"text": tmp_path / "text.safetensors"} if text else {})}
    HEADS.register("detect.threshold_under_test", ThresholdPrototype)
    try:
        head = build_head("detect.threshold_under_test", INFO, TASK, options).eval()
        features, targets = scenes(head)
        head.fit([(features, targets)])
        assert torch.allclose(head.classifier.vectors, stand_in(4, 24)[1:]) is text
        before = logits(head, features)
        head.add_class("cross", stand_in(5, 24)[4])
        save_head(tmp_path / "head.safetensors", head, {})
        loaded, _ = load_head(tmp_path / "head.safetensors")
    finally:
        HEADS.unregister("detect.threshold_under_test")
    assert loaded.task.classes == (*TASK.classes, "cross")
    torch.testing.assert_close(loaded.classifier.threshold[3], head.classifier.threshold[:3].mean())
    torch.testing.assert_close(logits(loaded, features)[:, :3], before, atol=1e-5, rtol=1e-5)
