"""What tests share: fresh and forked Python processes, and no way out to the network."""

from __future__ import annotations

import multiprocessing
import os
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from multiprocessing.context import BaseContext
from pathlib import Path

import pytest

# Workers of pytest-xdist share the cores: one thread each, in the processes that they start too.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ["OMP_NUM_THREADS"] = "1"

collect_ignore = ["third_party"]  # strangers, who need to be installed: see test_third_party.py

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests begin first, or one of them would keep a single core busy at the end."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        slow = Counter(item.path for item in items if item.get_closest_marker("slow"))
        items.sort(key=lambda item: -slow[item.path])


@pytest.fixture(scope="session")
def python() -> Run:
    """``python(*arguments, cwd=..., **environment)``: a fresh interpreter's finished process, with its text output."""

    def run(*arguments: str, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
        env = {**os.environ, **environment}
        command = [sys.executable, *arguments]
        return subprocess.run(command, env=env, cwd=cwd, capture_output=True, text=True, check=False)

    return run


IMPORTED = [
    "torch.utils.tensorboard",
    "timm",
    "argus_core.tasks.detect.metric",
    "argus_arena.training.train",
    "argus_arena.training.loop",
    "argus_heads.fcos_detect",
    "argus_heads.split_tower_detect",
]


@pytest.fixture(scope="session")
def forked() -> BaseContext:
    """Processes that cost no import: a server that has done the long ones forks them."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(IMPORTED)
    return context


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str, dict[str, str]], Path]:
    """``install(name, group, points)``: metadata of a package, as pip would leave it, on the path."""

    def add(name: str, group: str, points: dict[str, str]) -> Path:
        info = tmp_path / f"{name}-1.2.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n")
        (info / "entry_points.txt").write_text(f"[{group}]\n" + "".join(f"{k} = {v}\n" for k, v in points.items()))
        monkeypatch.syspath_prepend(str(tmp_path))
        return tmp_path

    return add


@pytest.fixture
def arena(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[[str], tuple[int, str, str]]:
    """``arena("heads")``: exit code, standard output and standard error of a command line."""
    from argus_arena.cli import main

    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.delenv("ARGUS_DEBUG", raising=False)

    def run(line: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["arena", *line.split()])
        with pytest.raises(SystemExit) as stop:
            main()
        return (stop.value.code or 0, *capsys.readouterr())

    return run


@pytest.fixture(autouse=True)
def _same_path() -> Iterator[None]:
    """Forget folders that files were loaded from: their modules would be found by tests that follow."""
    path = list(sys.path)
    yield
    sys.path[:] = path


@pytest.fixture(scope="session", autouse=True)
def _no_network() -> Iterator[None]:
    """Refuse connections to other machines, so that no test comes to depend on one."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: object) -> None:
        host = str(address[0]) if isinstance(address, tuple) else "localhost"
        if host not in ("localhost", "127.0.0.1", "::1"):
            raise OSError(f"tests may not reach {host}")
        connect(self, address)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", guarded)
        yield
