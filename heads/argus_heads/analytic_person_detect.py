"""A detector of one class that is solved, not trained: a linear discriminant and ridge regressions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from argus_core.detection import DecodeOptions, DenseHead, DenseOutput, Level, centres, covers, grid_points
from argus_core.errors import ArgusError
from argus_core.nn import Moments, discriminant, full_precision, ridge, total_over_batches
from argus_core.recipe import Recipe
from argus_core.tasks.detect import BoxTarget, Detect
from argus_core.tokens import FeatureInfo, Features, Needs, Taps, cell_mask, default_layers

Batches = Iterable[tuple[Features, Sequence[BoxTarget]]]
Cells = tuple[Tensor, Tensor, Tensor]
"""Image, row and column of cells, to index (B, h, w, ...)."""

SCALES = 5
ASPECTS = (0.4, 1.0, 2.5)
"""Width over height: upright, square, lying."""
WINDOWS = (1, 2, 4, 8, 0)
"""Contexts that choose the anchor: means over so many cells each way; 0 is the whole image."""
CLOSED = -30.0
"""Logit of everything except the target class on the image."""
REACH = 4.0
"""A box is at most exp(4) times as large or small as its anchor."""


def box_sizes(boxes: Tensor) -> Tensor:
    """(N, 2) widths and heights."""
    return boxes[:, 2:] - boxes[:, :2]


def shape_anchors(sizes: Tensor, scales: int = SCALES, aspects: Sequence[float] = ASPECTS) -> Tensor:
    """(scales * aspects, 2) widths and heights for boxes of ``sizes`` (N, 2): every scale in every aspect.

    Scales are the medians of sqrt(w h) in equally filled bins.
    """
    # The median of bin k of n is the quantile (2 k + 1) / 2 n of all.
    medians = np.quantile(sizes.double().prod(dim=1).sqrt().cpu().numpy(), (np.arange(scales) + 0.5) / scales)
    root = torch.tensor(aspects, dtype=torch.float64).sqrt()
    return (torch.from_numpy(medians)[:, None, None] * torch.stack([root, 1 / root], dim=1)).flatten(0, 1)


def nearest_shape(sizes: Tensor, anchors: Tensor) -> Tensor:
    """(N,) index of the anchor (A, 2) that overlaps each of ``sizes`` (N, 2) most when both are centred."""
    common = torch.minimum(sizes[:, None], anchors).prod(dim=2)
    return (common / (sizes.prod(dim=1)[:, None] + anchors.prod(dim=1) - common)).argmax(dim=1)


def centre_cells(boxes: Sequence[Tensor], extent: Tensor, stride: int) -> Cells:
    """The cells that hold the centres of (G_i, 4) boxes, for images of ``extent`` (B, 2)."""
    image = torch.cat([torch.full((len(part),), n, device=part.device) for n, part in enumerate(boxes)])
    last = (extent[image] - 1) // stride  # a centre on the far edge belongs to the last cell
    x, y = torch.minimum(centres(torch.cat(list(boxes))) // stride, last.flip(1)).long().T
    return image, y, x


def uncovered(boxes: Sequence[Tensor], grid: tuple[int, int], stride: int) -> Tensor:
    """(B, h, w) bool: cells whose centre lies outside all (G_i, 4) boxes of their image."""
    xy = grid_points([grid], [stride], boxes[0].device).xy
    return ~torch.stack([covers(part, xy).any(dim=0) for part in boxes]).unflatten(1, grid)


def window_means(x: Tensor, mask: Tensor, window: int) -> Tensor:
    """(B, C, h, w) means of ``x`` over ``window`` x ``window`` cells around each cell; 0 takes the whole image.

    Only cells of ``mask`` (B, 1, h, w) count, and ``x`` must be zero elsewhere. An even window reaches one cell
    farther right and down.
    """
    counts = mask.to(x)
    if window == 0:
        return (x.sum(dim=(2, 3), keepdim=True) / counts.sum(dim=(2, 3), keepdim=True).clamp(min=1)).expand_as(x)
    padding = ((window - 1) // 2, window // 2) * 2
    total, share = (F.avg_pool2d(F.pad(values, padding), window, stride=1) for values in (x, counts))
    return total / share.clamp(min=1 / window**2)


class AnalyticPerson(DenseHead):
    """Fisher's discriminant scores each cell; ridge regressions choose one of 15 anchors and refine it.

    ``target`` is the class to detect: by default ``person``, or the first class where there is none of that name.
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
        self.target = _target_class(task.classes, target)
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
        """One level. The discriminant is the logit of both class and quality, so the score is its sigmoid."""
        features = self.taps.view(features)
        mask = self._mask(features)
        with full_precision(features.map.device):
            x = self._inputs(features, mask)
            ltrb = self._boxes(x, self._shapes(x, mask).argmax(dim=1))
        logit = torch.where(mask, x[:, -1:], CLOSED)
        is_target = torch.arange(len(self.classes), device=logit.device) == self.classes.index(self.target)
        cls = torch.where(is_target[:, None, None], logit, CLOSED)
        return DenseOutput((Level(cls, ltrb, logit),), self.strides, features.extent)

    def _shapes(self, x: Tensor, mask: Tensor) -> Tensor:
        """(B, A, h, w) scores of the anchors: the sum over contexts of a regression on the means of the inputs."""
        # The mean of a linear score is the score of the mean, and 15 scores are fewer channels than the inputs.
        linear = [torch.einsum("bchw,ca->bahw", x, weights) for weights in self.choose[:, :-1]]
        means = [window_means(scores, mask, window) for scores, window in zip(linear, WINDOWS, strict=True)]
        return torch.stack(means).sum(dim=0) + self.choose[:, -1].sum(dim=0)[:, None, None]

    def _boxes(self, x: Tensor, index: Tensor) -> Tensor:
        """(B, 4, h, w) distances to the sides, for inputs ``x`` and the anchor ``index`` (B, h, w) of each cell."""
        deltas = torch.einsum("bchw,acd->badhw", x, self.refine[:, :-1]) + self.refine[:, -1, :, None, None]
        delta = deltas.gather(1, index[:, None, None].expand(-1, 1, 4, -1, -1))[:, 0]
        size = self.anchors[index].permute(0, 3, 1, 2)
        # A cell detects objects whose centre lies in it.
        shift = (delta[:, :2] * size).clamp(-self.stride / 2, self.stride / 2)
        half = size * delta[:, 2:].clamp(-REACH, REACH).exp() / 2
        return torch.cat([half - shift, half + shift], dim=1)

    def fit(self, batches: Batches) -> None:
        """First pass: discriminant and anchors. Second pass: which anchor, and how a box differs from it."""
        positive, negative, sizes = total_over_batches(batches, self._classes)
        if not positive.count or not negative.count:
            raise ArgusError(f"the training split has no box of {self.target!r}, or nothing outside; use other images")
        for buffer, value in zip((self.weight, self.bias), discriminant(positive, negative), strict=True):
            buffer.copy_(value)
        self.anchors.copy_(shape_anchors(torch.cat(sizes)))
        choose, refine = total_over_batches(batches, self._regressions)
        inputs = len(self.weight) + 1
        self.choose.copy_(torch.stack([ridge(moments, inputs) for moments in choose]))
        self.refine.copy_(torch.stack([ridge(moments, inputs) for moments in refine]))

    def _classes(self, features: Features, targets: Sequence[BoxTarget]) -> tuple[Moments, Moments, list[Tensor]]:
        """Moments of the cells that hold centres and of those outside boxes, and the sizes of the boxes."""
        features = self.taps.view(features)
        boxes, visible = self._boxes_of(targets), self._mask(features)[:, 0]
        inside = torch.zeros_like(visible)
        inside[centre_cells(boxes, features.extent, self.stride)] = True
        free = uncovered(self._boxes_of(targets, crowds=True), (visible.shape[1], visible.shape[2]), self.stride)
        cells = features.map.permute(0, 2, 3, 1)
        outside = cells[visible & free & ~inside]
        return Moments.of(cells[inside]), Moments.of(outside), [box_sizes(torch.cat(boxes))]

    def _regressions(
        self, features: Features, targets: Sequence[BoxTarget]
    ) -> tuple[tuple[Moments, ...], tuple[Moments, ...]]:
        """Moments for the ridge regressions of a batch, on the cells that hold centres.

        Of one-hot anchors per context, and of offsets per anchor.
        """
        features, anchors = self.taps.view(features), len(self.anchors)
        boxes, mask = self._boxes_of(targets), self._mask(features)
        at = centre_cells(boxes, features.extent, self.stride)
        shape, offsets = self._regression_targets(at, torch.cat(boxes))
        x = self._inputs(features, mask)
        onehot = F.one_hot(shape, anchors)
        contexts = [window_means(x, mask, window).permute(0, 2, 3, 1)[at] for window in WINDOWS]  # (G, inputs) each
        rows = torch.cat([x.permute(0, 2, 3, 1)[at], offsets], dim=1)
        return (
            tuple(Moments.of(torch.cat([context, onehot], dim=1)) for context in contexts),
            tuple(Moments.of(rows[shape == anchor]) for anchor in range(anchors)),
        )

    def _regression_targets(self, at: Cells, boxes: Tensor) -> tuple[Tensor, Tensor]:
        """The anchor (G,) of boxes (G, 4) in cells ``at``, and (G, 4) offset of the centre and log size, in anchors."""
        size = box_sizes(boxes)
        shape = nearest_shape(size, self.anchors)
        cell = (torch.stack([at[2], at[1]], dim=1) + 0.5) * self.stride
        anchor = self.anchors[shape]
        return shape, torch.cat([(centres(boxes) - cell) / anchor, (size / anchor).log()], dim=1)

    def _boxes_of(self, targets: Sequence[BoxTarget], crowds: bool = False) -> list[Tensor]:
        """Per image the (G, 4) boxes of the target class."""
        index = self.classes.index(self.target)
        return [target.boxes[(target.labels == index) & (~target.crowd | crowds)] for target in targets]

    def _mask(self, features: Features) -> Tensor:
        return cell_mask(features.extent, self.stride, (features.map.shape[2], features.map.shape[3]))

    def _inputs(self, features: Features, mask: Tensor) -> Tensor:
        """(B, C + 1, h, w): features and discriminant, zero in padding."""
        logit = torch.einsum("bchw,c->bhw", features.map.float(), self.weight)[:, None] + self.bias
        return torch.cat([features.map.float(), logit * mask], dim=1)

    def notes(self) -> list[str]:
        """The target class, where there are others."""
        others = len(self.classes) - 1
        return [f"looks for {self.target!r} and none of the {others} other classes"] if others else []


def _target_class(classes: tuple[str, ...], target: str | None) -> str:
    if target is None:
        return "person" if "person" in classes else classes[0]
    if target not in classes:
        raise ArgusError(
            f"there is no class {target!r} but {', '.join(classes)}; choose one: --set target={classes[0]}"
        )
    return target
