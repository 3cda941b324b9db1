"""NYU Depth V2 at 416x416, as the Argus model card compares its depth heads."""

from __future__ import annotations

from argus_core.canvas import Canvas
from argus_core.protocol import Protocol

PROTOCOL = Protocol(
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
