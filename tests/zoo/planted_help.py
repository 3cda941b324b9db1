"""What tests of single detection heads share: small instances, planted scenes, and how well a head learns them."""

from __future__ import annotations

import torch
from torchvision.ops import box_area

from argus_core.tasks.detect import Boxes, Detect
from argus_core.tokens import FeatureInfo, Features

VITB = FeatureInfo.vit(768)
COCO = Detect(classes=tuple(f"class {i}" for i in range(80)))
SMALL = Detect.small()


def size_of(module):
    return sum(p.numel() for p in module.parameters())


def make(cls, channels=24, stride=16, **options):
    torch.manual_seed(0)
    return cls(FeatureInfo.vit(channels, stride), SMALL, **options)


def stirred(module, seed=0):
    """The module in eval mode with every parameter moved: initial zeros and ones hide mistakes."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in module.parameters():
            fan = p[0].numel() if p.ndim > 1 else 25
            p.add_(torch.randn(p.shape, generator=generator) / fan**0.5)
    return module.eval()


def scenes(head, canvas=(96, 128), images=2, seed=0):
    """Features and targets of scenes with objects; every other image has padding."""
    tokens, targets = SMALL.example(head.info, head.needs.layers, canvas, images, torch.Generator().manual_seed(seed))
    return tokens.features(head.needs), targets


def whole(x):
    """Features of one map (B, C, h, w) without padding, at a stride of 16 pixels."""
    size = (16 * x.shape[2], 16 * x.shape[3])
    return Features((x,), (), torch.tensor(size).repeat(len(x), 1), size)


def tensors(output):
    return [t for level in output.levels for t in (level.cls, level.ltrb, level.quality)]


def ap50_after(head, steps, lr=4e-3):
    """AP50 on the two images that the head was trained on for some steps of AdamW."""
    features, targets = scenes(head)
    optimizer = torch.optim.AdamW(head.train().parameters(), lr=lr)
    for _ in range(steps):
        optimizer.zero_grad()
        sum(head.loss(head(features), targets).values()).backward()
        optimizer.step()
    with torch.no_grad():
        found = head.eval().decode(head(features), features.size)
    metric = SMALL.metric()
    for key, (prediction, target) in enumerate(zip(found, targets, strict=True)):
        arrays = (x.double().numpy() for x in (target.boxes, box_area(target.boxes)))
        boxes, area = arrays
        metric.update(str(key), prediction, Boxes(boxes, target.labels.numpy(), target.crowd.numpy(), area))
    return metric.compute()["AP50"]
