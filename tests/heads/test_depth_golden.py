"""Losses, bins and errors of depth give the published numbers."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest
import torch

from argus_core.nn import SigLoss, decode_bins
from argus_core.tasks.depth import Depth, DepthMap
from argus_core.tasks.depth.metric import eigen_box

GOLDEN = Path(__file__).resolve().parents[2].parent / "shared" / "golden"
SEED = 7
NAMES = {"a1": "delta1", "a2": "delta2", "a3": "delta3", "log_10": "log10"}


@pytest.fixture(scope="module")
def noise():
    """``noise(name, shape)`` of the recipe that the published numbers were computed on."""
    if not GOLDEN.exists():
        pytest.skip("the published evaluation numbers are not here")
    spec = importlib.util.spec_from_file_location("golden_recipe", GOLDEN / "golden_recipe.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return lambda name, shape: module.unit_noise(name, shape, SEED)


@pytest.fixture(scope="module")
def values(noise):
    return json.loads((GOLDEN / "eval_reference_values.json").read_text())


@pytest.fixture(scope="module")
def maps(noise):
    """Predicted and true depth (2, 48, 64); five rows of the first image are unknown."""
    shape = (2, 1, 48, 64)
    truth = 0.2 + 3 * noise("depth-gt", shape).abs()
    depth = truth * (1 + 0.2 * noise("depth-pr", shape))
    truth[0, :, :5] = 0
    return depth[:, 0], truth[:, 0]


def test_bins(noise, values):
    logits = 2 * noise("depth-logits", (1, 256, 4, 4))
    wanted = torch.tensor(values["features_to_depth"]).reshape(1, 4, 4)
    torch.testing.assert_close(decode_bins(logits, 0.001, 10.0), wanted, rtol=1e-6, atol=0)
    middle = decode_bins(torch.zeros(1, 256, 1, 1), 0.001, 10.0).item()
    assert middle == pytest.approx(values["features_to_depth_zero_logits"], rel=1e-6)


def test_sigloss(maps, values):
    depth, truth = maps
    crop = torch.zeros_like(truth)
    crop[(slice(None), *eigen_box(48, 64))] = 1
    criterion = SigLoss()
    losses = [criterion(depth, truth * crop).item() for _ in range(101)]
    assert losses[:100] == pytest.approx([values["sigloss_warm"]] * 100, rel=1e-6)
    assert losses[100] == pytest.approx(values["sigloss_full"], rel=1e-6)


def test_errors_in_eigens_crop(maps, values):
    metric = Depth().metric(average="pixel", eigen=True)
    for index, (depth, truth) in enumerate(zip(*maps, strict=True)):
        metric.update(str(index), DepthMap(depth, torch.zeros(48, 64)), truth.numpy())
    found = metric.compute()
    for name, wanted in values["depth_metrics"].items():
        assert found[NAMES.get(name, name)] == pytest.approx(wanted, rel=1e-6), name
    assert set(found) == {NAMES.get(name, name) for name in values["depth_metrics"]}


def test_eigens_crop(maps, values):
    rows, cols = eigen_box(480, 640)
    assert [rows.start, rows.stop, cols.start, cols.stop] == values["eigen_480x640"]
    assert (maps[1][(slice(None), *eigen_box(48, 64))] > 0).sum() == values["eigen_mask_sum_48x64"]
