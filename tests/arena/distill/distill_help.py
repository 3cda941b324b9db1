"""A distillation of seconds: the built-in random backbone teaches narrow transformers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from argus_arena.distill.reading import read_recipe
from argus_arena.distill.recipe import DistillRecipe
from argus_core.common.architecture import read_architecture

RECIPE = """
name = "small"

[networks.proxy]
model = "vit_tiny_patch16_dinov3_qkvb"
options = { embed_dim = 64, num_heads = 1, depth = 2 }

[networks.student]
model = "vit_tiny_patch16_dinov3_qkvb"
options = { embed_dim = 32, num_heads = 1, depth = 1 }

[teachers.wide]
backbone = "tiny"
size = 32

[teachers.wider]
backbone = "tiny"
size = 48
weight = 0.5

[teachers.proxy]
stage = "proxy"
size = 32

[comparison]
steps = 2

[[stages]]
name = "proxy"
student = "proxy"
teachers = ["wide", "wider"]
sizes = [32]
recipe = { lr = 1e-3, batch = 4, steps = 5 }

[[stages]]
name = "student"
student = "student"
teachers = ["proxy"]
sizes = [32]
recipe = { lr = 1e-3, batch = 4, steps = 4 }

[[stages]]
name = "multi"
student = "student"
teachers = ["proxy"]
start = "student"
sizes = [32, 48, 64]
teacher_sizes = [32, 48, 64]
recipe = { lr = 1e-3, batch = 4, steps = 3 }
"""


def photographs(folder: Path, count: int = 12) -> Path:
    """A folder of small pictures of soft random colours."""
    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng(0)
    for number in range(count):
        coarse = Image.fromarray(rng.integers(256, size=(5, 6, 3), dtype=np.uint8))
        coarse.resize((60 + number, 50), Image.Resampling.BICUBIC).save(folder / f"{number:02}.png")
    return folder


def small_recipe(folder: Path, **settings: Any) -> DistillRecipe:
    """``RECIPE`` on ``photographs`` with dotted keys changed, in which two underscores stand for a dot."""
    file = folder / "small.toml"
    file.write_text(RECIPE)
    changed = {key.replace("__", "."): value for key, value in settings.items()}
    return read_recipe(file, (str(photographs(folder / "photographs")),), changed)


def weights(backbone: Path) -> str:
    """The digest of a distilled backbone's tensors."""
    return read_architecture(backbone).sha256
