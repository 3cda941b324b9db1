"""Results in every format, read by others: the same boxes, masks and scores, whole at any time."""

from __future__ import annotations

import json
import os
import shutil
import sys
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from format_worlds import (
    CLASSES,
    PHOTOS,
    entry,
    ids_of,
    make_photos,
    make_results,
    read_fiftyone,
    read_voc,
    read_yolo,
    twelve_scores,
)
from PIL import Image
from pycocotools import mask as coco_masks

from argus_core.common.unique import UniqueNames, plain_name
from argus_core.data.check import check_data
from argus_core.errors import ArgusError
from argus_core.formats import FORMATS, ResultFiles, parquet
from argus_core.formats.coco_ids import CocoIds, Numbering
from argus_core.plugins.data_spec import open_data
from argus_core.tasks.classify import Classes, ClassResult
from argus_core.tasks.depth import DepthResult
from argus_core.tasks.detect import DetectionResult, Detections
from argus_core.tasks.result import PlainResult
from argus_core.tasks.segment import SegmentResult

EXACT = 1e-9
"""What nine digits leave of a score; the files give the same average precision as the results themselves."""


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return make_photos(tmp_path_factory.mktemp("photos"))


@pytest.fixture(scope="module")
def world(photos):
    return make_results(photos)


@pytest.fixture(scope="module")
def written(photos, world, tmp_path_factory):
    """A folder with the results in every format that needs no masks."""
    pytest.importorskip("pyarrow")
    out = tmp_path_factory.mktemp("written")
    with ResultFiles(out, FORMATS, root=photos) as files:
        for path, result in world[0].items():
            files.write({"cells": result}, path)
    return out


@pytest.fixture(scope="module")
def scores(photos, world):
    """What the results themselves score."""
    results, truth = world
    ids = {str(photos / each["file_name"]): each["id"] for each in truth["images"]}
    entries = [
        entry(ids[str(path)], one["class_id"], one["box"], one["score"])
        for path, result in results.items()
        for one in result.entries
    ]
    expected = twelve_scores(truth, entries)
    assert 0.2 < expected[0] < 0.95
    return expected


def one_result(size=(20, 30), boxes=((1, 2, 11, 12),), scores=None, labels=None, classes=CLASSES):
    count = len(boxes)
    found = Detections(
        torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        torch.tensor(scores or [0.5] * count),
        torch.tensor(labels or [0] * count, dtype=torch.long),
    )
    return DetectionResult(np.full((*size, 3), 7, np.uint8), found, classes)


def test_yolo_and_voc_score_as_the_results_do_with_parsers_of_others(written, photos, world, scores):
    truth = world[1]
    root = written / "cells" / "yolo-scores"
    ids = ids_of(photos, truth, root / "images")
    assert len(ids) == len(PHOTOS)
    assert twelve_scores(truth, list(read_yolo(root, ids))) == pytest.approx(scores, abs=EXACT)
    assert (root / "labels" / "empty.txt").read_text() == ""
    voc = written / "cells" / "voc"
    assert twelve_scores(truth, list(read_voc(voc, ids))) == pytest.approx(scores, abs=EXACT)
    assert "<object>" not in (voc / "Annotations" / "empty.xml").read_text()


def test_labels_lie_like_the_images_and_two_images_of_one_stem_have_two_files(written):
    labels = written / "cells" / "yolo" / "labels"
    found = {path.relative_to(labels).as_posix()[:-4] for path in labels.rglob("*.txt")}
    assert {"plain", "north/plain", "Größe (1)", "a.b.c", "north/again", "north/again-1"} < found
    assert len(found) == len(PHOTOS)
    images = labels.parent / "images"
    assert {path.stem for path in (images / "north").iterdir()} == {"plain", "again", "again-1"}
    assert all(len(line.split()) == 5 for path in labels.rglob("*.txt") for line in path.read_text().splitlines())


def test_coco_and_fiftyone_score_as_the_results_do(written, photos, world, scores, tmp_path):
    results, truth = world
    held = tmp_path / "truth.json"
    held.write_text(json.dumps(truth))
    ids = CocoIds.read(held)
    numbering = Numbering(ids, {"detect": ids.category_ids(CLASSES)})
    with ResultFiles(tmp_path / "out", ["coco"], numbering=numbering) as files:
        for path, result in results.items():
            files.write(result, path)
    file = tmp_path / "out" / "detect" / "detections.json"
    assert twelve_scores(truth, file) == pytest.approx(scores, abs=EXACT)
    entries = list(read_fiftyone(written / "cells" / "fiftyone", photos, truth))
    assert twelve_scores(truth, entries) == pytest.approx(scores, abs=EXACT)


def test_parquet_scores_as_the_results_do_and_has_the_documented_columns(written, photos, world, scores):
    table = pytest.importorskip("pyarrow.parquet")
    ids = {str(photos / each["file_name"]): each["id"] for each in world[1]["images"]}
    rows = table.read_table(written / "results.parquet").to_pylist()
    entries = [entry(ids[row["file_name"]], row["class_id"], row["box"], row["score"]) for row in rows]
    assert (twelve_scores(world[1], entries) == scores).all()
    assert list(rows[0]) == list(parquet.RESULTS) and rows[0]["rank"] == 0 and rows[0]["class_name"] in CLASSES
    kinds = {field.name: str(field.type) for field in table.read_schema(written / "results.parquet")}
    assert kinds["score"] == "float" and kinds["class_id"] == "int32" and kinds["box"] == "list<element: float>"
    images = table.read_table(written / "images.parquet").to_pylist()
    assert list(images[0]) == list(parquet.IMAGES)
    assert {row["image_id"]: row["answers"] for row in images}["empty"] == 0 and len(images) == len(PHOTOS)


def test_supervision_reads_yolo_and_voc_as_they_are(written, world):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it notes at import that OpenCV is missing
        supervision = pytest.importorskip("supervision")
    root = written / "cells" / "yolo"
    labels = root / "labels"
    read = supervision.DetectionDataset.from_yolo(str(root / "images"), str(labels), str(root / "data.yaml"))
    assert read.classes == list(CLASSES)
    for path, found in read.annotations.items():
        (result,) = (result for source, result in world[0].items() if source.resolve() == _target(path))
        assert found.xyxy == pytest.approx(result.detections.boxes.numpy(), abs=1e-4)
        assert found.class_id.tolist() == result.detections.labels.tolist()
    voc = written / "cells" / "voc"
    read = supervision.DetectionDataset.from_pascal_voc(str(voc / "JPEGImages"), str(voc / "Annotations"))
    assert set(read.classes) == set(CLASSES) and len(read.annotations) == sum("/" not in name for name in PHOTOS)
    for path, found in read.annotations.items():
        (result,) = (result for source, result in world[0].items() if source.resolve() == _target(path))
        assert found.xyxy == pytest.approx(result.detections.boxes.numpy(), abs=1e-4)


def _target(path):
    return Path(path).resolve()


@pytest.mark.parametrize("spec", ["yolo:{}/cells/yolo", "voc:{}/cells/voc"])
def test_argus_opens_what_it_wrote_as_a_data_set(written, world, spec):
    data = open_data(spec.format(written))
    split = data["train"]
    assert len(split) == len(PHOTOS) and split.tasks["detect"].classes == CLASSES
    boxes = {split.path(index).resolve(): split.truth(index, "detect").boxes for index in range(len(split))}
    for path, result in world[0].items():
        order = np.lexsort(boxes[path.resolve()].T)
        expected = result.detections.boxes.numpy()
        assert boxes[path.resolve()][order] == pytest.approx(expected[np.lexsort(expected.T)], abs=0.02)
    assert not [fault for report in check_data(data).values() for fault in report.faults if fault.wrong]


def test_frames_and_arrays_get_a_picture_and_names_of_their_own(tmp_path):
    result = one_result()
    with ResultFiles(tmp_path / "out", ["yolo", "fiftyone", "parquet", "voc"]) as files:
        files.write(result)
        files.write(result)
        files.write(result, "https://example.org/a/photo.png?size=3")
        files.write(result, "film: a?.mp4", frame=7)
    images = tmp_path / "out/detect/yolo/images"
    assert {path.name for path in images.iterdir()} == {"image.jpg", "image-1.jpg", "photo.jpg", "film_ a_-000007.jpg"}
    assert not any(path.is_symlink() for path in images.iterdir())
    with Image.open(images / "film_ a_-000007.jpg") as picture:
        assert picture.size == (30, 20)
    data = json.loads((tmp_path / "out/detect/fiftyone/data.json").read_text())
    assert data["film_ a_-000007.jpg"] == "frames/film_ a_-000007.jpg"
    assert (tmp_path / "out/detect/fiftyone" / data["photo.jpg"]).is_file()
    rows = pytest.importorskip("pyarrow.parquet").read_table(tmp_path / "out/images.parquet").to_pylist()
    assert [row["frame"] for row in rows] == [None, None, None, 7] and rows[3]["file_name"] == "film: a?.mp4"


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of pycocotools itself
def test_masks_are_run_lengths_that_pycocotools_reads(tmp_path):
    labels = np.random.default_rng(0).integers(0, 3, (37, 23)).repeat(2, 0)
    labels[:5] = 255
    result = SegmentResult(np.zeros((74, 23, 3), np.uint8), labels, np.full(labels.shape, 0.25, np.float32), CLASSES)
    with ResultFiles(tmp_path / "out", ["rle", "jsonl", "parquet"]) as files:
        files.write(result, "x.png")
    entries = json.loads((tmp_path / "out/segment/masks.json").read_text())
    assert [one["category_id"] for one in sorted(entries, key=lambda one: one["category_id"])] == [1, 2, 3]
    for one in entries:
        mask = coco_masks.decode(one["segmentation"]).astype(bool)
        assert np.array_equal(mask, labels == one["category_id"] - 1) and one["score"] == 0.25
    rows = pytest.importorskip("pyarrow.parquet").read_table(tmp_path / "out/results.parquet").to_pylist()
    for row in rows:
        mask = coco_masks.decode({"size": [74, 23], "counts": row["segmentation"]}).astype(bool)
        assert row["share"] == pytest.approx(mask.mean(), abs=1e-6) and row["score"] == 0.25
    (line,) = (tmp_path / "out/results.jsonl").read_text().splitlines()
    with Image.open(tmp_path / "out" / json.loads(line)["segment"]["file"]) as png:
        assert np.array_equal(np.asarray(png), labels)


def test_a_table_holds_every_task_and_embeddings_as_they_are(tmp_path):
    table = pytest.importorskip("pyarrow.parquet")
    image = np.zeros((8, 6, 3), np.uint8)
    vectors = np.random.default_rng(0).normal(size=(2, 5)).astype(np.float32)
    found = one_result((8, 6), [(0, 0, 3, 3), (1, 1, 4, 4)], [0.9, 0.1])
    results = {
        "things": replace(found, embeddings=vectors, embedding=vectors[0]),
        "kinds": ClassResult(image, Classes(torch.tensor([0.1, 0.7, 0.2])), CLASSES),
        "metres": DepthResult(image, np.full((8, 6), 2.5, np.float32), np.zeros((8, 6), np.float32)),
        "other": PlainResult(image, {"angle": 3}),
    }
    with ResultFiles(tmp_path / "out", ["parquet"]) as files:
        files.write(results, "x.png")
    rows = table.read_table(tmp_path / "out/results.parquet").to_pylist()
    by_head = {head: [row for row in rows if row["head"] == head] for head in results}
    assert np.array_equal(np.array([row["embedding"] for row in by_head["things"]], np.float32), vectors)
    assert [row["class_name"] for row in by_head["kinds"]] == [CLASSES[1], CLASSES[2], CLASSES[0]]
    assert by_head["kinds"][0]["margin"] == pytest.approx(0.5) and by_head["kinds"][1]["margin"] is None
    assert by_head["metres"][0]["median"] == 2.5 and by_head["metres"][0]["known"] == 1
    assert json.loads(by_head["other"][0]["answer"]) == {"prediction": {"angle": 3}}
    assert {head: found[0]["task"] for head, found in by_head.items()} == {
        **{"things": "detect", "kinds": "classify", "metres": "depth", "other": "PlainResult"}
    }
    images = table.read_table(tmp_path / "out/images.parquet").to_pylist()
    assert [(row["head"], row["answers"], row["height"], row["width"]) for row in images] == [
        *(("things", 2, 8, 6), ("kinds", 3, 8, 6), ("metres", 1, 8, 6), ("other", 1, 8, 6))
    ]
    assert np.array_equal(np.array(images[0]["embedding"], np.float32), vectors[0])


def test_rows_are_written_in_groups_as_they_come(tmp_path, monkeypatch):
    table = pytest.importorskip("pyarrow.parquet")
    monkeypatch.setattr(parquet, "GROUP", 4)
    with ResultFiles(tmp_path / "out", ["parquet"]) as files:
        for _ in range(5):
            files.write(one_result(boxes=[(0, 0, 3, 3), (1, 1, 4, 4)]), "x.png")
        assert not (tmp_path / "out/results.parquet").exists()
    assert table.ParquetFile(tmp_path / "out/results.parquet").num_row_groups == 3
    assert [path.name for path in (tmp_path / "out").iterdir() if path.suffix == ".part"] == []


def test_what_a_killed_program_leaves_is_whole_and_the_next_one_clears_up(tmp_path):
    with ResultFiles(tmp_path / "running", FORMATS) as files:
        for number in range(3):
            files.write(one_result(), f"{number}.png")
        out = shutil.copytree(tmp_path / "running", tmp_path / "out", symlinks=True)
    assert len(json.loads((out / "detect/detections.json").read_text())) == 3
    assert len(json.loads((out / "detect/fiftyone/labels.json").read_text())["labels"]) == 3
    assert len([json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]) == 3
    assert len(list((out / "detect/yolo/labels").iterdir())) == 3
    assert (out / "detect/voc/ImageSets/Main/train.txt").read_text() == "0\n1\n2\n"
    with ResultFiles(out, ["yolo"]) as files:
        files.write(one_result(), "1.png")
    left = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    assert left == {
        *("argus-files.txt", "detect/yolo/data.yaml", "detect/yolo/classes.txt"),
        *("detect/yolo/labels/1.txt", "detect/yolo/images/1.jpg"),
    }


def test_an_error_in_between_leaves_finished_files(tmp_path):
    pytest.importorskip("pyarrow")
    with pytest.raises(RuntimeError), ResultFiles(tmp_path / "out", FORMATS) as files:
        files.write(one_result(), "a.png")
        raise RuntimeError("something else")
    assert (tmp_path / "out/results.parquet").is_file() and (tmp_path / "out/detect/voc/Annotations/a.xml").is_file()
    assert len(json.loads((tmp_path / "out/detect/detections.json").read_text())) == 1


def test_a_coco_file_with_a_name_in_two_folders_gives_each_image_its_own_id(tmp_path):
    images = [{"id": 3, "file_name": "plain.jpg"}, {"id": 4, "file_name": "north/plain.jpg"}]
    (tmp_path / "ids.json").write_text(json.dumps({"images": images, "categories": []}))
    ids = CocoIds.read(tmp_path / "ids.json")
    assert (ids.image_id(str(tmp_path / "plain.jpg")), ids.image_id(str(tmp_path / "north/plain.jpg"))) == (3, 4)


def test_boxes_at_borders_and_below_a_pixel_are_valid_everywhere(tmp_path):
    boxes = [(-0.0005, 0, 30.0005, 20), (29.7, 3, 30, 3.25), (0.25, 0.5, 0.5, 0.75)]
    with ResultFiles(tmp_path / "out", ["yolo", "voc"]) as files:
        files.write(one_result(boxes=boxes), "x.png")
    for line in (tmp_path / "out/detect/yolo/labels/x.txt").read_text().splitlines():
        _, cx, cy, w, h = map(float, line.split())
        sides = np.array([cx - w / 2, cx + w / 2, cy - h / 2, cy + h / 2])
        assert ((sides > -1e-8) & (sides < 1 + 1e-8)).all() and min(w, h) > 0
    text = (tmp_path / "out/detect/voc/Annotations/x.xml").read_text()
    numbers = {side: [float(part.split("<")[0]) for part in text.split(f"<{side}>")[1:]] for side in ("xmin", "xmax")}
    assert all(1 - 0.001 <= low <= high <= 30.001 for low, high in zip(*numbers.values(), strict=True))


def test_a_box_has_the_same_shares_whatever_the_orientation_of_the_file(tmp_path):
    """Boxes are in the upright image: an EXIF turn does not swap the sides."""
    picture = Image.new("RGB", (20, 30))
    exif = Image.Exif()
    exif[274] = 6
    picture.save(tmp_path / "turned.jpg", exif=exif)
    with ResultFiles(tmp_path / "out", ["yolo", "voc"]) as files:
        files.write(one_result((20, 30)), tmp_path / "turned.jpg")
    numbers = (tmp_path / "out/detect/yolo/labels/turned.txt").read_text().split()
    assert [float(number) for number in numbers[1:]] == pytest.approx([0.2, 0.35, 1 / 3, 0.5])
    assert "<width>30</width>" in (tmp_path / "out/detect/voc/Annotations/turned.xml").read_text()


def test_where_links_cannot_be_made_images_are_copied(tmp_path, photos, monkeypatch):
    def refuse(self, target, target_is_directory=False):
        raise OSError("a required privilege is not held by the client")

    monkeypatch.setattr("pathlib.Path.symlink_to", refuse)
    with ResultFiles(tmp_path / "out", ["yolo"]) as files:
        files.write(one_result(), photos / "plain.jpg")
    copied = tmp_path / "out/detect/yolo/images/plain.jpg"
    assert not copied.is_symlink() and copied.read_bytes() == (photos / "plain.jpg").read_bytes()


def test_names_that_are_one_on_some_systems_are_numbered():
    names = UniqueNames()
    given = [names.give(name) for name in ("a", "A", "a-1", "a", "Ä", "A\u0308", "ä")]
    assert given == ["a", "A-1", "a-1-1", "a-2", "Ä", "A\u0308-1", "ä-2"]
    assert (plain_name("a:b*c?"), plain_name("con"), plain_name("NUL.tar"), plain_name("")) == (
        *("a_b_c_", "con_", "NUL.tar_", "input"),
    )


# What is refused.


def test_an_unknown_format_is_named_with_the_nearest_one(tmp_path):
    with pytest.raises(ArgusError, match="unknown format of results 'yolov8'; did you mean 'yolo'"):
        ResultFiles(tmp_path / "out", ["yolov8"])
    assert not (tmp_path / "out").exists()


def test_a_missing_library_is_named_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ArgusError, match=r"parquet needs pyarrow: pip install 'argus-perception\[parquet\]'"):
        ResultFiles(tmp_path / "out", ["yolo", "parquet"])
    assert not (tmp_path / "out").exists()


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ArgusError, match="is not empty and holds no answers of an earlier call"):
        ResultFiles(tmp_path)
    (tmp_path / "out").write_text("a file")
    with pytest.raises(ArgusError, match="out is a file"):
        ResultFiles(tmp_path / "out", ["yolo"])


def test_files_of_somebody_are_not_written_over(tmp_path):
    with ResultFiles(tmp_path / "out", ["yolo"]) as files:
        files.write(one_result(), "a.png")
    mine = tmp_path / "out/detect/yolo/labels/b.txt"
    mine.write_text("0 0.5 0.5 1 1\n")
    with (
        pytest.raises(ArgusError, match=r"b\.txt is not of an earlier call, and would be written over"),
        ResultFiles(tmp_path / "out", ["yolo"]) as files,
    ):
        files.write(one_result(), "b.png")
    assert mine.read_text() == "0 0.5 0.5 1 1\n"


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    with ResultFiles(tmp_path / "out", ["jsonl"]) as files:
        files.write(one_result(), "a.png")
    (tmp_path / "out/detect").write_text("in the way")
    with pytest.raises((ArgusError, OSError)) as refused, ResultFiles(tmp_path / "out", ["yolo"]) as files:
        files.write(one_result(), "a.png")
    assert str(tmp_path / "out/detect") in str(refused.value)


def test_no_result_is_refused(tmp_path):
    with pytest.raises(ArgusError, match="there is no result to write"), ResultFiles(tmp_path / "out") as files:
        files.write({}, "a.png")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such names")
def test_names_with_line_feeds_and_bytes_that_are_no_utf8(tmp_path):
    pytest.importorskip("pyarrow")
    for name in ("two\nlines.png", "caf\udce9.png", "quote\"'.png"):
        Image.new("RGB", (30, 20)).save(tmp_path / name, format="PNG")
    with ResultFiles(tmp_path / "out", FORMATS) as files:
        for path in sorted(tmp_path.glob("*.png")):
            files.write(one_result(), path)
    labels = {path.name for path in (tmp_path / "out/detect/yolo/labels").iterdir()}
    assert labels == {"two_lines.txt", "caf\udce9.txt", "quote\"'.txt"}
    assert len(json.loads((tmp_path / "out/detect/fiftyone/labels.json").read_text())["labels"]) == 3
    assert len(list((tmp_path / "out/detect/voc/Annotations").iterdir())) == 3
    with ResultFiles(tmp_path / "out", ["jsonl"]) as files:
        files.write(one_result(), "a.png")
    assert not (tmp_path / "out/detect").exists()
