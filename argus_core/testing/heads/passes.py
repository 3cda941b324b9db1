"""Checks of forward and decode: sizes, independence, padding, devices."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from argus_core.cache.shard import rows_of
from argus_core.head import Head
from argus_core.testing.heads.subject import (
    CANVAS,
    INFO,
    Subject,
    fit,
    float_tensors,
    image_cells,
    outputs,
    predict,
    run,
    total,
    with_maps,
)
from argus_core.testing.kit.far_device import FAR, FarDevice
from argus_core.testing.kit.values import TOLERANCE, all_equal, largest_difference, tensors
from argus_core.tokens import Tokens, cell_mask

SIZES = (CANVAS, (112, 48), (16, 16))
"""Oblong both ways, with an odd number of cells of 16 px, and a single cell."""


def any_size(subject: Subject) -> None:
    """Canvases of any shape and batches of one give one well-formed prediction per image."""
    head = subject.perturbed()
    scale = max(subject.info.strides) // min(INFO.strides)
    for canvas in ((scale * height, scale * width) for height, width in SIZES):
        for images in (1, 3):
            predictions = predict(head, subject.example(head, canvas, images)[0])
            assert len(predictions) == images, f"{len(predictions)} predictions for {images} images"
            for prediction in predictions:
                subject.task.check(prediction, canvas)


def reads_every_cell(subject: Subject) -> None:
    """On an odd, oblong grid every cell of every map that is needed reaches the output."""
    head, tokens, _ = subject.ready((48, 80), 1)
    before = outputs(head, tokens)
    for layer, maps in tokens.maps.items() if head.needs.maps else ():
        rows, columns = maps.shape[2:]
        turned = [_turned(tokens, layer, row, column) for row in range(rows) for column in range(columns)]
        changes = [largest_difference(before, outputs(head, each)) for each in turned]
        usual = sorted(changes)[len(changes) // 2]
        # A share of the usual change, not zero: statistics over the whole map see even a cell that is cut off.
        unread = [divmod(index, columns) for index, change in enumerate(changes) if change <= 1e-3 * usual]
        assert not unread, f"cells {unread} (row, column) of layer {layer} on a {rows} x {columns} grid change nothing"


def _turned(tokens: Tokens, layer: int, row: int, column: int) -> Tokens:
    """The same tokens with one cell turned round."""
    maps = tokens.maps[layer].clone()
    maps[:, :, row, column] = -maps[:, :, row, column].roll(1, dims=1) - 1
    return with_maps(tokens, {**tokens.maps, layer: maps})


def features_untouched(subject: Subject) -> None:
    """Nothing the head is given is written to: neighbours share it."""
    head, tokens, targets = subject.ready()
    for mode in (True, False):
        head.train(mode)
        features = tokens.features(head.needs)
        inputs = [*tensors(features), *tensors(targets)]
        before = [tensor.clone() for tensor in inputs]
        output = head(features)
        if head.trained:
            head.loss(output, targets)
        head.decode(output, tokens.size)
        assert all_equal(before, inputs), "the head writes into its features or targets"


def items_independent(subject: Subject) -> None:
    """In eval mode an image's output does not depend on its neighbours in the batch."""
    head, tokens, _ = subject.ready(images=3)
    batch = outputs(head, tokens)
    for index in range(len(tokens)):
        alone = outputs(head, tokens[[index]])
        part = [_item(many, single, index) for many, single in zip(batch, alone, strict=True)]
        difference = largest_difference(alone, part)
        assert difference < TOLERANCE, f"image {index} alone and in a batch differ by {difference:.1e}"


def _item(many: Tensor, single: Tensor, index: int) -> Tensor:
    """The part of a batch's output that belongs to image ``index``, shaped like ``single``, that of one image."""
    axes = [axis for axis, (a, b) in enumerate(zip(many.shape, single.shape, strict=True)) if a != b]
    if not axes:
        return many
    assert len(axes) == 1, f"an output is {tuple(single.shape)} for one image, {tuple(many.shape)} for several"
    length = single.shape[axes[0]]
    return many.narrow(axes[0], index * length, length)


def padding(subject: Subject) -> None:
    """Whatever lies in padding, nothing is predicted there and the loss does not look there."""
    head, tokens, targets = subject.ready((128, 256))
    for batch in (tokens, fill_padding(tokens)):
        for prediction, extent in zip(predict(head, batch), tokens.extent.tolist(), strict=True):
            subject.task.inside(prediction, (extent[0], extent[1]))
    if not head.trained:
        return
    output = run(head.train(), tokens)
    loss = total(head.loss(output, targets))
    maps = [x for x in float_tensors(output) if x.ndim == 4 and len(x) == len(tokens) and x.requires_grad]
    for gradient in torch.autograd.grad(loss, maps, allow_unused=True) if maps else ():
        _check_gradient(gradient, tokens)


def _check_gradient(gradient: Tensor | None, tokens: Tokens) -> None:
    """An output map (B, C, h, w) that covers the canvas gets no gradient in cells that begin beyond the image."""
    if gradient is None or tokens.size[0] * gradient.shape[3] != tokens.size[1] * gradient.shape[2]:
        return
    beyond = ~cell_mask(tokens.extent, tokens.size[0] // gradient.shape[2], (gradient.shape[2], gradient.shape[3]))
    assert not (gradient * beyond).any(), f"the loss looks at padding of the {tuple(gradient.shape)} output"


def fill_padding(tokens: Tokens) -> Tokens:
    """The same tokens with numbers in padding."""
    noise = {layer: torch.where(image_cells(tokens, layer), x, 3.0) for layer, x in tokens.maps.items()}
    return with_maps(tokens, noise)


def cached_is_live(subject: Subject) -> None:
    """Tokens that went through storage give the same output, bit for bit if their layout in memory is the same."""
    head, tokens, _ = subject.ready()
    stored = outputs(head, with_maps(tokens, {layer: _stored(tokens, layer) for layer in tokens.maps}))
    live = {layer: x.to(memory_format=torch.channels_last) for layer, x in tokens.maps.items()}
    assert all_equal(outputs(head, with_maps(tokens, live)), stored), "live and cached tokens give different outputs"
    difference = largest_difference(outputs(head, tokens), stored)
    assert difference < TOLERANCE, f"the output depends on the memory layout of the features, by {difference:.1e}"


def _stored(tokens: Tokens, layer: int) -> Tensor:
    """A map rebuilt from the rows that a cache keeps: those of cells with image, channels last."""
    batch, channels, rows, columns = tokens.maps[layer].shape
    cells = torch.zeros(batch, rows, columns, channels)
    cells[image_cells(tokens, layer)[:, 0]] = rows_of(tokens, f"maps.{layer}", layer)
    return cells.permute(0, 3, 1, 2)


def company(subject: Subject) -> None:
    """Beside another head, and with tokens that hold more than it needs, the output is the same bit for bit."""
    head = subject.perturbed()
    tokens, _ = subject.task.example(INFO, range(INFO.depth), CANVAS, 2, torch.Generator().manual_seed(0))
    own = {layer: tokens.maps[layer] for layer in head.needs.resolve(INFO).layers}
    alone = outputs(head, with_maps(tokens, own))
    outputs(subject.perturbed(seed=1), tokens)
    assert all_equal(alone, outputs(head, tokens)), "the output changes beside another head"


def device_agnostic(subject: Subject) -> None:
    """Forward, loss, decode and fit stay on the device of their features, one that does not mix with the CPU."""
    head, tokens, targets = subject.ready()
    others = {x.device.type for x in outputs(head.to("meta"), tokens.to("meta"))} - {"meta"}
    assert not others, f"features are on meta, outputs on {others}"
    with FarDevice():
        _check_device(subject.build().to(FAR), tokens.to(FAR), [target.to(FAR) for target in targets])


def _check_device(head: Head, tokens: Tokens, targets: list[Any]) -> None:
    """Every step of training and use, which fails where tensors of two devices meet."""
    step = "fit"
    try:
        if head.fitted:
            fit(head, (tokens, targets))
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
