"""Whatever a stranger's data set raises becomes a message that names the image, the error and its line."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from argus_core.backbones import load_backbone
from argus_core.backbones.live import LiveSource
from argus_core.canvas import Canvas
from argus_core.data.check import check_split
from argus_core.data.split import read_truth
from argus_core.errors import ArgusError
from argus_core.tokens import Needs
from argus_data.scenes.split import SceneSplit


class Broken(SceneSplit):
    """Scenes of which one annotation, and another image, fail."""

    def truth(self, sample: int, task: str) -> Any:
        if sample == 2:
            raise ValueError("a torn label")
        return super().truth(sample, task)

    def read(self, index: int) -> npt.NDArray[np.uint8]:
        if index == 1:
            raise KeyError("pixels")
        return super().read(index)


@pytest.fixture
def split() -> Broken:
    return Broken("train", 4, (64, 64), 0)


def test_an_annotation_that_raises_is_named(split):
    place = r"train, depth of scene_000002: ValueError: a torn label at \S*test_contained.py:\d+; ARGUS_DEBUG=1"
    with pytest.raises(ArgusError, match=place):
        read_truth(split, 2, "depth")
    assert read_truth(split, 3, "depth").shape == (64, 64)


def test_debuggers_get_the_error_itself(split, monkeypatch):
    monkeypatch.setenv("ARGUS_DEBUG", "1")
    with pytest.raises(ValueError, match="a torn label"):
        read_truth(split, 2, "depth")


def test_a_check_of_the_data_lists_what_raises(split):
    faults = {fault.where: fault.what for fault in check_split(split).faults}
    assert "KeyError" in faults["train, image scene_000001"]
    assert "ValueError: a torn label" in faults["train, depth of scene_000002"]


def test_an_image_that_raises_ends_a_live_run_with_a_message(split):
    source = LiveSource(load_backbone("tiny"), split, Canvas(64), Needs())
    with pytest.raises(ArgusError, match="KeyError: 'pixels' at"):
        source.read([(1, "id")])
