"""The conformance kit of data sets: good ones pass, and every promise has one that breaks it and is caught."""

from __future__ import annotations

import hashlib
import re
from typing import Any

import numpy as np
import pytest

from argus_core.common.files import json_sha256
from argus_core.data import Split
from argus_core.errors import ArgusError
from argus_core.tasks.classify import Classify
from argus_core.tasks.detect import Boxes, Detect
from argus_core.testing import DATA_CHECKS, check_data, data_suite
from argus_core.testing.data import DataSubject
from argus_core.testing.suite import DATA_KIT
from argus_data.folders.class_folders import open_folder
from mask_folders import folders, save_image


class Good(Split):
    """Four coloured images of two classes, in memory."""

    def __init__(self, name: str = "train", first: int = 0) -> None:
        self.name, self.first = name, first

    def __len__(self):
        return 4

    def key(self, index):
        return f"{index}.png"

    def read(self, index):
        if not 0 <= index < len(self):
            raise IndexError(index)
        return np.full((24, 40, 3), self.first + index, dtype=np.uint8)

    def digest(self, index):
        return hashlib.sha256(self.read(index).tobytes()).hexdigest()

    def stamp(self, index):
        return str(self.first + index)

    @property
    def tasks(self):
        return {"classify": Classify(classes=("light", "dark"))}

    def truth(self, sample, task) -> Any:
        if task not in self.tasks:
            raise ArgusError(f"no annotations for {task}")
        return self.label(range(4)[sample])

    def label(self, sample):
        return sample % 2

    def annotation_digest(self):
        return json_sha256([self.name, self.first])


def both(cls: type[Good] = Good):
    return {"train": cls("train"), "val": cls("val", 4)}


test_good_data = data_suite("scenes:images=4,val=2,size=64x48", "scene_pairs:images=2,val=2,size=48", both, both())


def test_a_folder_format_passes_and_shared_images_do_not(tmp_path):
    spec = f"images:{folders(tmp_path)},masks=masks,classes=classes.json"
    faults = check_data(spec)
    assert [name for name, fault in faults.items() if fault] == ["disjoint"]
    assert "share 3 images" in faults["disjoint"] and "a.jpg" in faults["disjoint"]
    assert not any(check_data(spec, {"disjoint": "made with the same pixels"}).values())
    for split in ("train", "val"):
        for number, name in enumerate("ab"):
            save_image(tmp_path / "classes" / split / name / "0.png", seed=number + 10 * len(split))
    assert not any(check_data(lambda: open_folder(tmp_path / "classes")).values())


class Empty(Good):
    def __len__(self):
        return 0


class Misnamed(Good):
    def __init__(self, name, first=0):
        super().__init__("all", first)


class Twice(Good):
    def key(self, index):
        return "image.png"


class Numbered(Good):
    def key(self, index):
        return index


class Absolute(Good):
    def key(self, index):
        return f"/data/{index}.png"


class Renamed(Good):
    calls = 0

    def key(self, index):
        self.calls += 1
        return f"{index}-{self.calls}"


class NoTask(Good):
    tasks = {}  # noqa: RUF012


class OtherName(Good):
    tasks = {"labels": Classify(classes=("light", "dark"))}  # noqa: RUF012


class Unregistered(Good):
    tasks = {"classify": type("Mine", (Classify,), {})(classes=("light", "dark"))}  # noqa: RUF012


class Floats(Good):
    def read(self, index):
        return super().read(index) / 255


class Grey(Good):
    def read(self, index):
        return super().read(index)[..., 0]


class Restless(Good):
    calls = 0

    def read(self, index):
        self.calls += 1
        return super().read(index) + np.uint8(self.calls)


class OneDigest(Good):
    def digest(self, index):
        return 64 * "0"


class ShortDigest(Good):
    def digest(self, index):
        return super().digest(index)[:40]


class NoStamp(Good):
    def stamp(self, index):
        return None


class AlwaysTheSame(Good):
    def __init__(self, name, first=0):
        super().__init__(name, 0)


class WrapsAround(Good):
    def read(self, index):
        return super().read(index % 4)


class KnowsEveryTask(Good):
    def truth(self, sample, task):
        return range(4)[sample]


class KeyErrors(Good):
    def truth(self, sample, task):
        return {"classify": super().truth}[task](sample, task)


class PairsBeyond(Good):
    def samples(self, task):
        return [(index, index + 1) for index in range(4)]


class NoSample(Good):
    def samples(self, task):
        return []


class OtherClass(Good):
    def label(self, sample):
        return 2


class Wavers(Good):
    calls = 0

    def label(self, sample):
        self.calls += 1
        return self.calls % 2


class NoTarget(Good):
    tasks = {"detect": Detect(classes=("light",))}  # noqa: RUF012

    def label(self, sample):
        return Boxes(np.array([[1.0, 1, 9, 9]]), np.array([5]), np.array([False]), np.array([64.0]))


class NoSha(Good):
    def annotation_digest(self):
        return "version 1"


class ForgetsDigest(Good):
    calls = 0

    def annotation_digest(self):
        self.calls += 1
        return json_sha256(self.calls)


class TextFaults(Good):
    def faults(self):
        return ["image 3 is odd"]


class Seeds(Good):
    def read(self, index):
        np.random.seed(index)
        return super().read(index)


_OPENED: list[int] = []


def grows():
    """Another key at each opening."""
    _OPENED.append(1)
    start = len(_OPENED)
    cls = type("Grown", (Good,), {"key": lambda self, index: f"{start}-{index}"})
    return both(cls)


BROKEN: dict[str, tuple[Any, ...]] = {
    "splits": ({}, {"train": [1, 2]}, Empty, Misnamed),
    "keys": (Twice, Numbered, Absolute, Renamed),
    "tasks": (NoTask, OtherName, Unregistered),
    "images": (Floats, Grey, Restless),
    "digests": (OneDigest, ShortDigest, NoStamp),
    "disjoint": (AlwaysTheSame,),
    "reopened": (grows,),
    "bounds": (WrapsAround, KnowsEveryTask, KeyErrors),
    "samples": (PairsBeyond, NoSample),
    "truths": (OtherClass, Wavers),
    "targets": (NoTarget,),
    "annotation_digest": (NoSha, ForgetsDigest),
    "faults": (TextFaults,),
    "global_state": (Seeds,),
}
"""The check that must catch each of them."""


@pytest.mark.parametrize(
    ("check", "data"),
    [(check, broken) for check, cases in BROKEN.items() for broken in cases],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_every_broken_data_set_is_caught_by_its_check(check, data):
    target = both(data) if isinstance(data, type) else data
    before = np.random.get_state()
    fault = DATA_KIT.fault(check, DataSubject.of(target))
    np.random.set_state(before)
    assert fault and not re.match(r"\w+Error: ", fault), fault


def test_every_check_has_a_data_set_that_it_catches():
    assert set(BROKEN) == set(DATA_CHECKS)


def test_what_is_no_data_set_is_refused():
    with pytest.raises(ArgusError, match="give a data spec"):
        check_data(3)
    assert all("did you mean 'scenes'" in fault for fault in check_data("scene:size=64").values())
