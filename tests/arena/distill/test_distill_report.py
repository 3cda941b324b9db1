"""The agreement at other sizes, and the page of a distillation."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch
from distill_help import photographs, small_recipe
from torch import nn
from typer.testing import CliRunner

from argus_arena.cli import app
from argus_arena.distill.networks import student_of
from argus_arena.distill.objective import Distillation, Measure
from argus_arena.distill.photographs import open_photographs
from argus_arena.distill.recipe import Images, TeacherSource
from argus_arena.distill.run import distill
from argus_arena.distill.sweep import sweep, sweep_sizes
from argus_arena.distill.teachers import Teacher
from argus_arena.report_page.folders import find_stages
from argus_arena.report_page.page import write_stages
from argus_core import load_backbone
from argus_core.errors import ArgusError
from argus_core.plugins.hooks import load_plugins
from page_browser import a_browser

PROBE = {"data": "scenes:images=6,val=4,size=64", "heads": ["classify.ridge"], "size": 32, "every": 2}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two stages."""
    folder = tmp_path_factory.mktemp("report")
    recipe = small_recipe(folder, probes__scenes=PROBE)
    for stage in ("proxy", "student"):
        distill(recipe, folder / "run", only=stage, device="cpu")
    return folder / "run"


def test_sizes_reach_from_half_to_twice_and_hold_those_of_the_training():
    assert sweep_sizes([96], 16) == [48, 64, 96, 144, 192]
    for trained, cell in (([96], 32), ([256, 384, 512], 16), ([98], 14)):
        sizes = sweep_sizes(trained, cell)
        assert {*trained} <= {*sizes} and all(size % cell == 0 for size in sizes)
        assert sizes[0] >= cell and sizes[-1] <= 2 * max(trained) + cell


def test_a_student_that_is_its_teacher_agrees_best_at_its_teachers_size(tmp_path):
    images = open_photographs(Images(data=(str(photographs(tmp_path / "photographs")),)), load_plugins())
    teacher = Teacher("same", TeacherSource(backbone="tiny", size=48), load_backbone("tiny"))
    distillation = Distillation(student_of(load_backbone("tiny")), {"same": teacher.subject}, Measure(scheme="none"))
    for key in distillation.adapters:
        distillation.adapters[key] = nn.Identity()  # type: ignore[assignment]
    found = sweep(distillation, {"same": teacher}, images, [32, 48, 64], torch.device("cpu"))
    for values in found.values():
        assert values[48] < 1e-5 and min(values[32], values[64]) > 1e-3
    assert set(found) == {"same cls", "same patches"}


def data_of(page: Path) -> dict:
    """The values in a page."""
    [text] = re.findall(r'<script type="application/json" id="data">(.*?)</script', page.read_text(), re.DOTALL)
    return json.loads(text)


def test_the_page_has_losses_scores_agreement_and_pictures_of_every_stage(run, tmp_path):
    result = CliRunner().invoke(app, ["report", str(run), "--out", str(tmp_path / "page.html"), "--images", "2"])
    assert result.exit_code == 0, result.output
    first, second = data_of(tmp_path / "page.html")["stages"]
    assert (first["name"], second["name"]) == ("proxy", "student")
    assert [curve["label"] for curve in second["losses"]] == ["proxy cls", "proxy patches"]
    (score,) = first["scores"]
    assert [step for step, _ in score["points"]] == [0, 2, 4, 5] and set(score["teachers"]) == {"wide", "wider"}
    assert [size for size, _ in first["sweep"][0]["points"]] == sweep_sizes([32], 16)
    assert [tile["title"] for tile in first["pictures"][0]["tiles"]] == ["photograph", "wide", "wider", "student"]
    assert len(second["pictures"]) == 2 and not second["note"]


def test_what_is_gone_is_told_and_other_files_are_kept(run, tmp_path):
    (run.parent / "photographs").rename(run.parent / "moved")
    try:
        (stage, _) = write_stages(find_stages([run]), tmp_path / "page.html")["stages"]
    finally:
        (run.parent / "moved").rename(run.parent / "photographs")
    assert "there are no pictures" in stage["note"] and stage["losses"]
    assert find_stages([run / "proxy"]) == [run / "proxy"]
    (tmp_path / "mine.html").write_text("mine")
    with pytest.raises(ArgusError, match="is not a report"):
        write_stages(find_stages([run]), tmp_path / "mine.html")


def test_the_page_is_drawn_in_a_browser(run, tmp_path):
    write_stages(find_stages([run]), tmp_path / "page.html", images=1)
    with a_browser(tmp_path / "profile", "1400,1200") as browser:
        browser.get((tmp_path / "page.html").as_uri())
        titles = [node.text for node in browser.find_elements("css selector", "h3")]
        assert titles == ["Losses", "Error against resolution", "scenes ridge top1", "Principal components"] * 2
        assert len(browser.find_elements("css selector", ".shot img")) == 4 + 3
        assert browser.get_log("browser") == []
