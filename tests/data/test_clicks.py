"""Clicks: a table or a JSON file of points becomes masks, and what is wrong with a row is said in words."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from PIL import Image

from argus_core.errors import ArgusError
from argus_core.plugins.data_spec import open_data
from argus_core.tasks.segment import Click, paint_clicks

SIZES = {"a.png": (60, 40), "b.png": (100, 200)}
GOOD = {"image": "a.png", "x": 1, "y": 2, "label": "cup"}


@pytest.fixture
def folder(tmp_path):
    for name, (height, width) in SIZES.items():
        Image.new("RGB", (width, height), "gray").save(tmp_path / name)
    return tmp_path


def table(folder, *rows, name="clicks.csv"):
    (folder / name).write_text("\n".join(["image,x,y,label", *rows]) + "\n")
    return open_data(str(folder))["all"]


def faults(split):
    return "\n".join(map(str, split.faults()))


def test_a_folder_with_a_table_is_masks_of_the_pixels_about_its_clicks(folder):
    split = table(folder, "a.png,10,20,cup", "a.png,30.5,50,plate", "b.png,150,50,cup")
    assert [split.key(index) for index in range(len(split))] == ["a.png", "b.png"]
    task = split.tasks["segment"]
    assert task.classes == ("cup", "plate") and not split.faults()
    mask = split.truth(0, "segment")
    assert mask.shape == SIZES["a.png"] and set(np.unique(mask)) == {0, 1, task.ignore}
    y, x = np.nonzero(mask == 0)
    radius = 60 / 40
    assert np.hypot(x + 0.5 - 10, y + 0.5 - 20).max() <= radius
    assert (mask == 0).sum() == pytest.approx(math.pi * radius**2, rel=0.5)
    assert not task.fault(mask, SIZES["a.png"])


def test_every_pixel_belongs_to_the_nearest_click():
    random = np.random.default_rng(0)
    clicks = [Click(*point, n % 3) for n, point in enumerate(random.uniform(0, 30, (12, 2)).tolist())]
    mask = paint_clicks(clicks, (30, 25), 255, 6.0)
    for y in range(30):
        for x in range(25):
            apart = [math.hypot(x + 0.5 - click.x, y + 0.5 - click.y) for click in clicks]
            nearest = min(range(len(clicks)), key=apart.__getitem__)
            assert mask[y, x] == (clicks[nearest].label if apart[nearest] < 6.0 else 255)


def test_a_click_labels_its_own_pixel_however_small_the_radius(folder):
    (folder / "clicks.csv").write_text("image,x,y,label\na.png,40,60,cup\na.png,0,0,plate\n")
    mask = open_data(f"clicks:{folder},radius=0.01")["all"].truth(0, "segment")
    assert mask[59, 39] == 0 and mask[0, 0] == 1 and (mask != 255).sum() == 2


def test_json_is_read_as_a_table_is_and_may_order_the_classes(folder):
    rows = [("a.png", 10, 20, "cup"), ("a.png", 30.5, 50, "plate"), ("b.png", 150, 50, "cup")]
    split = table(folder, *(",".join(map(str, row)) for row in rows))
    (folder / "clicks.csv").unlink()
    clicks = [dict(zip(("image", "x", "y", "label"), row, strict=True)) for row in rows]
    (folder / "clicks.json").write_text(json.dumps({"clicks": clicks}))
    other = open_data(str(folder))["all"]
    assert other.annotation_digest() == split.annotation_digest()
    (folder / "clicks.json").write_text(json.dumps({"clicks": clicks, "classes": ["plate", "none", "cup"]}))
    assert open_data(str(folder))["all"].tasks["segment"].classes == ("plate", "none", "cup")


@pytest.mark.parametrize(
    ("row", "what"),
    [
        ("a.png,41,5,cup", "line 4: the click 41,5 lies outside a.png, which is 40 wide and 60 high"),
        ("a.png,-1,5,cup", "line 4: the click -1,5 lies outside"),
        ("a.png,left,5,cup", "line 4: x=left, y=5 is no point in pixels"),
        ("a.png,nan,5,cup", "line 4: x=nan, y=5 is no point"),
        ("a.png,5,5,", "line 4: its click in a.png has no class"),
        ("c.png,5,5,cup", "line 4: there is no image c.png"),
        ("a.png,5,5", "line 4: it has 3 columns, not 4"),
        ("b.png,1,1,cup", "the point 1,1 is 'plate' and 'cup'; the first counts"),
    ],
)
def test_a_row_that_cannot_be_used_is_named(folder, row, what):
    split = table(folder, "a.png,1,1,cup", "b.png,1,1,plate", row)
    assert what in faults(split)
    assert len(split) == 2


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ({"clicks": []}, "holds no list of clicks"),
        ([1], "holds no list of clicks"),
        ({"clicks": [{"image": "a.png", "x": 1}]}, "has no column y and label"),
        ({"clicks": [{**GOOD, "label": ""}]}, "no click can be used; click 1: it has no label"),
        ({"clicks": [GOOD], "classes": ["plate"]}, "'cup' is not in"),
        ({"clicks": [GOOD], "classes": "cup"}, "no list of names"),
        (
            {"clicks": [{**GOOD, "x": 999}]},
            "no click can be used; all, clicks.json, click 1",
        ),
    ],
)
def test_a_json_file_that_holds_no_clicks_is_refused(folder, content, what):
    (folder / "clicks.json").write_text(json.dumps(content))
    with pytest.raises(ArgusError, match=what):
        open_data(f"clicks:{folder}")


def test_json_names_the_click_that_lacks_something(folder):
    (folder / "clicks.json").write_text(json.dumps({"clicks": [GOOD, {**GOOD, "label": ""}]}))
    assert "clicks.json, click 2: it has no label" in faults(open_data(str(folder))["all"])


def test_what_is_asked_wrongly_is_refused(folder):
    with pytest.raises(ArgusError, match=r"neither clicks.csv nor clicks.json"):
        open_data(f"clicks:{folder}")
    (folder / "clicks.csv").write_text("image,label\na.png,cup\n")
    with pytest.raises(ArgusError, match="no column x and y"):
        open_data(str(folder))
    with pytest.raises(ArgusError, match="radius=-1"):
        open_data(f"clicks:{folder},radius=-1")
    (folder / "clicks.json").write_text("{}")
    with pytest.raises(ArgusError, match=r"clicks.csv and clicks.json; give one"):
        open_data(f"clicks:{folder}")


def test_a_column_divides_the_images(folder):
    (folder / "clicks.csv").write_text("image,x,y,label,split\na.png,1,1,cup,train\nb.png,1,1,plate,val\n")
    splits = open_data(str(folder))
    assert {name: split.key(0) for name, split in splits.items()} == {"train": "a.png", "val": "b.png"}
    assert splits["train"].tasks == splits["val"].tasks
