"""Data sets of the library ``datasets``, as users have them."""

from __future__ import annotations

import gc
import io
import json
import pickle
import shutil
import tarfile
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from argus_core.common.files import file_sha256
from argus_core.errors import ArgusError
from argus_core.plugins.data_spec import open_data
from argus_core.testing import data_suite
from argus_data.coco.split import open_coco
from argus_data.folders.class_folders import open_folder
from argus_data.hf.data_set import hf_layout, open_hf
from hf_tables import (
    BOXES,
    HEIGHT,
    NEWER,
    WIDTH,
    detected,
    encoded,
    features,
    labelled,
    library,
    objects,
    picture,
    plane,
    saved,
    told,
)
from hf_tables import cache as cache


def test_labels_and_splits_of_a_saved_folder(tmp_path):
    data = open_hf(labelled(tmp_path / "set", train=[0, 1, 1], validation=[1], test=[0]))
    assert list(data) == ["train", "val", "test"]
    assert data["train"].tasks["classify"].classes == ("cat", "dog")
    assert [data["train"].truth(n, "classify") for n in range(3)] == [0, 1, 1]
    assert [data["train"].key(n) for n in range(3)] == ["000000", "000001", "000002"]
    assert told(data) == ""


def test_an_image_folder_is_the_data_set_that_folder_finds(tmp_path, cache):
    for number, name in enumerate(("train/cat/1.png", "train/cat/2.png", "train/dog/1.png", "val/dog/7.png")):
        (tmp_path / "set" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "set" / name).write_bytes(encoded(number))
    before = sorted((path, path.stat().st_mtime_ns) for path in (tmp_path / "set").rglob("*"))
    ours, theirs = open_folder(tmp_path / "set"), open_hf(tmp_path / "set")
    assert [key(ours["train"]) for key in READINGS] == [key(theirs["train"]) for key in READINGS]
    assert ours["train"].annotation_digest() == theirs["train"].annotation_digest()
    assert before == sorted((path, path.stat().st_mtime_ns) for path in (tmp_path / "set").rglob("*"))
    assert cache.is_dir()


READINGS = (
    lambda split: split.tasks,
    lambda split: [split.key(n) for n in range(len(split))],
    lambda split: [split.digest(n) for n in range(len(split))],
    lambda split: [split.truth(n, "classify") for n in range(len(split))],
    lambda split: [split.read(n).tolist() for n in range(len(split))],
)


def coco(root: Path, keys, boxes):
    root.mkdir()
    images = [{"id": n, "file_name": key, "height": HEIGHT, "width": WIDTH} for n, key in enumerate(keys)]
    for number, key in enumerate(keys):
        (root / key).write_bytes(encoded(number))
    annotations = [
        {"id": n, "image_id": image, "category_id": label, "bbox": box, "iscrowd": crowd, "area": area}
        for n, (image, box, label, crowd, area) in enumerate(boxes)
    ]
    categories = [{"id": 0, "name": "cat"}, {"id": 1, "name": "dog"}]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (root / "train.json").write_text(json.dumps(content))
    return open_coco(root)["train"]


@pytest.mark.parametrize("layout", ["lists", "structures", "columns"])
def test_objects_are_those_of_the_same_coco_file(tmp_path, layout):
    boxes = [(0, [4, 5, 10, 8], 1, 0, 50.0), (0, [1.25, 2, 3, 4], 0, 1, 12.0), (2, [0, 0, 39, 29], 1, 0, 9.5)]
    theirs = coco(tmp_path / "coco", ["a.png", "b.png", "c.png"], boxes)
    fields = {
        "bbox": library.List(library.Value("float64"), 4),
        "category": library.ClassLabel(names=["cat", "dog"]),
        "area": library.Value("float64"),
        "iscrowd": library.Value("bool"),
    }
    names = list(fields)
    values = [[dict(zip(names, (b, c, a, f), strict=True)) for i, b, c, f, a in boxes if i == n] for n in range(3)]
    lists = [{name: [value[name] for value in row] for name in names} for row in values]
    types = {name: library.List(kind) for name, kind in fields.items()}
    columns, rows = {
        "lists": ({"objects": types}, [{"objects": row} for row in lists]),
        "structures": ({"objects": library.List(fields)}, [{"objects": row} for row in values]),
        "columns": (types, lists),
    }[layout]
    rows = [{**row, "image": picture(n, f"{'abc'[n]}.png")} for n, row in enumerate(rows)]
    ours = open_hf(saved(tmp_path / "set", features(**columns), train=rows))["train"]
    assert ours.tasks == theirs.tasks and ours.annotation_digest() == theirs.annotation_digest()
    assert [ours.digest(n) for n in range(3)] == [theirs.digest(n) for n in range(3)]
    assert ours.truth(0, "detect").crowd.tolist() == [False, True]
    assert ours.faults() == theirs.faults() == []


@pytest.mark.parametrize("form", BOXES)
def test_every_form_of_boxes(tmp_path, form):
    root = detected(tmp_path / form, [([BOXES[form]], [1])] * 2)
    truth = open_hf(root, boxes=form)["train"].truth(0, "detect")
    assert np.allclose(truth.boxes, [[4, 5, 14, 13]]) and truth.labels.tolist() == [1]


def test_difficult_objects_and_stated_sizes(tmp_path):
    fields = objects(difficult=library.List(library.Value("bool")))
    columns = features(objects=fields, width=library.Value("int64"), height=library.Value("int64"))
    row = {"objects": {"bbox": [[1, 1, 5, 5], [2, 2, 5, 5]], "category": [0, 1], "difficult": [True, False]}}
    rows = [{**row, "width": WIDTH, "height": HEIGHT}, {**row, "width": 99, "height": 77}]
    data = open_hf(saved(tmp_path / "set", columns, train=rows))
    assert data["train"].truth(0, "detect").difficult.tolist() == [True, False]
    assert "the annotations say 77x99 (height x width), the image has 30x40" in told(data)


def test_masks_and_depth_maps(tmp_path):
    columns = features(annotation=library.Image(), depth_map=library.Image())
    mask = np.random.default_rng(0).integers(0, 2, (HEIGHT, WIDTH), dtype=np.uint8)
    metres = np.linspace(0.5, 4, HEIGHT * WIDTH, dtype=np.float32).reshape(HEIGHT, WIDTH)
    depths = [plane((metres * 1000).astype(np.uint16)), plane(metres, "TIFF")]
    rows = [{"annotation": plane(mask), "depth_map": depth} for depth in depths]
    root = saved(tmp_path / "set", columns, train=rows)
    with pytest.raises(ArgusError, match="masks need class names: classes=FILE"):
        open_hf(root)
    (root / "id2label.json").write_text('{"0": "floor", "1": "wall"}')
    split = open_hf(root)["train"]
    assert split.tasks["segment"].classes == ("floor", "wall")
    assert np.array_equal(split.truth(0, "segment"), mask)
    assert np.allclose(split.truth(0, "depth"), metres, atol=0.001) and np.array_equal(split.truth(1, "depth"), metres)
    assert np.allclose(open_hf(root, unit="cm")["train"].truth(0, "depth"), metres * 10, atol=0.01)
    assert told({"train": split}) == ""


@pytest.mark.parametrize(
    ("kind", "values", "classes"),
    [("string", ["dog", "cat", "dog"], ("cat", "dog")), ("int64", [10, 9, 10], ("9", "10")), ("bool", [1, 0, 1], None)],
)
def test_labels_that_are_texts_or_numbers(tmp_path, kind, values, classes):
    rows = [{"label": value} for value in values]
    data = open_hf(saved(tmp_path / "set", features(label=library.Value(kind)), train=rows, test=rows[1:2]))
    assert data["train"].tasks["classify"].classes == data["test"].tasks["classify"].classes
    assert data["train"].tasks["classify"].classes == (classes or ("False", "True"))
    assert [data["train"].truth(n, "classify") for n in range(3)] == [1, 0, 1]


def test_photographs_are_turned_and_digests_are_those_of_the_files(tmp_path):
    record = Image.Exif()
    record[274] = 6
    content = encoded(3, kind="JPEG", exif=record)
    columns = features(objects=objects())
    rows = [{"image": {"bytes": content, "path": "a.jpg"}, "objects": {"bbox": [[20, 30, 9, 9]], "category": [0]}}]
    split = open_hf(saved(tmp_path / "set", columns, train=rows))["train"]
    (tmp_path / "a.jpg").write_bytes(content)
    assert split.read(0).shape == (WIDTH, HEIGHT, 3) and split.digest(0) == file_sha256(tmp_path / "a.jpg")
    assert split.truth(0, "detect").boxes.tolist() == [[20, 30, 29, 39]] and not split.faults()


def test_stamps_change_with_the_table(tmp_path):
    root = labelled(tmp_path / "set", train=[0, 1])
    stamps = [open_hf(root)["train"].stamp(n) for n in range(2)]
    assert len(set(stamps)) == 2 and stamps == [open_hf(root)["train"].stamp(n) for n in range(2)]
    shutil.rmtree(root)
    labelled(root, train=[0, 1])
    assert stamps[0] != open_hf(root)["train"].stamp(0)


@pytest.mark.parametrize("kind", ["jsonl", pytest.param("csv", marks=NEWER)])
def test_an_image_folder_with_metadata(tmp_path, kind):
    folder = tmp_path / "set/train"
    folder.mkdir(parents=True)
    lines = {"csv": "file_name,label\na.png,cat\nb.png,dog\n"}
    lines["jsonl"] = '{"file_name": "a.png", "label": "cat"}\n{"file_name": "b.png", "label": "dog"}\n'
    (folder / f"metadata.{kind}").write_text(lines[kind])
    for number, name in enumerate("ab"):
        (folder / f"{name}.png").write_bytes(encoded(number))
    assert hf_layout(tmp_path / "set") == f"train/metadata.{kind}"
    split = open_hf(tmp_path / "set")["train"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gc.collect()  # the library leaves metadata.csv open
    assert [split.key(n) for n in range(2)] == ["a.png", "b.png"] and split.tasks["classify"].classes == ("cat", "dog")


@NEWER
def test_images_inside_an_archive(tmp_path):
    (tmp_path / "set").mkdir()
    with zipfile.ZipFile(tmp_path / "set/train.zip", "w") as archive:
        lines = [{"file_name": f"{name}/1.png", "label": name} for name in ("cat", "dog")]
        archive.writestr("metadata.jsonl", "\n".join(map(json.dumps, lines)))
        for number, line in enumerate(lines):
            archive.writestr(line["file_name"], encoded(number))
    split = open_hf(tmp_path / "set")["train"]
    assert [split.key(n) for n in range(2)] == ["cat/1.png", "dog/1.png"]
    assert [split.truth(n, "classify") for n in range(2)] == [0, 1] and split.read(1).shape == (HEIGHT, WIDTH, 3)
    assert split.stamp(0) == split.stamp(1) and split.digest(0) != split.digest(1)


def test_shards_of_webdataset(tmp_path):
    (tmp_path / "set").mkdir()
    with tarfile.open(tmp_path / "set/train-000.tar", "w") as archive:
        for number, kind in enumerate("010"):
            for name, content in ((f"{number}.png", encoded(number)), (f"{number}.cls", kind.encode())):
                member = tarfile.TarInfo(name)
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    split = open_hf(tmp_path / "set")["train"]
    assert [split.key(n) for n in range(3)] == ["0.png", "1.png", "2.png"]
    assert [split.truth(n, "classify") for n in range(3)] == [0, 1, 0] and split.read(2).shape == (HEIGHT, WIDTH, 3)


def test_parquet_keeps_its_types_and_without_them_images_are_still_known(tmp_path):
    import pyarrow.parquet

    root = labelled(tmp_path / "saved", train=[0, 1, 1])
    (tmp_path / "set/data").mkdir(parents=True)
    file = tmp_path / "set/data/train-00000-of-00001.parquet"
    library.load_from_disk(root)["train"].to_parquet(file)
    assert hf_layout(tmp_path / "set") == "data/train-00000-of-00001.parquet"
    assert open_hf(tmp_path / "set")["train"].tasks["classify"].classes == ("cat", "dog")
    pyarrow.parquet.write_table(pyarrow.parquet.read_table(file).replace_schema_metadata(None), file)
    split = open_hf(tmp_path / "set")["train"]
    assert split.tasks["classify"].classes == ("0", "1") and split.read(2).shape == (HEIGHT, WIDTH, 3)
    (tmp_path / "set/id2label.json").write_text('{"0": "cat", "1": "dog", "2": "owl"}')
    named = open_hf(tmp_path / "set")["train"]
    assert named.tasks["classify"].classes == ("cat", "dog", "owl") and named.truth(2, "classify") == 1


# In processes of their own: forking a process that runs the threads of other tests' libraries can end or hang it.
@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
def test_another_process_and_its_workers_read_rows_and_nothing_is_copied_to_it(tmp_path, python, workers):
    split = open_hf(labelled(tmp_path / "set", train=[0, 1] * 20))["train"]
    content = pickle.dumps(split)
    assert len(content) < 16_000 < sum(len(encoded(n)) for n in range(40))
    (tmp_path / "split").write_bytes(content)
    done = python("-c", READ, str(tmp_path / "split"), str(workers))
    assert done.stdout and json.loads(done.stdout) == [int(split.read(n).sum()) for n in range(40)], done.stderr


READ = """
import json, pathlib, pickle, sys
from torch.utils.data import DataLoader

class Totals:
    def __init__(self, split):
        self.split = split

    def __len__(self):
        return len(self.split)

    def __getitem__(self, index):
        return int(self.split.read(index).sum())

workers = int(sys.argv[2])
split = pickle.loads(pathlib.Path(sys.argv[1]).read_bytes())
loader = DataLoader(Totals(split), num_workers=workers, multiprocessing_context="fork" if workers else None)
print(json.dumps([int(total) for total in loader]))
"""


def test_splits_are_named_and_held_out(tmp_path):
    root = labelled(tmp_path / "set", train_small=[0, 1], testing_mixed=[1, 0], dev=[0])
    assert list(open_hf(root)) == ["train_small", "testing_mixed", "val"]
    assert list(open_hf(root, train="train_small", val="testing_mixed")) == ["train", "val", "dev"]
    root = labelled(tmp_path / "one", all=[0] * 6 + [1] * 6)
    data = open_hf(root, hold_out=0.34)
    assert [data["val"].key(n) for n in range(len(data["val"]))] == ["000002", "000005", "000008", "000011"]
    assert [data["val"].truth(n, "classify") for n in range(4)] == [0, 0, 1, 1]
    assert len(data["train"]) == 8 and told(data) == ""


def test_limits(tmp_path):
    root = labelled(tmp_path / "set", train=[0, 0, 0, 1, 1])
    split = open_data(f"hf:{root},limit=2")["train"]
    assert [(split.key(n), split.truth(n, "classify")) for n in range(2)] == [("000000", 0), ("000003", 1)]
    root = detected(tmp_path / "boxes", [([BOXES["xywh"]], [1])] * 3)
    assert len(open_hf(root, limit=2)["train"]) == 2


KIT: list[Path] = []


@pytest.fixture(scope="module", autouse=True)
def _kit_folder(tmp_path_factory):
    KIT.append(detected(tmp_path_factory.mktemp("kit") / "set", [([BOXES["xywh"]], [n % 2]) for n in range(4)]))


test_kit = data_suite(lambda: open_hf(KIT[-1]))
