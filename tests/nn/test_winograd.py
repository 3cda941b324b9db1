"""Convolutions by squares, against the definition in float64, and where they must not be used."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from argus_core import Depth, Detect, build_head
from argus_core.model.macs import count_macs
from argus_core.nn.winograd import CELLS, CHANNELS, Conv3x3, convolve, direct_convolutions
from argus_core.testing.heads.subject import float_tensors
from argus_core.tokens import FeatureInfo, Features

SIZES = [(32, 32), (33, 47), (34, 41), (35, 30), (1, 1), (3, 200)]


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def random_convolution(channels: int = CHANNELS, width: int = CHANNELS) -> Conv3x3:
    conv = Conv3x3(channels, width)
    with torch.no_grad():
        conv.weight.copy_(drawn(*conv.weight.shape) / (3 * channels**0.5))
        assert conv.bias is not None
        conv.bias.copy_(drawn(width, seed=1))
    return conv


def definition(conv: Conv3x3, x: Tensor) -> Tensor:
    assert conv.bias is not None
    return F.conv2d(x.double(), conv.weight.double(), conv.bias.double(), padding=1)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("order", [torch.contiguous_format, torch.channels_last])
@torch.no_grad()
def test_outputs_are_those_of_the_definition(size, order) -> None:
    conv = random_convolution(96, 80)
    x = (10 + drawn(2, 96, *size)).to(memory_format=order)  # a mean far from zero, as of features
    wanted, found = definition(conv, x), convolve(x, conv.weight, conv.bias)
    assert found.shape == wanted.shape
    assert (found - wanted).abs().max() < 1e-5 * wanted.abs().max()


@torch.no_grad()
def test_every_place_of_the_kernel_is_its_own() -> None:
    """A single 1 in the input gives the kernel, turned over, around it: at corners and across squares."""
    conv = random_convolution(1, 1)
    for place in ((0, 0), (0, 9), (9, 9), (3, 4), (4, 3), (7, 8)):
        x = torch.zeros(1, 1, 10, 10)
        x[0, 0, place[0], place[1]] = 1
        found = convolve(x, conv.weight, conv.bias)
        torch.testing.assert_close(found.double(), definition(conv, x), atol=1e-6, rtol=0)


@torch.no_grad()
def test_images_of_a_batch_do_not_meet() -> None:
    conv, x = random_convolution(), drawn(3, CHANNELS, 37, 33)
    together = conv(x)
    for image, alone in zip(x, together, strict=True):
        torch.testing.assert_close(conv(image[None])[0], alone, atol=1e-6, rtol=1e-6)


def direct(conv: Conv3x3, x: Tensor) -> Tensor:
    return nn.Conv2d.forward(conv, x)


@torch.no_grad()
def test_large_maps_take_fewer_products_and_small_ones_are_sums() -> None:
    conv, side = random_convolution(), int(CELLS**0.5)
    large, small = drawn(1, CHANNELS, side, side), drawn(1, CHANNELS, side - 1, side)
    assert torch.equal(conv(large), convolve(large, conv.weight, conv.bias))
    assert not torch.equal(conv(large), direct(conv, large))
    assert torch.equal(conv(small), direct(conv, small))
    with direct_convolutions():
        assert torch.equal(conv(large), direct(conv, large))


def test_whoever_learns_gets_sums_and_their_gradients() -> None:
    conv, x = random_convolution(), drawn(1, CHANNELS, 32, 32).requires_grad_()
    assert torch.equal(conv(x), direct(conv, x))
    gradients = torch.autograd.grad(conv(x).square().sum(), [x, *conv.parameters()])
    wanted = torch.autograd.grad(definition(conv, x).square().sum(), [x, *conv.parameters()])
    for found, other in zip(gradients, wanted, strict=True):
        torch.testing.assert_close(found, other, atol=1e-3, rtol=1e-4)


@torch.no_grad()
def test_other_numbers_and_graphs_keep_the_plain_convolution() -> None:
    conv, x = random_convolution(), drawn(2, CHANNELS, 32, 32)
    with torch.autocast("cpu", torch.bfloat16):
        assert conv(x).dtype == torch.bfloat16
    assert torch.equal(conv.double()(x.double()), definition(conv, x))
    axes = {name: torch.export.Dim(name, min=9) for name in ("rows", "columns")}
    shapes = ({2: axes["rows"], 3: axes["columns"]},)
    program = torch.export.export(conv.float(), (x,), dynamic_shapes=shapes, strict=False)
    assert "conv2d" in str(program.graph) and "bmm" not in str(program.graph)


@torch.no_grad()
def test_multiply_accumulates_are_those_of_the_definition() -> None:
    conv = random_convolution()
    assert count_macs(lambda: conv(drawn(1, CHANNELS, 40, 32)))[1] == 9 * CHANNELS**2 * 40 * 32


@pytest.mark.parametrize("name", ["detect.split_tower", "detect.slim_fcos", "depth.dpt"])
@torch.no_grad()
def test_whole_heads_answer_as_by_sums(name) -> None:
    """Within 1e-5 of the largest output, through all layers; on average within 1e-5 of their deviation."""
    torch.manual_seed(0)
    task = Depth() if name.startswith("depth") else Detect(classes=("one", "two", "three"))
    head = build_head(name, FeatureInfo.vit(64), task, {"width": 64}).eval()
    for weight in head.parameters():
        weight += 0.1 * torch.randn_like(weight) * weight.abs().mean().clamp(min=0.02)
    maps = tuple(torch.randn(1, 64, 17, 16) for _ in head.needs.layers)
    features = Features(maps, (), torch.tensor([[260, 250]]), (272, 256))
    ours = float_tensors(head(features))
    with direct_convolutions():
        sums = float_tensors(head(features))
    assert any(not torch.equal(one, other) for one, other in zip(ours, sums, strict=True))
    for one, other in zip(ours, sums, strict=True):
        apart = one - other
        assert apart.abs().max() <= 1e-5 * other.abs().max()
        assert apart.numel() < 2 or apart.std() <= 1e-5 * other.std()
