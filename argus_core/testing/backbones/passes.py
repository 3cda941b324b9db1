"""Checks of what a backbone makes of images: shapes, padding, independence, exactness."""

from __future__ import annotations

import torch

from argus_core.errors import ArgusError
from argus_core.testing.backbones.subject import CELLS, BackboneSubject, parts
from argus_core.testing.heads.subject import all_equal, largest_difference
from argus_core.tokens import Needs, cell_mask

TOLERANCE = 1e-4
"""Relative difference that other summation orders may make in float32, through all blocks."""


def info(subject: BackboneSubject) -> None:
    """Every layer has the channels, grid and prefix tokens that ``info`` announces, at any size and batch."""
    known = subject.backbone.info
    for place in range(len(CELLS)):
        for images in (1, 3):
            tokens, size = subject.tokens(images, place), subject.size(place)
            assert tokens.size == size and len(tokens) == images, f"{images} images of {size} became {tokens.size}"
            for layer in range(known.depth):
                wanted = (images, known.channels[layer], *known.grid(size, layer))
                found = tuple(tokens.maps[layer].shape)
                assert found == wanted, f"layer {layer} of an input of {size} px is {found}, announced is {wanted}"
                prefix, count = tuple(tokens.prefix[layer].shape), (images, known.prefix, known.channels[layer])
                assert prefix == count, f"prefix tokens of layer {layer} are {prefix}, announced are {count}"


def float32(subject: BackboneSubject) -> None:
    """Tokens are finite float32 numbers, whatever the network computes in, and none of its layers is constant."""
    tokens = subject.tokens()
    for what, held in (("map", tokens.maps), ("prefix", tokens.prefix)):
        for layer, value in held.items():
            assert value.dtype == torch.float32, f"the {what} of layer {layer} is {value.dtype}, not float32"
            assert value.isfinite().all(), f"the {what} of layer {layer} is not finite"
    flat = [layer for layer, value in tokens.maps.items() if value[0].std() == 0]
    assert not flat, f"layers {flat} are the same number everywhere: are the weights loaded?"


def deterministic(subject: BackboneSubject) -> None:
    """Two passes, and two builds, give the same tokens bit for bit."""
    first = parts(subject.tokens())
    assert all_equal(first, parts(subject.tokens())), "two passes over the same images differ: is dropout awake?"
    again = subject.build().encode(subject.canvases(2), subject.extent(2), subject.every)
    assert all_equal(first, parts(again)), "two builds give different tokens: fix the weights"


def items_independent(subject: BackboneSubject) -> None:
    """The tokens of an image do not depend on its neighbours in the batch."""
    together, canvases, extent = subject.tokens(3, padded=True), subject.canvases(3), subject.extent(3, padded=True)
    for index in range(3):
        alone = subject.backbone.encode(canvases[[index]], extent[[index]], subject.every)
        difference = largest_difference(parts(alone), parts(together[[index]]))
        assert difference < TOLERANCE, (
            f"image {index} alone and in a batch differ by {difference:.1e}: is a norm using the batch's statistics?"
        )


def padding(subject: BackboneSubject) -> None:
    """Maps are zero where there is no image, ``extent`` says where that is, and bytes that lie there do not matter."""
    canvases, extent = subject.canvases(2), subject.extent(2, padded=True)
    tokens = subject.tokens(2, padded=True)
    assert torch.equal(tokens.extent, extent), f"extents {extent.tolist()} became {tokens.extent.tolist()}"
    for layer, value in tokens.maps.items():
        mask = cell_mask(extent, subject.backbone.info.strides[layer], (value.shape[2], value.shape[3]))
        assert not (value * ~mask).any(), f"the map of layer {layer} is not zero in padding"
        assert value[-1].any(), f"the map of layer {layer} is zero everywhere for an image with padding"
    inside = cell_mask(extent, 1, subject.size()).permute(0, 2, 3, 1)
    other = subject.backbone.encode(torch.where(inside, canvases, 255 - canvases), extent, subject.every)
    assert all_equal(parts(tokens), parts(other)), "bytes in padding reach the tokens: encode must blank them"


def sizes(subject: BackboneSubject) -> None:
    """An input that does not divide into cells of the coarsest layer that is asked for is refused by ArgusError."""
    height, width = subject.size()
    for wrong in ((height + 1, width), (height, width - 1)):
        try:
            subject.backbone(torch.zeros(1, 3, *wrong), subject.every)
        except ArgusError:
            continue
        raise AssertionError(
            f"an input of {wrong[0]} x {wrong[1]} px is taken, though cells are {subject.unit} px: "
            "call argus_core.backbones.base.check_grid in forward"
        )


def needs(subject: BackboneSubject) -> None:
    """Of layers asked for alone the tokens are the same bit for bit, and nothing else is given."""
    everything, depth = subject.tokens(), subject.backbone.info.depth
    for layers in ((0,), (depth - 1,), tuple(sorted({depth // 2, depth - 1}))):
        for maps, cls in ((True, False), (False, True), (True, True)):
            wanted = Needs(layers, maps=maps, cls=cls)
            some = subject.backbone.encode(subject.canvases(2), subject.extent(2), wanted)
            for what, held, full, asked in (
                ("maps", some.maps, everything.maps, maps),
                ("prefix tokens", some.prefix, everything.prefix, cls),
            ):
                expected = layers if asked else ()
                assert tuple(sorted(held)) == expected, f"asked for {what} of layers {expected}, got {sorted(held)}"
                moved = [layer for layer in expected if not torch.equal(held[layer], full[layer])]
                assert not moved, (
                    f"{what} of layers {moved} depend on which layers are asked for: one cache serves all heads"
                )


def encode(subject: BackboneSubject) -> None:
    """``encode`` of bytes is ``forward`` of the same pixels, normalised by ``mean`` and ``std``."""
    backbone, canvases = subject.backbone, subject.canvases(2)
    mean, std = torch.tensor(backbone.mean), torch.tensor(backbone.std)
    images = ((canvases.float() / 255 - mean) / std).permute(0, 3, 1, 2)
    difference = largest_difference(parts(subject.tokens()), parts(backbone(images, subject.every)))
    assert difference < TOLERANCE, f"encode and forward differ by {difference:.1e}: is something normalised twice?"
    try:
        backbone.encode(canvases.float(), subject.extent(2), subject.every)
    except ArgusError:
        return
    raise AssertionError("encode takes float images, which it would divide by 255: refuse all but uint8")
