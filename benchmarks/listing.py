"""`arena heads` with 1,000 third-party heads in at most 0.25 s, beside reading all entry points and starting Python.

And how long it takes to settle 20 heads of a run where so many are installed.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HEADS, ROUNDS = 1000, 7
COMMANDS = {
    "arena heads": ("-m", "argus_arena", "heads"),
    "entry_points()": ("-c", "import importlib.metadata; importlib.metadata.entry_points()"),
    "pass": ("-c", "pass"),
}
RESOLVE = """
import time
import argus_heads.fcos_detect, argus_heads.experimental.tropical, argus_heads.experimental.wavelet
from argus_arena.requests import make_request
from argus_arena.run.config import resolve, sized
heads = [f"h{n}=detect.{('fcos', 'tropical', 'wavelet')[n % 3]}" for n in range(20)]
request = make_request({"heads": heads, "data": "scenes:", "cache": "c", "settings": {"width": 64}})
began = time.perf_counter()
sized(resolve(request), 1000)
print(time.perf_counter() - began)
"""
"""Prints the seconds that it takes to settle 20 heads of a run, after imports."""
DESCRIPTION = "A line of a long description, as packages have.\n" * 200


def install(folder: Path, name: str, heads: list[str]) -> None:
    """Write the metadata of an installed package; its module does not exist, as listing must not import it."""
    info = folder / f"{name.replace('-', '_')}-1.0.dist-info"
    info.mkdir(parents=True)
    requires = "Requires-Dist: argus-perception>=0.1\n"
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n{requires}\n{DESCRIPTION}")
    points = "".join(f"detect.{head} = {name.replace('-', '_')}:Head\n" for head in heads)
    (info / "entry_points.txt").write_text(f"[argus.heads]\n{points}")


def run(arguments: tuple[str, ...], folder: Path) -> tuple[float, float]:
    """Wall and CPU seconds of a fresh interpreter with the packages in ``folder``."""
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([sys.executable, *arguments], env=environment, check=True, capture_output=True)
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measure(what: str, folder: Path) -> None:
    """Print medians of all three commands, run in turn, and those of the ratios round by round."""
    times = {name: [] for name in COMMANDS}
    for _ in range(ROUNDS + 1):
        for name, arguments in COMMANDS.items():
            times[name].append(run(arguments, folder))
    for name, rounds in times.items():
        wall, cpu = map(statistics.median, zip(*rounds[1:], strict=True))
        ratios = (own[1] / peer[1] for own, peer in zip(times["arena heads"][1:], rounds[1:], strict=True))
        print(f"{what}: {name}: {wall:.3f} s, CPU {cpu:.3f} s; arena heads takes {statistics.median(ratios):.2f} of it")


def measure_resolve(what: str, folder: Path) -> None:
    """Print the median time that a fresh process takes to settle 20 heads."""
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    command = [sys.executable, "-c", RESOLVE]
    done = [subprocess.run(command, env=environment, check=True, capture_output=True, text=True) for _ in range(ROUNDS)]
    seconds = statistics.median(float(each.stdout) for each in done)
    print(f"{what}: 20 heads of a run are settled in {seconds:.3f} s")


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for number in range(HEADS):
            install(folder / "many", f"stranger-{number}", [f"head_{number}"])
        install(folder / "one", "stranger", [f"head_{number}" for number in range(HEADS)])
        (folder / "none").mkdir()
        measure("no third-party heads", folder / "none")
        measure(f"{HEADS} distributions of one head", folder / "many")
        measure(f"one distribution of {HEADS} heads", folder / "one")
        measure_resolve("no third-party heads", folder / "none")
        measure_resolve(f"{HEADS} distributions of one head", folder / "many")


if __name__ == "__main__":
    main()
