"""Five tasks on one backbone pass, against that pass alone and against four models of one task each."""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from argus_core import Argus, Canvas, Classify, Correspond, Depth, Detect, Segment, build_head
from argus_core.tasks import Task
from peers import Peer, build_peers
from timing import compare, random_backbone, seconds, show

Work = Callable[[], object]


def names(count: int) -> tuple[str, ...]:
    """Distinct names of classes."""
    return tuple(f"class {index}" for index in range(count))


TASKS: dict[str, tuple[str, Task]] = {
    "classify": ("classify.linear", Classify(classes=names(1000))),
    "segment": ("segment.linear", Segment(classes=names(150))),
    "depth": ("depth.linear", Depth()),
    "detect": ("detect.split_tower", Detect(classes=names(80))),
    "correspond": ("correspond.match", Correspond()),
}


def five_tasks(side: int, device: str) -> Argus:
    """The published set of heads over the architecture of ``eupe_vitb16``, untrained."""
    torch.manual_seed(0)
    backbone = random_backbone("vit_base_patch16_dinov3_qkvb")
    heads = {name: build_head(head, backbone.info, task) for name, (head, task) in TASKS.items()}
    return Argus(backbone, heads, Canvas(side)).to(device).eval()


def one_pass(argus: Argus, batch: int = 1, heads: bool = True) -> None:
    """From canvases to tokens, and on to decoded predictions of all heads."""
    assert argus.canvas is not None
    canvases = torch.zeros(batch, *argus.canvas.size, 3, dtype=torch.uint8).random_()
    tokens = argus.backbone.encode(canvases, torch.tensor([argus.canvas.size] * batch), argus.needs)
    if heads:
        argus.run_heads(tokens)


def all_peers(peers: Mapping[str, Peer]) -> None:
    """Every model once."""
    for peer in peers.values():
        peer()


def finished(work: Work, device: str) -> None:
    """One call, and the wait for what it left a GPU to do."""
    work()
    if device == "cuda":
        torch.cuda.synchronize()


def against(ours: Work, peer: Work, options: argparse.Namespace) -> tuple[float, float, float]:
    """``compare`` on the chosen device."""
    return compare(partial(finished, ours, options.device), partial(finished, peer, options.device), options.rounds)


def against_backbone(argus: Argus, options: argparse.Namespace) -> None:
    """The cost of five heads."""
    for batch in options.batches:
        ours, bare = (partial(one_pass, argus, batch, heads) for heads in (True, False))
        show(f"five tasks against the bare backbone, 640 px, batch {batch}", *against(ours, bare, options), "<= 1.35")


def whole_way(argus: Argus, options: argparse.Namespace) -> None:
    """From an image and back to its pixels, with the laps of each part."""
    image = np.random.default_rng(0).integers(0, 256, (480, 640, 3), dtype=np.uint8)
    ask = partial(argus.perceive, image, tasks=list(TASKS))
    bare = partial(one_pass, argus, heads=False)
    show("perceive, 640x480 image, against the bare backbone", *against(ask, bare, options), "none")
    print("  laps in ms:", ", ".join(f"{name} {value:.0f}" for name, value in ask().timings_ms.items()))


def against_peers(argus: Argus, options: argparse.Namespace) -> None:
    """Five tasks of one image against four models' forward passes."""
    peers = build_peers(options.device)
    for side, goal in ((640, ">= 2.0"), (512, ">= 3.2")):
        argus.canvas = Canvas(side)
        ours, other, ratio = against(partial(one_pass, argus), partial(all_peers, peers), options)
        times = f"{ours * 1e3:.1f} ms against {other * 1e3:.1f} ms"
        print(f"five tasks, {side} px, against four models: {times}, {1 / ratio:.2f} times faster (goal {goal})")
    for name, peer in peers.items():
        own = statistics.median(seconds(partial(finished, peer, options.device)) for _ in range(options.rounds))
        print(f"  {name}, {peer.parameters:.1f} M parameters, {peer.side} px: {own * 1e3:.1f} ms")


def _peak(side: int, device: str, threads: int, queue: multiprocessing.Queue[Any]) -> None:
    """MiB at most in a process that does one thing twice: five tasks, or four models (``side`` 0) held at once."""
    torch.set_num_threads(threads)
    work = partial(one_pass, five_tasks(side, device)) if side else partial(all_peers, build_peers(device))
    for _ in range(2):
        finished(work, device)
    if device == "cuda":
        return queue.put(torch.cuda.max_memory_allocated() / 2**20)
    # Not getrusage: its peak outlives exec, so a child starts with its parent's.
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    queue.put(int(status.split("VmHWM:")[1].split()[0]) / 1024)


def memory(options: argparse.Namespace) -> None:
    """Peak memory of fresh processes."""
    context = multiprocessing.get_context("spawn")
    peaks = {}
    for side in (0, 640, 512):
        queue = context.Queue()
        process = context.Process(target=_peak, args=(side, options.device, options.threads, queue))
        process.start()
        peaks[side] = queue.get()
        process.join()
    for side in (640, 512):
        mine, other = peaks[side], peaks[0]
        print(f"peak memory, {side} px: {mine:.0f} MiB, four models at once {other:.0f} MiB, {other / mine:.2f} times")


def main() -> None:
    """Print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batches", type=int, nargs="*", default=[1, 8])
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    memory(options)
    argus = five_tasks(640, options.device)
    print(argus.plan())
    against_backbone(argus, options)
    whole_way(argus, options)
    against_peers(argus, options)


if __name__ == "__main__":
    main()
