"""SPair-71k (Min 2019): thresholds by box or image, averages per pair or point."""

from __future__ import annotations

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
BOX_PER_PAIR = Protocol(
    name="spair-box-pair-1",
    task="correspond",
    summary="PCK@0.1 by bounding box, per pair, images stretched to 512x512 px",
    source="SPair-71k (Min 2019), features enlarged to 512x512 px as in the evaluation of Argus's model card",
    framing=Canvas(512, fit="stretch"),
    metric={"alpha": 0.1, "threshold": "box", "average": "pair"},
    notes=(
        "a keypoint is right within 0.1 times the longer side of the target object's bounding box (trg_bndbox)",
        "score: mean over pairs of the share of right keypoints",
        "easily mixed up: by image instead of box (spair-image-pair-1) the same matches score much higher",
        *NOTES,
    ),
)
"""SPair-71k, threshold by box, averaged per pair."""
BOX_PER_POINT = Protocol(
    name="spair-box-point-1",
    task="correspond",
    summary="PCK@0.1 by bounding box, per point, images stretched to 512x512 px",
    source="SPair-71k (Min 2019), features enlarged to 512x512 px as in the evaluation of Argus's model card",
    framing=Canvas(512, fit="stretch"),
    metric={"alpha": 0.1, "threshold": "box", "average": "point"},
    notes=(
        "a keypoint is right within 0.1 times the longer side of the target object's bounding box (trg_bndbox)",
        "score: share of right keypoints over all pairs",
        "easily mixed up: by image instead of box (spair-image-point-1) the same matches score much higher",
        *NOTES,
    ),
)
"""SPair-71k, threshold by box, averaged per point."""
IMAGE_PER_PAIR = Protocol(
    name="spair-image-pair-1",
    task="correspond",
    summary="PCK@0.1 by image, per pair, images stretched to 512x512 px",
    source="SPair-71k (Min 2019), features enlarged to 512x512 px as in the evaluation of Argus's model card",
    framing=Canvas(512, fit="stretch"),
    metric={"alpha": 0.1, "threshold": "image", "average": "pair"},
    notes=(
        "a keypoint is right within 0.1 times the longer side of the target image",
        "score: mean over pairs of the share of right keypoints",
        "easily mixed up: published SPair-71k numbers are by box (spair-box-pair-1) unless they say otherwise",
        *NOTES,
    ),
)
"""SPair-71k, threshold by image, averaged per pair."""
IMAGE_PER_POINT = Protocol(
    name="spair-image-point-1",
    task="correspond",
    summary="PCK@0.1 by image, per point, images stretched to 512x512 px",
    source="SPair-71k (Min 2019), features enlarged to 512x512 px as in the evaluation of Argus's model card",
    framing=Canvas(512, fit="stretch"),
    metric={"alpha": 0.1, "threshold": "image", "average": "point"},
    notes=(
        "a keypoint is right within 0.1 times the longer side of the target image",
        "score: share of right keypoints over all pairs",
        "easily mixed up: published SPair-71k numbers are by box (spair-box-point-1) unless they say otherwise",
        *NOTES,
    ),
)
"""SPair-71k, threshold by image, averaged per point."""
