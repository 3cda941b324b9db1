"""Validation images from data that nothing divides."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from argus_core.data.hold_out import Part, hold_out
from argus_core.errors import ArgusError
from argus_core.plugins.data_spec import open_data, split_of
from argus_core.testing import check_data
from argus_data.coco.split import open_coco
from coco_folders import box, image, write


@pytest.fixture
def root(tmp_path):
    """Ten images of one COCO file."""
    write(tmp_path / "labels.json", [image(n) for n in range(10)], [box(n, n) for n in range(10)], folder=tmp_path)
    return tmp_path


def keys(split):
    return [split.key(index) for index in range(len(split))]


def test_a_share_of_the_images_is_held_out_whatever_the_format(root):
    data = open_data(f"coco:{root},hold_out=0.3,limit=10")
    assert list(data) == ["train", "val"] and [len(split) for split in data.values()] == [7, 3]
    assert sorted(keys(data["train"]) + keys(data["val"])) == keys(open_coco(root)["all"])
    for split in data.values():
        whole = open_coco(root)["all"]
        for index, key in enumerate(keys(split)):
            place = keys(whole).index(key)
            assert np.array_equal(split.read(index), whole.read(place)) and split.size(index) == (30, 40)
            assert split.truth(index, "detect").boxes.tolist() == whole.truth(place, "detect").boxes.tolist()
            assert (split.digest(index), split.stamp(index)) == (whole.digest(place), whole.stamp(place))
    assert not any(check_data(f"coco:{root},hold_out=0.3").values())
    assert open_data(f"{root},hold_out=0.3")["val"].annotation_digest() == data["val"].annotation_digest()


def test_which_images_depends_on_their_keys_alone(root):
    val = keys(open_data(f"coco:{root},hold_out=0.3")["val"])
    write(root / "labels.json", [image(n) for n in reversed(range(10))], [box(1)])
    assert sorted(keys(open_data(f"coco:{root},hold_out=0.3")["val"])) == sorted(val)
    assert set(val) < set(keys(open_data(f"coco:{root},hold_out=0.5")["val"]))


def test_of_a_training_split_the_others_stay(root):
    (root / "labels.json").rename(root / "train.json")
    write(root / "test.json", [image(1)], [box(1)])
    data = open_data(f"coco:{root},hold_out=0.2")
    assert [(name, len(split)) for name, split in data.items()] == [("train", 8), ("val", 2), ("test", 1)]


def test_class_folders(tmp_path):
    for n in range(8):
        (tmp_path / "ab"[n % 2]).mkdir(exist_ok=True)
        Image.fromarray(np.full((8, 8, 3), n, dtype=np.uint8)).save(tmp_path / "ab"[n % 2] / f"{n}.png")
    data = open_data(f"folder:{tmp_path},hold_out=0.25")
    assert [len(split) for split in data.values()] == [6, 2] and isinstance(data["val"], Part)
    assert data["val"].size(0) is None


@pytest.mark.parametrize("share", ["0", "1", "-0.1", "1.5", "0.01", "nan"])
def test_shares_that_leave_nothing(root, share):
    with pytest.raises(ArgusError, match=r"hold_out="):
        open_data(f"coco:{root},hold_out={share}")


def test_what_cannot_be_divided(root):
    with pytest.raises(ArgusError, match="hold_out=some is no share"):
        open_data(f"coco:{root},hold_out=some")
    with pytest.raises(ArgusError, match="these have train, val: leave it out"):
        open_data("scenes:images=4,val=2,size=32,hold_out=0.5")
    with pytest.raises(ArgusError, match="compares several"):
        hold_out({"train": open_data("scene_pairs:images=4,val=2,size=64")["train"]}, 0.5)
    with pytest.raises(ArgusError, match=r"unknown option .*'holdout'; did you mean 'hold_out'"):
        open_data(f"coco:{root},holdout=0.5")


def test_a_missing_split_says_how_to_get_it(root):
    for name in ("train", "val"):
        with pytest.raises(ArgusError, match=rf"no split '{name}', only all; ,hold_out=0\.2 at the end"):
            split_of(open_data(f"coco:{root}"), name)
    with pytest.raises(ArgusError, match=r"unknown split 'tset'; known: all$"):
        split_of(open_data(f"coco:{root}"), "tset")
