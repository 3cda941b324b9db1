"""The ``argus`` command on real files: what it writes, what it says, and how it fails."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from typer.testing import CliRunner

from argus_core import Argus, Canvas, Classify, Correspond, Depth, Detect, Segment, build_head, load_backbone
from argus_core.cli import load as opening
from argus_core.cli.commands import app
from argus_core.errors import ArgusError
from argus_core.registry import places
from argus_core.registry.registry import MODELS

HEADS = {
    "kinds": ("classify.linear", Classify(classes=("a", "b", "c")), {}),
    "masks": ("segment.linear", Segment(classes=("x", "y")), {}),
    "metres": ("depth.linear", Depth(), {"bins": 16}),
    "boxes": ("detect.fcos", Detect(classes=("cat", "dog")), {"width": 32, "depth": 1}),
    "points": ("correspond.match", Correspond(), {}),
}


def size(path):
    with Image.open(path) as picture:
        return picture.size


def refusal(done):
    """What a command says that refuses to do what it is asked."""
    assert isinstance(done.exception, ArgusError), done.output
    return str(done.exception)


def pixels(path):
    with Image.open(path) as picture:
        return np.asarray(picture)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    backbone = load_backbone("tiny")
    torch.manual_seed(0)
    heads = {n: build_head(h, backbone.info, t, o) for n, (h, t, o) in HEADS.items()}
    for head in heads.values():
        head.canvas = Canvas(64, 96)
    argus = Argus(backbone, heads)
    for head in heads.values():
        with torch.no_grad():
            for parameter in head.parameters():
                parameter.add_(torch.randn_like(parameter) * 0.1)
    folder = tmp_path_factory.mktemp("model")
    argus.save(folder)
    return str(folder)


@pytest.fixture
def photos(tmp_path):
    random = np.random.default_rng(0)
    folder = tmp_path / "photos"
    (folder / "more").mkdir(parents=True)
    for name, size in (("a.png", (50, 80)), ("b.jpg", (90, 40)), ("more/a.png", (30, 30))):
        Image.fromarray(random.integers(0, 256, (*size, 3), dtype=np.uint8)).save(folder / name)
    return folder


def run(*arguments):
    return CliRunner().invoke(app, [str(one) for one in arguments])


def test_perceive_writes_every_answer_and_lists_what_it_could_not_read(model, photos, tmp_path):
    (photos / "c.jpg").write_text("no image")
    done = run("perceive", photos, "--model", model, "--out", tmp_path / "out", "--threshold", 0, "--each")
    assert done.exit_code == 1 and "c.jpg" in done.stderr
    lines = [json.loads(line) for line in (tmp_path / "out/results.jsonl").read_text().splitlines()]
    assert [line["image_id"] for line in lines] == ["a", "b", "a-1"]
    assert all(len(line["kinds"]) == 3 and "margin" in line["kinds"][0] for line in lines)
    assert "points" not in lines[0]
    mask = pixels(tmp_path / "out/masks/b.png")
    depth = pixels(tmp_path / "out/metres/b.png")
    assert mask.shape == depth.shape == (90, 40) and mask.max() <= 1
    assert depth.min() > 0 and depth.max() <= 10_000
    boxes = json.loads((tmp_path / "out/boxes/detections.json").read_text())
    assert boxes and {"image_id", "file_name", "category_id", "bbox", "score"} <= set(boxes[0])
    assert all({"image_id", "file_name"} <= set(line) for line in lines) and boxes[0]["image_id"] == "a"
    assert set(lines[0]["boxes"][0]) == {"class_id", "class_name", "score", "box"}
    assert set(lines[0]["masks"]) == {"file", "shares"} and {"file", "median", "unit"} <= set(lines[0]["metres"])
    assert len(list((tmp_path / "out").glob("*/pictures/*.jpg"))) == 12
    assert {file.name for file in (tmp_path / "out").glob("*.png")} == {"a.png", "b.png", "a-1.png"}
    assert size(tmp_path / "out/b.png")[0] > 40


def test_a_second_run_removes_what_only_the_first_wrote_and_nothing_else(model, photos, tmp_path):
    out = tmp_path / "out"
    asked = ("perceive", "--model", model, "--out", out, "--tasks", "segment,depth")
    run(*asked, photos, "--each")
    (out / "masks" / "mine.txt").write_text("a note")
    Image.new("RGB", (8, 8)).save(out / "mine.png")
    before = {file.name for file in out.rglob("*") if file.is_file()}
    done = run(*asked[:-1], "segment", photos / "a.png")
    assert done.exit_code == 0 and "13 files of an earlier run" in done.stderr, done.stderr
    assert {str(file.relative_to(out)) for file in out.rglob("*") if file.is_file()} == {
        *("argus-files.txt", "results.jsonl", "a.png", "masks/a.png", "masks/mine.txt", "mine.png")
    }
    assert "b.png" in before and not (out / "metres").exists()


def test_without_a_model_the_built_in_one_answers_and_says_so(model, photos, tmp_path, monkeypatch):
    (tmp_path / "probe").mkdir()  # a folder of that name is not meant
    monkeypatch.chdir(tmp_path)
    for module in (places, opening):
        monkeypatch.setattr(module, "DEFAULT_MODEL", "probe")
    MODELS.register("probe", lambda: Path(model))
    try:
        done = run("perceive", photos / "a.png", "--out", tmp_path / "out", "--tasks", "masks")
        typo = run("perceive", photos / "a.png", "--out", tmp_path / "other", "--tasks", "mask")
        named = run("info", "probe")
    finally:
        MODELS.unregister("probe")
    assert done.exit_code == 0, done.output
    (line,) = done.stderr.splitlines()
    assert line.startswith("model: probe (built in, backbone tiny; licences: code, backbone, heads kinds, ")
    assert "mask" in str(typo.exception) and isinstance(named.exception, ArgusError)  # here it is a folder


def test_an_image_is_never_written_over(model, photos):
    held = (photos / "a.png").read_bytes()
    asked = ("perceive", photos / "a.png", "--model", model, "--out", photos)
    refused = run(*asked).exception
    assert isinstance(refused, ArgusError) and "is not empty and holds no answers of an earlier call" in str(refused)
    (photos / "argus-files.txt").write_text("a.png\n../photos/b.jpg\n")
    assert "would be written over" in str(run(*asked).exception)
    Image.new("RGB", (8, 8)).save(photos / "b.png")  # of somebody's, in a folder of ours
    assert "b.png is not of an earlier call" in str(run("perceive", photos / "b.jpg", *asked[2:]).exception)
    assert (photos / "a.png").read_bytes() == held and size(photos / "b.png") == (8, 8)
    run("classify", photos / "a.png", "--model", model, "--out", photos, "--no-pictures")
    assert (photos / "a.png").read_bytes() == held and (photos / "b.jpg").exists()


def test_a_link_to_nowhere_is_told(model, photos, tmp_path):
    (photos / "gone.png").symlink_to(photos / "never.png")
    done = run("classify", photos, "--model", model, "--out", tmp_path / "out", "--no-pictures")
    assert done.exit_code == 1 and "gone.png" in done.stderr


def test_a_missing_path_is_told_at_the_end_and_stops_nothing(model, photos, tmp_path):
    done = run("classify", tmp_path / "no.jpg", photos / "a.png", "--model", model, "--out", tmp_path / "out")
    assert done.exit_code == 1 and "no.jpg" in done.stderr
    assert "1 image, 1 head (kinds)" in done.stdout
    assert len((tmp_path / "out/results.jsonl").read_text().splitlines()) == 1


@pytest.mark.parametrize(("canvas", "near"), [("50", "48x48 and --canvas 64x64"), ("64x7", "64x16")])
def test_a_canvas_that_does_not_fit_the_cells_is_refused_first(model, photos, tmp_path, canvas, near):
    done = run("perceive", photos, "--model", model, "--out", tmp_path / "out", "--canvas", canvas)
    assert isinstance(done.exception, ArgusError) and str(done.exception).endswith(f"--canvas {near}")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("command", "head"), [("segment", "masks"), ("depth", "metres"), ("classify", "kinds")])
def test_one_task_asks_one_head(model, photos, tmp_path, command, head):
    done = run(command, photos / "*.png", "--model", model, "--out", tmp_path / "out", "--no-pictures", "--canvas", 96)
    assert done.exit_code == 0, done.output
    (line,) = (tmp_path / "out/results.jsonl").read_text().splitlines()
    assert set(json.loads(line)) == {"image_id", "file_name", head}


def test_a_head_of_another_task_does_not_answer(model, photos, tmp_path):
    done = run("depth", photos, "--model", model, "--out", tmp_path / "out", "--head", "kinds")
    assert isinstance(done.exception, ArgusError) and "no head for 'depth' is called 'kinds'" in str(done.exception)


def test_of_several_heads_the_one_that_answers_is_told(photos, tmp_path):
    backbone = load_backbone("tiny")
    heads = {name: build_head("depth.linear", backbone.info, Depth(), {"bins": 16}) for name in ("near", "far")}
    Argus(backbone, heads, Canvas(64)).save(tmp_path / "model")
    asked = ("depth", photos / "a.png", "--model", tmp_path / "model", "--out", tmp_path / "out", "--no-pictures")
    done = run(*asked)
    assert done.exit_code == 0 and "near answers, of near, far; choose with --head NAME" in done.stderr
    done = run(*asked, "--head", "far")
    assert done.exit_code == 0 and "answers" not in done.stderr and (tmp_path / "out/far/a.png").exists()


def test_points_are_matched_and_those_outside_are_refused(model, photos, tmp_path):
    asked = ["correspond", photos / "a.png", photos / "b.jpg", "--model", model, "--out", tmp_path / "out"]
    done = run(*asked, "--point", "10,10", "--point", "999,10")
    assert "999,10 lies outside" in refusal(done) and "80 wide" in refusal(done)
    assert not (tmp_path / "out").exists()
    done = run(*asked, "--point", "10,10")
    assert done.exit_code == 0, done.output
    (found,) = json.loads((tmp_path / "out" / "matches.json").read_text())["matches"]
    assert found["match"] is not None
    assert size(tmp_path / "out" / "matches.png")[0] > 80


def test_what_cannot_be_read_takes_no_earlier_answer_away(model, photos, tmp_path):
    out, broken = tmp_path / "out", tmp_path / "broken.png"
    broken.write_bytes(b"no image")
    for command in ("perceive", "features"):
        done = run(command, photos / "a.png", "--model", model, "--out", out / command)
        assert done.exit_code == 0, done.output
        held = {path: path.read_bytes() for path in (out / command).rglob("*") if path.is_file()}
        done = run(command, broken, "--model", model, "--out", out / command)
        assert "none of the images could be read: " in refusal(done)
        assert "0 images" not in done.output
        assert {path: path.read_bytes() for path in held} == held


def test_the_answers_about_one_image_are_printed(model, photos, tmp_path):
    done = run("perceive", photos / "a.png", "--model", model, "--out", tmp_path / "out")
    assert f"picture: {tmp_path / 'out' / 'a.png'}" in done.stdout
    assert all(f"{name}: " in done.stdout for name in Argus.load(model).names(None))


@pytest.mark.parametrize("name, said", [("foo", "unknown device 'foo'"), ("cuda:99", "no device cuda:99 here")])
def test_a_device_that_is_not_here_is_told(name, said, model, photos, tmp_path):
    done = run("perceive", photos / "a.png", "--model", model, "--out", tmp_path / "out", "--device", name)
    assert said in refusal(done)


def test_a_model_that_only_compares_says_so(photos, tmp_path):
    backbone = load_backbone("tiny")
    Argus(backbone, {"points": build_head("correspond.match", backbone.info, Correspond())}, Canvas(64)).save(
        tmp_path / "model"
    )
    done = run("perceive", photos / "a.png", "--model", tmp_path / "model", "--out", tmp_path / "out")
    assert "only compare images" in refusal(done)
    assert not (tmp_path / "out" / "results.jsonl").exists()


def test_matches_say_whether_they_lead_back_if_the_head_looks(photos, tmp_path):
    backbone = load_backbone("tiny")
    Argus(
        backbone, {"points": build_head("correspond.match", backbone.info, Correspond(), {"mutual": True})}, Canvas(64)
    ).save(tmp_path / "model")
    asked = ("--point", "10,10", "--point", "70,45", "--model", tmp_path / "model", "--out", tmp_path / "out")
    done = run("correspond", photos / "a.png", photos / "a.png", *asked)
    assert done.exit_code == 0, done.output
    found = json.loads((tmp_path / "out/matches.json").read_text())["matches"]
    assert [one["mutual"] for one in found] == [True, True]  # of an image with itself
    assert done.stdout.count(", mutual") == 2


def test_features_are_files_and_pictures(model, photos, tmp_path):
    done = run("features", photos / "a.png", "--model", model, "--out", tmp_path / "out", "--point", "5,5")
    assert done.exit_code == 0, done.output
    tensors = load_file(tmp_path / "out/a.safetensors")
    assert tensors["map"].shape[1:] == (4, 6) and tensors["cls"].ndim == 1
    assert size(tmp_path / "out/a-pca.png") == (80, 50) and (tmp_path / "out/a-similar.png").exists()


def test_a_point_outside_an_image_is_refused_before_anything_is_written(model, photos, tmp_path):
    out = tmp_path / "out"
    done = run("features", photos, "--model", model, "--out", out, "--point", "35,5")  # b is 40 wide, more/a 30
    assert isinstance(done.exception, ArgusError)
    assert "35,5 is outside" in str(done.exception) and "of 30x30 px" in str(done.exception)
    assert not out.exists()


def test_a_folder_without_a_model_is_told_what_it_should_hold(tmp_path):
    done = run("info", tmp_path)
    assert isinstance(done.exception, ArgusError)
    for words in (str(tmp_path), "config.json", "a run of `arena train`", "one head"):
        assert words in str(done.exception)


def test_info_tells_passes_heads_and_licences(model):
    done = run("info", model)
    assert done.exit_code == 0
    for text in ("64x96", "segment.linear", "2 classes: cat, dog", "binding"):
        assert text in done.output


def test_bench_and_export(model, tmp_path):
    assert "times the backbone" in run("bench", "--model", model, "--rounds", 1).output
    done = run(
        "export", "--model", model, "--out", tmp_path / "copy", "--format", "bundle", "--variant", "bf16_backbone"
    )
    assert done.exit_code == 0 and (tmp_path / "copy/model.bf16_backbone.safetensors").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("segment", "nowhere.jpg"), "no file or folder nowhere.jpg"),
        (("segment", "nowhere/*.jpg"), "nothing matches"),
        (("correspond", "x.png", "y.png", "--point", "5"), "is not a point"),
    ],
)
def test_what_cannot_work_is_said(model, tmp_path, arguments, message):
    done = run(*arguments, "--model", model, "--out", tmp_path / "out")
    assert isinstance(done.exception, ArgusError) and message in str(done.exception)
    assert not (tmp_path / "out").exists()


def test_videos_give_frames(model, tmp_path):
    av = pytest.importorskip("av")
    with av.open(str(tmp_path / "clip.mp4"), "w") as container:
        stream = container.add_stream("mpeg4", rate=5)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for shade in range(6):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), shade * 40, dtype=np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    done = run("classify", tmp_path / "clip.mp4", "--model", model, "--out", tmp_path / "out", "--every", 2)
    assert done.exit_code == 0, done.output
    names = [json.loads(line)["image_id"] for line in (tmp_path / "out/results.jsonl").read_text().splitlines()]
    assert names == ["clip-000000", "clip-000002", "clip-000004"]


def test_heads_are_left_out_of_an_export(model, tmp_path):
    done = run("export", "--model", model, "--out", tmp_path / "out", "--tasks", "classify,metres")
    assert done.exit_code == 0, done.output
    assert list(Argus.load(tmp_path / "out").heads) == ["kinds", "metres"]
