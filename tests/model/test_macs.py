"""What multiplies is counted as arithmetic says, whatever the version of torch and whichever kernel runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import timm
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import conv2d, conv_transpose2d, linear, scaled_dot_product_attention
from torchvision.models import get_model, get_model_weights

from argus_core.model.macs import count_macs


def full(*shape: int) -> Tensor:
    return torch.ones(shape)


OPERATORS: dict[str, tuple[Callable[[], Any], int]] = {
    "matrix": (lambda: full(3, 5) @ full(5, 7), 3 * 5 * 7),
    "batches": (lambda: full(2, 4, 3, 5) @ full(4, 5, 7), 2 * 4 * 3 * 5 * 7),
    "vector": (lambda: full(3, 5) @ full(5), 3 * 5),
    "dot": (lambda: full(5) @ full(5), 5),
    "linear": (lambda: linear(full(2, 3, 5), full(7, 5), full(7)), 2 * 3 * 5 * 7),
    "einsum": (lambda: torch.einsum("bnc,bmc->bnm", full(2, 3, 5), full(2, 7, 5)), 2 * 3 * 5 * 7),
    "added": (lambda: torch.baddbmm(full(2, 3, 7), full(2, 3, 5), full(2, 5, 7)), 2 * 3 * 5 * 7),
    "summed": (lambda: torch.addbmm(full(3, 7), full(2, 3, 5), full(2, 5, 7)), 2 * 3 * 5 * 7),
    "added vector": (lambda: torch.addmv(full(3), full(3, 5), full(5)), 3 * 5),
    "in place": (lambda: full(3, 7).addmm_(full(3, 5), full(5, 7)), 3 * 5 * 7),
    "few distances": (lambda: torch.cdist(full(3, 5), full(7, 5)), 3 * 5 * 7),
    "many distances": (lambda: torch.cdist(full(30, 5), full(40, 5)), 30 * 5 * 40),
    "convolution": (lambda: conv2d(full(2, 6, 9, 8), full(4, 3, 3, 3), groups=2), 2 * 4 * 7 * 6 * 3 * 9),
    "same": (lambda: conv2d(full(1, 6, 9, 8), full(4, 6, 3, 3), padding="same"), 4 * 9 * 8 * 6 * 9),
    "transposed": (lambda: conv_transpose2d(full(2, 6, 5, 4), full(6, 3, 2, 2), stride=2), 2 * 6 * 5 * 4 * 3 * 4),
    "sum": (lambda: full(3, 5).sum() + full(3, 5) * 2, 0),
}


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode, torch.enable_grad])
@pytest.mark.parametrize("name", OPERATORS)
def test_operators(name: str, context: Callable[[], Any]) -> None:
    work, macs = OPERATORS[name]
    with context():
        assert count_macs(work)[1] == macs


@pytest.mark.parametrize("kernel", [SDPBackend.MATH, SDPBackend.FLASH_ATTENTION])
@pytest.mark.parametrize("masked", [False, True])
def test_attention_counts_whichever_kernel_runs(kernel: SDPBackend, masked: bool) -> None:
    query, key, value = full(2, 3, 10, 16), full(2, 3, 20, 16), full(2, 3, 20, 16)
    mask = torch.ones(10, 20, dtype=torch.bool) if masked else None
    with sdpa_kernel(kernel):
        assert count_macs(lambda: scaled_dot_product_attention(query, key, value, mask))[1] == 2 * (
            2 * 3 * 10 * 20 * 16
        )


@pytest.mark.parametrize("training", [False, True])
def test_the_transformer_of_torch_counts_in_training_and_in_answering(training: bool) -> None:
    layer = nn.TransformerEncoderLayer(16, 2, 64, dropout=0.0, batch_first=True).train(training)
    fast = torch.backends.mha.get_fastpath_enabled()
    with torch.no_grad():
        result, macs = count_macs(lambda: layer(full(2, 7, 16)))
    assert result.shape == (2, 7, 16) and macs == 2 * (7 * 4 * 16**2 + 2 * 7**2 * 16 + 7 * 2 * 16 * 64)
    assert torch.backends.mha.get_fastpath_enabled() == fast


def test_a_failure_passes_through_and_leaves_torch_as_it_was() -> None:
    with pytest.raises(ZeroDivisionError):
        count_macs(lambda: 1 / 0)
    assert torch.backends.mha.get_fastpath_enabled()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mobilenet_v3_large", "convnext_tiny", "vit_b_16", "swin_t"])
def test_counts_are_those_that_torchvision_publishes(name: str) -> None:
    (published,) = {weights.meta["_ops"] for weights in get_model_weights(name) if weights.meta["_ops"] < 20}
    model = get_model(name).eval()
    with torch.no_grad():
        _, macs = count_macs(lambda: model(full(1, 3, 224, 224)))
    assert round(macs / 1e9, 3) == published


@pytest.mark.slow
def test_a_transformer_at_640_pixels_and_a_convolutional_network_cost_what_arithmetic_says() -> None:
    transformer = timm.create_model("vit_base_patch16_224", img_size=640, num_classes=0).eval()
    tokens, width = 40 * 40 + 1, 768
    blocks = 12 * (12 * tokens * width**2 + 2 * tokens**2 * width)
    with torch.no_grad():
        _, macs = count_macs(lambda: transformer(full(1, 3, 640, 640)))
    assert macs == blocks + 1600 * 768 * width == pytest.approx(184.2e9, rel=1e-3)
    network, filters = timm.create_model("tf_efficientnet_lite0").eval(), []
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            layer.register_forward_hook(lambda layer, _, y: filters.append(y[0, 0].numel() * layer.weight.numel()))
    with torch.no_grad():
        _, macs = count_macs(lambda: network(full(1, 3, 224, 224)))
    assert macs == sum(filters) == 385_187_552  # 0.407 where norms and activations count as well
