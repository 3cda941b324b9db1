"""Models of hub ids, loaded from a local stand-in for the hub: what is asked of it, when, and what failures say."""

from __future__ import annotations

import json
import shutil
import warnings

import pytest
from huggingface_hub import constants

import hub_stub
from argus_core.argus import Argus
from argus_core.backbones import load_backbone
from argus_core.errors import ArgusError
from argus_core.saving.config import FILES
from argus_core.saving.source import find_source
from bundle_help import answers, make_argus

WEIGHTS = FILES[None]
HTML = (200, {"Content-Type": "text/html"}, b"<html>Log in to the guest network</html>")


@pytest.fixture(scope="module")
def argus(tmp_path_factory):
    return make_argus(load_backbone("tiny"), tmp_path_factory.mktemp("text"), ("softmax",))


@pytest.fixture(scope="module")
def files(argus, tmp_path_factory):
    """The files of a bundle by name."""
    folder = tmp_path_factory.mktemp("bundle")
    argus.save(folder)
    argus.save(folder, "bf16_backbone")
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def hub(files, tmp_path, monkeypatch):
    hub = hub_stub.Hub()
    hub.add("someone/argus", files)
    hub_stub.use(monkeypatch, hub, tmp_path / "home", token=None)
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda seconds: None)
    yield hub
    hub.close()


def refused(source="someone/argus", **options):
    with pytest.raises(ArgusError) as caught:
        Argus.load(source, **options)
    return str(caught.value)


def test_config_json_comes_first_and_files_are_fetched_once(hub, argus):
    assert answers(Argus.load("someone/argus")) == answers(argus)
    got = [line for line in hub.asked if line.startswith("GET /someone")]
    assert [line.rpartition("/")[2] for line in got] == ["config.json", WEIGHTS]
    hub.asked.clear()
    Argus.load("someone/argus")
    commit = hub.repos["someone/argus"].branches["main"]
    assert hub.asked == ["GET /api/models/someone/argus", "HEAD /someone/argus/resolve/main/config.json"]
    hub.asked.clear()
    Argus.load("someone/argus", revision=commit)  # a commit never changes
    assert not hub.asked


def test_what_was_published_later_is_fetched(hub, files):
    Argus.load("someone/argus")
    config = json.loads(files["config.json"])
    config["argus"]["canvas"] = {"height": 64, "width": 64}
    hub.repos["someone/argus"].commit("main", {**files, "config.json": json.dumps(config).encode()})
    assert Argus.load("someone/argus").canvas.height == 64
    first = next(iter(hub.repos["someone/argus"].commits))
    assert Argus.load(f"someone/argus@{first}").canvas is None


def test_branches_and_variants(hub, files):
    config = json.loads(files["config.json"])
    small = FILES["bf16_backbone"]
    del config["argus"]["files"][WEIGHTS]
    hub.repos["someone/argus"].commit("small", {"config.json": json.dumps(config).encode(), small: files[small]})
    assert list(Argus.load("someone/argus@small").heads) == ["softmax"]
    assert "variant 'heads'; it has bf16_backbone" in refused("someone/argus", revision="small", variant="heads")
    assert "names revision 'small'" in refused("someone/argus@small", revision="main")


def test_a_folder_here_wins(hub, files, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "someone" / "argus"
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    Argus.load("someone/argus")
    assert not hub.asked
    assert "revision 'v1' is of hub ids" in refused(revision="v1")


@pytest.mark.parametrize("variable", ["ARGUS_OFFLINE", "HF_HUB_OFFLINE"])
def test_offline_only_the_cache_is_asked(hub, variable, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", variable == "HF_HUB_OFFLINE")
    monkeypatch.setenv("ARGUS_OFFLINE", str(int(variable == "ARGUS_OFFLINE")))
    said = refused()
    assert "there is no folder someone/argus here" in said and f"{variable} forbids fetching it" in said
    assert not hub.asked


def test_offline_a_cached_copy_serves(hub, argus, monkeypatch):
    Argus.load("someone/argus")
    hub.asked.clear()
    monkeypatch.setenv("ARGUS_OFFLINE", "1")
    assert answers(Argus.load("someone/argus")) == answers(argus)
    assert FILES["bf16_backbone"] in refused(variant="bf16_backbone")  # half of it was fetched
    assert not hub.asked


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ((500, {}, b""), r"fails \(500 Internal Server Error\); try again later"),
        ((502, {}, b"<html>Bad gateway</html>"), r"fails \(502 Bad Gateway\)"),
        ((429, {}, b""), "too many requests"),
        ((407, {}, b""), "a proxy asks who you are"),
        (HTML, "is not the hub, perhaps a proxy"),
    ],
)
def test_a_hub_that_fails_says_why_or_a_cached_copy_serves(hub, fault, words):
    hub.fault = lambda method, path: fault
    with pytest.raises(ArgusError, match=words):
        find_source("someone/argus")
    hub.fault = lambda method, path: None
    find_source("someone/argus")
    hub.fault = lambda method, path: fault
    with pytest.warns(UserWarning, match=rf"{words}.* the copy that was fetched earlier is used, commit \w{{40}}"):
        find_source("someone/argus")


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ((401, {"X-Error-Message": "Invalid credentials in Authorization header"}, b""), "does not accept the token"),
        ((403, {"X-Error-Message": "no access for this region"}, b""), "forbids it .*no access for this region"),
        ((404, {"X-Error-Code": "RepoNotFound"}, b""), "has no such repository, or it is private.*HF_TOKEN"),
        ((403, {"X-Error-Message": "Access to this resource is disabled."}, b""), "has disabled it"),
        ((404, {}, b"<html>nothing</html>"), "has no such page .*HF_ENDPOINT"),
    ],
)
def test_a_hub_that_refuses_says_why_and_names_a_cached_copy(hub, fault, words):
    hub.fault = lambda method, path: fault
    with pytest.raises(ArgusError, match=words) as caught:
        find_source("someone/argus")
    assert "fetched earlier" not in str(caught.value)
    hub.fault = lambda method, path: None
    find_source("someone/argus")
    hub.fault = lambda method, path: fault
    with pytest.raises(ArgusError, match=rf"{words}.* A copy was fetched earlier: load it with revision='\w{{40}}'"):
        find_source("someone/argus")


def test_a_proxy_that_answers_for_files_only(hub):
    hub.fault = lambda method, path: HTML if "/resolve/" in path else None
    assert "is not the hub, perhaps a proxy" in refused()


@pytest.mark.parametrize("address", ["http://127.0.0.1:9", "http://nowhere.invalid"])
def test_no_network(hub, monkeypatch, address):
    hub_stub.use(monkeypatch, hub, hub.home, address=address)
    assert f"{address} cannot be reached" in refused() and "HTTPS_PROXY" in refused()


def test_repositories_that_hold_something_else(hub, files):
    hub.add("someone/empty", {"README.md": b""})
    hub.add("someone/vit", {"config.json": b'{"model_type": "vit"}', WEIGHTS: b"large"})
    hub.add("someone/half", {"config.json": files["config.json"]})
    assert "config.json of someone/empty failed: it has no such file" in refused("someone/empty")
    said = refused("someone/vit")
    assert "someone/vit@" in said and "is no saved Argus" in said
    assert not any(WEIGHTS in line for line in hub.asked)
    assert f"{WEIGHTS} of someone/half@" in refused("someone/half")
    assert "no such revision" in refused("someone/argus@v9")
    assert "an id is OWNER/NAME" in refused("not--allowed/as..id")


def test_private_and_gated_repositories(hub, monkeypatch, files):
    hub.add("someone/secret", files, private=True)
    hub.add("someone/gated", files, gated=True)
    assert "or it is private; check the name, or log in" in refused("someone/secret")
    assert f"ask for access at {hub.address}/someone/gated" in refused("someone/gated")
    monkeypatch.setenv("HF_TOKEN", "secret")
    assert find_source("someone/secret").file(WEIGHTS).is_file()
    assert find_source("someone/gated").file(WEIGHTS).is_file()
    monkeypatch.setenv("HF_TOKEN", "expired")
    assert "does not accept the token" in refused("someone/argus")


def test_damaged_and_mixed_files(hub, files, argus):
    Argus.load("someone/argus")
    snapshot = next((hub.home / "hub").glob("models--someone--argus/snapshots/*"))
    blob = (snapshot / WEIGHTS).resolve()
    content = bytearray(blob.read_bytes())
    content[-9] ^= 1
    blob.write_bytes(bytes(content))
    said = refused()
    assert f"to fetch it anew, delete {snapshot.parents[1]}" in said
    shutil.rmtree(snapshot.parents[1])
    assert answers(Argus.load("someone/argus")) == answers(argus)
    config = json.loads(files["config.json"])
    config["argus"]["files"][WEIGHTS] = "0" * 64
    hub.add("someone/mixed", {**files, "config.json": json.dumps(config).encode()})
    assert "config.json says 000000000000" in refused("someone/mixed")


def test_heads_of_strangers_are_named_before_weights_are_fetched(hub, files):
    config = json.loads(files["config.json"])
    config["argus"]["heads"]["softmax"] |= {"head": "classify.ring", "distribution": "argus-ring", "version": "1.2"}
    hub.add("someone/ring", {**files, "config.json": json.dumps(config).encode()})
    assert "pip install argus-ring==1.2" in refused("someone/ring")
    assert not any(WEIGHTS in line for line in hub.asked)
    config["argus"]["backbone"] |= {"name": "huge", "origin": {"distribution": "argus-huge", "version": "3"}}
    hub.add("someone/huge", {**files, "config.json": json.dumps(config).encode()})
    assert "pip install argus-huge==3" in refused("someone/huge")


def test_a_cache_that_cannot_be_written(hub, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "file" / "cache"))
    assert "cache on this machine cannot be written" in refused() and "HF_HUB_CACHE" in refused()


def test_no_warning_where_all_is_well(hub):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        find_source("someone/argus")
