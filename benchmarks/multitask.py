"""Five tasks on one backbone pass, against that pass alone and against four models of one task each.

cd benchmarks && python multitask.py [--image PHOTOGRAPH.jpg]
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from argus_core import Argus, Canvas, Classify, Correspond, Depth, Detect, Segment, build_head
from argus_core.common.allocator import keep_memory
from argus_core.tasks import Task
from argus_data.procedural.render import photograph
from argus_data.procedural.world import draw_world
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


def run_and_wait(work: Work, device: str) -> None:
    """One call, including the work that it queued on a GPU."""
    work()
    if device == "cuda":
        torch.cuda.synchronize()


def timed(ours: Work, peer: Work, options: argparse.Namespace) -> tuple[float, float, float]:
    """``compare`` on the chosen device."""
    return compare(
        partial(run_and_wait, ours, options.device), partial(run_and_wait, peer, options.device), options.rounds
    )


def against_backbone(argus: Argus, options: argparse.Namespace) -> None:
    """The cost of five heads."""
    for batch in options.batches:
        ours, bare = (partial(one_pass, argus, batch, heads) for heads in (True, False))
        show(f"five tasks against the bare backbone, 640 px, batch {batch}", *timed(ours, bare, options), "<= 1.35")


def take_photograph(file: Path) -> Path:
    """Write a procedural photograph of 640x480 pixels, for want of a real one."""
    world = draw_world(np.random.default_rng(0), (480, 640))
    Image.fromarray(photograph(world, world.camera)).save(file, quality=90)
    return file


def peers_perceive(peers: Mapping[str, Peer], file: Path) -> None:
    """From a file to the results of every model; the file is read once, which favours the peers."""
    with Image.open(file) as image:
        picture = image.convert("RGB")
    for peer in peers.values():
        peer.perceive(picture)


def end_to_end(argus: Argus, file: Path, options: argparse.Namespace) -> None:
    """From a file to results in the photograph's pixels, with the time of each part."""
    perceive = partial(argus.perceive, file, tasks=list(TASKS))
    bare = partial(one_pass, argus, heads=False)
    show("perceive, from file to results, against the bare backbone", *timed(perceive, bare, options), "<= 1.15")
    parts = [perceive().timings_ms for _ in range(options.rounds)]
    medians = {name: statistics.median(times[name] for times in parts) for name in parts[0]}
    print("  parts in ms:", ", ".join(f"{name} {value:.0f}" for name, value in medians.items()))


def against_peers(argus: Argus, file: Path, options: argparse.Namespace) -> None:
    """Five tasks of one image against four models: forward passes alone, and from a file to results."""
    peers = build_peers(options.device)
    for side, goals in ((640, (">= 2.0", ">= 2.3")), (512, (">= 3.2", ">= 3.5"))):
        argus.canvas = Canvas(side)
        ways: dict[str, tuple[Work, Work]] = {
            "forward passes": (partial(one_pass, argus), partial(all_peers, peers)),
            "end to end": (partial(argus.perceive, file, tasks=list(TASKS)), partial(peers_perceive, peers, file)),
        }
        for (way, both), goal in zip(ways.items(), goals, strict=True):
            ours, other, ratio = timed(*both, options)
            times = f"{ours * 1e3:.1f} ms against {other * 1e3:.1f} ms"
            print(f"five tasks, {side} px, {way}, four models: {times}, {1 / ratio:.2f} times faster (goal {goal})")
    with Image.open(file) as image:
        picture = image.convert("RGB")
    for name, peer in peers.items():
        forward, whole = (
            statistics.median(seconds(partial(run_and_wait, work, options.device)) for _ in range(options.rounds))
            for work in (peer, partial(peer.perceive, picture))
        )
        print(f"  {name}, {peer.parameters:.1f} M, {peer.side} px: {forward * 1e3:.1f} ms, whole {whole * 1e3:.1f} ms")


def _peak(side: int, device: str, threads: int, queue: multiprocessing.Queue[Any]) -> None:
    """Peak MiB of a process that twice runs five tasks, or four models in memory together (``side`` 0)."""
    torch.set_num_threads(threads)
    work = partial(one_pass, five_tasks(side, device)) if side else partial(all_peers, build_peers(device))
    for _ in range(2):
        run_and_wait(work, device)
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
    parser.add_argument("--image", type=Path, help="a photograph; by default a procedural one of 640x480 px")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    memory(options)
    keep_memory()  # as the commands do; it serves both sides
    argus = five_tasks(640, options.device)
    print(argus.plan())
    against_backbone(argus, options)
    with tempfile.TemporaryDirectory() as folder:
        file = options.image or take_photograph(Path(folder) / "photograph.jpg")
        end_to_end(argus, file, options)
        against_peers(argus, file, options)


if __name__ == "__main__":
    main()
