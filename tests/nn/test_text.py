"""Class vectors: the file, and how it is made."""

import sys

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from argus_arena.tools.class_vectors import PROMPTS, build_text
from argus_core.errors import ArgusError
from argus_core.nn import ClassText
from argus_core.nn.class_text import stand_in


def encoder(sentences):
    """Vectors of any length that depend on the sentence only."""
    return torch.stack(
        [3 * torch.randn(12, generator=torch.Generator().manual_seed(sum(map(ord, s)))) for s in sentences]
    )


def test_vectors_are_unit_means_of_unit_vectors(tmp_path):
    text = build_text(["cat", "traffic light"], tmp_path / "t.safetensors", encoder=encoder)
    assert len(PROMPTS) == len(set(PROMPTS)) == 8
    for name, row in zip(text.names, text.vectors, strict=True):
        unit = [v / v.norm() for v in encoder([p.format(name) for p in PROMPTS])]
        mean = sum(unit) / 8
        torch.testing.assert_close(row, mean / mean.norm())


def test_a_file_says_where_its_vectors_come_from(tmp_path):
    path = tmp_path / "deep" / "t.safetensors"
    made = build_text(["cat", "dog"], path, model="M", pretrained="p", encoder=encoder)
    loaded = ClassText.load(path)
    assert torch.equal(loaded.vectors, made.vectors) and loaded.vectors.dtype == torch.float32
    assert (loaded.names, loaded.model, loaded.prompts) == (("cat", "dog"), "M/p", PROMPTS)
    with safe_open(path, framework="pt") as file:
        assert list(file.keys()) == ["embeddings"] and file.metadata()["sha256"] == made.sha256


def test_rows_are_found_by_name():
    text = ClassText(("cat", "dog", "bird"), stand_in(3, 8), "m", ())
    assert torch.equal(text.select(["bird", "cat"]), stand_in(3, 8)[[2, 0]])
    with pytest.raises(ArgusError, match=r"'dgo'.*'dog'.*arena text"):
        text.select(["cat", "dgo"])


def test_broken_files_are_named(tmp_path):
    path = tmp_path / "t.safetensors"
    with pytest.raises(ArgusError, match=r"t\.safetensors"):
        ClassText.load(path)
    path.write_bytes(b"not a tensor file")
    with pytest.raises(ArgusError, match="cannot be read"):
        ClassText.load(path)
    save_file({"embeddings": stand_in(2, 8)}, path)
    with pytest.raises(ArgusError, match="names"):
        ClassText.load(path)
    ClassText(("a", "b"), stand_in(2, 8), "m", ()).save(path)
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    save_file({"embeddings": stand_in(2, 8).flip(0)}, path, metadata)
    with pytest.raises(ArgusError, match="checksum"):
        ClassText.load(path)


@pytest.mark.parametrize(
    ("names", "vectors"),
    [(("a", "b"), torch.ones(3, 4)), (("a", "a"), torch.ones(2, 4)), (("a",), torch.full((1, 4), torch.nan))],
)
def test_names_and_vectors_must_fit(names, vectors):
    with pytest.raises(ArgusError):
        ClassText(names, vectors, "m", ())


def test_stand_ins_are_unit_and_leave_the_seed_alone():
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    rows = stand_in(80, 64)
    assert torch.equal(rows, stand_in(80, 64)) and torch.equal(before, torch.random.get_rng_state())
    torch.testing.assert_close(rows.norm(dim=1), torch.ones(80))
    assert (rows @ rows.T - torch.eye(80)).abs().max() < 0.7


def test_a_missing_encoder_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "open_clip", None)
    with pytest.raises(ArgusError, match=r"argus-perception\[clip\]"):
        build_text(["cat"], tmp_path / "t.safetensors")
    assert not (tmp_path / "t.safetensors").exists()


def test_openai_weights_get_the_activation_they_were_trained_with(tmp_path, monkeypatch):
    asked = []

    class Clip(torch.nn.Module):
        def encode_text(self, sentences):
            return encoder(sentences)

    class Library:
        @staticmethod
        def create_model(name, **options):
            asked.append((name, options))
            return Clip()

        @staticmethod
        def get_tokenizer(name):
            return list

    monkeypatch.setitem(sys.modules, "open_clip", Library)
    text = build_text(["cat"], tmp_path / "t.safetensors")
    build_text(["cat"], tmp_path / "t.safetensors", model="ViT-B-32", pretrained="laion2b")
    assert torch.equal(text.vectors, build_text(["cat"], tmp_path / "u", encoder=encoder).vectors)
    assert asked == [
        ("ViT-L-14", {"pretrained": "openai", "force_quick_gelu": True}),
        ("ViT-B-32", {"pretrained": "laion2b", "force_quick_gelu": False}),
    ]
