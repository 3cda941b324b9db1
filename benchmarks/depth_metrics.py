"""Ten errors of depth over 50 images of 480x640 against torchmetrics updated with the same pixels."""

from __future__ import annotations

import math

import torch
from torchmetrics import Metric
from torchmetrics.aggregation import MeanMetric
from torchmetrics.regression import MeanAbsoluteError, MeanAbsolutePercentageError, MeanSquaredError

from argus_core.tasks.depth import Depth, DepthMap
from timing import compare, show

IMAGES, SIZE, LOW, HIGH = 50, (480, 640), 0.001, 10.0
Pairs = list[tuple[torch.Tensor, torch.Tensor]]


def images() -> Pairs:
    """Predicted and true metres; a fifth of the pixels is unknown."""
    generator = torch.Generator().manual_seed(0)
    pairs = []
    for _ in range(IMAGES):
        truth = 0.5 + 9 * torch.rand(SIZE, generator=generator)
        depth = truth * (0.6 + 0.9 * torch.rand(SIZE, generator=generator))
        truth[torch.rand(SIZE, generator=generator) < 0.2] = 0
        pairs.append((depth, truth))
    return pairs


def ours(pairs: Pairs) -> dict[str, float]:
    """Scores over all pixels."""
    metric, nothing = Depth(low=LOW, high=HIGH).metric(average="pixel"), torch.zeros(SIZE)
    for number, (depth, truth) in enumerate(pairs):
        metric.update(str(number), DepthMap(depth, nothing), truth.numpy())
    return metric.compute()


def theirs(pairs: Pairs) -> dict[str, float]:
    """The same from torchmetrics: its regression errors, and means of the errors that it does not have."""
    square, log_square = MeanSquaredError(squared=False), MeanSquaredError(squared=False)
    mae, log10, abs_rel = MeanAbsoluteError(), MeanAbsoluteError(), MeanAbsolutePercentageError()
    means = {name: MeanMetric() for name in ("sq_rel", "log", "delta1", "delta2", "delta3")}
    for depth, truth in pairs:
        known = (truth > LOW) & (truth < HIGH)
        depth, truth = depth[known].clamp(LOW, HIGH), truth[known]
        logs = depth.log(), truth.log()
        worst = torch.maximum(depth / truth, truth / depth)
        for metric in (square, mae, abs_rel):
            metric.update(depth, truth)
        log_square.update(*logs)
        log10.update(logs[0] / math.log(10), logs[1] / math.log(10))
        means["log"].update(logs[0] - logs[1])
        means["sq_rel"].update((depth - truth) ** 2 / truth)
        for power in (1, 2, 3):
            means[f"delta{power}"].update((worst < 1.25**power).float())
    errors: dict[str, Metric] = {"rmse": square, "rmse_log": log_square, "mae": mae, "log10": log10, "abs_rel": abs_rel}
    scores = {name: float(metric.compute()) for name, metric in (errors | means).items()}
    scores["silog"] = 100 * math.sqrt(scores["rmse_log"] ** 2 - scores.pop("log") ** 2)
    return scores


def main() -> None:
    """Print the largest difference and the ratio."""
    torch.set_num_threads(1)
    pairs = images()
    mine, other = ours(pairs), theirs(pairs)
    assert mine.keys() == other.keys()
    print(f"largest relative difference {max(abs(mine[k] / other[k] - 1) for k in mine):.1e}")
    show("ten depth errors of 50 images", *compare(lambda: ours(pairs), lambda: theirs(pairs)), "<= 1.0")


if __name__ == "__main__":
    main()
