"""PF-WILLOW, threshold by the box of the keypoints, averaged per pair."""

from __future__ import annotations

from argus_core.canvas import Canvas
from argus_core.protocols.protocol import Protocol

PROTOCOL = Protocol(
    name="pf-willow-1",
    task="correspond",
    summary="PCK@0.1 by the box of the target's keypoints, per pair, images stretched to 512x512 px",
    source="Proposal Flow (Ham 2016), with the threshold of SCNet (Han 2017)",
    framing=Canvas(512, fit="stretch"),
    metric={"alpha": 0.1, "threshold": "box", "average": "pair"},
    notes=(
        "data: pf_willow; the usual list has 900 pairs, all ordered pairs of the 10 images of each of 10 kinds",
        "a keypoint is right within 0.1 times the longer side of the box around the target's 10 keypoints",
        "easily mixed up: by image (PCK with threshold=image) scores are higher, and some publications took the box "
        "of keypoints padded with -1, which reaches to the image's corner (juhongm999/dhpf issue 3)",
        "every pair has 10 keypoints, so per pair and per point are the same",
        "distances are in pixels of the original target image; coordinates are taken as annotated",
        "search: every pixel of the 512x512 px enlargement, one match per keypoint, no mask of the object",
    ),
)
