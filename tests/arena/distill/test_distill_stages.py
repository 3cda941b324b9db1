"""Whole stages: what comes out, from where, under which terms; killed, divided, in passes, they end alike."""

from __future__ import annotations

import os
import shutil
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from distill_help import small_recipe, weights
from safetensors.torch import load_file
from timm.models.convnext import ConvNeXtBlock

from argus_arena.distill.adapters import FILE
from argus_arena.distill.fsdp import blocks
from argus_arena.distill.optimise import StudentTrial
from argus_arena.distill.run import distill
from argus_core import load_backbone
from argus_core.backbones.folder import write_backbone
from argus_core.backbones.timm_models import build, wrap
from argus_core.common.architecture import read_provenance
from argus_core.data.check import DataRefused
from argus_core.errors import ArgusError


def proxy(folder: Path, out: str, **settings: object) -> Path:
    """The first stage alone."""
    return distill(small_recipe(folder, **settings), folder / out, only="proxy", device="cpu")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which all stages were run."""
    folder = tmp_path_factory.mktemp("whole")
    distill(small_recipe(folder), folder / "run", device="cpu")
    return folder


def test_three_stages_give_a_backbone_without_adapters(whole):
    result = whole / "run" / "multi" / "backbone"
    backbone = load_backbone(str(result))
    assert (backbone.info.channels, backbone.license) == ((32,), "apache-2.0")
    expected = build("vit_tiny_patch16_dinov3_qkvb", embed_dim=32, num_heads=1, depth=1)
    assert {*load_file(result / "model.safetensors")} == {*expected.state_dict(), "rope.periods"}
    digests = {weights(whole / "run" / stage / "backbone") for stage in ("proxy", "student", "multi")}
    assert len(digests) == 3
    record = read_provenance(result)
    assert record["start"] == weights(whole / "run" / "student" / "backbone")
    assert record["teachers"]["proxy"]["sha256"] == weights(whole / "run" / "proxy" / "backbone")
    assert set(record["teachers"]["proxy"]["made_by"]["teachers"]) == {"wide", "wider"}


def test_a_done_stage_is_not_run_again_and_another_recipe_is_refused(whole, capsys, monkeypatch):
    monkeypatch.setattr(StudentTrial, "learn", None)
    distill(small_recipe(whole), whole / "run", device="cpu")
    assert capsys.readouterr().out.count("done before") == 3
    with pytest.raises(ArgusError, match=r"recipe\.lr"):
        proxy(whole, "run", stages__proxy__recipe__lr=0.5)


def test_a_stage_starts_from_a_checkpoint(whole, tmp_path):
    start = whole / "run" / "student" / "backbone"
    recipe = small_recipe(tmp_path, teachers__proxy={"backbone": "tiny", "size": 32}, stages__multi__recipe__lr=1e-9)
    result = distill(recipe, tmp_path / "run", only="3", start=start, device="cpu")
    before, after = (load_file(folder / "model.safetensors") for folder in (start, result))
    assert all(torch.allclose(before[key], after[key], atol=1e-6) for key in before)
    with pytest.raises(ArgusError, match="same network"):
        distill(small_recipe(tmp_path), tmp_path / "other", only="proxy", start=start, device="cpu")
    with pytest.raises(ArgusError, match="run that stage first"):
        distill(small_recipe(tmp_path), tmp_path / "other", only="multi", device="cpu")


def test_a_stage_goes_on_with_the_adapters_of_the_one_before(whole, tmp_path):
    trained = load_file(whole / "run" / "student" / FILE)
    assert {key.split()[0] for key in trained} == {"proxy"}
    start = whole / "run" / "student" / "backbone"
    teachers = {"backbone": str(whole / "run" / "proxy" / "backbone"), "size": 32}
    still = {"stages__multi__recipe__lr": 1e-9, "teachers__proxy": teachers}
    distill(small_recipe(tmp_path, **still), tmp_path / "run", only="multi", start=start, device="cpu")
    kept = load_file(tmp_path / "run" / "multi" / FILE)
    assert all(torch.allclose(trained[key], kept[key], atol=1e-6) for key in trained)
    moved = tmp_path / "alone"
    shutil.copytree(start, moved)
    distill(small_recipe(tmp_path, **still), tmp_path / "new", only="multi", start=moved, device="cpu")
    new = load_file(tmp_path / "new" / "multi" / FILE)
    assert not all(torch.allclose(trained[key], new[key], atol=1e-3) for key in trained)


def test_the_most_restrictive_licence_wins_and_is_printed(tmp_path, capsys):
    model, options = "vit_tiny_patch16_dinov3_qkvb", {"embed_dim": 32, "num_heads": 1, "depth": 1}
    network = build(model, **options)
    write_backbone(tmp_path / "nc", wrap(network, f"timm:{model}", license="cc-by-nc-4.0"), model, options, {})
    source = {"backbone": str(tmp_path / "nc"), "size": 32}
    result = proxy(tmp_path, "run", teachers__wide=source, images__license="research-data")
    assert load_backbone(str(result)).license == "cc-by-nc-4.0"
    assert read_provenance(result)["licenses"]["parts"]["photographs"] == "research-data"
    assert "binding: Creative Commons Attribution-NonCommercial" in capsys.readouterr().out


@pytest.mark.parametrize("crash", [1, 3, 4])
def test_a_crash_changes_nothing(tmp_path, monkeypatch, crash):
    settings = {"stages__proxy__save_every": 2, "stages__proxy__recipe__ema": 0.9, "stages__proxy__drop": 0.5}
    expected = proxy(tmp_path, "whole", **settings)
    learn = StudentTrial.learn

    def crashing(self, step, parts, count):
        if step == crash:
            raise RuntimeError("power cut")
        return learn(self, step, parts, count)

    monkeypatch.setattr(StudentTrial, "learn", crashing)
    with pytest.raises(RuntimeError, match="power cut"):
        proxy(tmp_path, "cut", **settings)
    monkeypatch.undo()
    assert weights(proxy(tmp_path, "cut", **settings)) == weights(expected)
    logs = [(tmp_path / out / "proxy" / "log.jsonl").read_text() for out in ("whole", "cut")]
    assert logs[0] == logs[1]


@pytest.mark.slow
def test_killed_it_goes_on_bit_by_bit(forked, tmp_path):
    settings = {"stages__proxy__save_every": 2, "stages__proxy__recipe__steps": 40}
    expected = proxy(tmp_path, "whole", **settings)
    state = tmp_path / "killed" / "proxy" / "state.safetensors"
    for _ in range(2):
        process = forked.Process(target=proxy, args=(tmp_path, "killed"), kwargs=settings)
        process.start()
        while process.is_alive() and not state.exists():
            process.join(0.01)
        process.join(0.3)
        process.kill()
        process.join()
    assert weights(proxy(tmp_path, "killed", **settings)) == weights(expected)


def difference(a: Path, b: Path) -> float:
    """The largest difference of any weight."""
    first, second = (load_file(folder / "model.safetensors") for folder in (a, b))
    return max(float((first[key].float() - second[key].float()).abs().max()) for key in first)


def test_passes_give_the_gradients_of_one_batch(tmp_path):
    one, two = (proxy(tmp_path, f"in{count}", stages__proxy__accumulate=count) for count in (1, 2))
    assert 0 <= difference(one, two) < 1e-4
    assert difference(one, proxy(tmp_path, "seed", seed=1)) > 1e-2


def _rank(rank: int, folder: str, settings: dict[str, Any], crash: int | None = None) -> None:
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": "2"}  # as torchrun sets them
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet-{crash}", rank=rank, world_size=2)
    learn = StudentTrial.learn

    def crashing(self, step, parts, count):
        if step == crash:
            raise KeyboardInterrupt
        return learn(self, step, parts, count)

    StudentTrial.learn = crashing
    with suppress(KeyboardInterrupt) if crash else nullcontext():
        proxy(Path(folder), "two", **settings)


@pytest.mark.parametrize("fsdp", [False, True])
def test_two_processes_equal_one_within_rounding(forked, tmp_path, fsdp):
    settings = {"stages__proxy__drop": 0.4, "stages__proxy__fsdp": fsdp, "stages__proxy__accumulate": 2}
    one = proxy(tmp_path, "one", **settings)
    mp.start_processes(_rank, (str(tmp_path), settings), nprocs=2, start_method=forked.get_start_method())
    assert difference(one, tmp_path / "two" / "proxy" / "backbone") < 1e-4
    assert load_file(tmp_path / "two" / "proxy" / "state.safetensors").keys() == (
        load_file(tmp_path / "one" / "proxy" / "state.safetensors").keys()
    )


def test_a_divided_proxy_goes_on_where_it_was_stopped(forked, tmp_path):
    settings = {"stages__proxy__fsdp": True, "stages__proxy__save_every": 2}
    one = proxy(tmp_path, "one", **settings)
    for crash in (3, None):
        args = (str(tmp_path), settings, crash)
        mp.start_processes(_rank, args, nprocs=2, start_method=forked.get_start_method())
    assert difference(one, tmp_path / "two" / "proxy" / "backbone") < 1e-4


def test_fsdp_divides_blocks_of_transformers_and_of_convolutional_networks():
    transformer = build("vit_tiny_patch16_224", depth=3)
    assert list(blocks(transformer)) == list(transformer.blocks)
    network = build("convnext_atto")
    assert sum(isinstance(block, ConvNeXtBlock) for block in blocks(network)) == 12


def test_an_average_of_divided_weights_is_refused(tmp_path):
    with pytest.raises(ArgusError, match=r"fsdp = true and recipe\.ema"):
        small_recipe(tmp_path, stages__proxy__fsdp=True, stages__proxy__recipe__ema=0.9)


def test_a_bad_image_and_a_batch_that_does_not_divide_are_told(tmp_path):
    recipe = small_recipe(tmp_path)
    for name in ("03.png", "05.png"):
        (tmp_path / "photographs" / name).write_bytes(b"no picture")
    with pytest.raises(DataRefused, match=r"(?s)2 of 12.*03\.png.*05\.png.*leave them out with --accept-faults"):
        distill(recipe, tmp_path / "run", only="proxy", device="cpu")
    unchecked = recipe.model_copy(update={"images": recipe.images.model_copy(update={"check": False})})
    with pytest.raises(ArgusError, match=r"0[35]\.png"):
        distill(unchecked, tmp_path / "run", only="proxy", device="cpu")
    with pytest.raises(ArgusError, match="does not divide"):
        small_recipe(tmp_path, stages__proxy__accumulate=3)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"stages__proxy__sizes": [33]}, r"stages\.proxy: an input of 33 x 33 px .* use 32 x 32 or 48 x 48"),
        ({"teachers__wider__size": 40}, r"teachers\.wider: an input of 40 x 40 px"),
        ({"networks__proxy__model": "vit_tine"}, "unknown timm model 'vit_tine'; did you mean"),
    ],
)
def test_sizes_and_networks_are_checked_before_anything_is_stored(tmp_path, changes, told):
    with pytest.raises(ArgusError, match=told):
        proxy(tmp_path, "run", stages__proxy__crops=2, **changes)
    assert not (tmp_path / "run" / "proxy" / "stored").exists()


@pytest.mark.parametrize("crops", [0, 2])
def test_photographs_that_cannot_be_read_are_left_out_if_accepted(tmp_path, crops):
    recipe = small_recipe(tmp_path, stages__proxy__crops=crops)
    (tmp_path / "photographs" / "05.png").write_bytes(b"no picture")
    result = distill(recipe, tmp_path / "run", only="proxy", device="cpu", accept_faults=True)
    (tmp_path / "photographs" / "05.png").unlink()
    expected = distill(recipe, tmp_path / "other", only="proxy", device="cpu")
    assert weights(result) == weights(expected)


def test_a_student_that_diverges_is_told(tmp_path):
    with pytest.raises(ArgusError, match=r"wide patches.*not finite at step [1-9].*smaller lr"):
        proxy(tmp_path, "run", stages__proxy__recipe__lr=1e30, stages__proxy__recipe__clip=0)
