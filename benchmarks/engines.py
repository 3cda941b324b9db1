"""A backbone in OpenVINO, in float32 and with int8 weights, against PyTorch eager."""

from __future__ import annotations

import argparse
from functools import partial
from typing import Any

import torch

from argus_core import Argus, Canvas, Classify, build_head
from timing import compare, random_backbone, show


def main() -> None:
    """Print ratios of time per engine, side and batch."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="vit_base_patch16_dinov3_qkvb")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    backbone = random_backbone(options.model)
    head = build_head("classify.linear", backbone.info, Classify(classes=("a", "b")))
    argus = Argus(backbone, {"kind": head}, Canvas(224))
    networks: dict[str, Any] = {"eager": None}
    for int8 in (False, True):
        networks[f"openvino {'int8' if int8 else 'float32'}"] = argus.compile("openvino", int8).backbone._compiled
    for side, batch in ((224, 1), (224, 8), (640, 1)):
        canvases = torch.randint(0, 255, (batch, side, side, 3), dtype=torch.uint8)
        extent = torch.full((batch, 2), side)
        for engine in list(networks)[1:]:
            runs = (partial(encode, argus, networks[name], canvases, extent) for name in (engine, "eager"))
            show(f"{engine}, {side} px, batch {batch}", *compare(*runs), "< 1.0; int8 with VNNI or AMX <= 0.6")


def encode(argus: Argus, network: Any, canvases: torch.Tensor, extent: torch.Tensor) -> None:
    """One backbone pass of a compiled network, or of the backbone itself."""
    argus.backbone._compiled = network
    argus.backbone.encode(canvases, extent, argus.needs)


if __name__ == "__main__":
    main()
