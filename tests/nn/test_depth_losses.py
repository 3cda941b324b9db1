"""Losses on log depth: formulas, unknown pixels, warm-up, processes; and bins against plain sums."""

from __future__ import annotations

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from argus_core.nn import BinLogits, SigLoss, SILog, bin_spread, canvas_depth, decode_bins
from argus_core.tokens import cell_mask, repeat_border


def pair(*shape, seed=0, unknown=0.3):
    generator = torch.Generator().manual_seed(seed)
    truth = 0.1 + 9 * torch.rand(shape, generator=generator)
    depth = truth * (0.5 + torch.rand(shape, generator=generator))
    truth[torch.rand(shape, generator=generator) < unknown] = 0
    return depth.requires_grad_(), truth


def settled():
    """SigLoss past its warm-up."""
    return SigLoss(warmup=0)


@pytest.mark.parametrize("focus", [0.0, 0.5, 0.85, 1.0])
def test_silog_is_its_formula(focus):
    depth, truth = pair(2, 7, 5)
    error = depth[truth > 0].double().log() - truth[truth > 0].double().log()
    wanted = (error.square().mean() - focus * error.mean().square()).sqrt()
    assert SILog(focus)(depth, truth).item() == pytest.approx(wanted.item(), rel=1e-5)


def test_a_common_factor_is_free_only_in_full_focus():
    depth, truth = pair(2, 6, 6)
    factor = 1.7
    torch.testing.assert_close(SILog(1)(factor * depth, truth), SILog(1)(depth, truth))
    assert SILog()(factor * depth, truth) > 1.01 * SILog()(depth, truth)


def test_sigloss_is_silog_with_the_unbiased_variance():
    depth, truth = pair(1, 100, 100)
    torch.testing.assert_close(settled()(depth, truth), SILog()(depth, truth), rtol=2e-3, atol=0)


def test_sigloss_settles_the_scale_first_and_counts_in_training_only():
    depth, truth = pair(2, 6, 6)
    criterion = SigLoss(warmup=3)
    criterion.eval()(depth, truth)
    assert criterion.calls == 0
    values = [criterion.train()(depth, truth).item() for _ in range(5)]
    assert values[0] == values[1] == values[2] < values[3] == values[4]
    again = SigLoss(warmup=3)
    again.load_state_dict(criterion.state_dict())
    assert again(depth, truth).item() == values[4]


@pytest.mark.parametrize("make", [SILog, SigLoss, settled])
@pytest.mark.parametrize("known", [0, 1, 2])
def test_hardly_any_known_pixel_gives_finite_loss_and_gradient(make, known):
    depth, truth = pair(2, 3, 3)
    truth = torch.zeros_like(truth)
    truth[1].view(-1)[:known] = 2.0
    loss = make()(depth, truth)
    loss.backward()
    assert loss.isfinite() and depth.grad.isfinite().all()
    assert (depth.grad != 0).sum() <= known and bool(depth.grad.any()) == (known > 0)


@pytest.mark.parametrize("make", [SILog, SigLoss, settled])
def test_a_perfect_answer_costs_nothing_and_stays_finite(make):
    _, truth = pair(2, 5, 5)
    depth = truth.clamp(min=0.5).requires_grad_()
    loss = make()(depth, depth.detach() * (truth > 0))
    loss.backward()
    assert loss < 1e-5 and depth.grad.isfinite().all()


@pytest.mark.parametrize("make", [SILog, SigLoss, settled])
def test_unknown_pixels_do_not_matter(make):
    depth, truth = pair(2, 5, 4)
    other = torch.where(truth > 0, depth, 7.0)
    assert make()(depth, truth) == make()(other, truth)


@pytest.mark.parametrize("make", [SILog, settled])
def test_losses_fall_along_their_gradient(make):
    depth, truth = pair(2, 5, 4)
    criterion = make()
    loss = criterion(depth, truth)
    loss.backward()
    assert criterion(depth - 0.1 * depth.grad, truth) < loss


def _rank(rank, folder):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    depth, truth = pair(4, 5, 6)
    part = slice(0, 1) if rank == 0 else slice(1, 4)
    mine = depth.detach()[part].requires_grad_()
    loss = settled()(mine, truth[part])
    loss.backward()
    torch.save((loss.detach(), mine.grad / 2), f"{folder}/{rank}.pt")  # halved, as DDP averages gradients
    dist.barrier()  # nobody leaves while another still sums
    dist.destroy_process_group()


@pytest.mark.slow
def test_two_processes_are_one_batch(forked, tmp_path):
    mp.start_processes(_rank, (str(tmp_path),), nprocs=2, start_method=forked.get_start_method())
    losses, gradients = zip(*(torch.load(tmp_path / f"{rank}.pt") for rank in range(2)), strict=True)
    depth, truth = pair(4, 5, 6)
    loss = settled()(depth, truth)
    loss.backward()
    assert losses[0] == losses[1]
    torch.testing.assert_close(losses[0], loss.detach(), rtol=1e-6, atol=0)
    torch.testing.assert_close(torch.cat(gradients), depth.grad, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("bins", [1, 2, 256])
def test_bins_are_a_distribution(bins):
    generator = torch.Generator().manual_seed(0)
    logits = 5 * torch.randn(2, bins, 3, 4, generator=generator)
    share = logits.double().relu() + 0.1
    share /= share.sum(1, keepdim=True)
    centres = torch.linspace(0.5, 8, bins, dtype=torch.float64)[:, None, None]
    depth = (share * centres).sum(1)
    spread = ((share * centres**2).sum(1) - depth**2).clamp(min=0).sqrt()
    found = decode_bins(logits, 0.5, 8)
    torch.testing.assert_close(found.double(), depth, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(bin_spread(logits, found, 0.5, 8).double(), spread, rtol=1e-4, atol=1e-4)


def test_bins_are_read_in_float32_under_autocast():
    logits = torch.randn(1, 256, 2, 2, generator=torch.Generator().manual_seed(0))
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(decode_bins(logits, 0.001, 10), decode_bins(logits.float(), 0.001, 10))
    assert torch.equal(decode_bins(logits, 0.001, 10), decode_bins(logits, 0.001, 10))


def test_a_sure_bin_is_its_centre_and_no_bin_at_all_the_middle():
    sure = torch.full((1, 11, 1, 1), -50.0)
    sure[:, 3] = 1e6
    depth = decode_bins(sure, 1, 11)
    assert depth.item() == pytest.approx(4, abs=1e-4) and bin_spread(sure, depth, 1, 11) < 0.01
    none = torch.full((1, 11, 1, 1), -50.0)
    assert decode_bins(none, 1, 11).item() == pytest.approx(6)
    assert bin_spread(none, decode_bins(none, 1, 11), 1, 11).item() == pytest.approx(10**0.5, rel=1e-5)


@pytest.mark.parametrize("stride", [1, 2, 16])
@pytest.mark.parametrize("extent", [(1, 1), (33, 64), (48, 31), (48, 64)])
def test_padding_is_never_mixed_in(stride, extent):
    size = (48, 64)
    grid = tuple(-(-n // stride) for n in size)
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 5, *grid, generator=generator)
    extents = torch.tensor([extent, size])
    inside = cell_mask(extents, stride, grid)
    assert torch.equal(torch.where(inside, repeat_border(logits, stride, extents), 0), logits * inside)
    outputs = [BinLogits(torch.where(inside, logits, junk), stride, extents) for junk in (0, 99)]
    first, second = (canvas_depth(one, 1, 9, size) for one in outputs)
    assert torch.equal(first, second)
    cells = [slice(-(-n // stride)) for n in extent]
    tight = canvas_depth(BinLogits(logits[:1, :, cells[0], cells[1]], stride, extents[:1]), 1, 9, extent)
    torch.testing.assert_close(first[:1, : extent[0], : extent[1]], tight)
