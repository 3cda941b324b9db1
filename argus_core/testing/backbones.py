"""Checks of backbones: what one states and leaves alone, and the tokens that it makes of images."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from argus_core.backbones import Backbone, load_backbone
from argus_core.backbones.weights import rope_periods
from argus_core.common.tensors import tensors_sha256
from argus_core.errors import ArgusError
from argus_core.testing.kit.isolation import assert_refused, unchanged_process
from argus_core.testing.kit.values import TOLERANCE, all_equal, largest_difference
from argus_core.tokens import Needs, Tokens, cell_mask

CELLS = ((3, 5), (6, 4), (5, 7))
"""Rows and columns of the coarsest layer's cells: oblong both ways, and an odd grid."""


@dataclass(frozen=True)
class BackboneSubject:
    """A registered name, as ``load_backbone`` takes it, or a factory, with the options it is tested with."""

    target: str | Callable[..., Backbone]
    options: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, target: str | Callable[..., Backbone], options: Mapping[str, Any] | None = None) -> BackboneSubject:
        """The subject; nothing is built yet. Raises ArgusError for what is neither a name nor a function."""
        if not isinstance(target, str) and not callable(target):
            raise ArgusError(f"{target!r} is no backbone: give a registered name or a function that makes a Backbone")
        return cls(target, options or {})

    def build(self, options: Mapping[str, Any] | None = None) -> Backbone:
        """A new instance, by default with the options that are tested."""
        options = self.options if options is None else options
        backbone = load_backbone(self.target, **options) if isinstance(self.target, str) else self.target(**options)
        assert isinstance(backbone, Backbone), f"the factory gives {type(backbone).__name__}, not argus_core.Backbone"
        return backbone

    @cached_property
    def backbone(self) -> Backbone:
        """The instance that checks share."""
        return self.build()

    @property
    def every(self) -> Needs:
        """The needs of maps and CLS vectors of all layers."""
        return Needs(tuple(range(self.backbone.info.depth)), cls=True)

    @property
    def unit(self) -> int:
        """The sides of an input must be multiples of so many pixels."""
        return max(self.backbone.info.strides)

    def size(self, place: int = 0) -> tuple[int, int]:
        """One of several sizes of input (height, width) in pixels."""
        rows, columns = CELLS[place]
        return rows * self.unit, columns * self.unit

    def canvases(self, images: int = 2, place: int = 0) -> Tensor:
        """Random bytes (B, H, W, 3)."""
        generator = torch.Generator().manual_seed(place)
        shape = (images, *self.size(place), 3)
        return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)

    def extent(self, images: int = 2, place: int = 0, padded: bool = False) -> Tensor:
        """(B, 2): where the images end; if ``padded``, the last one ends before its canvas does."""
        height, width = self.size(place)
        extent = torch.tensor((height, width)).repeat(images, 1)
        if padded:
            extent[-1] = torch.tensor((height - self.unit - 3, width // 2))
        return extent

    def tokens(self, images: int = 2, place: int = 0, padded: bool = False) -> Tokens:
        """The tokens of all layers of random images."""
        return self.backbone.encode(self.canvases(images, place), self.extent(images, place, padded), self.every)


def parts(tokens: Tokens) -> list[Tensor]:
    """Every map and prefix, in order of layer."""
    return [values[layer] for values in (tokens.maps, tokens.prefix) for layer in sorted(values)]


def options(subject: BackboneSubject) -> None:
    """Options survive JSON, and with them the same backbone is built again."""
    text = json.dumps(dict(subject.options), default=str)
    again, first = subject.build(json.loads(text)), subject.backbone
    for what in ("weights_sha256", "info", "name", "mean", "std", "license"):
        before, after = getattr(first, what), getattr(again, what)
        assert before == after, f"built again with options {text}, {what} is {after}, was {before}"
    if isinstance(subject.target, str):
        json.dumps(first.options, default=str)


def states(subject: BackboneSubject) -> None:
    """Name, terms of the weights, mean and standard deviation are stated and can be true."""
    backbone = subject.backbone
    assert isinstance(backbone.name, str) and backbone.name.strip(), "the backbone has no name"
    assert isinstance(backbone.license, str) and backbone.license.strip(), (
        "license must be the identifier of the weights' terms, such as apache-2.0, or 'unknown'"
    )
    for what, values in (("mean", backbone.mean), ("std", backbone.std)):
        assert len(values) == 3 and all(math.isfinite(v) for v in values), f"{what} must be three numbers: {values}"
    assert all(0 <= v <= 1 for v in backbone.mean), f"mean {backbone.mean} must be of pixels in 0..1: divide by 255"
    assert all(0 < v <= 1 for v in backbone.std), f"std {backbone.std} must be of pixels in 0..1: divide by 255"
    info = backbone.info
    assert info.depth > 0 and len(info.strides) == info.depth, (
        f"info has {info.depth} layers of channels and {len(info.strides)} of strides: state both for every layer"
    )
    assert info.prefix >= 1, f"info.prefix is {info.prefix}: a network without CLS token has the mean as its one"


def frozen(subject: BackboneSubject) -> None:
    """Nothing trains: ``train()`` is inert, no module is in training mode, no parameter or token has gradients."""
    backbone = subject.backbone
    before = parts(subject.tokens())
    backbone.train()
    awake = [name for name, module in backbone.named_modules() if module.training]
    backbone.eval()
    assert not awake, f"train() wakes {awake[:3]}: leave Backbone.train as it is and build the network in eval mode"
    trained = [name for name, parameter in backbone.named_parameters() if parameter.requires_grad]
    assert not trained, f"parameters {trained[:3]} require gradients: use requires_grad_(False)"
    with torch.enable_grad():
        after = parts(subject.tokens())
    assert not any(x.requires_grad for x in after), "tokens require gradients: run the network under torch.no_grad()"
    assert all_equal(before, after), "after train() and eval() the tokens are others"


def weights_hash(subject: BackboneSubject) -> None:
    """``weights_sha256`` is that of all tensors of the network as it is, in every build."""
    first, again = subject.backbone, subject.build()
    assert re.fullmatch(r"[0-9a-f]{64}", first.weights_sha256), f"weights_sha256 {first.weights_sha256!r} is no sha256"
    assert first.weights_sha256 == again.weights_sha256, (
        "two builds have different weights: load a file, or draw random ones from a generator with a fixed seed"
    )
    live = _live_sha256(again)
    assert again.weights_sha256 == live, (
        "weights_sha256 is not the hash of the network's tensors: load the weights before the Backbone is made"
    )
    with torch.no_grad():
        next(again.model.parameters()).add_(1)
    moved = _live_sha256(again)
    assert moved != live, "another weight gives the same hash: the first parameter is not in the state_dict"


def _live_sha256(backbone: Backbone) -> str:
    return tensors_sha256({**backbone.model.state_dict(), **rope_periods(backbone.model)})


def global_state(subject: BackboneSubject) -> None:
    """Building and running a backbone changes nothing in the process, and seeds no random state."""
    states = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        with unchanged_process("the backbone"):
            subject.build().encode(subject.canvases(1), subject.extent(1), subject.every)
        states.append(torch.get_rng_state())
    assert not torch.equal(*states), "building seeds torch's global random state: use a torch.Generator of its own"


def info(subject: BackboneSubject) -> None:
    """Every layer has the channels, grid and prefix tokens that ``info`` announces, at any size and batch."""
    info = subject.backbone.info
    for place in range(len(CELLS)):
        for images in (1, 3):
            tokens, size = subject.tokens(images, place), subject.size(place)
            assert tokens.size == size and len(tokens) == images, f"{images} images of {size} became {tokens.size}"
            for layer in range(info.depth):
                shape = (images, info.channels[layer], *info.grid(size, layer))
                maps = tuple(tokens.maps[layer].shape)
                assert maps == shape, f"layer {layer} of an input of {size} px is {maps}, announced is {shape}"
                prefix, count = tuple(tokens.prefix[layer].shape), (images, info.prefix, info.channels[layer])
                assert prefix == count, f"prefix tokens of layer {layer} are {prefix}, announced are {count}"


def float32(subject: BackboneSubject) -> None:
    """Tokens are finite float32 numbers, whatever the network computes in, and none of its layers is constant."""
    tokens = subject.tokens()
    for what, values in (("map", tokens.maps), ("prefix", tokens.prefix)):
        for layer, value in values.items():
            assert value.dtype == torch.float32, f"the {what} of layer {layer} is {value.dtype}, not float32"
            assert value.isfinite().all(), f"the {what} of layer {layer} is not finite"
    flat = [layer for layer, value in tokens.maps.items() if value[0].std() == 0]
    assert not flat, f"layers {flat} are the same number everywhere: are the weights loaded?"


def deterministic(subject: BackboneSubject) -> None:
    """Two passes, and two builds, give the same tokens bit for bit."""
    first = parts(subject.tokens())
    assert all_equal(first, parts(subject.tokens())), "two passes over the same images differ: is dropout awake?"
    again = subject.build().encode(subject.canvases(), subject.extent(), subject.every)
    assert all_equal(first, parts(again)), "two builds give different tokens: fix the weights"


def items_independent(subject: BackboneSubject) -> None:
    """The tokens of an image do not depend on its neighbours in the batch."""
    batch, canvases, extent = subject.tokens(3, padded=True), subject.canvases(3), subject.extent(3, padded=True)
    for index in range(3):
        alone = subject.backbone.encode(canvases[[index]], extent[[index]], subject.every)
        difference = largest_difference(parts(alone), parts(batch[[index]]))
        assert difference < TOLERANCE, (
            f"image {index} alone and in a batch differ by {difference:.1e}: is a norm using the batch's statistics?"
        )


def padding(subject: BackboneSubject) -> None:
    """Maps are zero where there is no image, ``extent`` says where that is, and bytes that lie there do not matter."""
    canvases, extent, tokens = subject.canvases(), subject.extent(padded=True), subject.tokens(padded=True)
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
    for size in ((height + 1, width), (height, width - 1)):
        fault = (
            f"an input of {size[0]} x {size[1]} px is taken, though cells are {subject.unit} px: "
            "call argus_core.backbones.base.check_grid in forward"
        )
        assert_refused(subject.backbone, torch.zeros(1, 3, *size), subject.every, fault=fault)


def needs(subject: BackboneSubject) -> None:
    """Of layers asked for alone the tokens are the same bit for bit, and nothing else is given."""
    full, depth = subject.tokens(), subject.backbone.info.depth
    for layers in ((0,), (depth - 1,), tuple(sorted({depth // 2, depth - 1}))):
        for needs in (Needs(layers), Needs(layers, maps=False, cls=True), Needs(layers, cls=True)):
            tokens = subject.backbone.encode(subject.canvases(), subject.extent(), needs)
            _check_layers("maps", layers if needs.maps else (), tokens.maps, full.maps)
            _check_layers("prefix tokens", layers if needs.cls else (), tokens.prefix, full.prefix)


def _check_layers(what: str, layers: tuple[int, ...], values: Mapping[int, Tensor], full: Mapping[int, Tensor]) -> None:
    assert tuple(sorted(values)) == layers, f"asked for {what} of layers {layers}, got {sorted(values)}"
    moved = [layer for layer in layers if not torch.equal(values[layer], full[layer])]
    assert not moved, f"{what} of layers {moved} depend on which layers are asked for: one cache serves all heads"


def encode(subject: BackboneSubject) -> None:
    """``encode`` of bytes is ``forward`` of the same pixels, normalised by ``mean`` and ``std``."""
    backbone, canvases = subject.backbone, subject.canvases()
    mean, std = torch.tensor(backbone.mean), torch.tensor(backbone.std)
    images = ((canvases.float() / 255 - mean) / std).permute(0, 3, 1, 2)
    difference = largest_difference(parts(subject.tokens()), parts(backbone(images, subject.every)))
    assert difference < TOLERANCE, f"encode and forward differ by {difference:.1e}: is something normalised twice?"
    fault = "encode takes float images, which it would divide by 255: refuse all but uint8"
    assert_refused(backbone.encode, canvases.float(), subject.extent(), subject.every, fault=fault)
