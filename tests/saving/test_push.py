"""Publishing to a local stand-in for the hub: one commit or nothing, and back in a fresh process, bit for bit."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from huggingface_hub import constants
from PIL import Image
from typer.testing import CliRunner

import hub_stub
from argus_core.argus import Argus
from argus_core.backbones import load_backbone
from argus_core.cli.commands import app
from argus_core.errors import ArgusError
from argus_core.saving.card import YOURS
from argus_core.saving.config import FILES
from bundle_help import answers, make_argus, pictures

# The hub's client passes the bytes of a file in a way that its transport library will give up.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

WEIGHTS, SMALL, HEADS = FILES[None], FILES["bf16_backbone"], FILES["heads"]
REPO = "someone/argus"


@pytest.fixture(scope="module")
def backbone():
    return load_backbone("tiny")


@pytest.fixture(scope="module")
def argus(backbone, tmp_path_factory):
    return make_argus(backbone, tmp_path_factory.mktemp("text"), ("softmax", "metres"))


@pytest.fixture(scope="module")
def model(argus, tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    argus.save(folder)
    return str(folder)


@pytest.fixture
def hub(tmp_path, monkeypatch):
    hub = hub_stub.Hub()
    hub_stub.use(monkeypatch, hub, tmp_path / "home")
    yield hub
    hub.close()


def published(hub, branch="main"):
    return hub.repos[REPO].files(branch)


def refused(argus, repository=REPO, **options):
    with pytest.raises(ArgusError) as caught:
        argus.push(repository, **options)
    return str(caught.value)


CODE = """
import re, sys
sys.path.insert(0, {tests!r})
from bundle_help import answers
exec(re.search(r"```python\\n(.*?)```", open("card.md").read(), re.DOTALL)[1])
print("said: " + answers(argus))
"""


def test_what_was_published_is_loaded_by_the_code_of_its_card(hub, argus, tmp_path, monkeypatch):
    upload = argus.push(REPO, private=True)
    assert hub.repos[REPO].private and len(hub.repos[REPO].commits) == 2  # the hub's own first one, and this
    assert set(published(hub)) == {".gitattributes", "config.json", "README.md", WEIGHTS}
    assert upload.commit == hub.repos[REPO].branches["main"] and not upload.unchanged
    assert upload.files == {name: len(published(hub)[name]) for name in upload.files}
    Image.fromarray(pictures()[0]).save(tmp_path / "photo.jpg")
    monkeypatch.chdir(tmp_path)
    values = {}
    exec(re.search(r"```python\n(.*?)```", published(hub)["README.md"].decode(), re.DOTALL)[1], values)
    assert (tmp_path / "results.png").exists()
    assert answers(values["argus"]) == answers(argus)


@pytest.mark.slow
def test_a_fresh_process_with_an_empty_cache_says_the_same_bit_for_bit(hub, argus, python, tmp_path):
    argus.push(REPO, private=True)
    (tmp_path / "card.md").write_bytes(published(hub)["README.md"])
    Image.fromarray(pictures()[0]).save(tmp_path / "photo.jpg")
    code = CODE.format(tests=str(Path(__file__).parents[1]))
    done = python("-c", code, cwd=tmp_path, **hub_stub.environment(hub, tmp_path / "fresh", "secret"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.rpartition("said: ")[2].strip() == answers(argus)


def test_what_is_there_already_is_not_sent_again_and_texts_of_people_stay(hub, argus):
    first = argus.push(REPO)
    hub.asked.clear()
    again = argus.push(REPO)
    assert again.unchanged and again.commit == first.commit
    assert not any(line.startswith("PUT") or "/commit/" in line for line in hub.asked)
    edited = published(hub)["README.md"].decode() + "\nMeasured in our garden.\n"
    hub.repos[REPO].commit("main", {**published(hub), "README.md": edited.encode(), "garden.png": b"png"})
    argus.push(REPO, message="again")
    argus.push(REPO, message="and again")
    assert published(hub)["README.md"].decode() == edited and YOURS in edited
    assert published(hub)["garden.png"] == b"png"


def test_variants_of_one_argus_stay_together_those_of_another_go_in_the_same_commit(hub, argus, backbone):
    argus.push(REPO)
    argus.push(REPO, variant="bf16_backbone")
    assert {WEIGHTS, SMALL} < set(published(hub))
    assert set(json.loads(published(hub)["config.json"])["argus"]["files"]) == {WEIGHTS, SMALL}
    less = Argus(backbone, {"metres": argus.head("metres")})
    upload = less.push(REPO, variant="heads", message="fewer heads")
    assert upload.removed == (SMALL, WEIGHTS) and hub.repos[REPO].messages[-1] == "fewer heads"
    assert set(published(hub)) == {".gitattributes", "config.json", "README.md", HEADS}
    assert "The weights of the backbone `tiny` must be installed" in upload.card
    assert list(Argus.load(REPO).heads) == ["metres"]


def test_a_branch_is_made_and_main_stays(hub, argus):
    argus.push(REPO, revision="dev")
    assert set(published(hub)) == {".gitattributes"} and WEIGHTS in published(hub, "dev")
    argus.push(REPO)
    upload = argus.push(REPO, revision="exp/2", variant="bf16_backbone")
    assert SMALL in published(hub, "exp/2") and SMALL not in published(hub)
    assert f'Argus.load("{REPO}@exp/2")' in upload.card and upload.hub_id == f"{REPO}@exp/2"


@pytest.mark.parametrize("where", ["PUT /large", "POST /api/models/someone/argus/commit"])
def test_a_push_that_fails_on_the_way_publishes_nothing(hub, argus, where):
    hub.fault = lambda method, path: (413, {}, b"") if f"{method} {path}".startswith(where) else None
    assert "too large" in refused(argus)
    assert set(published(hub)) == {".gitattributes"}


@pytest.mark.slow
def test_a_push_that_is_killed_publishes_nothing_and_can_be_repeated(hub, argus, model, tmp_path):
    sending, killed = threading.Event(), threading.Event()

    def wait(method, path):
        if method == "PUT":
            sending.set()
            killed.wait(60)

    hub.fault = wait
    code = f"from argus_core import Argus; Argus.load({model!r}).push({REPO!r})"
    environment = {**os.environ, **hub_stub.environment(hub, tmp_path / "fresh", "secret")}
    with subprocess.Popen([sys.executable, "-c", code], env=environment, stderr=subprocess.DEVNULL) as process:
        assert sending.wait(60)
        process.kill()
        process.wait()
        killed.set()
    assert set(published(hub)) == {".gitattributes"}
    argus.push(REPO)
    assert WEIGHTS in published(hub)


def test_refusals_of_the_hub_in_words(hub, argus, monkeypatch):
    assert "forbids it (You don't have the rights" in refused(argus, "other/argus")
    monkeypatch.setenv("HF_TOKEN", "expired")
    assert "does not accept the token" in refused(argus)
    monkeypatch.delenv("HF_TOKEN")
    assert f"set HF_TOKEN to a token of {hub.address}/settings/tokens that may write" in refused(argus)
    monkeypatch.setenv("ARGUS_OFFLINE", "1")
    assert "ARGUS_OFFLINE forbids" in refused(argus)
    for name in ("argus", "a/b/c", "someone/argus@v1"):
        assert "give OWNER/NAME" in refused(argus, name)
    assert not hub.repos


def test_a_card_that_the_hub_does_not_accept_is_refused_before_anything_is_sent(hub, argus):
    content = json.dumps({"errors": [{"message": '"license" must be one of these'}], "warnings": []}).encode()
    hub.fault = lambda method, path: (400, {}, content) if path == "/api/validate-yaml" else None
    assert 'Invalid metadata in README.md. - "license" must be one of these' in refused(argus)
    assert not any(line.startswith("PUT") for line in hub.asked)
    assert "there is no file nowhere" in refused(argus, license_file="nowhere")


def test_repositories_that_would_lose_something(hub, argus):
    hub.add("someone/vit", {"config.json": b'{"model_type": "vit"}', WEIGHTS: b"theirs"})
    hub.add("someone/raw", {WEIGHTS: b"theirs"})
    assert "/someone/vit holds config.json, and no saved Argus" in refused(argus, "someone/vit")
    assert "/someone/raw holds model.safetensors, and no saved Argus" in refused(argus, "someone/raw")
    assert "exists and is public; make it private" in refused(argus, "someone/raw", private=True)
    argus.push(REPO)

    def meanwhile(method, path):
        if "preupload" in path:
            hub.repos[REPO].commit("main", {**published(hub), "new.txt": b"by somebody else"})

    hub.fault = meanwhile
    assert "somebody changed" in refused(argus, variant="bf16_backbone")
    assert "new.txt" in published(hub) and SMALL not in published(hub)


def test_terms_need_the_word_of_whoever_publishes(hub, argus, monkeypatch, tmp_path):
    head = argus.head("metres")
    monkeypatch.setattr(head, "record", {"license": "cc-by-nc-4.0", "data": {"spec": "x", "license": "research-data"}})
    said = refused(argus)
    assert "head metres: Creative Commons Attribution-NonCommercial 4.0 (cc-by-nc-4.0)" in said
    assert "data of metres: photographs for research" in said and "--accept-license" in said
    assert "--require-license permissive" in said and not hub.asked
    (tmp_path / "terms.txt").write_text("The terms.")
    argus.push(REPO, accept_license=True, license_file=tmp_path / "terms.txt")
    assert published(hub)["LICENSE"] == b"The terms."
    assert "license: cc-by-nc-4.0" in published(hub)["README.md"].decode()
    monkeypatch.setattr(argus.backbone, "license", "unknown")
    said = refused(argus)
    assert "backbone, head softmax: unknown terms" in said and "--require-license" not in said
    monkeypatch.setattr(argus.backbone, "license", "fair-noncommercial-research-license")
    upload = argus.push(REPO, accept_license=True)
    assert "license_link: LICENSE" in upload.card and not upload.notes  # the one that is there
    assert "--license-file FILE adds that of https://" in str(argus.push("someone/new", accept_license=True))


def test_data_without_terms_are_asked_about(argus, monkeypatch):
    monkeypatch.setattr(argus.head("metres"), "record", {"data": {"spec": "images:rooms"}})
    assert "no terms are recorded of the data that metres learned from" in str(argus.push(REPO, dry_run=True))
    monkeypatch.setattr(argus.head("metres"), "record", {"data": {"spec": "images:rooms", "license": "mit"}})
    assert "no terms" not in str(argus.push(REPO, dry_run=True))


def test_a_dry_run_asks_the_hub_nothing_and_writes_nothing(hub, argus, model, tmp_path, monkeypatch):
    monkeypatch.setenv("ARGUS_OFFLINE", "1")
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    done = CliRunner().invoke(app, ["push", REPO, "--model", model, "--dry-run", "--variant", "heads"])
    assert done.exit_code == 0, done.output
    assert "| metres | depth | depth.linear |" in done.output and "nothing was published" in done.output
    assert re.search(r"heads\.safetensors +[\d.]+ KiB", done.output)
    assert not hub.asked and sorted(tmp_path.rglob("*")) == before


def test_the_command_says_what_where_and_how_to_load_it(hub, model, monkeypatch):
    done = CliRunner().invoke(app, ["push", REPO, "--model", model, "--tasks", "depth"])
    assert done.exit_code == 0 and "warning" not in done.output, done.output
    for text in (f"to       {hub.address}/{REPO}", "licence  Apache License 2.0", "in all 3 files", "MiB"):
        assert text in done.output
    assert f'argus = Argus.load("{REPO}")\nargus perceive photo.jpg --model {REPO}' in done.output
    done = CliRunner().invoke(app, ["info", REPO])
    assert "metres  depth.linear (depth)" in done.output and "softmax" not in done.output
    hub.fault = lambda method, path: (500, {}, b"")
    done = CliRunner().invoke(app, ["info", REPO])
    assert done.exit_code == 0 and "UserWarning" not in done.output
    assert "warning: fetching config.json" in done.output and "that was fetched earlier is used" in done.output
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    done = CliRunner().invoke(app, ["push", REPO, "--model", model])
    assert "HF_HUB_OFFLINE forbids" in str(done.exception)
