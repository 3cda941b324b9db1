"""Data sets of the library ``datasets`` as they break: what is told, and what is refused."""

from __future__ import annotations

import json
import sys
import types
from pathlib import Path

import numpy as np
import pytest

from argus_core.errors import ArgusError
from argus_data.hf.data_set import open_hf
from hf_tables import (
    HEIGHT,
    WIDTH,
    detected,
    emptied,
    encoded,
    features,
    labelled,
    library,
    picture,
    plane,
    saved,
    told,
)
from hf_tables import cache as cache


@pytest.mark.parametrize(
    ("boxes", "hint"),
    [
        ([[20, 15, 38, 28], [9, 12, 39, 29]], "all do as xyxy: add boxes=xyxy"),
        ([[0.5, 0.5, 0.95, 0.9], [0.1, 0.2, 0.9, 0.9]], "all do as xyxyn: add boxes=xyxyn"),
        ([[0.1, 0.1, 0.2, 0.2]] * 2, "all do as xywhn or xyxyn or cxcywhn: say which they are, as in boxes=xywhn"),
    ],
)
def test_boxes_of_another_form_are_refused_with_the_option_to_give(tmp_path, boxes, hint):
    root = detected(tmp_path / "set", [([box], [1]) for box in boxes])
    with pytest.raises(ArgusError, match=f"2 of 2 boxes do not fit their images as xywh.*{hint}") as error:
        open_hf(root)
    assert "(boxes=xywh keeps them as they are)" in str(error.value)
    assert len(open_hf(root, boxes="xywh")["train"].truth(0, "detect").labels) == 1


def test_objects_that_cannot_be_used_are_told(tmp_path):
    good = [[1, 1, 5, 5]] * 10
    bad = {"no area": [5, 5, 0, 3], "is not four numbers": [1, 2, 3], "lies outside": [50, 50, 5, 5]}
    rows = [(good, [0] * 10), ([*good, *bad.values()], [1] * 13), (good[:2], [7, 1]), (good, [0])]
    root = detected(tmp_path / "set", rows, names=())
    (tmp_path / "set/id2label.json").write_text('{"0": "cat", "1": "dog"}')
    data = open_hf(root)
    assert data["train"].tasks["detect"].classes == ("cat", "dog")
    for text in (*bad, "row 3: it has 10 boxes and 1 classes (left out)", "2.0: its category id 7 is unknown"):
        assert text in told(data)
    assert [len(data["train"].truth(n, "detect").labels) for n in range(4)] == [10, 10, 1, 0]


def test_masks_that_do_not_fit_their_image_are_told(tmp_path):
    columns = features(mask=library.Image())
    masks = [np.zeros((HEIGHT, WIDTH), np.uint8), np.ones((HEIGHT, 5), np.uint8), np.full((HEIGHT, WIDTH), 9, np.uint8)]
    rows = [{"mask": plane(values)} for values in masks] + [{"mask": None}, {"mask": picture()}]
    (tmp_path / "names.json").write_text('["floor", "wall"]')
    data = open_hf(saved(tmp_path / "set", columns, train=rows), classes="../names.json")
    assert "the mask is 30x5 (height x width), the image 30x40" in told(data)
    assert "train, row 3: it has no mask (left out)" in told(data)
    assert "train, mask of row 4: a mask has one class index per pixel, this image is RGB" in told(data)
    assert [data["train"].key(n) for n in range(4)] == ["000000", "000001", "000002", "000004"]


def test_unlabelled_rows_and_splits(tmp_path):
    data = open_hf(labelled(tmp_path / "set", train=[0, None, 1], test=[-1, -1]))
    assert len(data["train"]) == 2 and data["train"].key(1) == "000002"
    assert "train, row 1: it has no label (left out)" in told(data)
    assert not data["test"].tasks and data["test"].left_out() == "none of 2 rows has a label"
    with pytest.raises(ArgusError, match="unknown task of split 'test' 'classify'"):
        data["test"].truth(0, "classify")


def test_images_that_cannot_be_read_are_named_by_their_rows(tmp_path):
    columns = features(label=library.ClassLabel(names=["a", "b"]))
    images = [picture(), {"bytes": b"\xff\xd8\xff broken", "path": "x.jpg"}, {"bytes": None, "path": "/no/where.png"}]
    images += [None, {"bytes": None, "path": "https://example.org/a.png"}, {"bytes": encoded()[:200], "path": "t.png"}]
    rows = [{"image": image, "label": n % 2} for n, image in enumerate(images)]
    table = library.Dataset.from_list(rows, features=columns)
    data = open_hf(write_arrow(tmp_path / "set", table))
    assert list(data) == ["all"]
    for text in (
        "image of row 1 (x.jpg): cannot be read as an image",
        "image of row 2 (where.png): /no/where.png cannot be read: No such file",
        "row 3: it has no image (left out)",
        "image of row 4 (a.png): the image is not in the table but at https://example.org/a.png",
        "image of row 5 (t.png): cannot be read as an image",
    ):
        assert text in told(data)


def write_arrow(root: Path, table) -> Path:
    """What ``save_to_disk`` writes where it cannot embed the files that rows name."""
    table.select_columns([name for name in table.column_names if name != "image"]).save_to_disk(root)
    (arrow,) = root.glob("*.arrow")
    with library.arrow_writer.ArrowWriter(path=str(arrow), features=table.features) as writer:
        writer.write_table(table.data.table)
        writer.finalize()
    info = json.loads((root / "dataset_info.json").read_text())
    info["features"] = table.features.to_dict()
    (root / "dataset_info.json").write_text(json.dumps(info))
    return root


def two_images(root):
    row = {"left": [picture()], "right": [picture(1)], "label": [0]}
    table = library.Dataset.from_dict(
        row, library.Features({"left": library.Image(), "right": library.Image(), "label": library.Value("int64")})
    )
    table.save_to_disk(root)
    return root


def no_images(root):
    library.Dataset.from_dict({"file": ["a.png"], "label": [1]}).save_to_disk(root)
    return root


def other_classes(root):
    tables = {
        split: library.Dataset.from_dict(
            {"image": [picture(n)], "label": [0]}, features(label=library.ClassLabel(names=[name]))
        )
        for n, (split, name) in enumerate({"train": "cat", "test": "dog"}.items())
    }
    library.DatasetDict(tables).save_to_disk(root)
    return root


def other_columns(root):
    tables = {
        "train": library.Dataset.from_dict(
            {"image": [picture()], "label": ["a"]}, features(label=library.Value("string"))
        ),
        "test": library.Dataset.from_dict({"photo": [picture(1)]}, library.Features({"photo": library.Image()})),
    }
    library.DatasetDict(tables).save_to_disk(root)
    return root


def unknown_columns(root):
    return saved(root, features(text=library.Value("string")), train=[{"text": "a dog"}])


def script(root):
    root.mkdir()
    (root / f"{root.name}.py").write_text("raise SystemExit('this ran')")
    return root


def pointer(root):
    labelled(root, train=[0, 1])
    (root / "train/data-00000-of-00001.arrow").write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    return root


def damaged(root):
    labelled(root, train=[0, 1])
    (root / "train/data-00000-of-00001.arrow").write_bytes(b"not a table")
    return root


def several(root):
    for name in ("small", "large"):
        (root / name).mkdir(parents=True)
        library.load_from_disk(labelled(root.parent / name, train=[0, 1]))["train"].to_parquet(
            root / name / "train.parquet"
        )
    lines = "".join(f"- config_name: {name}\n  data_files: {name}/*.parquet\n" for name in ("small", "large"))
    (root / "README.md").write_text(f"---\nconfigs:\n{lines}---\n")
    return root


def unnamed(root):
    (root.parent / "names.json").write_text('["cat", "dog"]')
    return saved(root, features(label=library.Value("int64")), train=[{"label": 0}, {"label": 3}])


def one_image(root):
    return labelled(root, train=[0])


BAD = [
    (two_images, {}, "columns left, right hold images; image=COLUMN says which"),
    (no_images, {}, "no column holds images .*csv:PATH.* there are file .string., label .int64."),
    (unknown_columns, {}, "no column is known to say what an image shows; .* names one of text .string."),
    (
        lambda root: labelled(root, train=[0]),
        {"label": "lable"},
        "label=lable: unknown column 'lable'; did you mean 'label'",
    ),
    (one_image, {"mask": "label"}, "mask=label: that column is ClassLabel, not an image"),
    (
        lambda root: labelled(root, train=[0]),
        {"objects": "label"},
        "objects=label: that column is ClassLabel; objects are",
    ),
    (one_image, {"revision": "main"}, "revision=main is for data sets on the hub"),
    (lambda root: labelled(root, validation=[0], dev=[1]), {}, "the splits 'validation' and 'dev' are both 'val'"),
    (
        lambda root: labelled(root, train=[0], test=[1]),
        {"hold_out": 0.5},
        "hold_out=0.5 should be a share .* of an only split",
    ),
    (unnamed, {"classes": "../names.json"}, "label 3 has no name among the 2 of ../names.json"),
    (one_image, {"hold_out": 0.1}, "hold_out=0.1 of 1 rows leaves a split without rows"),
    (one_image, {"val": "valid"}, "val=valid: unknown split 'valid'; known: train"),
    (lambda root: emptied(labelled(root, train=[0]), "train"), {}, "the data set is empty: 'train' without rows"),
    (other_classes, {}, "the classes of splits 'train' and 'test' differ: only the first has .'cat'."),
    (other_columns, {}, "split 'test' has no images in column 'image'; it has photo .Image."),
    (script, {}, "no code of a data set is run|cannot open it"),
    (pointer, {}, "00001.arrow is a pointer of Git LFS, not the data: fetch them with git lfs pull"),
    (damaged, {}, "the library datasets cannot open it: ArrowInvalid"),
    (several, {}, "holds several data sets; add config=NAME, one of .'small', 'large'."),
    (lambda root: root / "nothing", {}, "no such folder, and no id on the hub"),
]


def test_a_column_that_holds_no_classes_is_told(tmp_path):
    rows = [{"label": f"a photograph of {number}"} for number in range(25)]
    data = open_hf(saved(tmp_path / "set", features(label=library.Value("string")), train=rows))
    assert "train: its 25 rows have 25 different labels: are they classes? label=NAME picks a column" in told(data)


@pytest.mark.parametrize(("write", "options", "message"), BAD)
def test_what_cannot_be_opened_is_told_in_words(tmp_path, write, options, message):
    root = write(tmp_path / "set")
    with pytest.raises(ArgusError, match=message):
        open_hf(root, **options)


def test_the_chosen_configuration_is_opened(tmp_path):
    assert len(open_hf(several(tmp_path / "set"), config="small")["train"]) == 2


def test_an_id_on_the_hub_is_not_fetched_offline(monkeypatch):
    monkeypatch.setenv("ARGUS_OFFLINE", "1")
    with pytest.raises(ArgusError, match=r"there is no folder user/name, and .* ARGUS_OFFLINE forbids fetching it"):
        open_hf("user/name")
    assert library.config.HF_HUB_OFFLINE is False


def test_an_empty_split_is_left_out_and_told(tmp_path):
    data = open_hf(emptied(labelled(tmp_path / "set", train=[0, 1], test=[0]), "test"))
    assert list(data) == ["train"] and "test: the split has no rows (left out)" in told(data)


def test_a_folder_that_hides_the_library_is_told(tmp_path, monkeypatch):
    other = types.ModuleType("datasets")
    other.__path__ = ["/elsewhere/project/datasets"]
    monkeypatch.setitem(sys.modules, "datasets", other)
    with pytest.raises(ArgusError, match="'import datasets' finds /elsewhere/project/datasets, not the library"):
        open_hf(tmp_path)
