"""Commands keep freed memory, imports do not, and what the user chose wins."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from argus_core.common import allocator

BLOCKS = """
import resource
{setup}
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    block = bytearray(200 << 20)  # far beyond what glibc keeps by default
    del block
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
faults()
print(faults())
"""
KEEP = "from argus_core.common.allocator import keep_memory; print(keep_memory())"
COMMAND = """
import typer
from argus_core.cli.app import run_command
app = typer.Typer()
app.command()(lambda: None)
try:
    run_command(app)
except SystemExit:
    pass
"""
PAGES = (200 << 20) // os.sysconf("SC_PAGE_SIZE")
glibc = pytest.mark.skipif(not allocator._has_glibc(), reason="needs glibc")


def run(setup: str, **environment: str) -> list[str]:
    """The words printed by a process that takes and frees large blocks after ``setup``; the last counts faults."""
    own = {"ARGUS_KEEP_MEMORY", "GLIBC_TUNABLES", "LD_PRELOAD"}
    env = {key: value for key, value in os.environ.items() if key not in own and not key.startswith("MALLOC_")}
    command = [sys.executable, "-c", BLOCKS.format(setup=setup)]
    done = subprocess.run(command, env={**env, **environment}, capture_output=True, text=True, check=True)
    return done.stdout.split()


@glibc
@pytest.mark.parametrize("setup", [KEEP, COMMAND], ids=["function", "command"])
def test_a_freed_block_is_used_again_without_faults(setup):
    assert int(run(setup)[-1]) < PAGES / 100


@glibc
def test_an_import_changes_nothing():
    # Huge pages of another allocator or kernel may hide the faults, but not where the function is what hides them.
    plain, imported = (int(run(setup)[-1]) for setup in ("", "import argus_core, argus_core.common.allocator"))
    assert imported >= plain / 2


@glibc
@pytest.mark.parametrize(
    "chosen",
    [
        {"ARGUS_KEEP_MEMORY": "0"},
        {"MALLOC_ARENA_MAX": "4"},
        {"GLIBC_TUNABLES": "glibc.malloc.arena_max=4"},
        {"LD_PRELOAD": "libm.so.6"},
    ],
    ids=lambda chosen: next(iter(chosen)),
)
def test_what_the_user_chose_wins(chosen):
    assert run(KEEP, **chosen)[0] == "False"


@glibc
def test_other_tunables_do_not_count():
    assert run(KEEP, GLIBC_TUNABLES="glibc.pthread.rseq=1")[0] == "True"


def test_another_system_or_c_library_is_left_alone(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not allocator.keep_memory()
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(os, "confstr", lambda name: None)
    assert not allocator.keep_memory()

    def unknown(name):
        raise ValueError("unrecognized configuration name")

    monkeypatch.setattr(os, "confstr", unknown)
    assert not allocator.keep_memory()


@glibc
def test_a_system_without_room_for_the_reserve_keeps_memory_all_the_same():
    limited = f"import resource; resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30)); {KEEP}"
    words = run(limited)
    assert words[0] == "True" and int(words[-1]) < PAGES / 100


@glibc
def test_what_is_kept_is_free_for_tensors_to_come():
    lines = (KEEP, "from argus_core.common.allocator import kept_bytes", "block = bytearray(400 << 20)")
    while_used, afterwards = (
        int(run("; ".join((*lines, *last)))[1])
        for last in (["print(kept_bytes())"], ["del block", "print(kept_bytes())"])
    )
    assert while_used < 100 << 20 < 300 << 20 < afterwards < 600 << 20
