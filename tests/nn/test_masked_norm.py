"""Batch normalisation that looks at cells with image only, against torch's own on those cells alone."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import nn

from argus_core.nn import MaskedBatchNorm2d

CHANNELS = 6


def stirred(cls, seed=0, **options):
    norm = cls(CHANNELS, **options)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for tensor in (norm.weight, norm.bias, norm.running_mean):
            tensor.copy_(torch.randn(CHANNELS, generator=generator))
        norm.running_var.copy_(torch.rand(CHANNELS, generator=generator) + 0.5)
    return norm


def maps(images=3, size=(5, 7), seed=1):
    """Channels of different offset and spread, and a mask with an empty image among them."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(images, CHANNELS, *size, generator=generator) * 3 + torch.arange(CHANNELS)[:, None, None] * 20
    mask = torch.zeros(images, 1, *size, dtype=torch.bool)
    mask[0, :, :3, :4] = mask[-1, :, :, :2] = True
    return x, mask


def on_valid_cells(norm, x, mask):
    """torch's batch normalisation of the cells that count, as rows."""
    rows = x.movedim(1, -1)[mask[:, 0]]
    return nn.functional.batch_norm(
        rows, norm.running_mean, norm.running_var, norm.weight, norm.bias, training=True, momentum=norm.momentum
    )


@pytest.mark.parametrize("momentum", [0.1, None])
def test_without_padding_it_is_batch_norm(momentum):
    ours, torchs = stirred(MaskedBatchNorm2d, momentum=momentum), stirred(nn.BatchNorm2d, momentum=momentum)
    for seed in range(3):
        x, mask = maps(seed=seed)
        mine, theirs = x.clone().requires_grad_(), x.clone().requires_grad_()
        a, b = ours(mine, torch.ones_like(mask)), torchs(theirs)
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5)
        weight = torch.randn(x.shape, generator=torch.Generator().manual_seed(seed))
        (a * weight).sum().backward()
        (b * weight).sum().backward()
        torch.testing.assert_close(mine.grad, theirs.grad, atol=1e-5, rtol=1e-4)
    for key, value in torchs.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[key], value, atol=1e-5, rtol=1e-5)
    for key in ("weight", "bias"):
        torch.testing.assert_close(getattr(ours, key).grad, getattr(torchs, key).grad, atol=1e-3, rtol=1e-4)


def test_padding_changes_nothing():
    x, mask = maps()
    ours, reference = stirred(MaskedBatchNorm2d), stirred(MaskedBatchNorm2d)
    outputs = [norm(torch.where(mask, x, fill), mask) for norm, fill in ((ours, 0.0), (reference, 1e4))]
    assert torch.equal(outputs[0].masked_select(mask), outputs[1].masked_select(mask))
    assert torch.equal(ours.running_var, reference.running_var)
    plain = stirred(nn.BatchNorm2d)
    torch.testing.assert_close(
        outputs[0].movedim(1, -1)[mask[:, 0]], on_valid_cells(plain, x, mask), atol=1e-5, rtol=1e-5
    )
    torch.testing.assert_close(ours.running_mean, plain.running_mean, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(ours.running_var, plain.running_var, atol=1e-5, rtol=1e-5)


def test_evaluation_is_plain_and_needs_no_mask_to_agree():
    x, mask = maps()
    ours, torchs = stirred(MaskedBatchNorm2d).eval(), stirred(nn.BatchNorm2d).eval()
    assert torch.equal(ours(x, mask), torchs(x))
    assert ours.num_batches_tracked == 0


@pytest.mark.parametrize("cells", [0, 1])
def test_a_batch_without_statistics_uses_the_running_ones(cells):
    x, mask = maps()
    mask.zero_().view(-1)[:cells] = True
    ours = stirred(MaskedBatchNorm2d)
    output = ours(x.requires_grad_(), mask)
    output.square().sum().backward()
    torch.testing.assert_close(output, ours.eval()(x, mask))
    assert output.isfinite().all() and ours.weight.grad.isfinite().all() and x.grad.isfinite().all()
    assert ours.num_batches_tracked == 0


def test_state_fits_batch_norm_and_back():
    ours = stirred(MaskedBatchNorm2d)
    nn.BatchNorm2d(CHANNELS).load_state_dict(ours.state_dict())
    ours.load_state_dict(nn.BatchNorm2d(CHANNELS).state_dict())


def test_half_precision_is_normalised_in_full():
    x, mask = maps()
    wide = stirred(MaskedBatchNorm2d)(x.bfloat16().float(), mask)
    with torch.autocast("cpu", torch.bfloat16):
        narrow = stirred(MaskedBatchNorm2d)(x.bfloat16(), mask)
    assert narrow.dtype == torch.float32 and torch.equal(narrow, wide)


def _rank(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    x, mask = maps(images=4)
    norm = stirred(MaskedBatchNorm2d)
    own = x[rank::2].clone().requires_grad_()
    output = norm(own, mask[rank::2])
    (output * mask[rank::2]).pow(3).sum().backward()
    torch.save([output.detach(), own.grad, norm.running_mean, norm.running_var], Path(folder, f"{rank}.pt"))
    dist.destroy_process_group()


@pytest.mark.slow
def test_two_processes_are_one_batch(forked, tmp_path):
    mp.start_processes(_rank, (str(tmp_path),), nprocs=2, start_method=forked.get_start_method())
    x, mask = maps(images=4)
    norm = stirred(MaskedBatchNorm2d)
    whole = x.clone().requires_grad_()
    output = norm(whole, mask)
    (output * mask).pow(3).sum().backward()
    for rank in range(2):
        expected = [output.detach()[rank::2], whole.grad[rank::2], norm.running_mean, norm.running_var]
        for found, wanted in zip(torch.load(tmp_path / f"{rank}.pt"), expected, strict=True):
            torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-4)
