"""From a run folder to predictions on files as people have them."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
import typer
from PIL import Image
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from rich.console import Console
from typer.testing import CliRunner

from arena_help import DATA, settings, train_run
from argus_arena.cli.predict import predict as predict_command
from argus_arena.requests import EvalRequest
from argus_arena.tools.rescore import evaluate_run
from argus_core.cli.commands import app
from argus_core.cli.models import build
from argus_core.common.progress import ProgressBar
from argus_core.errors import ArgusError, counted
from argus_core.plugins.data_spec import open_data


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("predict") / "run"
    given = {"heads": ("fcos", "again=fcos"), "data": DATA, "backbone": "tiny", "canvas": "64"}
    more = {key.removeprefix("fcos."): value for key, value in settings("fcos", epochs=1).items()}
    train_run(given, more, folder)
    return folder


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    (folder / "deeper").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name, size in (("wide.jpg", (20, 90, 3)), ("deeper/tall.png", (77, 31, 3)), ("deeper/wide.png", (64, 64))):
        Image.fromarray(rng.integers(0, 255, size, dtype=np.uint8)).save(folder / name)
    return folder


def predict(run, inputs, out, threshold=0.0, annotations=None):
    predict_command([str(one) for one in inputs], run, out, threshold, None, 2, "cpu", annotations)


def test_a_folder_of_mixed_sizes_gives_boxes_inside_each_image(run, photos, tmp_path):
    predict(run, [photos], tmp_path / "out")
    found, again = (json.loads((tmp_path / "out" / n / "detections.json").read_text()) for n in ("fcos", "again"))
    assert found == again
    assert found
    for each in found:
        with Image.open(each["file_name"]) as image:
            width, height = image.size
        x, y, w, h = each["bbox"]
        assert x >= -0.01 and y >= -0.01 and x + w <= width + 0.02 and y + h <= height + 0.02
        assert 0 <= each["score"] <= 1 and each["category_id"] >= 1
        assert (tmp_path / "out/fcos/pictures" / f"{each['image_id']}.jpg").is_file() and each["category_name"]
    assert len(list((tmp_path / "out/fcos/pictures").glob("*.jpg"))) == 3
    assert len((tmp_path / "out/results.jsonl").read_text().splitlines()) == 3


def test_one_head_of_a_run_and_a_threshold(run, photos, tmp_path):
    predict(run / "fcos", [photos / "wide.jpg"], tmp_path / "all")
    predict(run / "fcos", [photos / "wide.jpg"], tmp_path / "few", threshold=0.99)
    everything, few = (json.loads((tmp_path / n / "fcos" / "detections.json").read_text()) for n in ("all", "few"))
    assert len(everything) > 0 and few == []


def test_a_bad_file_is_reported_and_stops_nothing(run, photos, tmp_path, capsys):
    (photos / "broken.jpg").write_bytes((photos / "wide.jpg").read_bytes()[:300])
    with pytest.raises(typer.Exit) as stop:
        predict(run, [photos, photos / "missing.jpg"], tmp_path / "out")
    bad = [line for line in capsys.readouterr().err.splitlines() if line.startswith("left out: ")]
    assert stop.value.exit_code == 1 and len(bad) == 2 and "broken.jpg" in bad[0] and "missing.jpg" in bad[1]
    assert len(list((tmp_path / "out/fcos/pictures").glob("*.jpg"))) == 3


def test_a_model_of_two_runs_tells_its_names_and_overwrites_only_when_told(run, tmp_path, capsys):
    def built(*runs, overwrite=False):
        build(runs=list(runs), out=tmp_path / "model", overwrite=overwrite)
        return capsys.readouterr()

    shutil.copytree(run / "fcos", tmp_path / "other" / "fcos")
    told = built(run, tmp_path / "other")
    assert "heads: again (detect.fcos), fcos (detect.fcos), detect_fcos (detect.fcos)" in told.out
    assert "notice: detect_fcos has its task in front" in told.err and "notice: fcos" not in told.err
    held = (tmp_path / "model" / "config.json").read_bytes()
    with pytest.raises(ArgusError, match=r"model exists already; choose another --out, or .* --overwrite"):
        built(run)
    assert (tmp_path / "model" / "config.json").read_bytes() == held
    assert "notice" not in built(run, overwrite=True).err
    assert "detect_fcos" not in (tmp_path / "model" / "config.json").read_text()


def test_nothing_to_look_at_is_an_error(run, photos, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ArgusError, match="no images"):
        predict(run, [tmp_path / "empty"], tmp_path / "out")
    with pytest.raises(ArgusError, match="no file or folder"):
        predict(run, [tmp_path / "missing.jpg"], tmp_path / "out")
    with pytest.raises(ArgusError, match=r"best\.safetensors"):
        predict(tmp_path / "empty", [photos], tmp_path / "out")


def _scores(run, **decoding):
    request = EvalRequest(run=run / "fcos", settings=decoding, device="cpu")
    return evaluate_run(request)["fcos"]["metrics"]


def test_scoring_again_gives_the_recorded_score(run):
    recorded = json.loads((run / "fcos" / "result.json").read_text())["metrics"]
    scores = _scores(run)
    assert scores["AP"] == pytest.approx(recorded["AP"], abs=1e-6)
    soft = _scores(run, soft=True)
    assert soft["AR100"] >= scores["AR100"]
    with pytest.raises(ArgusError, match="did you mean 'soft'"):
        _scores(run, sofd=True)


@pytest.fixture(scope="module")
def annotated(tmp_path_factory):
    """The run's validation images as a COCO set with ids of its own, in Roboflow's layout."""
    root, split = tmp_path_factory.mktemp("annotated"), open_data(DATA)["val"]
    classes = split.tasks["detect"].classes
    categories = [{"id": 3 + 7 * n, "name": name, "supercategory": "thing"} for n, name in enumerate(classes)]
    images, boxes = [], []
    for index in range(len(split)):
        write_png(root / "val" / f"{index:03d}.png", split.read(index))
        truth = split.truth(index, "detect")
        images.append({"id": 1000 - index, "file_name": f"{index:03d}.png", "height": 64, "width": 64})
        for (x1, y1, x2, y2), label in zip(truth.boxes.tolist(), truth.labels.tolist(), strict=True):
            one = {"image_id": 1000 - index, "category_id": 3 + 7 * label, "bbox": [x1, y1, x2 - x1, y2 - y1]}
            boxes.append({**one, "id": len(boxes) + 1, "area": (x2 - x1) * (y2 - y1), "iscrowd": 0})
    file = root / "val" / "_annotations.coco.json"
    file.write_text(json.dumps({"images": images, "annotations": boxes, "categories": categories}))
    return root


def write_png(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def coco_ap(annotations, results):
    """The AP that pycocotools gives a file of results, as anybody would ask it."""
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(annotations))
        scored = COCOeval(truth, truth.loadRes(str(results)), "bbox")
        scored.evaluate(), scored.accumulate(), scored.summarize()
    return scored.stats[0]


def test_pycocotools_scores_the_files_as_the_run_was_scored(run, annotated, tmp_path, capsys):
    own = evaluate_run(EvalRequest(run=run / "fcos", data=f"coco:{annotated}", device="cpu"))["fcos"]["metrics"]["AP"]
    file = annotated / "val" / "_annotations.coco.json"
    predict(run, [annotated / "val"], tmp_path / "beside")
    assert own > 0 and coco_ap(file, tmp_path / "beside/fcos/detections.json") == pytest.approx(own, abs=1e-6)
    assert f"fcos: ids of images and categories are those of {file}" in capsys.readouterr().err
    photos = shutil.copytree(annotated / "val", tmp_path / "photos", ignore=shutil.ignore_patterns("*.json"))
    predict(run, [photos], tmp_path / "told", annotations=file)
    assert coco_ap(file, tmp_path / "told/fcos/detections.json") == pytest.approx(own, abs=1e-6)
    build(runs=[run / "fcos"], out=tmp_path / "model")
    model = ("--model", str(tmp_path / "model"), "--no-pictures", "--threshold", "0")
    seen = CliRunner().invoke(
        app, ["perceive", str(photos), *model, "--out", f"{tmp_path}/s", "--annotations", str(file)]
    )
    assert seen.exit_code == 0, seen.output
    assert coco_ap(file, tmp_path / "s/fcos/detections.json") == pytest.approx(own, abs=1e-6)
    lines = [json.loads(line) for line in (tmp_path / "s/results.jsonl").read_text().splitlines()]
    assert [line["image_id"] for line in lines] == [f"{n:03d}" for n in range(len(lines))]  # pictures go by this name
    alone = CliRunner().invoke(app, ["detect", str(photos), *model, "--out", f"{tmp_path}/alone"])
    entries = json.loads((tmp_path / "alone/fcos/detections.json").read_text())
    assert alone.exit_code == 0 and entries[0]["image_id"] == "000"


def test_every_format_scores_as_the_run(run, annotated, tmp_path):
    own = evaluate_run(EvalRequest(run=run / "fcos", data=f"coco:{annotated}", device="cpu"))["fcos"]["metrics"]["AP"]
    out = tmp_path / "out"
    saved = "yolo-scores,voc,parquet"
    predict_command([str(annotated / "val")], run / "fcos", out, 0.0, None, 2, "cpu", None, save=saved)
    file = annotated / "val" / "_annotations.coco.json"
    truth = json.loads(file.read_text())
    images = {image["file_name"]: image["id"] for image in truth["images"]}
    categories = [category["id"] for category in truth["categories"]]

    def entry(name, label, x1, y1, x2, y2, score):
        box = [x1, y1, x2 - x1, y2 - y1]
        return {"image_id": images[f"{name}.png"], "category_id": categories[label], "bbox": box, "score": score}

    def from_yolo():
        for path in (out / "fcos/yolo-scores/labels").glob("*.txt"):
            for label, cx, cy, w, h, score in (map(float, line.split()) for line in path.read_text().splitlines()):
                corners = (value * 64 for value in (cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2))
                yield entry(path.stem, int(label), *corners, score)

    def from_voc():
        names = [category["name"] for category in truth["categories"]]
        for path in (out / "fcos/voc/Annotations").glob("*.xml"):
            for found in ElementTree.parse(path).getroot().iter("object"):
                x1, y1, x2, y2 = (float(found.findtext(f"bndbox/{side}")) for side in ("xmin", "ymin", "xmax", "ymax"))
                label, score = names.index(found.findtext("name")), float(found.findtext("score"))
                yield entry(path.stem, label, x1 - 1, y1 - 1, x2, y2, score)

    def from_parquet():
        for row in pytest.importorskip("pyarrow.parquet").read_table(out / "results.parquet").to_pylist():
            yield entry(row["image_id"], row["class_id"], *row["box"], row["score"])

    for read in (from_yolo, from_voc, from_parquet):
        (tmp_path / "entries.json").write_text(json.dumps(list(read())))
        assert coco_ap(file, tmp_path / "entries.json") == pytest.approx(own, abs=1e-6), read.__name__


def test_annotations_that_do_not_fit_the_images_or_the_head_are_refused(run, annotated, photos, tmp_path):
    file = annotated / "val" / "_annotations.coco.json"

    def predicted(inputs, annotations):
        predict(run, inputs, tmp_path / "out", annotations=annotations)

    with pytest.raises(ArgusError, match=r"does not list 3 images, .*tall\.png; .*wide\.jpg"):
        predicted([photos], file)
    content = json.loads(file.read_text())
    other = tmp_path / "other.json"
    other.write_text(json.dumps({**content, "categories": [{"id": 1, "name": "zebra"}]}))
    with pytest.raises(ArgusError, match="has no class of again, fcos: it has zebra"):
        predicted([annotated / "val"], other)
    other.write_text(json.dumps([content]))
    with pytest.raises(ArgusError, match="has no images and categories as COCO's format"):
        predicted([annotated / "val"], other)
    assert not (tmp_path / "out").exists()


def test_a_bar_is_wiped_away_and_one_is_no_plural():
    console = Console(file=io.StringIO(), force_terminal=True, width=80)
    with ProgressBar("score", 3, console=console):
        pass
    assert console.file.getvalue().endswith("\x1b[1A\x1b[2K")
    assert (counted(1, "image"), counted(0, "image")) == ("1 image", "0 images")
