"""Five tasks of an image on one pass, beside that pass alone and beside four models of one task each."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torchvision.transforms.functional import to_tensor

from argus_core import Argus, Canvas, build_head
from gpu_parts.bench import Bench
from multitask import TASKS
from peers import Peer, build_peers


def run(bench: Bench) -> None:
    """Milliseconds, and the ratios of ``multitask.py``."""
    sides, batches = ((64, 32), (1, 2)) if bench.toy else ((640, 512), (1, 8))
    argus = five_tasks(bench, sides[0])
    for batch in batches:
        inputs = canvases(batch, sides[0])
        bare = bench.time(f"backbone, {sides[0]} px, batch {batch}", partial(answer, argus, *inputs, False), batch)
        five = bench.time(f"five tasks, {sides[0]} px, batch {batch}", partial(answer, argus, *inputs), batch)
        bench.figure(f"five tasks of the backbone, {sides[0]} px, batch {batch}", ratio=five / bare)
    against_peers(bench, argus, sides)


def against_peers(bench: Bench, argus: Argus, sides: Sequence[int]) -> None:
    """Forward passes alone, and from a picture to results in its pixels."""
    peers = [small_peer(bench)] if bench.toy else [*build_peers(str(bench.device)).values()]
    pixels = np.random.default_rng(0).integers(0, 256, (sides[0] * 3 // 4, sides[0], 3), dtype=np.uint8)
    picture = Image.fromarray(pixels)
    forward = bench.time("four models", lambda: [peer() for peer in peers], 1)
    whole = bench.time("four models, from picture to results", lambda: [peer.perceive(picture) for peer in peers], 1)
    for side in sides:
        argus.canvas = Canvas(side)
        own = bench.time(f"five tasks, {side} px", partial(answer, argus, *canvases(1, side)), 1)
        perceive = partial(argus.perceive, picture, tasks=list(TASKS))
        seen = bench.time(f"five tasks, {side} px, from picture to results", perceive, 1)
        times = {"times faster": forward / own, "times faster from picture to results": whole / seen}
        bench.figure(f"five tasks against four models, {side} px", **times)


def five_tasks(bench: Bench, side: int) -> Argus:
    """The heads of ``multitask.py`` over a backbone of random weights."""
    torch.manual_seed(0)
    backbone = bench.backbone()
    heads = {name: build_head(head, backbone.info, task) for name, (head, task) in TASKS.items()}
    return Argus(backbone, heads, Canvas(side)).to(bench.device).eval()


def canvases(batch: int, side: int) -> tuple[Tensor, Tensor]:
    """Random pictures that fill their canvases."""
    return torch.randint(0, 255, (batch, side, side, 3), dtype=torch.uint8), torch.full((batch, 2), side)


def answer(argus: Argus, pictures: Tensor, extent: Tensor, heads: bool = True) -> None:
    """From canvases to tokens, and on to decoded predictions of all heads."""
    tokens = argus.backbone.encode(pictures, extent, argus.needs)
    if heads:
        argus.run_heads(tokens)


def small_peer(bench: Bench) -> Peer:
    """A single layer in the place of the four models."""
    layer = nn.Conv2d(3, 8, 3).to(bench.device)
    return Peer(layer, 32, lambda picture: to_tensor(picture)[None], lambda output, size: output.cpu())
