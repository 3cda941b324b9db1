"""Decoding and suppression of 100 images against torchvision's FCOS post-processing of the same outputs."""

from __future__ import annotations

import torch
from torchvision.models.detection import FCOS
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.image_list import ImageList

from argus_core import Detect, build_head
from argus_core.detection import DenseOutput, Level
from argus_core.tokens import FeatureInfo
from timing import compare, show

IMAGES, SIDE, CLASSES, STRIDES = 100, 640, 80, (8, 16, 32, 64, 128)


def outputs() -> tuple[list[Level], list[torch.Tensor], list[torch.Tensor], list[torch.Tensor]]:
    """Random logits with a few hundred scores above the threshold per image, as from a trained head."""
    generator = torch.Generator().manual_seed(0)
    levels, flat_cls, flat_reg, flat_ctr = [], [], [], []
    for stride in STRIDES:
        grid = SIDE // stride
        cls = torch.randn(1, CLASSES, grid, grid, generator=generator) * 1.5 - 6.0
        ltrb = torch.rand(1, 4, grid, grid, generator=generator) * 4 * stride + 1
        ctr = torch.randn(1, 1, grid, grid, generator=generator)
        levels.append(Level(cls, ltrb, ctr))
        flat_cls.append(cls.flatten(2).transpose(1, 2))
        flat_reg.append((ltrb / stride).flatten(2).transpose(1, 2))
        flat_ctr.append(ctr.flatten(2).transpose(1, 2))
    return levels, flat_cls, flat_reg, flat_ctr


@torch.no_grad()
def main() -> None:
    """Print the ratio."""
    levels, cls, reg, ctr = outputs()
    head = build_head("fcos", FeatureInfo.vit(32), Detect(classes=tuple(map(str, range(CLASSES)))), {"width": 32})
    out = DenseOutput(tuple(levels), STRIDES, torch.tensor([[SIDE, SIDE]]))
    backbone = torch.nn.Identity()
    backbone.out_channels = 32  # type: ignore[assignment]
    sizes = tuple((8 * s,) for s in STRIDES)
    peer = FCOS(backbone, CLASSES, anchor_generator=AnchorGenerator(sizes, ((1.0,),) * 5), score_thresh=0.05)
    peer.nms_thresh, peer.detections_per_img, peer.topk_candidates = 0.5, 100, 1000
    maps = [torch.zeros(1, 32, SIDE // s, SIDE // s) for s in STRIDES]
    anchors = peer.anchor_generator(ImageList(torch.zeros(1, 3, SIDE, SIDE), [(SIDE, SIDE)]), maps)
    counts = [(SIDE // s) ** 2 for s in STRIDES]
    split_anchors = [list(a.split(counts)) for a in anchors]
    parts = {"cls_logits": cls, "bbox_regression": reg, "bbox_ctrness": ctr}

    def ours() -> None:
        for _ in range(IMAGES):
            head.decode(out, (SIDE, SIDE))

    def theirs() -> None:
        for _ in range(IMAGES):
            peer.postprocess_detections(parts, split_anchors, [(SIDE, SIDE)])

    count = len(head.decode(out, (SIDE, SIDE))[0].scores)
    print(
        f"{count} and {len(peer.postprocess_detections(parts, split_anchors, [(SIDE, SIDE)])[0]['scores'])} boxes kept"
    )
    show("decode and suppress 100 images", *compare(ours, theirs, rounds=5), "<= 1.0")


if __name__ == "__main__":
    main()
