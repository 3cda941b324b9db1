"""Everything about one GPU in one run: checks of all heads, caching, training and precision, then the speed of all.

    cd benchmarks && python gpu.py --out gpu --minutes 8

Writes ``gpu.json`` and ``gpu.md``, anew after every part, so that a run that is cut keeps what it has. Parts that no
longer fit into the time are skipped and named. Ends with 1 if a check failed. Without a GPU everything is so small
that it takes a minute (``--toy``), with a stand-in for a GPU where heads are checked.
"""

from __future__ import annotations

import argparse
import importlib
import os
import platform
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import torch

from argus_arena.run.folder import versions
from argus_core.common.device import find_device
from argus_core.testing.kit.isolation import contained
from gpu_parts.bench import Bench, TimeUp, told
from gpu_parts.record import Part, Record

SLACK = 2.0
"""How many times its planned seconds a part may take before it is cut."""


@dataclass(frozen=True)
class Planned:
    """A part, the function of ``gpu_parts`` behind it, and the seconds that it is expected to take on a GPU."""

    name: str
    function: str
    seconds: float


PARTS = (
    Planned("heads", "heads:run", 100),
    Planned("training steps", "steps:run", 25),
    Planned("caching", "caching:run", 25),
    Planned("training", "training:run", 45),
    Planned("precision", "drift:run", 40),
    Planned("compiled as eager", "backbone:check_compiled", 40),
    Planned("backbone", "backbone:run", 30),
    Planned("five tasks", "tasks:run", 30),
    Planned("comparison", "comparison:run", 40),
    Planned("compiled backbone", "backbone:compiled", 60),
)
"""Checks first, then measurements; the last part fills the time that is left."""


def run_parts(parts: Sequence[Planned], bench: Bench) -> None:
    """Run the parts that fit into the time, and write the record after each of them."""
    for number, part in enumerate(parts):
        print(f"\n{bench.left:.0f} s left; to do: {', '.join(f'{p.name} {p.seconds:g} s' for p in parts[number:])}")
        if not bench.toy and part.seconds > bench.left:
            print(f"skipped: {part.name}", flush=True)
            bench.record.parts.append(Part(part.name, "skipped", 0.0, f"it needs {part.seconds:g} s"))
        else:
            bench.record.parts.append(run_part(part, bench))
        bench.record.write()


def run_part(part: Planned, bench: Bench) -> Part:
    """Run one part, whatever it raises; torch's settings are put back."""
    print(f"{part.name}:", flush=True)
    bench.part, began = part.name, time.monotonic()
    state, reason = "done", ""
    try:
        module, _, function = part.function.partition(":")
        with contained(), limited(bench.left if bench.toy else min(bench.left, SLACK * part.seconds)):
            getattr(importlib.import_module(f"gpu_parts.{module}"), function)(bench)
    except TimeUp:
        state, reason = "cut", "its time was up"
    except Exception as error:  # of whatever kind: the other parts go on
        state, reason = "failed", told(error)
    if bench.device.type == "cuda":
        torch.cuda.empty_cache()
    seconds = time.monotonic() - began
    print(f"{part.name}: {state} in {seconds:.1f} s{f': {reason}' if reason else ''}", flush=True)
    return Part(part.name, state, seconds, reason)


@contextmanager
def limited(seconds: float) -> Iterator[None]:
    """Raise TimeUp in the block after some seconds, as soon as Python code runs."""

    def over(number: int, frame: FrameType | None) -> None:
        raise TimeUp

    previous = signal.signal(signal.SIGALRM, over)
    signal.setitimer(signal.ITIMER_REAL, max(seconds, 1e-3))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


def header(device: torch.device, toy: bool) -> dict[str, str]:
    """What the figures were taken on."""
    model = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{device} ({platform.machine()})"
    size, cores = "toy" if toy else "full", str(os.cpu_count())
    return {"device": model, "size": size, "cores": cores, "cuda": str(torch.version.cuda), **versions()}


def conclude(record: Record) -> int:
    """Print what failed and what is missing; returns the exit status."""
    passed = sum(check.passed for check in record.checks)
    print(f"\n{passed} of {len(record.checks)} checks hold, {len(record.figures)} figures", end="")
    print(f" in {record.out.with_suffix('.md')} and {record.out.with_suffix('.json')}")
    for line in record.failures:
        print(f"FAILED {line}")
    if record.missing:
        print(f"not done: {', '.join(record.missing)}; run them with --only and another --out")
    return 1 if record.failures else 0


def main() -> int:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("gpu"), help="where results go, without .json and .md")
    parser.add_argument("--minutes", type=float, default=8.0, help="time of the whole run")
    parser.add_argument("--device", help="cpu, cuda, cuda:1; default: a GPU where there is one")
    parser.add_argument("--toy", action="store_true", help="small sizes, as without a GPU")
    parser.add_argument("--only", nargs="+", metavar="PART", choices=[part.name for part in PARTS], default=[])
    options = parser.parse_args()
    end = time.monotonic() + 60 * options.minutes
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read once, when cuBLAS starts
    device = find_device(options.device)
    toy = options.toy or device.type != "cuda"
    bench = Bench(device, toy, Record(options.out, header(device, toy)), end)
    run_parts([part for part in PARTS if not options.only or part.name in options.only], bench)
    return conclude(bench.record)


if __name__ == "__main__":
    sys.exit(main())
