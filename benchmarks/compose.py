"""Four heads composed over one backbone pass, against that pass alone plus the heads alone."""

from __future__ import annotations

import torch

from argus_core import Argus, Canvas, Detect, build_head
from argus_core.model.composition import run_head
from timing import compare, random_backbone, show

SIDE = 320


def main() -> None:
    """Print the ratio."""
    backbone = random_backbone()
    task = Detect(classes=("a", "b", "c"))
    heads = {}
    for number, name in enumerate(("fcos", "split_tower", "fcos", "split_tower")):
        torch.manual_seed(number)
        heads[f"{name}{number}"] = build_head(name, backbone.info, task, {"width": 64}).eval()
    argus = Argus(backbone, heads, Canvas(SIDE))
    canvases = torch.randint(0, 255, (2, SIDE, SIDE, 3), dtype=torch.uint8)
    extent = torch.full((2, 2), SIDE)
    tokens = backbone.encode(canvases, extent, argus.needs)

    def together() -> None:
        argus.run_heads(backbone.encode(canvases, extent, argus.needs))

    @torch.no_grad()
    def separately() -> None:
        backbone.encode(canvases, extent, argus.needs)
        for head in heads.values():
            run_head(head, tokens)

    show("four heads composed", *compare(together, separately, rounds=15), "<= 1.05")


if __name__ == "__main__":
    main()
