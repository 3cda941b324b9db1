"""Detections of a whole batch in tensors of fixed sizes: the results of eager decoding, without its varying shapes."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from argus_core.detection import DecodeOptions, DenseOutput, Level, Points, ltrb_to_boxes
from argus_core.detection.postprocess import SOFT_FLOOR

FEW = 1000
"""Up to so many boxes torchvision suppresses all classes at once, shifted apart, which rounds slightly differently."""
Candidates = tuple[Tensor, Tensor, Tensor]
State = tuple[Tensor, Tensor, Tensor]
"""Scores that are left (B, M), boxes and labels."""
Step = Callable[[State, Tensor], tuple[State, tuple[Tensor, Tensor]]]


def decode(output: DenseOutput, options: DecodeOptions) -> dict[str, Tensor]:
    """``boxes`` (B, limit, 4) in canvas pixels, ``scores`` and ``labels`` (B, limit), best first, ``count`` (B).

    Beyond an image's ``count``, boxes and scores are 0 and labels -1.
    """
    levels = [
        candidates(level, _points(level, stride), output.extent, options)
        for level, stride in zip(output.levels, output.strides, strict=True)
    ]
    boxes, scores, labels = (torch.cat(parts, dim=1) for parts in zip(*levels, strict=True))
    return suppress(boxes, scores, labels, options)


def candidates(level: Level, points: Points, extent: Tensor, options: DecodeOptions) -> Candidates:
    """The best (B, M, 4), (B, M), (B, M) of one level, scores -1 where fewer are above the threshold."""
    inside = points.within(extent)  # (B, N)
    quality = level.quality.float().flatten(2).sigmoid() * inside[:, None]
    scores = (level.cls.float().flatten(2).sigmoid() * quality).sqrt().transpose(1, 2)  # (B, N, K)
    # Padded with as many candidates without score as are kept, as a level may have fewer.
    flat = F.pad(torch.where(scores > options.score, scores, -1.0).flatten(1), (0, options.candidates), value=-1.0)
    values, order = flat.topk(options.candidates, dim=1)
    classes = level.cls.shape[1]
    label, point = order % classes, (order // classes).clamp(max=scores.shape[1] - 1)
    ltrb = level.ltrb.float().flatten(2).transpose(1, 2).gather(1, point[:, :, None].expand(-1, -1, 4))
    boxes = ltrb_to_boxes(points.xy[point], ltrb)
    return torch.minimum(boxes.clamp(min=0), extent.flip(1).repeat(1, 2)[:, None].to(boxes.dtype)), values, label


def suppress(boxes: Tensor, scores: Tensor, labels: Tensor, options: DecodeOptions) -> dict[str, Tensor]:
    """The non-redundant boxes among (B, M, 4), (B, M), (B, M), as in ``decode``; a score of -1 marks an empty place."""
    boxes, scores = boxes.detach(), scores.detach()
    state = scores, boxes if options.soft else _apart(boxes, scores, labels), labels
    values, picks = (rounds.T for rounds in _repeat(_step(options), state, options.limit))  # (B, limit)
    real = values >= (SOFT_FLOOR if options.soft else 0.0)
    return {
        "boxes": torch.where(real[:, :, None], boxes.gather(1, picks[:, :, None].expand(-1, -1, 4)), 0.0),
        "scores": torch.where(real, values, 0.0),
        "labels": torch.where(real, labels.gather(1, picks), -1),
        "count": real.sum(dim=1),
    }


def _step(options: DecodeOptions) -> Step:
    """One round: take the best box of each image, and lower or remove its rivals."""

    def step(state: State, nothing: Tensor) -> tuple[State, tuple[Tensor, Tensor]]:
        left, boxes, labels = state
        best, index = left.max(dim=1)
        box = boxes.gather(1, index[:, None, None].expand(-1, 1, 4))
        overlap = _iou(box, boxes)
        rival = (overlap > options.iou) & (labels == labels.gather(1, index[:, None]))
        lowered = left * (1 - overlap) if options.soft else torch.full_like(left, -1.0)
        left = torch.where(rival & (left >= 0), lowered, left).scatter(1, index[:, None], -1.0)
        # Boxes and labels pass through, as OpenVINO reads no loop that looks at values outside of itself; it also runs
        # a loop only once if that does not use what it counts by.
        return (left, boxes.clone(), labels.clone()), (best + nothing, index.clone())

    return step


def _repeat(step: Step, state: State, rounds: int) -> tuple[Tensor, Tensor]:
    """(rounds, B) best scores and their indices; in a graph this stays a loop."""
    turns = torch.zeros(rounds, device=state[0].device)
    if torch.compiler.is_exporting():
        from torch._higher_order_ops.scan import scan

        return scan(step, state, turns)[1]
    results = []
    for turn in turns:
        state, best = step(state, turn)
        results.append(best)
    values, picks = zip(*results, strict=True)
    return torch.stack(values), torch.stack(picks)


def _apart(boxes: Tensor, scores: Tensor, labels: Tensor) -> Tensor:
    """Move boxes of different classes apart where torchvision does, so that both round alike."""
    real = scores >= 0
    far = torch.where(real[:, :, None], boxes, 0.0).amax(dim=(1, 2)) + 1
    few = real.sum(dim=1) <= FEW
    return boxes + (labels * torch.where(few, far, 0.0)[:, None])[:, :, None]


def _iou(box: Tensor, boxes: Tensor) -> Tensor:
    """(B, M) overlap of one box (B, 1, 4) with all (B, M, 4); not a number between boxes without area."""
    corner = torch.maximum(box[..., :2], boxes[..., :2])
    sides = (torch.minimum(box[..., 2:], boxes[..., 2:]) - corner).clamp(min=0)
    common = sides[..., 0] * sides[..., 1]
    own, other = ((b[..., 2] - b[..., 0]) * (b[..., 3] - b[..., 1]) for b in (box, boxes))
    return common / (own + other - common)


def _points(level: Level, stride: int) -> Points:
    """The centres of a level's cells, row by row."""
    y, x = ((torch.arange(cells, device=level.cls.device) + 0.5) * stride for cells in level.cls.shape[2:])
    xy = torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1).flatten(0, 1)
    return Points(xy, xy[:, 0], xy[:, 0])
