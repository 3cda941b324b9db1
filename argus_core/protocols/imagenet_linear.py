"""ImageNet-1k by a linear classifier on frozen CLS tokens."""

from __future__ import annotations

from argus_core.canvas import Canvas
from argus_core.protocol import Protocol

PROTOCOL = Protocol(
    name="imagenet-linear-1",
    task="classify",
    summary="top-1 of a linear classifier on frozen features, short side 256 px bicubic, centre crop 224 px",
    source="the model card of Argus (not a benchmark of the EUPE paper)",
    framing=Canvas(224, fit="crop", interpolation="bicubic", short=256),
    notes=(
        "head classify.linear: one layer, zero at first, on the L2-normalised CLS token; no augmentation",
        "SGD, momentum 0.9, no weight decay, batch 4096, cosine, 100 epochs, peak rates 0.5, 1, 3, 10 and 30",
        "the rate and the epoch with the best validation top-1 are kept, so the score is that of a choice made on "
        "the validation split; the row says out of how many",
    ),
)
