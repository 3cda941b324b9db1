"""ADE20K: sliding windows as in the linear evaluation of DINOv3 and EUPE, and one pass over the whole image."""

from __future__ import annotations

from argus_core.canvas import Whole, Windows
from argus_core.protocols.protocol import Protocol

SLIDING_WINDOWS = Protocol(
    name="ade20k-slide-512-341-1",
    task="segment",
    summary="mIoU over 150 classes, windows of 512 px at a stride of 341 px, short side 512 px",
    source="linear segmentation evaluation of facebookresearch/dinov3 and facebookresearch/EUPE",
    framing=Windows(short=512, window=512, stride=341),
    notes=(
        "data: ade20k, split val (2,000 images); label 0 is ignored",
        "resize: bilinear with averaging, the short side to 512 px, the long side rounded",
        "windows: row by row, the last of a row or column moved back inside the image",
        "averaging: logits of every window enlarged bilinearly to its pixels, summed and divided by the number of "
        "windows, then enlarged bilinearly to the original size; softmax and argmax last",
        "score: intersections and unions summed over all images, mean over classes with a non-empty union",
        "difference: images are rounded to bytes after resizing, and normalised by the backbone's own mean and "
        "standard deviation",
        "difference: the backbone stays in eval mode while a head is trained; the source trains with RoPE coordinates "
        "rescaled at random (for its first 5,000 steps)",
        "difference: the source augments training crops (scale 0.5 to 2, crop 512 px, mirror, colour); a head trained "
        "on a cache sees whole images and, with --views id,hflip, mirrored ones",
        "difference: weight decay is not applied to the norm's scale and the biases",
        "difference: the loss divides by labelled pixels; denominator=all divides by all of them as the source does",
        "selection: the source evaluates every 5,000 of 40,000 steps on val and reports the best of the 8; "
        "--selection val does so, and the result row and the board say it; the default chooses on training images",
    ),
)
"""ADE20K, sliding windows: the linear evaluation of DINOv3 and EUPE."""
WHOLE_IMAGE = Protocol(
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
"""ADE20K, one pass over the whole image."""
