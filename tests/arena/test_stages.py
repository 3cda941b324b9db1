"""A stage trains what it names, and leaves all else as it is."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from argus_arena.distributed import Distributed
from argus_arena.run.phases import Phase
from argus_arena.training.trial import Trial
from argus_core.recipe import Recipe
from argus_core.tasks.segment import Segment
from argus_core.tokens import FeatureInfo
from argus_heads.linear_segment import LinearSegmenter

ALONE = Distributed(0, 1, torch.device("cpu"))


class Deep(LinearSegmenter):
    """Statistics without parameters, and a part with several modules."""

    def __init__(self, info, task):
        super().__init__(info, task, dropout=0.5)
        self.tap_norm = nn.Sequential(nn.BatchNorm2d(24, affine=False))
        self.tower = nn.Sequential(nn.Dropout(0.5), nn.Conv2d(24, 24, 1), nn.BatchNorm2d(24))
        self.noise = []

    def forward(self, features):
        self.noise.append([one.training for one in (self, self.dropout, self.tower, self.tower[0])])
        from dataclasses import replace

        return super().forward(replace(features, maps=(self.tower(self.tap_norm(features.map)),)))


def trained(only, ema=0.0):
    torch.manual_seed(0)
    head = Deep(FeatureInfo.vit(24), Segment.small())
    tokens, targets = head.task.example(head.info, [11], (64, 96), 4, torch.Generator().manual_seed(0))
    trial = Trial("", 1.0, head, Recipe(ema=ema), ALONE)
    trial.begin(Phase(0, 3, 1e-3, only))
    before = copy.deepcopy(head.state_dict())
    for step in range(3):
        trial.step(step, tokens.features(head.needs), targets)
    changed = {name for name, value in head.state_dict().items() if not torch.equal(value, before[name])}
    return head, trial, changed


@pytest.mark.parametrize("ema", [0.0, 0.9])
def test_statistics_stay_where_a_stage_trains_something_else(ema):
    head, trial, changed = trained(("classify",), ema)
    assert changed == {"classify.weight", "classify.bias"}
    assert head.noise == [[True, False, False, False]] * 3  # what is not trained acts as in use
    for variant in trial.variants().values():
        assert torch.equal(variant.norm.running_mean, torch.zeros(24))


def test_a_part_that_is_named_trains_with_its_statistics():
    head, _, changed = trained(("tower",))
    assert {name.partition(".")[0] for name in changed} == {"tower"}
    assert "tower.2.running_mean" in changed and head.noise[0] == [True, False, True, True]


def test_without_names_all_of_it_trains():
    head, _, changed = trained(())
    assert changed == set(head.state_dict()) and head.noise[0] == [True] * 4
