"""Run all tests as several pytest processes, as many at once as there are cores: ``python tests/run_parts.py``.

A file that no part names belongs to ``rest``, so that none is forgotten; to move one, name it in PARTS. A part's output
is shown when it ends: in full if it failed, else its last line.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

TESTS = Path(__file__).parent
REST = "rest"
# In the order in which they start, the longest first. Tracers and inference engines leave threads and graphs in
# a process, beside which others have crashed: tests of exports have one of their own.
PARTS: dict[str, list[str]] = {
    REST: [],
    "zoo": ["zoo"],
    "kit": ["test_kit*.py", "test_*_conform.py", "test_*_heads.py", "test_linear_segment.py", "test_third_party.py"],
    "arena": ["test_arena.py", "test_tasks_together.py", "test_compare.py", "test_domains.py"],
    "export": ["test_export*.py"],
}


def files_of(names: list[str]) -> list[str]:
    """The paths that the patterns match; a pattern without any is a `FileNotFoundError`."""
    found = {name: sorted(TESTS.glob(name)) for name in names}
    if lost := [name for name, paths in found.items() if not paths]:
        raise FileNotFoundError(f"no tests {', '.join(lost)}: mend PARTS in {__file__}")
    return [str(path.relative_to(TESTS.parent)) for paths in found.values() for path in paths]


def arguments() -> dict[str, list[str]]:
    """Part to the paths that pytest is given."""
    named = {part: files_of(names) for part, names in PARTS.items()}
    others = [f"--ignore={path}" for paths in named.values() for path in paths]
    return {**named, REST: [TESTS.name, *others]}


def run(given: list[str]) -> tuple[int, str, float]:
    """The exit code, output and seconds of one pytest process, of one thread: the processes fill the cores."""
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *given]
    environment, began = {**os.environ, "OMP_NUM_THREADS": "1"}, time.monotonic()
    done = subprocess.run(
        command, cwd=TESTS.parent, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    return done.returncode, done.stdout.decode(errors="replace").strip(), time.monotonic() - began


def run_all(parts: dict[str, list[str]]) -> list[str]:
    """The names of the parts that failed."""
    failed = []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        running = {pool.submit(run, given): part for part, given in parts.items()}
        for future in as_completed(running):
            part, (code, output, seconds) = running[future], future.result()
            failed += [part] if code else []
            shown = f"\n{output}" if code else output.rpartition("\n")[2]
            print(f"{part} ({seconds:.0f} s, exit code {code}): {shown}", flush=True)
    return failed


if __name__ == "__main__":
    if FAILED := run_all(arguments()):
        sys.exit(f"failed: {', '.join(FAILED)}")
