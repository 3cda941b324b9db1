"""SPair-71k, threshold by image, averaged per pair."""

from argus_core.canvas import Canvas
from argus_core.protocol import Protocol
from argus_core.protocols.spair_notes import NOTES

PROTOCOL = Protocol(
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
