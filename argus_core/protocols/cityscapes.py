"""Cityscapes, sliding windows."""

from __future__ import annotations

from argus_core.canvas import Windows
from argus_core.protocols.protocol import Protocol

PROTOCOL = Protocol(
    name="cityscapes-slide-512-341-1",
    task="segment",
    summary="mIoU over 19 classes, windows of 512 px at a stride of 341 px, short side 512 px",
    source="the inference of ade20k-slide-512-341-1 on Cityscapes' 500 validation images (Cordts 2016)",
    framing=Windows(short=512, window=512, stride=341),
    notes=(
        "data: cityscapes, split val (500 images of 1024x2048 px); labels outside the 19 training classes are ignored",
        "resize: bilinear with averaging, the short side to 512 px: half the resolution of the images",
        "averaging: mean logits of all windows, enlarged bilinearly to the original size; softmax and argmax last",
        "score: intersections and unions summed over all images, mean over classes with a non-empty union",
        "difference: many published numbers use larger inputs, such as windows of 1024 px of the full image, and "
        "averages over scales and mirror images; they are not comparable with this protocol",
    ),
)
