"""The six EUPE backbones give what the official implementation gives, on weights made from a seed."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from argus_core.backbones import load_backbone
from argus_core.tokens import Needs

GOLDEN = Path(__file__).resolve().parents[2].parent / "shared" / "golden"
TOLERANCE = 1e-4
SIZES = ((224, 224, 2), (512, 384, 1))
VITS = ("vitt16", "vits16", pytest.param("vitb16", marks=pytest.mark.slow))
CONVNEXTS = (
    "convnext_tiny",
    pytest.param("convnext_small", marks=pytest.mark.slow),
    pytest.param("convnext_base", marks=pytest.mark.slow),
)


@pytest.fixture(scope="module")
def recipe():
    if not GOLDEN.exists():
        pytest.skip("the golden outputs are not on this machine")
    spec = importlib.util.spec_from_file_location("golden_recipe", GOLDEN / "golden_recipe.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def load(recipe, tmp_path, model, periods="fp32"):
    """The stored arrays and the backbone read from an official-looking file with the same weights."""
    arrays = np.load(GOLDEN / "A" / f"{model}.npz")
    meta = json.loads(str(arrays["meta"]))
    tensors = recipe.build_state_dict(json.loads((GOLDEN / f"keys_{model}.json").read_text()), meta["seed"], periods)
    assert recipe.fingerprint(tensors) == meta["weights_fingerprint"]
    path = tmp_path / f"{model}.pth"
    torch.save(tensors, path)
    backbone = load_backbone(f"eupe_{model}", weights=path)
    path.unlink()
    return {key: torch.from_numpy(arrays[key]) for key in arrays.files if key != "meta"}, meta, backbone


def rows(feature_map):
    """(B, C, h, w) to (B, h * w, C)."""
    return feature_map.flatten(2).transpose(1, 2)


def computed(tokens, stored, group):
    """Our counterpart of every stored array of one size, in the order of the file."""
    layers = sorted(tokens.maps)
    last = layers[-1]
    both = {norm: tokens.features(Needs(tuple(layers), norm=norm, cls=True)) for norm in (True, False)}
    final = rows(both[True].map)
    out = {"cls": both[True].cls[-1], "patch": final[:, stored[f"{group}/patch_idx"].long()]}
    out["regs"] = tokens.norm(tokens.prefix[last][:1, 1:])
    spread = [f(x) for x in (final, rows(both[False].map)) for f in (torch.mean, torch.std, lambda x: x.abs().max())]
    out["stats"] = torch.stack(spread)
    for i, layer in enumerate(layers):
        index = stored[f"{group}/L{layer}/idx"].long()
        out[f"L{layer}/grid"] = torch.tensor(both[True].maps[i].shape[-2:])
        out[f"L{layer}/idx"] = index
        for name, norm in (("raw", False), ("norm", True)):
            out[f"L{layer}/{name}/cls"] = both[norm].cls[i][0]
            out[f"L{layer}/{name}/patch"] = rows(both[norm].maps[i])[0, index]
    return out


@pytest.mark.parametrize("model", [*VITS, *CONVNEXTS])
def test_every_stored_array(recipe, tmp_path, model):
    stored, meta, backbone = load(recipe, tmp_path, model)
    checked = 0
    for height, width, batch in SIZES:
        images = recipe.make_images(height, width, meta["seed"], batch)
        tokens = backbone(images, Needs(tuple(meta["layers"]), cls=True))
        group = f"{height}x{width}"
        ours = computed(tokens, stored, group)
        for key in (key for key in stored if key.startswith(f"{group}/") and not key.endswith("patch_idx")):
            got, want = ours[key.removeprefix(f"{group}/")], stored[key]
            assert got.shape == want.shape, key
            assert (got.double() - want.double()).abs().max() <= TOLERANCE, key
            checked += 1
    assert checked >= 42


@pytest.mark.parametrize("model", VITS)
def test_rounded_rope_periods_are_taken_from_the_file(recipe, tmp_path, model):
    stored, meta, backbone = load(recipe, tmp_path, model, periods="bf16")
    images = recipe.make_images(224, 224, meta["seed"], 2)[:1]
    features = backbone(images, Needs(cls=True)).features(Needs(cls=True))
    patches = rows(features.map)[:, stored["224x224/patch_idx"].long()]
    torch.testing.assert_close(features.cls[0], stored["224x224@bf16periods/cls"], atol=TOLERANCE, rtol=0)
    torch.testing.assert_close(patches, stored["224x224@bf16periods/patch"], atol=TOLERANCE, rtol=0)
    assert (patches - stored["224x224/patch"][:1]).abs().max() > 5 * TOLERANCE
