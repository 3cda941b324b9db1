"""Teachers whose answers are stored: the training is that of live ones, and the store proves what it holds."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from distill_help import small_recipe, weights
from PIL import Image

from argus_arena.distill.augment import render_view
from argus_arena.distill.fixed import FixedViews
from argus_arena.distill.photographs import open_photographs
from argus_arena.distill.pixels import StoredViews
from argus_arena.distill.recipe import DistillRecipe
from argus_arena.distill.run import distill
from argus_arena.distill.stored import ViewSplit
from argus_core.backbones import Backbone
from argus_core.backbones.folder import write_backbone
from argus_core.backbones.timm_models import build, wrap
from argus_core.cache import Cache, verify
from argus_core.errors import ArgusError
from argus_core.plugins.hooks import load_plugins


def run(folder: Path, out: str, stored: str, only: str = "proxy", **settings: Any) -> Path:
    """A stage with two views of every image."""
    recipe = small_recipe(folder, **{f"stages__{only}__crops": 2, f"stages__{only}__stored": stored}, **settings)
    return distill(recipe, folder / out, only=only, device="cpu")


def curve(backbone: Path) -> list[dict[str, float]]:
    """The losses of a run."""
    return [json.loads(line) for line in (backbone.parent / "log.jsonl").read_text().splitlines()]


def numbers(line: dict[str, Any]) -> dict[str, float]:
    """The losses or the scores of a line."""
    return {name: value for name, value in line.get("eval", line).items() if name != "head"}


TWO_SIZES = {"stages__proxy__sizes": [32, 48], "stages__proxy__teacher_sizes": [32, 48], "stages__proxy__drop": 0.3}


@pytest.mark.parametrize("settings", [{}, TWO_SIZES], ids=["own sizes", "sizes drawn"])
def test_stored_answers_train_as_live_ones(tmp_path, settings):
    settings = {**settings, "stages__proxy__recipe__steps": 11}
    live, exact = (run(tmp_path, out, stored=out, **settings) for out in ("no", "fp32"))
    assert weights(exact) == weights(live)
    assert curve(exact) == curve(live)


@pytest.mark.parametrize(("stored", "tolerance"), [("fp16", 1e-3), ("bf16", 1e-2), ("int8", 1e-2), ("pca-96", 1e-3)])
def test_rounded_answers_train_nearly_as_live_ones(tmp_path, stored, tolerance):
    live, rounded = (run(tmp_path, out, stored=out, stages__proxy__recipe__steps=11) for out in ("no", stored))
    for a, b in zip(curve(rounded), curve(live), strict=True):
        assert numbers(a) == pytest.approx(numbers(b), rel=tolerance)


def test_teachers_run_once_for_every_view(tmp_path, monkeypatch):
    images: list[int] = []
    forward = Backbone.forward

    def counting(self, batch, *args, **kwargs):
        images.append(len(batch))
        return forward(self, batch, *args, **kwargs)

    monkeypatch.setattr(Backbone, "forward", counting)
    recipe = small_recipe(tmp_path, images__store=str(tmp_path / "store"), stages__proxy__crops=2)
    first = distill(recipe, tmp_path / "first", only="proxy", device="cpu")
    at_the_end = 2 * 12  # of the agreement at other sizes
    assert sum(images) == 2 * 2 * 12 + at_the_end  # teachers, views, images
    second = distill(recipe, tmp_path / "second", only="proxy", device="cpu")
    assert sum(images) == 2 * 2 * 12 + 2 * at_the_end and weights(first) == weights(second)


def test_an_image_that_has_changed_is_told(tmp_path):
    recipe = small_recipe(tmp_path, images__store=str(tmp_path / "store"), stages__proxy__crops=2)
    distill(recipe, tmp_path / "first", only="proxy", device="cpu")
    shutil.copy(tmp_path / "photographs" / "06.png", tmp_path / "photographs" / "05.png")
    with pytest.raises(ArgusError, match=r"05\.png.*has changed since the cache .*wide-32px was written"):
        distill(recipe, tmp_path / "second", only="proxy", device="cpu")


def stored_views(folder: Path, recipe: DistillRecipe, count: int = 2, size: int = 32) -> StoredViews:
    """The views that the first stage stores."""
    photographs = open_photographs(recipe.images, load_plugins())
    return StoredViews(folder, FixedViews(photographs, recipe.augmentation, count), [size])


def test_the_store_records_the_parameters_of_views_and_can_be_verified(tmp_path):
    store = run(tmp_path, "run", "fp16").parent / "stored"
    views = stored_views(store / "views", small_recipe(tmp_path))
    assert len({views.view(row) for row in range(24)}) == 24
    for row in (0, 1, 23):
        image = np.array(Image.open(tmp_path / "photographs" / f"{row // 2:02}.png"))
        rendered = render_view(image, views.view(row), 32)
        assert rendered.equal(views.batch([row], 32)[0])
        wide = ViewSplit(views, 48)  # a size that is not stored
        assert np.array_equal(wide.read(row), render_view(image, views.view(row), 48).permute(1, 2, 0))
    for name in ("wide-32px", "wider-48px"):
        assert verify(store / name) == []
        key = Cache.open(store / name).images[3].key
        assert key.startswith("01") and " #1 " in key and json.loads(key.partition(" #1 ")[2])["crop"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"augmentation__seed": 1}, "its augmentation is"),
        ({"augmentation__flip_p": 0.2}, "its augmentation is"),
        ({"stages__proxy__crops": 3}, "its crops is 2, this run's is 3"),
        ({"stages__proxy__sizes": [48]}, r"its sizes is \[32\]"),
        ({"stages__proxy__stored": "bf16"}, "its dtype is 'fp16', this run's is 'bf16'"),
    ],
)
def test_a_store_that_does_not_fit_the_recipe_is_refused(tmp_path, settings, message):
    store = {"images__store": str(tmp_path / "store"), "stages__proxy__crops": 2}
    distill(small_recipe(tmp_path, **store), tmp_path / "one", only="proxy", device="cpu")
    distill(small_recipe(tmp_path, **store), tmp_path / "two", only="proxy", device="cpu")
    with pytest.raises(ArgusError, match=message):
        distill(small_recipe(tmp_path, **{**store, **settings}), tmp_path / "other", only="proxy", device="cpu")


def test_answers_of_other_weights_are_refused(tmp_path):
    model, options = "vit_tiny_patch16_dinov3_qkvb", {"embed_dim": 32, "num_heads": 1, "depth": 1}
    for seed in (0, 1):
        torch.manual_seed(seed)
        backbone = wrap(build(model, **options), f"timm:{model}", license="mit")
        write_backbone(tmp_path / f"b{seed}", backbone, model, options, {})
    store = {"images__store": str(tmp_path / "store"), "stages__proxy__crops": 2}
    recipes = [
        small_recipe(tmp_path, teachers__wide={"backbone": str(tmp_path / f"b{seed}"), "size": 32}, **store)
        for seed in (0, 1)
    ]
    distill(recipes[0], tmp_path / "one", only="proxy", device="cpu")
    with pytest.raises(ArgusError, match=r"wide-32px was stored for another recipe: its weights is .*images\.store"):
        distill(recipes[1], tmp_path / "two", only="proxy", device="cpu")


def test_storing_goes_on_where_it_was_interrupted(tmp_path, monkeypatch):
    expected = run(tmp_path, "whole", "fp16")
    forward, calls = Backbone.forward, [0]

    def crashing(self, *args, **kwargs):
        calls[0] += 1
        if calls[0] == 3:
            raise RuntimeError("power cut")
        return forward(self, *args, **kwargs)

    monkeypatch.setattr(Backbone, "forward", crashing)
    with pytest.raises(RuntimeError, match="power cut"):
        run(tmp_path, "cut", "fp16")
    monkeypatch.undo()
    assert weights(run(tmp_path, "cut", "fp16")) == weights(expected)


def test_a_damaged_file_of_views_is_told(tmp_path):
    recipe = small_recipe(tmp_path, stages__proxy__crops=2, images__store=str(tmp_path / "store"))
    distill(recipe, tmp_path / "one", only="proxy", device="cpu")
    (file,) = (tmp_path / "store" / "proxy" / "views").glob("*.safetensors")
    file.write_bytes(file.read_bytes()[:-5])
    with pytest.raises(ArgusError, match=r"00000\.safetensors: cannot be read.*delete it"):
        distill(recipe, tmp_path / "two", only="proxy", device="cpu")


def _rank(rank: int, folder: str, recipe: DistillRecipe) -> None:
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": "2"}  # as torchrun sets them
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    distill(recipe, Path(folder) / "two", only="proxy", device="cpu")


def test_two_processes_store_and_probe_together(forked, tmp_path):
    probe = {"data": "scenes:images=8,val=5,size=64", "heads": ["classify.knn", "depth.ridge"], "size": 64}
    recipe = small_recipe(tmp_path, stages__proxy__crops=2, stages__proxy__stored="fp32", probes__scenes=probe)
    one = distill(recipe, tmp_path / "one", only="proxy", device="cpu")
    mp.start_processes(_rank, (str(tmp_path), recipe), nprocs=2, start_method=forked.get_start_method())
    for a, b in zip(curve(one), curve(tmp_path / "two" / "proxy" / "backbone"), strict=True):
        assert a.keys() == b.keys() and a.get("weights") == b.get("weights")
        assert numbers(a) == pytest.approx(numbers(b), rel=1e-3)
