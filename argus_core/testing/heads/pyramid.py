"""The check of heads on a backbone whose layers have several strides."""

from __future__ import annotations

from dataclasses import replace

from argus_core.testing.heads.passes import any_size, items_independent, padding
from argus_core.testing.heads.subject import Subject
from argus_core.testing.heads.training import gradients, loss
from argus_core.tokens import FeatureInfo

STAGES = {4: 24, 8: 40, 16: 48, 32: 64}
"""Channels by stride, of stages as convolutional networks have them."""
BLOCKS = 3
PYRAMID = FeatureInfo(
    tuple(channels for channels in STAGES.values() for _ in range(BLOCKS)),
    tuple(stride for stride in STAGES for _ in range(BLOCKS)),
)
"""As many blocks as the plain transformer has, so that options that name its layers name layers of this as well."""


def pyramid(subject: Subject) -> None:
    """On a backbone of strides 4 to 32, with the same options, it predicts, learns and leaves padding out as well."""
    subject = replace(subject, info=PYRAMID)
    for check in (any_size, items_independent, padding, loss, gradients):
        check(subject)
