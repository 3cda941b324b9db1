"""A backbone in OpenVINO, by precision, against PyTorch eager.

python engines.py --model vit_base_patch16_dinov3_qkvb --sides 224 640
python engines.py --model lite0 --sides 320 --calls 20

An engine's threads stay busy for a moment after a call, which slows down the other engine's next one: of a small
network each turn is several ``--calls``.

Peak memory is that of one pass, in a process that holds one engine (and the network it was made of); int8 is calibrated
on noise, which has no influence on speed.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from argus_core import Argus, Backbone, Canvas, Classify, build_head, load_backbone
from argus_core.export.engines import compile_backbone
from argus_core.export.int8 import LEAST, Drift
from argus_core.export.openvino import HINTS
from timing import compare, random_backbone, show

GOALS = {"fp32": "< 1.0", "bf16": "< 1.0", "int8": "<= 0.5"}


def main() -> None:
    """Print ratios of time per precision, side and batch, and peak memory."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="vit_base_patch16_dinov3_qkvb")
    parser.add_argument("--sides", type=int, nargs="+", default=[224, 640])
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--calls", type=int, default=1, help="passes in a row")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--only", choices=("eager", *HINTS), help="the peak memory of one engine")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    argus = model(options.model)
    if options.only:
        peak(argus, options.only, options.sides[-1])
        return
    networks = {precision: engine(argus, precision) for precision in HINTS}
    for side in options.sides:
        for batch in options.batches:
            time_all(argus, networks, side, batch, options)
    for name in ("eager", *HINTS):
        subprocess.run([sys.executable, *sys.argv, "--only", name], check=True)


def time_all(argus: Argus, networks: dict[str, Any], side: int, batch: int, options: argparse.Namespace) -> None:
    """Print the ratio of each network to PyTorch."""
    canvases = torch.randint(0, 255, (batch, side, side, 3), dtype=torch.uint8)
    extent = torch.full((batch, 2), side)
    for precision, network in networks.items():
        runs = (partial(encode, argus, other, canvases, extent, options.calls) for other in (network, None))
        ours, peer, ratio = compare(*runs, rounds=options.rounds)
        what = f"{precision}, {side} px, batch {batch}"
        show(what, ours / options.calls, peer / options.calls, ratio, GOALS[precision])


def model(name: str) -> Argus:
    """A backbone with a head of little work."""
    backbone: Backbone = load_backbone(name) if name.startswith("lite") else random_backbone(name)
    head = build_head("classify.linear", backbone.info, Classify(classes=("a", "b")))
    return Argus(backbone, {"kind": head}, Canvas(224))


def engine(argus: Argus, precision: str) -> Any:
    """The network in OpenVINO; what int8 answers to noise is not looked at."""
    noise = np.random.default_rng(0).integers(0, 256, (2 * LEAST, 224, 224, 3), dtype=np.uint8)
    Drift.check = lambda self: None  # type: ignore[method-assign]
    return compile_backbone(argus, "openvino", precision, [*noise] if precision == "int8" else None).backbone._compiled


def encode(argus: Argus, network: Any, canvases: torch.Tensor, extent: torch.Tensor, calls: int = 1) -> None:
    """Backbone passes of a compiled network, or of the backbone itself."""
    argus.backbone._compiled = network
    for _ in range(calls):
        argus.backbone.encode(canvases, extent, argus.needs)


def peak(argus: Argus, name: str, side: int) -> None:
    """Print the memory of this process at its peak during one pass of an engine."""
    network = None if name == "eager" else engine(argus, name)
    Path("/proc/self/clear_refs").write_text("5")  # the peak from now on; Linux
    encode(argus, network, torch.zeros(1, side, side, 3, dtype=torch.uint8), torch.full((1, 2), side))
    held = int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1024
    print(f"{name}, {side} px, batch 1: peak {held:.0f} MiB", flush=True)


if __name__ == "__main__":
    main()
