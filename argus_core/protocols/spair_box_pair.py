"""SPair-71k, threshold by box, averaged per pair."""

from argus_core.canvas import Canvas
from argus_core.protocol import Protocol
from argus_core.protocols.spair_notes import NOTES

PROTOCOL = Protocol(
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
