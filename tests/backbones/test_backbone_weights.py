"""Weight files: every wrapper of the official ones is read, whatever does not fit is refused, nothing is guessed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file

from argus_core.backbones import load_backbone
from argus_core.backbones.weights import rope_periods
from argus_core.common.license import EUPE
from argus_core.errors import ArgusError
from backbone_help import randomise, timm_file

VITT = "vit_tiny_patch16_dinov3_qkvb"


def to_official(model):
    """A ViT's weights under the official names: the mapping of the loader, written the other way round."""
    tensors = dict(model.state_dict())
    out = {"rope_embed.periods": rope_periods(model)["rope.periods"].bfloat16().float()}
    for name, value in tensors.items():
        if name.endswith("q_bias"):
            stem = name.removesuffix("q_bias")
            out[f"{stem}qkv.bias"] = torch.cat([value, torch.full_like(value, 0.7), tensors[f"{stem}v_bias"]])
            one = torch.ones_like(value)
            out[f"{stem}qkv.bias_mask"] = torch.cat([one, 0 * one, one])
        elif not name.endswith("v_bias"):
            out[re.sub(r"gamma_([12])", r"ls\1.gamma", name).replace("reg_token", "storage_tokens")] = value
    dropped = ("mask_token", "projectors.a.weight", "local_cls_norm.weight")
    return out | {name: torch.rand(1, 192) for name in dropped}


@pytest.fixture(scope="module")
def source():
    return randomise(timm.create_model(VITT, num_classes=0))


@pytest.fixture(scope="module")
def official(source):
    return to_official(source)


def save(tensors, path):
    torch.save(tensors, path)
    return path


def wrappers(tensors):
    yield "flat", tensors
    yield "model", {"model": tensors, "epoch": 3}
    yield "state_dict", {"state_dict": {f"module.{k}": v for k, v in tensors.items()}}
    inner = {f"teacher.backbone.{k}": v for k, v in tensors.items()}
    yield "teacher", {"teacher": {**inner, "teacher.dino_head.weight": torch.zeros(1)}}


def test_official_wrappers_give_the_same_backbone(source, official, tmp_path):
    digests = set()
    for name, content in wrappers(official):
        backbone = load_backbone("eupe_vitt16", weights=save(content, tmp_path / f"{name}.pth"))
        digests.add(backbone.weights_sha256)
        assert torch.equal(backbone.model.rope.periods, official["rope_embed.periods"])
    save_file(official, tmp_path / "official.safetensors")
    digests.add(load_backbone("eupe_vitt16", weights=tmp_path / "official.safetensors").weights_sha256)
    own = {**source.state_dict(), "rope.periods": official["rope_embed.periods"]}
    save_file(own, tmp_path / "own.safetensors")
    digests.add(load_backbone("eupe_vitt16", weights=tmp_path / "own.safetensors").weights_sha256)
    assert len(digests) == 1 and backbone.license == EUPE.id


def test_hash_sees_one_weight_but_not_the_unused_k_bias(official, tmp_path):
    def digest(**changes):
        return load_backbone("eupe_vitt16", weights=save({**official, **changes}, tmp_path / "x.pth")).weights_sha256

    bias = official["blocks.3.attn.qkv.bias"].clone()
    bias[200] += 5
    weight = official["blocks.3.mlp.fc1.bias"].clone()
    weight[0] += 1e-3
    same = digest()
    assert digest(**{"blocks.3.attn.qkv.bias": bias}) == same
    assert digest(**{"blocks.3.mlp.fc1.bias": weight}) != same
    assert digest(**{"rope_embed.periods": official["rope_embed.periods"] * 1.01}) != same


def test_files_that_do_not_fit_are_refused(official, tmp_path):
    def refused(content, match, name="eupe_vitt16"):
        with pytest.raises(ArgusError, match=match):
            load_backbone(name, weights=save(content, tmp_path / "x.pth"))

    mask = torch.ones_like(official["blocks.0.attn.qkv.bias_mask"])
    refused({**official, "blocks.0.attn.qkv.bias_mask": mask}, "is not 1 for q, 0 for k")
    refused({**official, "extra.weight": mask}, r"1 unexpected \(extra.weight\)")
    refused({k: v for k, v in official.items() if k != "norm.bias"}, r"1 missing \(norm.bias\)")
    refused({**official, "norm.bias": mask}, "size mismatch for norm.bias")
    refused(official, "looks like eupe_vitt16, not eupe_vitb16", name="eupe_vitb16")
    refused(official, "does not fit the network", name="tiny")
    refused({"epoch": 1}, "holds no tensors")
    refused({"model": Path("code")}, "cannot be read as weights")
    with pytest.raises(ArgusError, match="there is no weights file"):
        load_backbone("tiny", weights=tmp_path / "absent.pth")
    (tmp_path / "cut.safetensors").write_bytes(b"\x10\x00")
    with pytest.raises(ArgusError, match="cannot be read"):
        load_backbone("tiny", weights=tmp_path / "cut.safetensors")


def test_without_network_it_says_what_to_fetch(monkeypatch):
    def shut(*args, **kwargs):
        raise ConnectionError("no route")

    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *a, **k: None)
    monkeypatch.setattr("huggingface_hub.HfApi.model_info", shut)
    monkeypatch.delenv("ARGUS_OFFLINE", raising=False)
    wanted = "EUPE-ViT-B.pt from facebook/EUPE-ViT-B or model.safetensors .*timm/vit_base.*--weights PATH"
    with pytest.raises(ArgusError, match=rf"cannot be reached \(no route\).*; fetch {wanted}"):
        load_backbone()
    monkeypatch.setattr("huggingface_hub.HfApi.model_info", lambda *a, **k: pytest.fail("the network was touched"))
    monkeypatch.setenv("ARGUS_OFFLINE", "1")
    with pytest.raises(ArgusError, match=f"ARGUS_OFFLINE forbids fetching it; unset it once; fetch {wanted}"):
        load_backbone()


@pytest.mark.parametrize("name", ["mobilenetv2_100", "vit_tiny_patch16_224"])
def test_cached_published_weights_are_used_offline(monkeypatch, tmp_path, name):
    path = timm_file(tmp_path / "model.safetensors", name, num_classes=1000)
    monkeypatch.setenv("ARGUS_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *a, **k: str(path))
    published = load_backbone(f"timm:{name}")
    local = load_backbone(f"timm:{name}", weights=path)
    assert published.weights_sha256 == local.weights_sha256
    assert (published.license, local.license) == ("apache-2.0", "unknown")
