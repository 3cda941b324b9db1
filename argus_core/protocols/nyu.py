"""NYU Depth V2: as the linear probes of DINOv2, DINOv3 and EUPE report it, and at 416x416."""

from __future__ import annotations

from argus_core.canvas import Canvas
from argus_core.protocols.protocol import Protocol

AT_416 = Protocol(
    name="nyu-416-1",
    task="depth",
    summary="depth of images stretched to 416x416, one pass, scored over the whole image per image",
    source="the Argus model card, table of the DPT depth decoder",
    framing=Canvas(416, fit="stretch"),
    metric={"average": "image", "eigen": False},
    notes=(
        "data: nyu, split val (the 654 official test images)",
        "resize: bilinear with averaging to 416x416 px, the aspect ignored",
        "score: pixels of the whole image with a true depth between 0.001 and 10 m, predictions enlarged bilinearly to "
        "480x640 and clamped to that range; every score is the mean over images of the image's own score",
        "difference: the card says 654 images at 416x416 and no more; stretching, scoring at the images' own size "
        "without Eigen's crop, one pass and the mean over images are chosen here",
    ),
)
"""NYU Depth V2 at 416x416, as the Argus model card compares its depth heads."""
EIGEN_FLIP = Protocol(
    name="nyu-eigen-flip-1",
    task="depth",
    summary="depth of whole 480x640 images, averaged with the mirrored image, scored in Eigen's crop per image",
    source="EUPE, eval/depth/configs/config-nyu.yaml, after DINOv3 and BinsFormer (Li 2022)",
    framing=Canvas(480, 640, fit="stretch"),
    flip=True,
    metric={"average": "image", "eigen": True},
    notes=(
        "data: nyu, split val (the 654 official test images); they have the canvas's size, so nothing is resized",
        "passes: the image and its mirror image; depths are decoded per cell, enlarged bilinearly and averaged",
        "score: rows 45 to 470 and columns 41 to 600 of pixels with a true depth between 0.001 and 10 m; predictions "
        "are clamped to that range; every score is the mean over images of the image's own score",
        "difference: the source averages the two depths per cell before it enlarges them: the same to rounding",
        "difference: the backbone stays in eval mode while a head is trained; the source trains with RoPE coordinates "
        "rescaled at random, drawn anew in every block",
        "difference: the source augments training images (frame of 565x427, rotation by 2.5 degrees, mirror, crop of "
        "416x544, colour); a head trained on a cache sees whole images and, with --views id,hflip, mirrored ones",
        "difference: weight decay is not applied to the norm's scale and the biases",
        "selection: the source reports the last weights; the result row gives the last evaluation beside the best one",
    ),
)
"""NYU Depth V2 as the linear probes of DINOv2, DINOv3 and EUPE report it."""
