"""What a recipe says, and what is wrong with one, in words, before anything is computed."""

from __future__ import annotations

import re

import numpy as np
import pytest
from distill_help import small_recipe
from typer.testing import CliRunner

from argus_arena.cli import app
from argus_arena.distill.reading import read_recipe
from argus_arena.report_page.stages import matched
from argus_core.errors import ArgusError


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"sede": 3}, r"small\.toml: unknown key 'sede'; did you mean 'seed'\?"),
        ({"stages__proxy__size": [32]}, r"small\.toml: stages\.proxy: unknown key 'size'; did you mean 'sizes'"),
        ({"stages__multi__recipe__lrr": 1}, r"stages\.multi\.recipe: unknown key 'lrr'; did you mean 'lr'"),
        ({"networks__proxy__mea": [0]}, r"networks\.proxy: unknown key 'mea'; did you mean 'mean'"),
        ({"teachers__wide__size": -4}, r"teachers\.wide\.size: .*greater than 0, not -4"),
        ({"stages__student__crops": "many"}, r"stages\.student\.crops: .*, not 'many'$"),
        ({"stages__student__teachers": ["prox"]}, r"stages\.student: unknown teacher 'prox'; did you mean 'proxy'"),
        ({"stages__studnt__crops": 3}, r"unknown stage 'studnt'; did you mean 'student'"),
    ],
)
def test_faults_name_their_place_and_the_nearest_name(tmp_path, settings, told):
    with pytest.raises(ArgusError, match=told):
        small_recipe(tmp_path, **settings)


def test_a_dry_run_says_what_would_be_done_and_looks_for_all_that_is_named(tmp_path):
    small_recipe(tmp_path)
    command = ["distill", str(tmp_path / "small.toml"), "--data", str(tmp_path / "photographs"), "--dry-run"]
    told = CliRunner().invoke(app, [*command, "--set", "stages.student.crops=2"])
    assert told.exit_code == 0
    assert "images: 12 photographs" in told.stderr
    assert "stage student: proxy to student at 32 px, 4 steps of 4 views, 24 of them stored" in told.stderr
    alone = CliRunner().invoke(app, [*command, "--stage", "student"])
    assert re.findall("stage .*?:", alone.stderr) == ["stage student:"]
    for setting, fault in {
        "teachers.wide.backbone=tinny": "did you mean 'tiny'",
        "networks.student.model=vit_tine": "did you mean",
        "networks.student.weights=gone.safetensors": "there is no file",
        "probes.p.data=folder:gone": "gone",
    }.items():
        result = CliRunner().invoke(app, [*command, "--set", setting])
        assert result.exit_code
        assert re.search(fault, f"{result.stderr}{result.exception}")


def test_components_are_shown_in_the_colours_of_the_first_picture():
    rng = np.random.default_rng(0)
    first = rng.integers(256, size=(9, 8, 3), dtype=np.uint8)
    turned = first[..., [2, 0, 1]].copy()
    turned[..., 1] = 255 - turned[..., 1]
    assert np.array_equal(matched(turned, first), first)
    flat = np.full_like(first, 7)
    assert np.array_equal(matched(flat, first), flat)


def test_recipes_of_the_package_are_read_by_name():
    assert read_recipe("eupe").stages[0].fsdp
