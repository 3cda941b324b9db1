"""ImageNet-1k by nearest neighbours, and by a linear classifier on frozen CLS tokens."""

from __future__ import annotations

from argus_core.canvas import Canvas
from argus_core.protocols.protocol import Protocol

NEAREST_NEIGHBOURS = Protocol(
    name="imagenet-knn-1",
    task="classify",
    summary="top-1 of nearest neighbours on frozen features, short side 256 px bicubic, centre crop 224 px",
    source="EUPE (arXiv 2603.22387) and its evaluation code; Wu 2018, Caron 2021",
    framing=Canvas(224, fit="crop", interpolation="bicubic", short=256),
    notes=(
        "the bank is the whole training split, without augmentation; head classify.knn with k 10, 20, 100 or 200, "
        "temperature 0.07, weights over the 200 nearest",
        "feature: the CLS token after the final norm, L2-normalised",
        "accuracy over images (micro), top-1 and top-5",
        "the long side is rounded where torchvision truncates it, and the crop starts at the pixel below the middle",
        "class prototypes (head classify.prototypes) are another method: score them under this protocol, but do not "
        "call them kNN",
    ),
)
"""ImageNet-1k by nearest neighbours, as EUPE and DINOv2 report it."""
LINEAR = Protocol(
    name="imagenet-linear-1",
    task="classify",
    summary="top-1 of a linear classifier on frozen features, short side 256 px bicubic, centre crop 224 px",
    source="the model card of Argus (not a benchmark of the EUPE paper)",
    framing=Canvas(224, fit="crop", interpolation="bicubic", short=256),
    notes=(
        "head classify.linear: one layer, zero at first, on the L2-normalised CLS token; no augmentation",
        "SGD, momentum 0.9, no weight decay, batch 4096, cosine, 100 epochs, peak rates 0.5, 1, 3, 10 and 30",
        "the rate and the epoch with the best top-1 on a part of the training images are kept; --selection val chooses "
        "them on the validation split, and the row and the board say it",
    ),
)
"""ImageNet-1k by a linear classifier on frozen CLS tokens."""
