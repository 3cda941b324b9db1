"""A detector of all classes that is solved, not trained: discriminants and ridge regressions on small windows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from argus_core.detection import DecodeOptions, DenseHead, DenseOutput, Level, centres, covers, grid_points
from argus_core.errors import ArgusError
from argus_core.nn import Moments, class_logits, full_precision, ridge, total_over_batches
from argus_core.recipe import Recipe
from argus_core.tasks.detect import BoxTarget, Detect
from argus_core.tokens import FeatureInfo, Features, Needs, Taps, cell_mask, default_layers
from argus_heads.labels import unseen_classes

WINDOW = 3
"""Cells each way that decide about the one in the middle."""
WIDTH = 0.2
"""Deviation of the centre score, a Gaussian about the centre of a box, in sides of the box."""
CENTRAL, NEAR, FAR = 0.6, 0.4, 0.01
"""Centre scores above which a cell shows an object, from which on it tells the box, below which it is background."""
EVERY, PLENTY = 4, 50_000
"""Where there are more cells than ``PLENTY``, one in so many of the background is looked at, and counts for all."""
CERTAIN = 30.0
"""Logit of the background before the fit."""
LEAST = 1e-4
"""The least centre score, and the least probability."""
REACH = 9.0
"""Sides of boxes are at most exp(9) px long."""


class ClosedFormDetector(DenseHead):
    """Discriminants tell classes and background apart; ridge regressions give the centre score and the box.

    Two passes over the training split, no gradient, penalties by generalised cross-validation; memory does not grow
    with the number of images. The first pass finds the ``size`` main components of the tokens, the second solves for
    windows of 3x3 cells of them, at one ``stride`` in pixels. A head that was not fitted finds nothing.
    """

    recipe = Recipe(batch=16)
    decoding = DecodeOptions(score=1e-3)  # scores are posteriors, and few cells hold the centre of an object

    task: Detect
    mean: Tensor
    project: Tensor
    weight: Tensor
    bias: Tensor
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
        # Outputs are the classes, the background, the centre score, the shift of the centre, and the sides.
        self.register_buffer("weight", torch.zeros(classes + 6, size, WINDOW, WINDOW))
        self.register_buffer("bias", F.one_hot(torch.tensor(classes), classes + 6) * CERTAIN)
        self.register_buffer("seen", torch.ones(classes, dtype=torch.bool))

    @torch.no_grad()
    def forward(self, features: Features) -> DenseOutput:
        """One level: posteriors of the classes, and centre scores, as logits, and boxes about predicted centres."""
        with full_precision(features.map.device):
            x = F.conv2d(self._components(features), self.weight, self.bias, padding=WINDOW // 2)
        classes, centre, shift, sides = x.split([len(self.task.classes) + 1, 1, 2, 2], dim=1)
        log = classes.log_softmax(dim=1)[:, :-1]
        odds = log - (1 - log.exp()).clamp(min=LEAST).log()
        shift, half = shift * self.taps.stride, sides.clamp(0, REACH).exp() / 2
        ltrb = torch.cat([half - shift, half + shift], dim=1).clamp(min=0)
        level = Level(odds, ltrb, centre.clamp(LEAST, 1 - LEAST).logit())
        return DenseOutput((level,), self.strides, features.extent)

    def fit(self, batches: Iterable[tuple[Features, Sequence[BoxTarget]]]) -> None:
        """First pass: main components. Second pass: classes, centre scores and boxes."""
        cells = total_over_batches(batches, self._cells)
        self.mean.copy_(cells.mean)
        self.project.copy_(whitening(cells, len(self.project)))
        every = EVERY if cells.count > PLENTY else 1
        scores, boxes = total_over_batches(batches, lambda features, targets: self._moments(features, targets, every))
        if not boxes.count:
            raise ArgusError("no image of the training split has a box that is not a crowd; use other images")
        inputs, classes = self.weight[0].numel(), len(self.task.classes)
        parts = [
            class_logits(scores[: inputs + classes + 1], inputs, "lda"),
            ridge(scores, inputs)[:, -1:],
            ridge(boxes, inputs),
        ]
        solved = torch.cat(parts, dim=1)
        self.weight.copy_(solved[:-1].T.view_as(self.weight))
        self.bias.copy_(solved[-1])
        self.seen.copy_(scores.mean[inputs : inputs + classes] > 0)

    def notes(self) -> list[str]:
        """The classes without boxes."""
        return unseen_classes("boxes", self.task.classes, self.seen)

    def _components(self, features: Features) -> Tensor:
        """(B, size, h, w) whitened main components; zero in padding, as if it were the mean."""
        x = self.taps(features).float()
        mask = cell_mask(features.extent, self.taps.stride, (x.shape[2], x.shape[3]))
        with full_precision(x.device):
            return F.conv2d(x - self.mean[:, None, None], self.project[:, :, None, None]) * mask

    def _cells(self, features: Features, targets: Sequence[BoxTarget]) -> Moments:
        """Moments of all cells that hold image."""
        x = self.taps(features)
        mask = cell_mask(features.extent, self.taps.stride, (x.shape[2], x.shape[3]))[:, 0]
        return Moments.of(x.permute(0, 2, 3, 1)[mask])

    def _moments(self, features: Features, targets: Sequence[BoxTarget], every: int) -> tuple[Moments, Moments]:
        """Moments of [window, indicators of classes and background, centre score], and of [window, box]."""
        windows = cell_windows(self._components(features))  # (B, h, w, size, 3, 3)
        grid, classes = (windows.shape[1], windows.shape[2]), len(self.task.classes)
        lessons = [
            teach(target, extent, self.taps.stride, grid, classes, every)
            for target, extent in zip(targets, features.extent, strict=True)
        ]
        weight, near, label, centre, box = (torch.stack(parts) for parts in zip(*lessons, strict=True))
        used = weight > 0
        outputs = torch.cat([F.one_hot(label[used], classes + 1), centre[used][:, None]], dim=1)
        return (
            Moments.of(torch.cat([windows[used].flatten(1), outputs], dim=1), weight[used]),
            Moments.of(torch.cat([windows[near].flatten(1), box[near]], dim=1)),
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
    """(B, h, w, C, 3, 3) view: the cells around each cell of (B, C, h, w), zero beyond the edge."""
    margin = WINDOW // 2
    padded = F.pad(x, (margin, margin, margin, margin))
    return padded.unfold(2, WINDOW, 1).unfold(3, WINDOW, 1).permute(0, 2, 3, 1, 4, 5)


class Lessons(NamedTuple):
    """What the cells (h, w) of an image teach.

    ``weight`` says how often a cell counts, and ``near`` whether it tells a box; ``label`` is the class, K for
    background, ``centre`` the score in 0..1, and ``box`` (h, w, 4) the shift of its centre in strides and log sides.
    """

    weight: Tensor
    near: Tensor
    label: Tensor
    centre: Tensor
    box: Tensor


def teach(
    target: BoxTarget, extent: Tensor, stride: int, grid: tuple[int, int], classes: int, every: int = 1
) -> Lessons:
    """The lessons of the boxes of an image that ends at ``extent``; cells in padding or inside crowds teach nothing.

    Of ``every`` so many cells of the background one counts, and all others count as a share.
    """
    points = grid_points([grid], [stride], extent.device)
    used = points.within(extent) & ~covers(target.boxes[target.crowd], points.xy).any(dim=0)
    boxes, labels = target.boxes[~target.crowd], target.labels[~target.crowd]
    # A last box, which no cell is near to, stands for the background.
    boxes = torch.cat([boxes, boxes.new_full((1, 4), -1e6)])
    sides = (boxes[:, 2:] - boxes[:, :2]).clamp(min=1)
    apart = centres(boxes) - points.xy[:, None]  # (N, G, 2)
    score = (-(apart / sides).square().sum(dim=2) / (2 * WIDTH**2)).exp()
    holds = apart.abs().amax(dim=2) <= stride / 2  # the cell of a centre belongs to that box, however small
    best, owner = (score + holds).max(dim=1)
    shows, centre = best > CENTRAL, score.amax(dim=1)
    label = torch.where(shows, torch.cat([labels, labels.new_tensor([classes])])[owner], classes)
    weight = torch.where((centre < FAR) & ~shows, _sampling(grid, every, extent.device), 1 / every) * used
    own = torch.arange(len(owner), device=owner.device)
    box = torch.cat([apart[own, owner] / stride, sides[owner].log()], dim=1)
    near = (best >= NEAR) & used
    return Lessons(*(part.unflatten(0, grid) for part in (weight, near, label, centre, box)))


def _sampling(grid: tuple[int, int], every: int, device: torch.device) -> Tensor:
    """(h w,) 1 for one cell in ``every``, in a pattern that is the same in all images, and 0 for the others."""
    rows, columns = (torch.arange(n, device=device) for n in grid)
    return ((2 * rows[:, None] + columns) % every == 0).flatten().float()
