"""A detector of all classes that is solved, not trained: each cell proposes a box, and points within it are judged."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from argus_core.detection import (
    DecodeOptions,
    DenseHead,
    DenseOutput,
    Level,
    Points,
    boxes_to_ltrb,
    centres,
    covers,
    grid_points,
    paired_iou,
)
from argus_core.errors import ArgusError
from argus_core.nn import Moments, class_logits, full_precision, ridge, total_over_batches
from argus_core.recipe import Recipe
from argus_core.tasks.detect import BoxTarget, Detect
from argus_core.tokens import FeatureInfo, Features, Needs, Taps, cell_mask, default_layers
from argus_heads.labels import unseen_classes

WINDOW = 3
"""Cells each way from which the one in the middle proposes a box."""
WIDTH, NEAR = 0.2, 0.4
"""Cells teach proposals where a Gaussian about the centre of an object, ``WIDTH`` sides wide, is at least ``NEAR``."""
GRID, ENLARGED, REGION = 3, 1.2, 48
"""Points each way in a proposal that is enlarged so many times, and how many components are read at each."""
OVERLAP = 0.5
"""Proposals that overlap an object by more show its class and learn its box; all others are background."""
SHAKE = 0.1
"""While solving proposals are moved by this share of their sides and resized by exp of it: those of images that the
regression has not seen are less exact, of few images by much."""
CERTAIN = 30.0
"""Logit of the background before the fit."""
LEAST = 1e-4
"""The least overlap, and the least probability."""
REACH, GROWTH = 9.0, 1.5
"""Sides of proposals are at most exp(9) px long, and are corrected by at most exp(1.5)."""


class ClosedFormDetector(DenseHead):
    """Ridge regression proposes a box per cell; discriminants of points within it tell classes and background apart.

    From the same points ridge regressions tell how far the proposal overlaps an object, and correct it. Three passes
    over the training split, no gradient, penalties by generalised cross-validation; memory does not grow with the
    number of images. The first pass finds the ``size`` main components of the tokens, the second solves for proposals
    from windows of 3x3 cells, at one ``stride`` in pixels, the third for the rest. A head that was not fitted finds
    nothing.
    """

    recipe = Recipe(batch=16)
    decoding = DecodeOptions(score=1e-3)  # posteriors and overlaps are both cautious

    task: Detect
    mean: Tensor
    project: Tensor
    weight: Tensor
    bias: Tensor
    region_weight: Tensor
    region_bias: Tensor
    seen: Tensor

    def __init__(
        self,
        info: FeatureInfo,
        task: Detect,
        *,
        layers: tuple[int, ...] = (),
        stride: int | None = None,
        size: int = 96,
    ) -> None:
        super().__init__(info, task)
        if size < 1:
            raise ArgusError(f"size={size} is no number of components; give 1 or more")
        self.needs = Needs(layers=layers or default_layers(info))
        self.taps = Taps(info, self.needs, stride=stride)
        self.strides = (self.taps.stride,)
        classes, size = len(task.classes), min(size, self.taps.channels)
        self.register_buffer("mean", torch.zeros(self.taps.channels))
        self.register_buffer("project", torch.zeros(size, self.taps.channels))
        # The shift of the centre in strides, and the logarithms of the sides.
        self.register_buffer("weight", torch.zeros(4, size, WINDOW, WINDOW))
        self.register_buffer("bias", torch.zeros(4))
        # The classes, the background, the overlap, the shift in sides, and the logarithms of the growth.
        self.register_buffer("region_weight", torch.zeros(classes + 6, min(size, REGION) * GRID**2))
        self.register_buffer("region_bias", F.one_hot(torch.tensor(classes), classes + 6) * CERTAIN)
        self.register_buffer("seen", torch.ones(classes, dtype=torch.bool))

    @torch.no_grad()
    def forward(self, features: Features) -> DenseOutput:
        """One level: posteriors of the classes, and overlaps, as logits, and corrected boxes."""
        x = self._components(features)
        grid = (x.shape[2], x.shape[3])
        points = self._points(x)
        proposals = self._proposals(x, points)
        with full_precision(x.device):
            outputs = F.linear(self._regions(x, proposals), self.region_weight, self.region_bias)
        classes, overlap, correction = outputs.split([len(self.task.classes) + 1, 1, 4], dim=2)
        log = classes.log_softmax(dim=2)[..., :-1]
        odds = log - (1 - log.exp()).clamp(min=LEAST).log()
        ltrb = boxes_to_ltrb(points.xy, corrected(proposals, correction)).clamp(min=0)
        maps = (odds, ltrb, overlap.clamp(LEAST, 1 - LEAST).logit())
        level = Level(*(each.transpose(1, 2).unflatten(2, grid) for each in maps))
        return DenseOutput((level,), self.strides, features.extent)

    def fit(self, batches: Iterable[tuple[Features, Sequence[BoxTarget]]]) -> None:
        """First pass: main components. Second pass: proposals. Third pass: classes, overlaps and corrections."""
        cells = total_over_batches(batches, self._cells)
        self.mean.copy_(cells.mean)
        self.project.copy_(whitening(cells, len(self.project)))
        boxes, objects = total_over_batches(batches, self._boxes)
        if not objects.any():
            raise ArgusError("no image of the training split has a box that is not a crowd; use other images")
        self.seen.copy_(objects > 0)
        solved = ridge(boxes, self.weight[0].numel())
        self.weight.copy_(solved[:-1].T.view_as(self.weight))
        self.bias.copy_(solved[-1])
        regions, corrections = total_over_batches(batches, self._moments)
        inputs, classes = self.region_weight.shape[1], len(self.task.classes)
        logits = class_logits(regions[: inputs + classes + 1], inputs, "lda")
        solved = torch.cat([logits, ridge(regions, inputs)[:, -1:], ridge(corrections, inputs)], dim=1)
        self.region_weight.copy_(solved[:-1].T)
        self.region_bias.copy_(solved[-1])

    def notes(self) -> list[str]:
        """The classes without boxes."""
        return unseen_classes("boxes", self.task.classes, self.seen)

    def _components(self, features: Features) -> Tensor:
        """(B, size, h, w) whitened main components; zero in padding, as if it were the mean."""
        x = self.taps(features).float()
        mask = cell_mask(features.extent, self.taps.stride, (x.shape[2], x.shape[3]))
        with full_precision(x.device):
            return F.conv2d(x - self.mean[:, None, None], self.project[:, :, None, None]) * mask

    def _points(self, x: Tensor) -> Points:
        return grid_points([(x.shape[2], x.shape[3])], self.strides, x.device)

    def _proposals(self, x: Tensor, points: Points) -> Tensor:
        """(B, N, 4) the boxes that the cells of the components (B, size, h, w) propose."""
        with full_precision(x.device):
            told = F.conv2d(x, self.weight, self.bias, padding=WINDOW // 2)
        shift, sides = told.flatten(2).transpose(1, 2).split(2, dim=2)
        return around(points.xy + shift * self.taps.stride, sides.clamp(0.0, REACH).exp())

    def _regions(self, x: Tensor, boxes: Tensor) -> Tensor:
        return region_points(x[:, :REGION], boxes, self.taps.stride)

    def _cells(self, features: Features, targets: Sequence[BoxTarget]) -> Moments:
        """Moments of all cells that hold image."""
        x = self.taps(features)
        mask = cell_mask(features.extent, self.taps.stride, (x.shape[2], x.shape[3]))[:, 0]
        return Moments.of(x.permute(0, 2, 3, 1)[mask])

    def _boxes(self, features: Features, targets: Sequence[BoxTarget]) -> tuple[Moments, Tensor]:
        """Moments of [window, box] of the cells near objects, and the number of objects of each class."""
        x = self._components(features)
        windows, points = cell_windows(x), self._points(x)
        lessons = [near_boxes(target, points, self.taps.stride) for target in targets]
        near, box = (torch.stack(parts) for parts in zip(*lessons, strict=True))
        near &= teaching(targets, points, features.extent)
        labels = torch.cat([target.labels[~target.crowd] for target in targets])
        return Moments.of(torch.cat([windows[near], box[near]], dim=1)), labels.bincount(minlength=len(self.seen))

    def _moments(self, features: Features, targets: Sequence[BoxTarget]) -> tuple[Moments, Moments]:
        """Moments of [points, indicators of classes and background, overlap], and of [points, correction]."""
        x, classes = self._components(features), len(self.task.classes)
        points = self._points(x)
        proposals = shaken(self._proposals(x, points), x.shape[3])
        regions = self._regions(x, proposals)
        lessons = [overlaps(*pair, classes) for pair in zip(targets, proposals, strict=True)]
        label, overlap, correction = (torch.stack(parts) for parts in zip(*lessons, strict=True))
        used = teaching(targets, points, features.extent)
        outputs = torch.cat([F.one_hot(label[used], classes + 1), overlap[used][:, None]], dim=1)
        shown = used & (label < classes)
        return (
            Moments.of(torch.cat([regions[used], outputs], dim=1)),
            Moments.of(torch.cat([regions[shown], correction[shown]], dim=1)),
        )


def whitening(cells: Moments, size: int) -> Tensor:
    """(size, d) projection on the main components of vectors, each with variance 1; zero where nothing varies."""
    values, axes = torch.linalg.eigh(cells.scatter / max(cells.count, 1))
    values, axes = values[-size:].flip(0), axes[:, -size:].flip(1)
    signs = axes.gather(0, axes.abs().argmax(dim=0, keepdim=True)).sign()  # a solver may choose either
    rounding = (1e-7 * cells.mean).square().mean()
    varies = values > torch.maximum(1e-8 * values[0], rounding)
    return torch.where(varies, axes * signs / values.clamp(min=1e-30).sqrt(), 0.0).T


def cell_windows(x: Tensor) -> Tensor:
    """(B, h w, C 3 3) the cells around each cell of (B, C, h, w), zero beyond the edge."""
    return F.unfold(x, WINDOW, padding=WINDOW // 2).transpose(1, 2)


def region_points(x: Tensor, boxes: Tensor, stride: int) -> Tensor:
    """(B, N, C 3 3) a map (B, C, h, w) between its cells, at the middles of the ninths of enlarged boxes (B, N, 4)."""
    parts = ((torch.arange(GRID, device=x.device) + 0.5) / GRID - 0.5) * ENLARGED  # of the sides
    places = centres(boxes)[..., None, :] + sides(boxes)[..., None, :] * pairs(parts)  # (B, N, 9, 2) px
    shares = torch.stack([places[..., 0] / (x.shape[3] * stride), places[..., 1] / (x.shape[2] * stride)], dim=-1)
    values = F.grid_sample(x, 2 * shares - 1, align_corners=False)  # (B, C, N, 9)
    return values.transpose(1, 2).flatten(2)


def pairs(values: Tensor) -> Tensor:
    """(n * n, 2) all pairs of n values, of which the first changes fastest."""
    return torch.stack(torch.meshgrid(values, values, indexing="xy"), dim=2).flatten(0, 1)


def around(centre: Tensor, sides: Tensor) -> Tensor:
    """(..., 4) the boxes of centres and sides (..., 2)."""
    return torch.cat([centre - sides / 2, centre + sides / 2], dim=-1)


def sides(boxes: Tensor) -> Tensor:
    """(..., 2) widths and heights, at least 1 px."""
    return (boxes[..., 2:] - boxes[..., :2]).clamp(min=1)


def corrected(boxes: Tensor, correction: Tensor) -> Tensor:
    """Boxes (..., 4) moved by shares of their sides and then resized by factors, which are logarithms."""
    shift, growth = correction.split(2, dim=-1)
    own = sides(boxes)
    return around(centres(boxes) + shift * own, own * growth.clamp(-GROWTH, GROWTH).exp())


def shaken(boxes: Tensor, columns: int) -> Tensor:
    """Boxes (B, N, 4) of a grid's cells, each moved and resized by up to ``SHAKE`` in a pattern of 81 ways."""
    steps = pairs(SHAKE * torch.tensor([-1.0, 0.0, 1.0], device=boxes.device))
    cells = torch.arange(boxes.shape[1], device=boxes.device)
    place = 4 * (cells // columns) + cells % columns  # neighbours differ
    return corrected(boxes, torch.cat([steps[place % 9], steps[(5 * place + 2 * (place // 9)) % 9]], dim=1))


def teaching(targets: Sequence[BoxTarget], points: Points, extent: Tensor) -> Tensor:
    """(B, N) which cells hold image and lie in no crowd."""
    crowds = [covers(target.boxes[target.crowd], points.xy).any(dim=0) for target in targets]
    return points.within(extent) & ~torch.stack(crowds)


def true_boxes(target: BoxTarget) -> Tensor:
    """(G + 1, 4) the boxes that are no crowds, and one far from every cell, which stands for an image without any."""
    boxes = target.boxes[~target.crowd]
    return torch.cat([boxes, boxes.new_full((1, 4), -1e6)])


def near_boxes(target: BoxTarget, points: Points, stride: int) -> tuple[Tensor, Tensor]:
    """(N,) the cells near an object, and (N, 4) the shift of its centre in strides and the logarithms of its sides."""
    boxes = true_boxes(target)
    apart = centres(boxes) - points.xy[:, None]  # (N, G, 2)
    score = (-(apart / sides(boxes)).square().sum(dim=2) / (2 * WIDTH**2)).exp()
    holds = apart.abs().amax(dim=2) <= stride / 2  # the cell of a centre belongs to that box, however small
    best, owner = (score + holds).max(dim=1)
    own = torch.arange(len(owner), device=owner.device)
    return best >= NEAR, torch.cat([apart[own, owner] / stride, sides(boxes)[owner].log()], dim=1)


def overlaps(target: BoxTarget, proposals: Tensor, classes: int) -> tuple[Tensor, Tensor, Tensor]:
    """(N,) the class that each proposal (N, 4) shows, K for background, (N,) its overlap, and (N, 4) its correction."""
    boxes = true_boxes(target)
    labels = torch.cat([target.labels[~target.crowd], target.labels.new_tensor([classes])])
    overlap, owner = paired_iou(proposals[:, None], boxes).max(dim=1)
    own, wanted = sides(proposals), boxes[owner]
    correction = torch.cat([(centres(wanted) - centres(proposals)) / own, (sides(wanted) / own).log()], dim=1)
    return torch.where(overlap > OVERLAP, labels[owner], classes), overlap, correction
