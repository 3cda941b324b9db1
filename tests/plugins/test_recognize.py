"""Bare paths: what they are taken for, by which files, and what is said where that is not clear."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from argus_arena.requests import make_request
from argus_core.cli.early import named_data
from argus_core.data import Layout
from argus_core.errors import ArgusError
from argus_core.plugins.data_spec import explicit_spec, find_opener, open_data
from argus_core.plugins.hooks import hookimpl, load_plugins
from argus_data.scenes.split import open_scenes
from coco_folders import box, flat, image
from coco_folders import write as write_coco
from yolo_folders import LINE, NAMES, write

COCO = json.dumps({"images": [], "annotations": [], "categories": [{"id": 1, "name": "cat"}]})
PETS = "image,label\na.png,cat\n"
LAYOUTS = {
    "coco": {"annotations/instances_train2017.json": COCO, "train2017/a.png": ""},
    "coco of Roboflow": {"train/_annotations.coco.json": COCO, "train/a.png": ""},
    "coco in one folder": {"train.json": COCO, "a.png": ""},
    "yolo": {"data.yaml": NAMES, "images/train/a.png": "", "labels/train/a.txt": LINE},
    "yolo of Roboflow": {"data.yaml": "train: ../train/images\n" + NAMES, "train/images/a.png": "", "README.txt": ""},
    "yolo of CVAT": {"obj.data": "train = data/train.txt\n", "obj.names": "cat\n", "train.txt": ""},
    "yolo of LabelImg": {"classes.txt": "cat\n", "a.png": "", "a.txt": LINE},
    "yolo without names": {"images/train/a.png": "", "labels/train/a.txt": LINE},
    "yolo without names in one folder": {"a.png": "", "a.txt": LINE},
    "coco with labels": {
        "annotations/instances_a.json": COCO,
        "images/a/a.png": "",
        "labels/train/a.txt": LINE,
    },
    "voc": {"Annotations/a.xml": "<annotation/>", "JPEGImages/a.png": "", "ImageSets/Main/train.txt": "a\n"},
    "voc of Roboflow": {"train/a.png": "", "train/a.xml": "<annotation><object/></annotation>"},
    "hf of save_to_disk": {"dataset_dict.json": '{"splits": ["train"]}', "train/state.json": "{}"},
    "hf with metadata": {"train/metadata.csv": "file_name,label\na.png,cat\n", "train/a.png": ""},
    "folder": {"train/cat/a.png": "", "train/dog/b.png": "", "val/cat/c.png": "", "LICENSE": ""},
    "folder without splits": {"cat/a.png": "", "dog/b.png": ""},
    "csv": {"train.csv": PETS, "a.png": ""},
    "csv of Roboflow": {
        "train/_annotations.csv": "filename,width,height,class,xmin,ymin,xmax,ymax\n",
        "train/a.png": "",
    },
    "csv of Kaggle": {
        "train.csv": PETS,
        "test.csv": "image\nb.png\n",
        "sample_submission.csv": "image,label\nb.png,x\n",
        "images/a.png": "",
    },
    "csv of classes in columns": {"train/_classes.csv": "filename, cat, dog\na.png, 1, 0\n", "train/a.png": ""},
    "imagenet": {"LOC_synset_mapping.txt": "n01 x\n", "train/n01/a.png": "", "train/n02/b.png": ""},
    "images": {"classes.json": "[]", "images/a.png": "", "masks/a.png": ""},
    "images with depth": {"images/a.png": "", "depth/a.png": ""},
    "cityscapes": {"leftImg8bit/train/x/a.png": "", "gtFine/train/x/a.png": ""},
    "ade20k": {"images/training/a.png": "", "annotations/training/a.png": "", "objectInfo150.txt": ""},
    "nyu": {"nyu_train.txt": "", "sync/a.png": ""},
    "spair": {"Layout/large/trn.txt": "", "PairAnnotation/x": "", "JPEGImages/cat/a.png": ""},
    "pairs": {"pairs.json": "{}", "images/a.png": ""},
    "pf_willow": {"test_pairs_pf.csv": "a,b\n", "x/a.png": ""},
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_layout_is_that_of_one_data_set(tmp_path, layout):
    spec, reason = explicit_spec(str(write(tmp_path, LAYOUTS[layout])))
    assert spec.startswith(f"{layout.split()[0]}:{tmp_path}") and reason


def test_labels_whose_classes_nothing_names(tmp_path):
    write(tmp_path, LAYOUTS["yolo without names"])
    assert explicit_spec(str(tmp_path))[1] == "labels/train/a.txt is a label file"
    with pytest.raises(ArgusError, match="nothing names the classes"):
        open_data(str(tmp_path))
    write(tmp_path, {"data.yaml": "nc: 3\n"})
    assert explicit_spec(str(tmp_path))[1] == "data.yaml"


def test_every_data_set_of_files_has_a_layout():
    plugins = load_plugins()
    named = {spec.partition(",")[0] for spec in plugins.layouts()}
    assert set(plugins.datasets()) - named <= {"scenes", "scene_pairs"} and not plugins.failed


@pytest.mark.parametrize("name", ["data.yaml", "birds.csv"])
def test_files(tmp_path, name):
    write(tmp_path, {"data.yaml": NAMES, "birds.csv": PETS, "other.txt": "x", "numbers.csv": "a,b\n"})
    assert explicit_spec(str(tmp_path / name))[0] == f"{'yolo' if 'yaml' in name else 'csv'}:{tmp_path / name}"
    for other in ("other.txt", "numbers.csv"):
        with pytest.raises(ArgusError, match="is not recognised as a data set"):
            explicit_spec(str(tmp_path / other))


def test_options_and_quotes_stay(tmp_path):
    flat(tmp_path / "a", [box(1)])
    assert explicit_spec(f"{tmp_path}/a,limit=1")[0] == f"coco:{tmp_path}/a,limit=1"
    assert len(open_data(f"{tmp_path}/a,limit=1")["train"]) == 1
    odd = tmp_path / "b,limit=2"
    flat(odd, [box(1)])
    for spec in (f'"{odd}",limit=1', f"{odd},limit=1"):
        assert explicit_spec(spec)[0] == f'coco:"{odd}",limit=1'
        assert find_opener(spec)[2:] == (str(odd), {"limit": 1})
    write(tmp_path / "c", LAYOUTS["images"])
    name, _, path, options = find_opener(f"{tmp_path}/c,limit=3")
    assert (name, path, options["masks"], options["limit"]) == ("images", f"{tmp_path}/c", "masks", 3)


def test_a_home_folder(tmp_path, monkeypatch):
    flat(tmp_path / "pets", [box(1)])
    monkeypatch.setenv("HOME", str(tmp_path))
    assert explicit_spec("~/pets")[0] == "coco:~/pets" and len(open_data("~/pets")["train"]) == 2


def test_two_layouts_are_both_named(tmp_path):
    write(tmp_path, {**LAYOUTS["yolo"], "train.json": COCO})
    with pytest.raises(ArgusError) as caught:
        explicit_spec(str(tmp_path))
    assert str(caught.value) == (
        f"{tmp_path} is more than one data set: coco:{tmp_path} (train.json) and yolo:{tmp_path} "
        "(data.yaml names classes); give the one that is meant"
    )


def test_no_layout(tmp_path):
    write(tmp_path, {"notes.txt": "x", "a.png": ""})
    with pytest.raises(ArgusError) as caught:
        explicit_spec(str(tmp_path))
    first, *looked = str(caught.value).splitlines()
    assert first.endswith(f"say which it is, as in coco:{tmp_path}. Looked for:")
    assert any(line.startswith("  yolo:PATH: a YAML file with names:") for line in looked)
    assert any(line.startswith("  images:PATH,masks=masks,classes=classes.json: images/ beside") for line in looked)


@pytest.mark.parametrize("name", ["", "pets.csv"])
def test_a_table_that_is_nearly_one_says_what_it_lacks(tmp_path, name):
    write(tmp_path, {"pets.csv": "a.png,cat\nb.png,dog\n", "photos/a.png": ""})
    with pytest.raises(ArgusError) as caught:
        explicit_spec(str(tmp_path / name))
    first, lacks, looked, *_ = str(caught.value).splitlines()
    assert "is not recognised as a data set" in first and looked == "Looked for:"
    assert lacks.startswith(f"It is not csv:{tmp_path / name}, as ") and lacks.endswith("columns=image,label")


def test_one_line_says_what_it_was_taken_for(tmp_path, capsys):
    write(tmp_path, LAYOUTS["folder"])
    assert named_data(str(tmp_path)) == f"folder:{tmp_path}"
    assert (
        capsys.readouterr().err == f"{tmp_path}: taken for folder:{tmp_path} (2 folders of images in train/ and val/)\n"
    )
    assert named_data(f"folder:{tmp_path}") == f"folder:{tmp_path}" and capsys.readouterr().err == ""


def test_a_run_records_the_spec_with_its_name(tmp_path, capsys):
    write(tmp_path, LAYOUTS["folder"])
    request = make_request({"data": str(tmp_path), "heads": ("classify.linear",)})
    assert request.data == f"folder:{tmp_path}" and "taken for" in capsys.readouterr().err
    config = write(tmp_path / "config", {"run.toml": f'data = "{tmp_path.as_posix()}"\nheads = ["classify.linear"]\n'})
    assert make_request({}, config / "run.toml").data == f"folder:{tmp_path}"


def test_commands_say_it_and_open_it(tmp_path, arena):
    entries = [image(1), image(2)]
    write_coco(tmp_path / "train.json", entries, [box(1), box(2, 2)], folder=tmp_path)
    code, out, err = arena(f"data check {tmp_path}")
    assert code == 0 and "train: images 2" in out and err == f"{tmp_path}: taken for coco:{tmp_path} (train.json)\n"
    code, _, err = arena(f"data check {tmp_path / 'none'}")
    assert code == 2 and "there is no file or folder" in err
    code, _, err = arena(f"train --head classify.linear --backbone tiny --data {tmp_path.parent}/{tmp_path.name}x")
    assert code == 2 and "taken for" not in err


def lacks(path: Path) -> str:
    raise ArgusError("mine.txt is empty")


def stranger(layouts):
    class Plugin:
        @staticmethod
        @hookimpl
        def argus_datasets():
            return {"mine": lambda path, *, shade: open_scenes(images=1, val=1, size=32), "odd": open_scenes}

        @staticmethod
        @hookimpl
        def argus_layouts():
            return layouts()

    plugins = load_plugins()
    plugins.manager.register(Plugin, name="hers")
    return plugins


def fails(path: Path) -> str:
    raise RuntimeError("no")


def test_the_layout_of_a_stranger(tmp_path):
    mine = Layout("a file called mine", lambda path: "mine" if (path / "mine").exists() else "")
    write(tmp_path, {"mine": "x"})
    plugins = stranger(lambda: {"mine": mine, "odd,shade=2": Layout("nothing", fails), "coco": mine})
    assert explicit_spec(str(tmp_path), plugins) == (f"mine:{tmp_path}", "mine")
    assert plugins.failed["layout 'nothing'"].startswith("raised RuntimeError: no")
    assert plugins.failed["layout 'coco'"] == "hers offers no data set 'coco'"


def test_what_the_layout_of_a_stranger_lacks(tmp_path):
    plugins = stranger(lambda: {"mine": Layout("a file called mine", lacks)})
    with pytest.raises(ArgusError, match=r"It is not mine:.*, as mine\.txt is empty\nLooked for:"):
        explicit_spec(str(tmp_path), plugins)
    flat(tmp_path, [box(1)])
    assert explicit_spec(str(tmp_path), plugins)[0] == f"coco:{tmp_path}" and not plugins.failed


@pytest.mark.parametrize("offer", [None, 7, {"mine": fails}, {1: Layout("x", fails)}])
def test_a_stranger_that_offers_no_layouts(tmp_path, offer):
    plugins = stranger(lambda: offer)
    flat(tmp_path, [box(1)])
    assert explicit_spec(str(tmp_path), plugins)[0] == f"coco:{tmp_path}"
    assert "return a mapping of names to argus_core.data.Layout" in plugins.failed["hers"]


def test_a_stranger_whose_hook_fails(tmp_path):
    plugins = stranger(lambda: 1 / 0)
    flat(tmp_path, [box(1)])
    assert explicit_spec(str(tmp_path), plugins)[0] == f"coco:{tmp_path}"
    assert plugins.failed["hers"].startswith("argus_layouts raised ZeroDivisionError")
