"""Mean IoU of images with 150 classes against torchmetrics."""

from __future__ import annotations

import numpy as np
import torch
from torchmetrics.classification import MulticlassJaccardIndex

from argus_core.tasks.segment import IoUMetric, Segmentation
from timing import compare, show

IMAGES, SIZE, CLASSES, IGNORE = 20, (512, 683), 150, 255


def images() -> list[tuple[np.ndarray, torch.Tensor]]:
    """Masks as read from files, with a tenth of the pixels ignored, and predictions that are 70 % correct."""
    rng = np.random.default_rng(0)
    pairs = []
    for _ in range(IMAGES):
        blocks = rng.integers(0, CLASSES, (16, 22)).astype(np.uint8)
        mask = np.kron(blocks, np.ones((32, 32), dtype=np.uint8))[: SIZE[0], : SIZE[1]]
        labels = np.where(rng.random(SIZE) < 0.7, mask, rng.integers(0, CLASSES, SIZE)).astype(np.int64)
        mask[:51] = IGNORE
        pairs.append((mask, torch.from_numpy(labels)))
    return pairs


def main() -> None:
    """Print the ratios."""
    data = images()
    targets = [torch.from_numpy(mask.astype(np.int64)) for mask, _ in data]

    def ours() -> float:
        metric = IoUMetric([str(i) for i in range(CLASSES)], IGNORE)
        for index, (mask, labels) in enumerate(data):
            metric.update(str(index), Segmentation(labels, torch.zeros(0)), mask)
        return metric.compute()["mIoU"]

    def theirs(validate: bool) -> float:
        metric = MulticlassJaccardIndex(CLASSES, ignore_index=IGNORE, validate_args=validate)
        for target, (_, labels) in zip(targets, data, strict=True):
            metric.update(labels, target)
        return float(metric.compute())

    print(f"mIoU {ours():.6f} and {theirs(True):.6f}")
    for validate in (True, False):
        what = f"mIoU of {IMAGES} images, torchmetrics {'with' if validate else 'without'} checks"
        show(what, *compare(ours, lambda validate=validate: theirs(validate)), "<= 1.0")


if __name__ == "__main__":
    main()
