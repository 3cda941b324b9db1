"""Errors of depth: by hand, against torchmetrics, in parts, and where nothing is known."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch

from argus_core.errors import ArgusError
from argus_core.tasks.depth import Depth, DepthMap

TASK = Depth()


def answer(depth):
    return DepthMap(torch.as_tensor(depth, dtype=torch.float32), torch.zeros(np.shape(depth)))


def scored(images, **options):
    """The scores of (prediction, truth) pairs."""
    metric = TASK.metric(**options)
    for index, (depth, truth) in enumerate(images):
        metric.update(f"{index:03}", answer(depth), np.asarray(truth, dtype=np.float32))
    return metric.compute()


def images(count, seed=0):
    generator = np.random.default_rng(seed)
    for _ in range(count):
        size = generator.integers(3, 40, 2)
        truth = generator.uniform(0.2, 12, size).astype(np.float32)
        depth = np.clip(truth * generator.uniform(0.6, 1.5, size), 0.001, 10).astype(np.float32)
        truth[generator.random(size) < 0.2] = 0
        yield depth, truth


def test_by_hand():
    found = scored([([[2.0, 4.0], [1.0, 9.0]], [[1.0, 5.0], [1.0, 0.0]])])
    logs = [math.log(2), math.log(0.8), 0.0]
    mean = sum(logs) / 3
    wanted = {
        "abs_rel": (1 + 0.2 + 0) / 3,
        "rmse": math.sqrt((1 + 1) / 3),
        "delta1": 1 / 3,  # 5 / 4 is not below 1.25
        "delta2": 2 / 3,
        "delta3": 2 / 3,
        "log10": (math.log10(2) + math.log10(1.25)) / 3,
        "rmse_log": math.sqrt(sum(x * x for x in logs) / 3),
        "silog": 100 * math.sqrt(sum(x * x for x in logs) / 3 - mean * mean),
        "sq_rel": (1 + 0.2) / 3,
        "mae": 2 / 3,
    }
    assert found == pytest.approx(wanted, rel=1e-6) and list(found) == list(wanted)


def test_images_count_alike_or_pixels_do():
    pair = [([[2.0] * 9], [[1.0] * 9]), ([[1.0]], [[1.0]])]
    assert scored(pair)["abs_rel"] == 0.5 and scored(pair, average="pixel")["abs_rel"] == 0.9
    assert scored(pair)["rmse"] == 0.5 and scored(pair, average="pixel")["rmse"] == pytest.approx(math.sqrt(0.9))


def test_only_pixels_in_range_are_scored_and_predictions_are_clamped():
    truth = [[0.0, 0.001, 10.0, 50.0, np.nan, np.inf, -3.0, 2.0, 8.0]]
    found = scored([([[5.0] * 7 + [1.0, 99.0]], truth)])
    assert found["mae"] == pytest.approx(1.5) and found["abs_rel"] == pytest.approx(0.375)


def test_where_no_pass_looked_counts_as_nearest():
    assert scored([([[0.0, 2.0]], [[2.0, 2.0]])])["mae"] == pytest.approx((2 - TASK.low) / 2)


@pytest.mark.parametrize("average", ["image", "pixel"])
def test_torchmetrics_agrees_on_what_it_has(average):
    from torchmetrics.regression import MeanAbsoluteError, MeanAbsolutePercentageError, MeanSquaredError

    pairs = list(images(5))
    known = [(t > TASK.low) & (t < TASK.high) for _, t in pairs]
    parts = [(torch.from_numpy(d[k]), torch.from_numpy(t[k])) for (d, t), k in zip(pairs, known, strict=True)]
    if average == "pixel":
        parts = [tuple(map(torch.cat, zip(*parts, strict=True)))]
    logs = [(depth.log(), truth.log()) for depth, truth in parts]
    peers = {
        "abs_rel": (MeanAbsolutePercentageError(), parts),
        "mae": (MeanAbsoluteError(), parts),
        "rmse": (MeanSquaredError(squared=False), parts),
        "rmse_log": (MeanSquaredError(squared=False), logs),
        "log10": (MeanAbsoluteError(), [(a / math.log(10), b / math.log(10)) for a, b in logs]),
    }
    found = scored(pairs, average=average)
    for name, (peer, values) in peers.items():
        assert found[name] == pytest.approx(np.mean([peer(*pair).item() for pair in values]), rel=1e-5), name


@pytest.mark.parametrize("average", ["image", "pixel"])
def test_the_perfect_answer(average):
    pairs = [(t.clip(TASK.low, TASK.high), t) for _, t in images(4)]
    found = scored(pairs, average=average)
    assert [found[f"delta{n}"] for n in (1, 2, 3)] == [1, 1, 1]
    assert all(value == 0 for name, value in found.items() if "delta" not in name)


@pytest.mark.parametrize("options", [{}, {"average": "pixel"}, {"eigen": True}])
def test_no_order_and_no_division_matters(options):
    pairs = {f"image {n}": pair for n, pair in enumerate(images(12))}
    whole = TASK.metric(**options)
    for key, (depth, truth) in pairs.items():
        whole.update(key, answer(depth), truth)
    parts = [TASK.metric(**options) for _ in range(3)]
    for n, (key, (depth, truth)) in enumerate(reversed(pairs.items())):
        parts[n % 3].update(key, answer(depth), truth)
    union = TASK.metric(**options)
    union.merge([json.loads(json.dumps(part.state())) for part in parts])
    assert union.compute() == whole.compute()


def test_an_image_counts_once():
    metric, depth = TASK.metric(), [[1.0]]
    metric.update("a", answer(depth), np.ones((1, 1), np.float32))
    with pytest.raises(ArgusError, match="twice"):
        metric.update("a", answer(depth), np.ones((1, 1), np.float32))
    with pytest.raises(ArgusError, match="twice"):
        metric.merge([metric.state(), metric.state()])


@pytest.mark.parametrize("average", ["image", "pixel"])
def test_unknown_images_are_not_scored(average):
    nothing = ([[3.0, 3.0]], [[0.0, np.nan]])
    assert all(math.isnan(value) for value in scored([nothing], average=average).values())
    assert all(math.isnan(value) for value in scored([], average=average).values())
    some = ([[3.0]], [[2.0]])
    assert scored([some, nothing], average=average) == scored([some], average=average)
    assert list(scored([])) == list(scored([some]))


def test_eigens_crop_hides_the_frame():
    truth = np.full((480, 640), 2.0, np.float32)
    depth = np.full((480, 640), 8.0, np.float32)
    depth[45:471, 41:601] = 2.0
    assert scored([(depth, truth)], eigen=True)["mae"] == 0
    depth[45, 41] = depth[470, 600] = 3.0
    assert scored([(depth, truth)], eigen=True)["mae"] == pytest.approx(2 / (426 * 560))
    assert scored([(depth, truth)])["mae"] > 0.1


def test_protocols_tell_the_options_apart():
    names = {
        (average, eigen): TASK.metric(average=average, eigen=eigen).protocol
        for average in ("image", "pixel")
        for eigen in (False, True)
    }
    assert names == {
        ("image", False): "depth-image-1",
        ("image", True): "depth-image-eigen-1",
        ("pixel", False): "depth-pixel-1",
        ("pixel", True): "depth-pixel-eigen-1",
    }
    metric = TASK.metric()
    assert metric.primary == "abs_rel" and not metric.higher_is_better


def test_wrong_use_is_refused():
    with pytest.raises(ArgusError, match="average"):
        TASK.metric(average="batch")
    with pytest.raises(ArgusError, match="predicted for"):
        TASK.metric().update("a", answer(np.ones((2, 3))), np.ones((3, 2), np.float32))
