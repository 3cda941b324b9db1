"""`arena heads` with 1,000 third-party heads in at most 0.25 s, beside reading all entry points and starting Python."""

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


if __name__ == "__main__":
    main()
