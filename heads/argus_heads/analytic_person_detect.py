"""A detector of one class that is solved, not trained: a linear discriminant and ridge regressions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from argus_core.detection import DecodeOptions, DenseHead, DenseOutput, Level, centres
from argus_core.errors import ArgusError
from argus_core.nn import full_precision
from argus_core.recipe import Recipe
from argus_core.tasks.detect import BoxTarget, Detect
from argus_core.tokens import FeatureInfo, Features, Needs, Taps, cell_mask, default_layers
from argus_heads.closed_form import (
    ASPECTS,
    Moments,
    centre_cells,
    discriminant,
    nearest_shape,
    ridge,
    shape_anchors,
    uncovered,
    window_means,
)

Batches = Iterable[tuple[Features, Sequence[BoxTarget]]]

SCALES = 5
WINDOWS = (1, 2, 4, 8, 0)
"""Contexts that choose the anchor: means over so many cells each way; 0 is the whole image."""

CLOSED = -30.0
"""Logit of what is not looked for."""

REACH = 4.0
"""A box is at most exp(4) times as large or small as its anchor."""


class AnalyticPerson(DenseHead):
    """Fisher's discriminant scores each cell; ridge regressions choose one of 15 anchors and refine it.

    ``target`` is the class it looks for: by default ``person``, or the first class where none is called that.
    Solved from float64 moments in two passes over the training split; no trained parameter, no gradient.
    """

    recipe = Recipe(batch=64)
    decoding = DecodeOptions(score=1e-3)  # scores are posteriors, and few cells hold the centre of an object

    weight: Tensor
    bias: Tensor
    anchors: Tensor
    choose: Tensor
    refine: Tensor

    def __init__(self, info: FeatureInfo, task: Detect, *, target: str | None = None) -> None:
        super().__init__(info, task)
        self.classes = task.classes
        self.target = _target(task.classes, target)
        self.needs = Needs(layers=default_layers(info))
        self.taps = Taps(info, self.needs)
        channels, anchors = self.taps.channels, SCALES * len(ASPECTS)
        self.stride = self.taps.stride
        self.strides = (self.stride,)
        self.register_buffer("weight", torch.zeros(channels))
        self.register_buffer("bias", torch.tensor(CLOSED))
        self.register_buffer("anchors", torch.full((anchors, 2), float(self.stride)))
        # Inputs are the features, the discriminant, and 1.
        self.register_buffer("choose", torch.zeros(len(WINDOWS), channels + 2, anchors))
        self.register_buffer("refine", torch.zeros(anchors, channels + 2, 4))

    @torch.no_grad()
    def forward(self, features: Features) -> DenseOutput:
        """One level; the discriminant is the logit of the target and of its quality: the score is its sigmoid."""
        features = self.taps.view(features)
        mask = self._mask(features)
        with full_precision(features.map.device):
            x = self._inputs(features, mask)
            ltrb = self._boxes(x, self._shapes(x, mask).argmax(dim=1))
        logit = torch.where(mask, x[:, -1:], CLOSED)
        wanted = torch.arange(len(self.classes), device=logit.device) == self.classes.index(self.target)
        cls = torch.where(wanted[:, None, None], logit, CLOSED)
        return DenseOutput((Level(cls, ltrb, logit),), self.strides, features.extent)

    def _shapes(self, x: Tensor, mask: Tensor) -> Tensor:
        """(B, A, h, w) scores of the anchors: the sum over contexts of a regression on the inputs' means there."""
        # The means of 15 scores are cheaper than those of all inputs, and the same.
        linear = [torch.einsum("bchw,ca->bahw", x, weights) for weights in self.choose[:, :-1]]
        means = [window_means(scores, mask, window) for scores, window in zip(linear, WINDOWS, strict=True)]
        return torch.stack(means).sum(dim=0) + self.choose[:, -1].sum(dim=0)[:, None, None]

    def _boxes(self, x: Tensor, index: Tensor) -> Tensor:
        """(B, 4, h, w) distances to the sides, for inputs ``x`` and the anchor ``index`` (B, h, w) of each cell."""
        every = torch.einsum("bchw,acd->badhw", x, self.refine[:, :-1]) + self.refine[:, -1, :, None, None]
        delta = every.gather(1, index[:, None, None].expand(-1, 1, 4, -1, -1))[:, 0]
        size = self.anchors[index].permute(0, 3, 1, 2)
        # A cell answers for objects whose centre it holds.
        shift = (delta[:, :2] * size).clamp(-self.stride / 2, self.stride / 2)
        half = size * delta[:, 2:].clamp(-REACH, REACH).exp() / 2
        return torch.cat([half - shift, half + shift], dim=1)

    def fit(self, batches: Batches) -> None:
        """First pass: discriminant and anchors. Second pass: which anchor, and how a box differs from it."""
        positive = negative = Moments.none(len(self.weight))
        sizes = []
        for features, targets in self.taps.views(batches):
            boxes, held = self._wanted(targets), self._mask(features)[:, 0]
            inside = torch.zeros_like(held)
            inside[centre_cells(boxes, features.extent, self.stride)] = True
            free = uncovered(self._wanted(targets, crowds=True), (held.shape[1], held.shape[2]), self.stride)
            cells = features.map.permute(0, 2, 3, 1)
            positive, negative = (
                positive + Moments.of(cells[inside]),
                negative + Moments.of(cells[held & free & ~inside]),
            )
            sizes += [_sizes(of).cpu() for of in boxes]
        if not positive.count or not negative.count:
            raise ArgusError(f"the training split has no box of {self.target!r}, or nothing outside; use other images")
        for buffer, value in zip((self.weight, self.bias), discriminant(positive, negative), strict=True):
            buffer.copy_(value)
        self.anchors.copy_(shape_anchors(torch.cat(sizes), SCALES))
        self._regress(batches)

    def _regress(self, batches: Batches) -> None:
        """Ridge regressions on the cells that hold centres: a one-hot anchor per context, offsets per anchor."""
        inputs, anchors = len(self.weight) + 1, len(self.anchors)
        choose, refine = [Moments.none(inputs + anchors)] * len(WINDOWS), [Moments.none(inputs + 4)] * anchors
        for features, targets in self.taps.views(batches):
            boxes, mask = self._wanted(targets), self._mask(features)
            at = centre_cells(boxes, features.extent, self.stride)
            shape, offsets = self._answers(at, torch.cat(boxes))
            x = self._inputs(features, mask)
            onehot = F.one_hot(shape, anchors)
            for number, window in enumerate(WINDOWS):
                context = window_means(x, mask, window).permute(0, 2, 3, 1)[at]  # (G, inputs)
                choose[number] = choose[number] + Moments.of(torch.cat([context, onehot], dim=1))
            rows = torch.cat([x.permute(0, 2, 3, 1)[at], offsets], dim=1)
            refine = [sums + Moments.of(rows[shape == anchor]) for anchor, sums in enumerate(refine)]
        self.choose.copy_(torch.stack([ridge(sums, inputs) for sums in choose]))
        self.refine.copy_(torch.stack([ridge(sums, inputs) for sums in refine]))

    def _answers(self, at: tuple[Tensor, Tensor, Tensor], boxes: Tensor) -> tuple[Tensor, Tensor]:
        """The anchor (G,) of boxes (G, 4) in cells ``at``, and (G, 4) offset of the centre and log size, in anchors."""
        size = _sizes(boxes)
        shape = nearest_shape(size, self.anchors)
        cell = (torch.stack([at[2], at[1]], dim=1) + 0.5) * self.stride
        anchor = self.anchors[shape]
        return shape, torch.cat([(centres(boxes) - cell) / anchor, (size / anchor).log()], dim=1)

    def _wanted(self, targets: Sequence[BoxTarget], crowds: bool = False) -> list[Tensor]:
        """Per image the (G, 4) boxes of the class that is looked for."""
        index = self.classes.index(self.target)
        return [target.boxes[(target.labels == index) & (~target.crowd | crowds)] for target in targets]

    def _mask(self, features: Features) -> Tensor:
        return cell_mask(features.extent, self.stride, (features.map.shape[2], features.map.shape[3]))

    def _inputs(self, features: Features, mask: Tensor) -> Tensor:
        """(B, C + 1, h, w): features and discriminant, zero in padding."""
        logit = torch.einsum("bchw,c->bhw", features.map.float(), self.weight)[:, None] + self.bias
        return torch.cat([features.map.float(), logit * mask], dim=1)

    def notes(self) -> list[str]:
        """Which class is looked for, where there are others."""
        others = len(self.classes) - 1
        return [f"looks for {self.target!r} and none of the {others} other classes"] if others else []


def _sizes(boxes: Tensor) -> Tensor:
    return boxes[:, 2:] - boxes[:, :2]


def _target(classes: tuple[str, ...], wanted: str | None) -> str:
    if wanted is None:
        return "person" if "person" in classes else classes[0]
    if wanted not in classes:
        raise ArgusError(
            f"there is no class {wanted!r} but {', '.join(classes)}; choose one: --set target={classes[0]}"
        )
    return wanted
