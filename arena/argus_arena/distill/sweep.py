"""How well what learnt agrees with its teachers at other sizes than those it was trained at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from argus_arena.distill.augment import central_view, render_view
from argus_arena.distill.losses import cls_loss
from argus_arena.distill.objective import Distillation
from argus_arena.distill.photographs import Photographs
from argus_arena.distill.teachers import Seen, Teacher

IMAGES = 16
"""Photographs that are looked at, evenly from all."""
FACTORS = (0.5, 0.75, 1.0, 1.5, 2.0)
"""Sizes beside those of the training, as shares of its smallest and largest."""

Sweep = dict[str, dict[int, float]]
"""By teacher and kind of token: one minus the mean cosine, by the size of the student's input in pixels."""


def sweep_sizes(trained: Sequence[int], cell: int) -> list[int]:
    """Sizes from half the smallest to twice the largest of a training, all multiples of ``cell``."""
    ends = {bound * factor for bound in (min(trained), max(trained)) for factor in FACTORS}
    between = {size for size in ends if min(trained) / 2 <= size <= max(trained) * 2}
    return sorted({max(round(size / cell), 1) * cell for size in between} | {*trained})


@torch.no_grad()
def sweep(
    distillation: Distillation,
    teachers: Mapping[str, Teacher],
    photographs: Photographs,
    sizes: Sequence[int],
    device: torch.device,
) -> Sweep:
    """Compare the student at some sizes with its teachers at their own; the middle of the same photographs is shown."""
    chosen = np.linspace(0, len(photographs) - 1, min(IMAGES, len(photographs))).round().astype(int).tolist()
    images = [photographs.read(index) for index in chosen]
    wanted = {*sizes, *(teacher.source.size for teacher in teachers.values())}
    crops = {size: torch.stack([render_view(image, central_view(image), size) for image in images]) for size in wanted}
    seen, found = Seen(crops, {}).to(device), Sweep()
    answers = {name: teacher.answer(seen, teacher.source.size, step=0) for name, teacher in teachers.items()}
    distillation.eval()
    for size in sizes:
        targets = distillation.normalized(distillation.aligned(answers, size))
        for _, key, predicted, target in distillation.pairs(distillation(seen.crops[size]), targets):
            found.setdefault(key, {})[size] = float(cls_loss(predicted, target))
    return found
