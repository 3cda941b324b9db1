"""ADE20K, one pass over the whole image."""

from argus_core.framing import Whole
from argus_core.protocol import Protocol

PROTOCOL = Protocol(
    name="ade20k-whole-512-1",
    task="segment",
    summary="mIoU over 150 classes, the whole image in one pass, short side 512 px",
    source="as ade20k-slide-512-341-1, with whole-image inference",
    framing=Whole(short=512),
    notes=(
        "data: ade20k, split val (2,000 images); label 0 is ignored",
        "resize: bilinear with averaging, the short side to 512 px, the long side rounded; padded to the right and "
        "below to multiples of 16 px",
        "averaging: none; logits are enlarged bilinearly to the resized image, then to the original size; softmax and "
        "argmax last",
        "score: intersections and unions summed over all images, mean over classes with a non-empty union",
        "difference to ade20k-slide-512-341-1: one pass instead of windows; the backbone sees images of any aspect",
    ),
)
