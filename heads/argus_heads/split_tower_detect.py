"""The split tower: a parameter-free pyramid, two separate towers, and classes given as text vectors."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from argus_core.detection import (
    ATSS,
    PRIOR,
    ConvGN,
    CosineClassifier,
    DenseOutput,
    DenseTowers,
    NamedClasses,
    UpGN,
    class_vectors,
    group_norm,
    prediction,
    pyramid_strides,
    sine_code,
)
from argus_core.nn import Mode, decompose, upsample2
from argus_core.recipe import Conditions, Recipe, Stage
from argus_core.tasks.detect import Detect
from argus_core.tokens import FeatureInfo, Features, Needs, Taps, cell_mask, default_layers

BANDS = 4


class BandPyramid(nn.Module):
    """Five levels from the cofiber bands of one map: a norm per band, a shared stem, and a top-down path.

    ``extra`` sine channels encode the position of each cell on the canvas.
    """

    def __init__(self, channels: int, width: int, stride: int, extra: int, mode: Mode) -> None:
        super().__init__()
        self.stride, self.extra, self.mode = stride, extra, mode
        self.norms = nn.ModuleList(group_norm(channels + extra) for _ in range(BANDS))
        self.stem = nn.Conv2d(channels + extra, width, 1)
        self.laterals = nn.ModuleList(ConvGN(width, width, 1) for _ in range(BANDS - 1))
        self.up = UpGN(width, width)

    def forward(self, x: Tensor, extent: Tensor, size: tuple[int, int]) -> list[Tensor]:
        """(B, C, h, w) to maps of 2h x 2w, h x w, and three of half the size each, rounded up."""
        bands = [
            self._with_position(band, self.stride * 2**k, extent, size)
            for k, band in enumerate(decompose(x.float(), BANDS, self.mode))
        ]
        stems = [self.stem(norm(band)) for norm, band in zip(self.norms, bands, strict=True)]
        levels = [stems.pop()]
        for lateral, stem in zip(self.laterals, reversed(stems), strict=True):
            levels.insert(0, stem + upsample2(lateral(levels[0]), (stem.shape[2], stem.shape[3])))
        return [self.up(levels[0]), *levels]

    def _with_position(self, band: Tensor, stride: int, extent: Tensor, size: tuple[int, int]) -> Tensor:
        if not self.extra:
            return band
        grid = (band.shape[2], band.shape[3])
        code = sine_code(grid, stride, size, self.extra, band.device) * cell_mask(extent, stride, grid)
        return torch.cat([band, code], dim=1)  # (B, C + extra, h, w)


class SplitTower(NamedClasses):
    """Cofiber bands, two towers of ``convs`` 3x3 and ``residuals`` depthwise blocks, classes by cosine.

    ``text`` is a file of class vectors by class name; without one, seeded random vectors stand in. ``text_dim`` is
    their length. ``classifier`` ``conv`` learns its classes instead. ``extra_channels``
    are sine channels, by default 64 with class vectors and none without. Several ``layers``, of a pyramid by
    default those of strides 8, 16 and 32, are brought to ``stride`` px and stacked on channels.
    """

    assigner = ATSS()
    recipe = Recipe(
        lr=5e-4,
        batch=16,
        epochs=19,
        ema=0.9998,
        clip=10,
        stages=(Stage(epochs=3, lr=1e-4, only=("cls_project", "cls_bias", "logit_scale")),),
        evaluations=11,
        evaluate_from=80 / 117,
        conditions=Conditions(
            canvas=(768, 768),
            views=("id", "hflip"),
            options={"text": "`arena text --data SPEC --out text.safetensors`, then `--set text=text.safetensors`"},
        ),
    )

    def __init__(
        self,
        info: FeatureInfo,
        task: Detect,
        *,
        width: int = 160,
        convs: int = 5,
        residuals: int = 4,
        text: Path | None = None,
        text_dim: int = 768,
        classifier: Literal["cosine", "conv"] = "cosine",
        extra_channels: int | None = None,
        mode: Mode = "bilinear",
        layers: tuple[int, ...] = (),
        stride: int | None = None,
    ) -> None:
        super().__init__(info, task)
        self.needs = Needs(layers=layers or default_layers(info))
        self.taps = Taps(info, self.needs, stride=stride)
        self.strides = pyramid_strides(self.taps.stride)
        extra = (64 if classifier == "cosine" else 0) if extra_channels is None else extra_channels
        self.pyramid = BandPyramid(self.taps.channels, width, self.taps.stride, extra, mode)
        scores = (
            CosineClassifier(width, class_vectors(task.classes, text, text_dim, "text_dim"))
            if classifier == "cosine"
            # Named like the layer of the other classifier, which the last stage of the recipe trains.
            else nn.Sequential(OrderedDict(cls_project=prediction(width, len(task.classes), prior=PRIOR)))
        )
        self.towers = DenseTowers(width, scores, self.strides, convs=convs, residuals=residuals)

    def forward(self, features: Features) -> DenseOutput:
        """Logits, distances and centre-ness at five levels, at ``strides`` pixels."""
        levels = self.pyramid(self.taps(features), features.extent, features.size)
        return DenseOutput(self.towers(levels), self.strides, features.extent)
