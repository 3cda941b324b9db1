"""A backbone as a folder is a backbone like any other: by its path, in runs, caches and saved models."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from argus_core import Argus, Canvas, load_backbone
from argus_core.backbones import Backbone
from argus_core.backbones.folder import write_backbone
from argus_core.backbones.timm_models import build, wrap
from argus_core.cli.early import check_backbone
from argus_core.common.architecture import is_backbone_folder, read_provenance
from argus_core.errors import ArgusError
from argus_core.tokens import Needs

MODEL = "vit_tiny_patch16_dinov3_qkvb"
OPTIONS = {"embed_dim": 64, "num_heads": 1, "depth": 2}
MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.3, 0.25)


def random_backbone() -> Backbone:
    torch.manual_seed(0)
    model = build(MODEL, **OPTIONS)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
        model.rope.periods.mul_(1.01)  # timm leaves these out of its state
    return wrap(model, f"timm:{MODEL}", license="cc-by-nc-4.0", mean=MEAN, std=STD)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_backbone(tmp_path / "mine", random_backbone(), MODEL, OPTIONS, {"teachers": {"a": "b"}})
    return tmp_path / "mine"


def cls(backbone: Backbone) -> torch.Tensor:
    images = torch.randint(256, (2, 3, 48, 48), generator=torch.Generator().manual_seed(3), dtype=torch.uint8)
    needs = Needs(cls=True)
    return backbone(images, needs).features(needs).cls[0]


def test_a_folder_gives_the_backbone_that_was_written(folder):
    written, read = random_backbone(), load_backbone(str(folder))
    assert read.weights_sha256 == written.weights_sha256
    assert (read.mean, read.std, read.license) == (MEAN, STD, "cc-by-nc-4.0")
    assert cls(read).equal(cls(written))
    check_backbone(str(folder))
    assert is_backbone_folder(folder) and read_provenance(folder) == {"teachers": {"a": "b"}}


def test_a_saved_argus_needs_the_folder_no_more(folder, tmp_path):
    argus = Argus(load_backbone(str(folder)), canvas=Canvas(48))
    argus.save(tmp_path / "model")
    (folder / "model.safetensors").unlink()
    loaded = Argus.load(tmp_path / "model")
    assert cls(loaded.backbone).equal(cls(argus.backbone))
    assert loaded.licenses()["backbone"].id == "cc-by-nc-4.0"


def test_a_run_loads_the_folders_weights_again(folder, tmp_path):
    from arena_help import DATA, train_run
    from argus_core.saving.runs import backbone_of

    given = {"heads": ("linear=depth.linear",), "data": DATA, "backbone": str(folder), "canvas": "64"}
    train_run(given, {"steps": 2, "batch": 2}, tmp_path / "run")
    record = json.loads((tmp_path / "run" / "run.json").read_text())["record"]
    assert backbone_of(record).weights_sha256 == random_backbone().weights_sha256
    train_run(given, {"steps": 2, "batch": 2}, tmp_path / "run")  # the same run, and it is done


def test_damage_and_other_files_are_told(folder, tmp_path):
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    save_file({key: value + 1 for key, value in tensors.items()}, folder / "model.safetensors")
    with pytest.raises(ArgusError, match="damaged or of another network"):
        load_backbone(str(folder))
    (folder / "architecture.json").write_text('{"format": 9, "model": "x"}')
    with pytest.raises(ArgusError, match="newer Argus"):
        load_backbone(str(folder))
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("x")
    with pytest.raises(ArgusError, match="not empty"):
        write_backbone(tmp_path / "thesis", random_backbone(), MODEL, OPTIONS, {})
