"""A comparison on workers of which one is killed half-way ends with the weights of one process.

    python benchmarks/engines_compare.py [ray] [slurm]

``ray``: two nodes of a Ray cluster on this machine, one core each, started by ``ray start``; all processes of the
second are killed while both train. ``slurm``: jobs by submitit's local executor, two at once; one is killed while both
train. Weights are compared by sha256 of ``best.safetensors``. Not a measure of speed: the workers share one machine.
"""

from __future__ import annotations

import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from argus_core.common.files import file_sha256

DATA = "scenes:images=40,val=6,size=64"
CACHE = f"cache --data {DATA} --backbone tiny --canvas 64 --out caches --device cpu"
COMPARE = (
    f"compare --heads fcos --heads slim_fcos --data {DATA} --cache caches --seeds 2 --memory 0.001 "
    "--set batch=4 --set epochs=10 --set width=16 --eval-every 5 --device cpu"
)
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}


def main() -> None:
    """Compare locally, then on each engine."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        os.chdir(folder)
        arena(CACHE).wait()
        began = time.monotonic()
        arena(f"{COMPARE} --out local").wait()
        print(f"local: {len(weights('local'))} trainings in {time.monotonic() - began:.0f} s", flush=True)
        for engine in sys.argv[1:] or ("ray", "slurm"):
            {"ray": on_ray, "slurm": on_slurm}[engine]()


def on_ray() -> None:
    """A node dies."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with node(f"--head --port={port} --include-dashboard=false"), node(f"--address=127.0.0.1:{port}") as second:
        ENVIRONMENT["RAY_ADDRESS"] = f"127.0.0.1:{port}"
        show("ray", "--engine ray --engine-set cpus=1", lambda: second)


def on_slurm() -> None:
    """A job dies."""

    def newest() -> psutil.Process:
        living = (p for p in psutil.Process().children(True) if p.status() != psutil.STATUS_ZOMBIE)
        return max((p for p in living if "submitit.core._submit" in p.cmdline()), key=lambda job: job.create_time())

    show("slurm", "--engine slurm --engine-set cluster=local --engine-set parallel=2", newest)


def show(name: str, options: str, victim) -> None:
    """Compare on an engine, kill what ``victim`` gives once two cells train, and compare the weights."""
    began = time.monotonic()
    command = arena(f"{COMPARE} --out {name} {options}", Path(f"{name}.log"))
    while len(training := [log.parent for log in Path(name).glob("seed*/group*/log.jsonl") if not finished(log)]) < 2:
        if command.poll() is not None:
            sys.exit(Path(f"{name}.log").read_text())
        time.sleep(0.2)
    killed = time.monotonic() - began
    kill(victim())
    code = command.wait()
    text = Path(f"{name}.log").read_text()
    print(f"{name}: killed after {killed:.0f} s, while {', '.join(map(str, sorted(training)))} trained", flush=True)
    print("".join(re.findall(r".*(?:started again|cells, ).*\n", text)), end="")
    ours, theirs = weights("local"), weights(name)
    same = sum(ours[file] == theirs.get(file) for file in ours)
    print(
        f"{name}: exit code {code}, {same} of {len(ours)} weights equal, {time.monotonic() - began:.0f} s", flush=True
    )


def finished(log: Path) -> bool:
    """Whether the run of a log has its results."""
    return any(log.parent.glob("*/result.json"))


def weights(out: str) -> dict[str, str]:
    """Digests of the best weights, by file."""
    return {str(file.relative_to(out)): file_sha256(file) for file in sorted(Path(out).rglob("best.safetensors"))}


def arena(line: str, log: Path = Path("arena.log")) -> subprocess.Popen:
    """A command of the arena that writes into a log."""
    with log.open("w") as stream:
        command = [sys.executable, "-m", "argus_arena", *line.split()]
        return subprocess.Popen(command, stdout=stream, stderr=subprocess.STDOUT, env=ENVIRONMENT)


@contextmanager
def node(options: str) -> Iterator[psutil.Process]:
    """A node of a Ray cluster with one core, all of whose processes end at the end."""
    line = f"start {options} --node-ip-address=127.0.0.1 --num-cpus=1 --disable-usage-stats --block"
    ray = Path(sys.executable).with_name("ray")
    with Path("nodes.log").open("a") as log:
        process = psutil.Popen([ray, *line.split()], stdout=log, stderr=log, env=ENVIRONMENT)
    try:
        while not any("raylet" in child.name() for child in process.children(True)):
            if process.poll() is not None:
                sys.exit(Path("nodes.log").read_text())
            time.sleep(1)
        yield process
    finally:
        kill(process)


def kill(process: psutil.Process) -> None:
    """Kill a process and all that it started."""
    with suppress(psutil.NoSuchProcess):
        for each in (*process.children(True), process):
            with suppress(psutil.NoSuchProcess):
                each.send_signal(signal.SIGKILL)


if __name__ == "__main__":
    main()
