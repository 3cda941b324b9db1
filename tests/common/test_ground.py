"""Nothing of anybody's is removed or written over, and no address becomes a folder."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

import argus_arena.cli
import argus_core.cli.commands
from argus_arena.comparison.compare import compare_heads
from argus_arena.comparison.domains import Domains, compare_domains
from argus_arena.report_page.page import TITLE, write_report
from argus_arena.requests import Comparison, RunRequest
from argus_arena.run.folder import RunFolder
from argus_arena.tools.class_vectors import build_text
from argus_core import Argus, load_backbone
from argus_core.cache import write_cache
from argus_core.common.folders import check_local, claim
from argus_core.common.out_folder import OutFolder
from argus_core.common.writers import this_writer
from argus_core.errors import ArgusError
from argus_core.export.folder import staged
from cache_fakes import SPEC, FakeBackbone, FakeSplit

ADDRESSES = ("s3://bucket/x", "gs://bucket/x", "hf://owner/name", "https://host/x", "file:///tmp/x", "az+ssh://h/x")
REFUSED = "s3://b/x is an address|s3:// is not used"
OUTPUTS = """
argus perceive a.png --out s3://b/x
argus classify a.png --out s3://b/x
argus segment a.png --out s3://b/x
argus depth a.png --out s3://b/x
argus detect a.png --out s3://b/x
argus correspond a.png a.png --point 1,1 --out s3://b/x
argus features a.png --out s3://b/x
argus build run --out s3://b/x
argus export --out s3://b/x
arena cache --data scenes: --out s3://b/x
arena cache info s3://b/x
arena cache verify s3://b/x
arena train --head fcos --data scenes: --out s3://b/x
arena train --head fcos --data scenes: --cache s3://b/x
arena train --config s3://b/x
arena eval --run s3://b/x
arena compare --heads fcos --data scenes: --out s3://b/x
arena compare --heads fcos --data scenes: --out o --cache s3://b/x
arena domains --data . --heads fcos --out s3://b/x
arena reproduce row --out s3://b/x
arena reproduce row --cache s3://b/x
arena predict a.png --run run --out s3://b/x
arena report run --out s3://b/x
arena text --names a --out s3://b/x
arena plugin new my-head --out s3://b/x
"""


@pytest.mark.parametrize("line", OUTPUTS.strip().splitlines())
def test_no_command_takes_an_address_for_a_folder(line, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ARGUS_OFFLINE", "1")  # with which those that take addresses refuse them too
    command, *arguments = line.split()
    app = {"argus": argus_core.cli.commands.app, "arena": argus_arena.cli.app}[command]
    for needed in ("row", "run/fcos/best.safetensors", "a.png"):
        Path(needed).parent.mkdir(parents=True, exist_ok=True)
        Path(needed).touch()
    error = CliRunner().invoke(app, arguments).exception
    assert isinstance(error, ArgusError) and re.match(REFUSED, str(error)), error
    assert not Path("s3:").exists()


def test_a_cache_of_a_configuration_file_is_no_folder_either(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ARGUS_OFFLINE", "1")
    Path("run.toml").write_text('heads = ["detect.fcos"]\ndata = "scenes:"\ncache = "s3://b/x"\n')
    error = CliRunner().invoke(argus_arena.cli.app, ["train", "--config", "run.toml"]).exception
    assert isinstance(error, ArgusError) and re.match(REFUSED, str(error)), error


@pytest.mark.parametrize("address", ADDRESSES)
def test_addresses_are_known_and_paths_are_none(address, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for given in (address, Path(address)):
        with pytest.raises(ArgusError, match="is an address"):
            check_local(given)
    for path in ("C:/x", "a:b", "a/s3:/b", "./x", "webcam:0"):
        check_local(path)
    assert not list(tmp_path.iterdir())


def listing(folder):
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@pytest.fixture
def foreign(tmp_path):
    """A folder of somebody's, with names that look like ours."""
    folder = tmp_path / "mine"
    (folder / "deep").mkdir(parents=True)
    for name in (".tmp-notes", ".draft.tmp.txt", "deep/.tmpABCDEF", "deep/.a.1.tmp", "README.md", "photo.png"):
        (folder / name).write_text(name)
    for name in ("run.json", "config.json", "compare.json", "domains.json", "export.json", "log.jsonl"):
        (folder / name).write_text('{"somebody": "else"}')
    return folder


def refused(folder, write, match="is not empty and holds no"):
    before = listing(folder)
    with pytest.raises(ArgusError, match=match):
        write(folder)
    assert listing(folder) == before


def export(folder):
    with staged(folder):
        pass


def train(folder):
    with RunFolder(folder).locked():
        pass


def compare(folder):
    compare_heads(RunRequest(heads=("fcos",), data="scenes:"), Comparison(out=folder))


WRITERS = {
    "cache": lambda folder: write_cache(folder, FakeBackbone(), FakeSplit(2), SPEC),
    "domains": lambda folder: compare_domains(Domains({"a": None}), None, None, Comparison(out=folder)),
    "run": lambda folder: RunFolder(folder).open({}),
    "answers": OutFolder,
    "export": export,
    "train": train,
    "compare": compare,
}


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
@pytest.mark.parametrize("alike", [True, False])
def test_a_folder_of_somebody_is_refused_and_stays_as_it_is(foreign, write, alike):
    for file in [] if alike else foreign.glob("*.json*"):
        file.unlink()
    refused(foreign, write)


def test_a_model_is_saved_over_nothing_of_another_library(foreign):
    argus = Argus(load_backbone("tiny"), {})
    refused(foreign, argus.save, "holds config.json, and no saved Argus")
    refused(foreign, argus.export_hf, "holds config.json and README.md, and no saved Argus")
    for file in foreign.glob("*.json*"):
        file.unlink()
    argus.save(foreign)
    argus.save(foreign)
    assert (foreign / "README.md").read_text() == "README.md"


def test_a_cache_of_another_program_is_refused(foreign):
    (foreign / "manifest.json").write_text('{"name": "a web page"}')
    refused(foreign, lambda folder: write_cache(folder, FakeBackbone(), FakeSplit(2), SPEC), "manifest.json")


def test_only_leftovers_of_the_cache_itself_are_removed(tmp_path):
    cache = tmp_path / "cache"
    write_cache(cache, FakeBackbone(), FakeSplit(4), SPEC, batch=2)
    whole = listing(cache)
    ended = re.sub("-[0-9]+-", "-999999999-", this_writer())
    ours = [
        f".manifest.json.{ended}.0.tmp",
        f"shards/.00000.safetensors.{ended}.0.tmp",
        f"shards/.00000.json.{ended}.0.tmp",
        f"shards/00000.{'0' * 16}.staged",
        "shards/00000.0.claim",
    ]
    at_work = this_writer()  # another process may be, until it is known to have ended
    mine = [".tmp-notes", ".mine.tmp.txt", "shards/.tmp-notes", f"shards/.photo.png.{ended}.0.tmp", "notes/.tmpABCDEF"]
    mine += [f"shards/.00001.json.{at_work}.0.tmp"]
    (cache / "notes").mkdir()
    (cache / "shards" / ".tmpfolder").mkdir()
    for name in ours + mine:
        (cache / name).write_text(name)
    write_cache(cache, FakeBackbone(), FakeSplit(4), SPEC, batch=2)
    assert listing(cache) == whole | {name: name.encode() for name in mine}
    other = FakeSplit(5)
    (cache / ours[0]).write_text("half")
    with pytest.raises(ArgusError, match="does not fit"):
        write_cache(cache, FakeBackbone(), other, SPEC, batch=2)
    assert (cache / ours[0]).exists()  # of a cache that is not this plan's nothing goes


def test_a_fresh_clone_of_a_repository_counts_as_empty(tmp_path):
    (tmp_path / ".git").mkdir()
    (tmp_path / ".gitattributes").touch()
    claim(tmp_path, lambda folder: False, "run")


def test_half_an_export_goes_and_folders_that_look_like_one_stay(tmp_path):
    (tmp_path / "out" / ".export-a1b2c3d4").mkdir(parents=True)
    (tmp_path / "out" / ".export-of-mine").mkdir()
    with staged(tmp_path / "out") as stage:
        (stage / "a.onnx").write_text("graph")
    assert {one.name for one in (tmp_path / "out").iterdir()} == {".export-of-mine", "a.onnx"}


def test_files_of_somebody_are_not_replaced(tmp_path):
    vectors = tmp_path / "vectors.safetensors"
    vectors.write_text("weights of years")
    with pytest.raises(ArgusError, match="exists and is not a file of class vectors"):
        build_text(["a"], vectors, encoder=lambda texts: torch.ones(len(texts), 4))
    vectors.unlink()
    for _ in range(2):  # one of ours is
        build_text(["a"], vectors, encoder=lambda texts: torch.ones(len(texts), 4))
    page = tmp_path / "index.html"
    page.write_text("<title>My page</title>")
    with pytest.raises(ArgusError, match="exists and is not a report"):
        write_report([tmp_path], page)
    page.write_text(f"<title>{TITLE}</title>")
    with pytest.raises(ArgusError, match=r"no result\.json"):  # which is looked for afterwards
        write_report([tmp_path], page)
    with pytest.raises(ArgusError, match="is a folder"):
        write_report([tmp_path], tmp_path)


def test_a_run_that_was_refused_in_its_first_moments_goes_on_in_its_folder(tmp_path):
    train(tmp_path / "run")
    train(tmp_path / "run")
    (tmp_path / "run" / "run.json").write_text(json.dumps({"identity": {}, "config": {}}))
    (tmp_path / "run" / "notes.txt").touch()
    train(tmp_path / "run")
