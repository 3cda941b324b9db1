"""Checks of forward and decode: sizes, independence, padding, devices."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from argus_core.cache.layout import rows_of
from argus_core.head import Head
from argus_core.testing.heads.subject import (
    INFO,
    Subject,
    all_equal,
    item,
    largest_difference,
    outputs,
    run,
    tensors_of,
    total,
    with_maps,
)
from argus_core.testing.kit.far_device import FAR, FarDevice
from argus_core.tokens import Features, Tokens, cell_mask

SIZES = ((64, 96), (112, 48), (16, 16))
"""Oblong both ways, with an odd number of cells of 16 px, and a single cell."""
TOLERANCE = 1e-4
"""Relative difference that a change of summation order may make in float32."""


def any_size(subject: Subject) -> None:
    """Canvases of any shape and batches of one give one well-formed prediction per image."""
    head = subject.stirred()
    scale = max(subject.info.strides) // min(INFO.strides)
    for canvas in ((scale * height, scale * width) for height, width in SIZES):
        for images in (1, 3):
            tokens, _ = subject.example(head, canvas, images)
            with torch.no_grad():
                predictions = head.decode(run(head, tokens), canvas)
            assert len(predictions) == images, f"{len(predictions)} predictions for {images} images"
            for prediction in predictions:
                subject.task.check(prediction, canvas)


def reads_every_cell(subject: Subject) -> None:
    """On an odd, oblong grid every cell of every map that is needed reaches the output."""
    head = subject.stirred()
    if not head.needs.maps:
        return
    base, _ = subject.example(head, (48, 80), 1)
    for layer in base.maps:
        rows, cols = base.maps[layer].shape[2:]
        changes = [_change(head, base, layer, row, col) for row in range(rows) for col in range(cols)]
        usual = sorted(changes)[len(changes) // 2]
        # Statistics over the whole map let even a cell that is cut off whisper: hence a share of the usual.
        unread = [divmod(k, cols) for k, change in enumerate(changes) if change <= 1e-3 * usual]
        assert not unread, f"cells {unread} (row, column) of layer {layer} on a {rows} x {cols} grid change nothing"


def _change(head: Head, tokens: Tokens, layer: int, row: int, col: int) -> float:
    """How far the output moves when one cell is turned round."""
    turned = tokens.maps[layer].clone()
    turned[:, :, row, col] = -turned[:, :, row, col].roll(1, dims=1) - 1
    other = outputs(head, with_maps(tokens, {**tokens.maps, layer: turned}))
    return largest_difference(outputs(head, tokens), other)


def features_untouched(subject: Subject) -> None:
    """Nothing the head is given is written to: neighbours share it."""
    head = subject.stirred()
    tokens, targets = subject.example(head, SIZES[0], 2)
    for mode in (True, False):
        head.train(mode)
        features = tokens.features(head.needs)
        given = [*_feature_tensors(features), *_target_tensors(targets)]
        before = [tensor.clone() for tensor in given]
        output = head(features)
        if head.trained:
            head.loss(output, targets)
        head.decode(output, tokens.size)
        assert all_equal(before, given), "the head writes into its features or targets"


def _feature_tensors(features: Features) -> list[Tensor]:
    return [*features.maps, *features.cls, features.extent]


def _target_tensors(targets: list[object]) -> list[Tensor]:
    return [value for target in targets for value in vars(target).values() if isinstance(value, Tensor)]


def items_independent(subject: Subject) -> None:
    """In eval mode an image's output does not depend on its neighbours in the batch."""
    head = subject.stirred()
    tokens, _ = subject.example(head, SIZES[0], 3)
    together = outputs(head, tokens)
    for index in range(len(tokens)):
        alone = outputs(head, tokens[[index]])
        part = [item(many, one, index) for many, one in zip(together, alone, strict=True)]
        difference = largest_difference(alone, part)
        assert difference < TOLERANCE, f"image {index} alone and in a batch differ by {difference:.1e}"


def padding(subject: Subject) -> None:
    """Whatever lies in padding, nothing is predicted there and the loss does not look there."""
    head = subject.stirred()
    tokens, targets = subject.example(head, (128, 256), 2)
    noise = {layer: torch.where(_mask(tokens, layer), x, 3 * torch.ones_like(x)) for layer, x in tokens.maps.items()}
    for given in (tokens, with_maps(tokens, noise)):
        with torch.no_grad():
            predictions = head.decode(run(head, given), tokens.size)
        for prediction, extent in zip(predictions, tokens.extent.tolist(), strict=True):
            subject.task.inside(prediction, (extent[0], extent[1]))
    if not head.trained:
        return
    head.train()
    output = run(head, tokens)
    loss = total(head.loss(output, targets))
    maps = [x for x in tensors_of(output) if x.ndim == 4 and len(x) == len(tokens) and x.requires_grad]
    gradients = torch.autograd.grad(loss, maps, allow_unused=True) if maps else ()
    for gradient in gradients:
        _check_gradient(gradient, tokens)


def _check_gradient(gradient: Tensor | None, tokens: Tokens) -> None:
    """An output map (B, C, h, w) that covers the canvas gets no gradient in cells that begin beyond the image."""
    if gradient is None or tokens.size[0] * gradient.shape[3] != tokens.size[1] * gradient.shape[2]:
        return
    beyond = ~cell_mask(tokens.extent, tokens.size[0] // gradient.shape[2], (gradient.shape[2], gradient.shape[3]))
    assert not (gradient * beyond).any(), f"the loss looks at padding of the {tuple(gradient.shape)} output"


def _mask(tokens: Tokens, layer: int) -> Tensor:
    maps = tokens.maps[layer]
    return cell_mask(tokens.extent, tokens.info.strides[layer], (maps.shape[2], maps.shape[3]))


def cached_is_live(subject: Subject) -> None:
    """Tokens that went through storage give the same output, bit for bit if their layout in memory is the same."""
    head = subject.stirred()
    tokens, _ = subject.example(head, SIZES[0], 2)
    stored = outputs(head, with_maps(tokens, {layer: _stored(tokens, layer) for layer in tokens.maps}))
    live = {layer: x.to(memory_format=torch.channels_last) for layer, x in tokens.maps.items()}
    assert all_equal(outputs(head, with_maps(tokens, live)), stored), "live and cached tokens give different outputs"
    difference = largest_difference(outputs(head, tokens), stored)
    assert difference < TOLERANCE, f"the output depends on the memory layout of the features, by {difference:.1e}"


def _stored(tokens: Tokens, layer: int) -> Tensor:
    """A map rebuilt from the rows that a cache keeps: those of cells with image, channels last."""
    batch, channels, rows, cols = tokens.maps[layer].shape
    cells = torch.zeros(batch, rows, cols, channels)
    cells[_mask(tokens, layer)[:, 0]] = rows_of(tokens, f"maps.{layer}", layer)
    return cells.permute(0, 3, 1, 2)


def company(subject: Subject) -> None:
    """Beside another head, and with tokens that hold more than it needs, the output is the same bit for bit."""
    head = subject.stirred()
    everything, _ = subject.task.example(INFO, range(INFO.depth), SIZES[0], 2, torch.Generator().manual_seed(0))
    own = {layer: everything.maps[layer] for layer in head.needs.resolve(INFO).layers}
    alone = outputs(head, with_maps(everything, own))
    other = subject.stirred(seed=1)
    outputs(other, everything)
    assert all_equal(alone, outputs(head, everything)), "the output changes beside another head"


def device_agnostic(subject: Subject) -> None:
    """Forward, loss, decode and fit stay on the device of their features, one that does not mix with the CPU."""
    head = subject.stirred()
    tokens, targets = subject.example(head, SIZES[0], 2)
    made = outputs(head.to("meta"), tokens.to("meta"))
    elsewhere = {x.device.type for x in made} - {"meta"}
    assert not elsewhere, f"features are on meta, outputs on {elsewhere}"
    with FarDevice():
        _stays(subject.build().to(FAR), tokens.to(FAR), [target.to(FAR) for target in targets])


def _stays(head: Head, tokens: Tokens, targets: list[Any]) -> None:
    """Everything that training and use ask of a head, which fails where tensors of two devices meet."""
    step = "fit"
    try:
        if head.fitted:
            head.fit([(tokens.features(head.needs), targets)])
        step = "forward"
        output = run(head, tokens)
        step = "the loss"
        if head.trained:
            total(head.loss(output, targets)).backward()
        step = "decode"
        with torch.no_grad():
            head.decode(output, tokens.size)
    except (AssertionError, RuntimeError) as error:
        raise AssertionError(f"on another device than the CPU {step} fails: {error}") from error
