"""SPair-71k (Min 2019): thresholds by box or image, averages per pair or point."""

from __future__ import annotations

from typing import Literal

from argus_core.canvas import Canvas
from argus_core.protocols.protocol import Protocol

NOTES = (
    "data: spair, split test of the large layout (12,234 pairs, 88,328 keypoints)",
    "distances are in pixels of the original target image, where the region around a keypoint is a circle; "
    "implementations that measure in the stretched image must choose a scale for the box, and that choice alone was "
    "reported to move one method from 59.8 (the smaller of both scales) to 65.1 (the vertical scale), "
    "CompVis/distilldift issue 3",
    "per pair and per point differ too, as pairs have different numbers of keypoints (7.2 on average)",
    "search: every pixel of the 512x512 px enlargement, one match per keypoint, no mask of the object",
    "coordinates are taken as annotated; PCK@0.05 and PCK@0.15 and each category are reported beside it",
    "difference: source features are interpolated at the keypoint itself, not at the nearest whole pixel",
)
REFERENCES = {"box": "the target object's bounding box (trg_bndbox)", "image": "the target image"}
SCORES = {
    "pair": "mean over pairs of the share of right keypoints",
    "point": "share of right keypoints over all pairs",
}


def _spair(threshold: Literal["box", "image"], average: Literal["pair", "point"]) -> Protocol:
    mixed_up = (
        f"by image instead of box (spair-image-{average}-1) the same matches score much higher"
        if threshold == "box"
        else f"published SPair-71k numbers are by box (spair-box-{average}-1) unless they say otherwise"
    )
    return Protocol(
        name=f"spair-{threshold}-{average}-1",
        task="correspond",
        summary=f"PCK@0.1 by {'bounding box' if threshold == 'box' else 'image'}, per {average}, "
        "images stretched to 512x512 px",
        source="SPair-71k (Min 2019), features enlarged to 512x512 px as in the evaluation of Argus's model card",
        framing=Canvas(512, fit="stretch"),
        metric={"alpha": 0.1, "threshold": threshold, "average": average},
        notes=(
            f"a keypoint is right within 0.1 times the longer side of {REFERENCES[threshold]}",
            f"score: {SCORES[average]}",
            f"easily mixed up: {mixed_up}",
            *NOTES,
        ),
    )


BOX_PER_PAIR = _spair("box", "pair")
BOX_PER_POINT = _spair("box", "point")
IMAGE_PER_PAIR = _spair("image", "pair")
IMAGE_PER_POINT = _spair("image", "point")
