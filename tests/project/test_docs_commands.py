"""Every command line in README.md and docs/ runs, on small stand-ins for what the text names.

The lines of a page run in its order, in one folder. ``INSTEAD`` says what is put in the place of placeholders and large
numbers, ``LEFT_OUT`` which lines do not run, and why.
"""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

import docs_world
from argus_arena.cli import app as arena
from argus_core.cli.commands import app as argus
from argus_core.registry import BACKBONES, HEADS, PROTOCOLS, TASKS
from docs_text import PAGES, PROGRAM, ROOT, blocks, dist_info

tomllib = pytest.importorskip("tomllib", reason="needs Python 3.11")

INSTEAD = (
    # what the reader has
    (r"(data check|--data) PATH", r"\1 data/clothing10"),
    (r"coco:PATH|coco:s3://BUCKET/set", "coco:data/coco256"),
    (r"s3://BUCKET/", "memory://docs/"),
    (r"folder:PATH", "folder:data/clothing10"),
    (r"images:PATH", "images:data/nyuv2"),
    (r"nyu:PATH", "nyu:data/nyu"),
    (r"ade20k:PATH", "ade20k:data/ade20k"),
    (r"pf_willow:FOLDER", "pf_willow:data/pf_willow"),
    (r"^argus teach garments", "argus teach data/clothing10 --name garments"),
    (r"rf20-vl/ --expect rf20-vl", "data/rf20-vl --expect one --expect two"),
    (r"\.\./shared/data|\$DATA", "data"),
    (r"CELLS/", "data/bccd/"),
    (r"\$VIT|VIT_TINY", "vit_tiny.safetensors"),
    (r"\$MOBILE", "mobilenet.safetensors"),
    # backbones whose weights would be downloaded
    (r"--backbone (NAME|eupe_\w+|timm:\w+(?! --weights))(?= )", "--backbone tiny"),
    (r"^arena cache (?=--)(?!.*--backbone)", "arena cache --backbone tiny "),
    # workers, which tests/arena/test_compare_cells.py starts
    (r" --(?:engine|engine-set|parts) \S+", ""),
    # trainings that tests/arena/distill does on a small scale
    (r"^(arena distill .*)", r"\1 --dry-run"),
    # large numbers
    (r"^(arena (?:train|compare|domains) (?=--)(?!.*(?:epochs=|--config|=?match )).*)", r"\1 --set epochs=1"),
    (r"epochs=\d+", "epochs=1"),
    (r"--eval-every \d+", "--eval-every 1"),
    (r"(?<!\.)batch=\d+", "batch=2"),
    (r"--seeds \d+", "--seeds 2"),
    (r"width=(64|96)", "width=32"),
    (r"--head depth\.dpt(?!.*width=)", "--head depth.dpt --set width=32"),
    (r"^(arena train .*--head depth(?!.*bins=).*)", r"\1 --set bins=16"),
    (r"bins=\d+", "bins=16"),
    (r"limit=\d+", "limit=2"),
    (r"scenes:[\w=,]*", "scenes:images=4,val=2,size=64"),
    (r"^(arena (?:cache|domains|train|compare) (?=--)(?!.*--(?:canvas|protocol|cache) ).*)", r"\1 --canvas 64"),
    (r"--canvas \d+x\d+", "--canvas 64x96"),
    (r"--canvas \d+(?![x\d])", "--canvas 64"),
    # the whole kit runs on these heads in test_docs.py and test_heads_conform.py, on all detection heads in tests/zoo
    (r"^(arena check (?:detect|classify|segment|depth|correspond|\S*[hH]ead).*)", r"\1 --only options --only padding"),
    # all detection heads are trained by tests/zoo
    (r"--heads all", "--heads fcos --heads analytic_person"),
    (r"^(arena (?:train|compare|domains) (?=.*(?:fcos|split_tower))(?!.*(?:width=|--config)).*)", r"\1 --set width=32"),
)
"""Pattern and replacement, in this order."""

LEFT_OUT = {
    r"^(make|pytest|\.ci/run)": "runs these tests, or installs",
    r"^(twine|git|\.venv/)": "about the repository or a registry, not about Argus",
    r"^export ": "settings of the reader's shell, here of trackers that would be started",
    r"^(python|torchrun)": "starts a process of another program",
    r"^argus (?!.*--dry-run).*OWNER/NAME": "asks the hub; tests/saving/test_push.py runs these on a stand-in",
    r"^argus .*(rtsp://|webcam:)": "asks a camera; tests/video/test_film_command.py runs the same without one",
    r"^arena .*runs/eupe-toy": "needs what `arena distill` makes; tests/arena/distill and tests/backbones do the same",
    r"^argus serve": "runs until it is told to stop; tests/serve/test_server_process.py runs it",
    r"^argus export ": "a minute of tracing; tests/export/test_export.py runs the same command, and options are tested",
}
"""Commands that do not run: a pattern of ``PAGE: LINE`` or of the line, and the reason."""

READY = {
    "runs/rooms": "arena train --head segment.linear --data scenes:images=4,val=2,size=64 "
    "--backbone tiny --canvas 64 --set epochs=1 --set batch=2 --out runs/rooms",
    "runs/seg": "arena train --head segment.linear --data ade20k:data/ade20k --backbone tiny --canvas 64 "
    "--set epochs=1 --set batch=2 --out runs/seg",
    "runs/cells": "arena train --head fcos --data coco:data/bccd --backbone tiny --canvas 64 --set width=32 "
    "--set epochs=1 --set batch=2 --out runs/cells",
    "models/mine": "argus build runs/rooms runs/cells --out models/mine",
}
"""What a page may take for granted, and the line that makes it."""


HEADS_OF_ONES_OWN = ROOT / "docs/writing-a-head.md"
"""The page whose files other pages speak of too, as ``my_head.py``."""


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return docs_world.make_world(tmp_path_factory.mktemp("world"))


@pytest.fixture
def folder(tmp_path, world, monkeypatch):
    """A reader's folder with the stand-ins; what a page registers and imports is forgotten afterwards."""
    for stand_in in world.iterdir():
        (tmp_path / stand_in.name).symlink_to(stand_in)
    for registry in (HEADS, TASKS, BACKBONES, PROTOCOLS):
        monkeypatch.setattr(registry, "_registered", dict(registry._registered))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ARGUS_OFFLINE", "1")
    monkeypatch.setenv("COLUMNS", "200")
    yield tmp_path
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", None)).startswith(str(tmp_path)):
            del sys.modules[name]


def shown(page):
    """The commands of a page that run, block by block."""
    found = [[line for line in block.commands() if not left_out(page, line)] for block in blocks(page)]
    return [lines for lines in found if lines]


def left_out(page, line):
    return any(re.search(pattern, text) for pattern in LEFT_OUT for text in (line, f"{page.name}: {line}"))


def adapted(line):
    for pattern, replacement in INSTEAD:
        line = re.sub(pattern, replacement, line)
    return line


def run(line, monkeypatch, folder):
    """Run one line in this process, which spares the imports of a new one."""
    settings, program = PROGRAM.match(line).groups()
    words = shlex.split(line[len(settings) :], comments=True)
    with monkeypatch.context() as patch:
        for name, _, value in (setting.partition("=") for setting in settings.split()):
            patch.setenv(name, value)
        if program == "cd":
            monkeypatch.chdir(words[1])
        elif program == "pip":
            install(words, monkeypatch, folder)
        else:
            result = CliRunner().invoke({"arena": arena, "argus": argus}[program], words[1:])
            assert result.exit_code == 0, f"{line}\n{result.output}\n{result.exception!r}"


def install(words, monkeypatch, folder):
    """What ``pip install -e FOLDER`` does for what imports it; what is installed already is left alone."""
    for source in (Path(word.partition("[")[0]).resolve() for word in words[2:]):
        if (source / "pyproject.toml").is_file():
            dist_info(folder, tomllib.loads((source / "pyproject.toml").read_text())["project"])
            for place in (folder, source, source / "src"):
                monkeypatch.syspath_prepend(str(place))


def provide(line, monkeypatch, folder):
    """Make what a line takes for granted and no line before it made."""
    for path, maker in READY.items():
        if re.search(rf"(?<!--out )\b{path}\b", line) and not (folder / path).exists():
            provide(maker, monkeypatch, folder)
            run(maker, monkeypatch, folder)


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if shown(page)], ids=lambda page: page.name)
def test_commands_run(page, folder, monkeypatch):
    for block in (*blocks(HEADS_OF_ONES_OWN), *blocks(page)):
        if block.file:
            (folder / block.file).parent.mkdir(parents=True, exist_ok=True)
            (folder / block.file).write_text(block.text)
    for lines in shown(page):
        monkeypatch.chdir(folder)
        for line in map(adapted, lines):
            provide(line, monkeypatch, folder)
            run(line, monkeypatch, folder)


def test_every_exception_is_needed():
    """A replacement or exception that fits no line any more goes."""
    lines = [(line, f"{page.name}: {line}") for page in PAGES for block in blocks(page) for line in block.commands()]
    unused = [pattern for pattern in LEFT_OUT if not any(re.search(pattern, text) for line in lines for text in line)]
    changed = [line for line, _ in lines]
    for pattern, replacement in INSTEAD:
        new = [re.sub(pattern, replacement, line) for line in changed]
        unused += [pattern] if new == changed else []
        changed = new
    assert not unused
