"""Hub ids: asked for only where no folder of that name lies, and never with ARGUS_OFFLINE."""

from __future__ import annotations

import pytest

from argus_core.argus import Argus
from argus_core.backbones import hub, load_backbone
from argus_core.errors import ArgusError
from bundle_help import make_argus

FILES = ("config.json", "model.safetensors")
SMALL = "model.bf16_backbone.safetensors"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    to = tmp_path_factory.mktemp("bundle")
    argus = make_argus(load_backbone("tiny"), tmp_path_factory.mktemp("text"), ("softmax",))
    argus.save(to)
    argus.save(to, "bf16_backbone")
    return to


class Hub:
    """A stand-in for the hub's client: what is ``cached`` here, what is ``published`` there, what was asked."""

    def __init__(self, published):
        self.cached, self.published, self.asked = None, published, []

    def snapshot(self, repository, revision, allow_patterns, local_files_only=False):
        self.asked.append((repository, revision, tuple(allow_patterns), local_files_only))
        if local_files_only and self.cached is None:
            raise hub.LocalEntryNotFoundError("nothing here")
        return str(self.cached if local_files_only else self.published)


@pytest.fixture
def fake(folder, monkeypatch):
    fake_hub = Hub(folder)
    monkeypatch.setattr(hub.huggingface_hub, "snapshot_download", fake_hub.snapshot)
    monkeypatch.setattr(hub, "_check_reachable", lambda: fake_hub.asked.append("knock"))
    monkeypatch.delenv("ARGUS_OFFLINE", raising=False)
    return fake_hub


def test_files_are_fetched_once_and_of_one_revision(fake, folder, tmp_path):
    Argus.load("someone/argus", revision="v1")
    request = ("someone/argus", "v1", FILES)
    assert fake.asked == [(*request, True), "knock", (*request, False)]
    fake.asked.clear()
    fake.cached = folder
    Argus.load("someone/argus", "bf16_backbone")
    assert fake.asked == [("someone/argus", None, ("config.json", SMALL), True)]
    fake.cached = fake.published = tmp_path  # of an older upload without these files
    with pytest.raises(ArgusError, match=r"has no config\.json and no model\.safetensors"):
        Argus.load("someone/argus")


def test_offline_only_the_cache_is_asked(fake, folder, monkeypatch):
    monkeypatch.setenv("ARGUS_OFFLINE", "1")
    with pytest.raises(ArgusError, match=r"no folder someone/argus here, and as a hub id: .*ARGUS_OFFLINE forbids"):
        Argus.load("someone/argus")
    fake.cached = folder
    assert list(Argus.load("someone/argus").heads) == ["softmax"]
    assert [call[-1] for call in fake.asked] == [True, True]


def test_a_folder_wins_over_a_hub_id(fake, folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "someone").mkdir()
    (tmp_path / "someone" / "argus").symlink_to(folder)
    Argus.load("someone/argus")
    assert not fake.asked


def test_a_hub_that_cannot_be_reached_says_why(fake, monkeypatch):
    def shut():
        raise OSError("no route")

    monkeypatch.setattr(hub, "_check_reachable", shut)
    with pytest.raises(ArgusError, match=r"fetching .* failed: no route"):
        Argus.load("someone/argus")


def test_the_real_client_finds_what_it_cached(folder, tmp_path, monkeypatch):
    """A cache laid out as the hub's client does it, at first without the weights."""
    commit, root = "0" * 40, tmp_path / "models--someone--argus"
    snapshot = root / "snapshots" / commit
    snapshot.mkdir(parents=True)
    (root / "refs").mkdir()
    (root / "refs" / "main").write_text(commit)
    (snapshot / "config.json").write_bytes((folder / "config.json").read_bytes())
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("ARGUS_OFFLINE", "1")
    for source in ("someone/argus", "someone/else", "not--allowed/as..id"):
        with pytest.raises(ArgusError, match="as a hub id"):
            Argus.load(source)
    (snapshot / "model.safetensors").symlink_to(folder / "model.safetensors")
    assert list(Argus.load("someone/argus").heads) == ["softmax"]
