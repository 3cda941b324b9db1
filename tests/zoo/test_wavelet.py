"""The Haar transform by the laws it must obey and PyWavelets, and the pyramid made of it."""

import pytest
import pywt
import torch
from planted_help import COCO, VITB, ap50_after, make, size_of, stirred

from argus_heads.experimental.wavelet import HaarPyramid, Wavelet, haar, inverse_haar

GRIDS = [(8, 12), (5, 7), (1, 1), (6, 1), (1, 9)]


def test_the_size_is_the_specified_one():
    assert size_of(Wavelet(VITB, COCO)) == 2_687_514


def test_the_transform_is_that_of_pywavelets():
    x = torch.randn(2, 3, 10, 14)
    mean, details = pywt.dwt2(x.numpy(), "haar", mode="periodization", axes=(-2, -1))
    for ours, wanted in zip(haar(x).unbind(1), (mean, *details), strict=True):
        torch.testing.assert_close(ours, torch.from_numpy(wanted), atol=1e-6, rtol=1e-6)
    bands = torch.randn(2, 4, 3, 5, 7)
    mean, *details = (band.numpy() for band in bands.unbind(1))
    wanted = pywt.idwt2((mean, details), "haar", mode="periodization", axes=(-2, -1))
    torch.testing.assert_close(inverse_haar(bands), torch.from_numpy(wanted), atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize(("dtype", "limit"), [(torch.float32, 1e-6), (torch.float64, 1e-12)])
def test_synthesis_undoes_analysis(grid, dtype, limit):
    x = torch.randn(2, 3, *grid, dtype=dtype)
    bands = haar(x)
    assert bands.shape == (2, 4, 3, -(-grid[0] // 2), -(-grid[1] // 2)) and bands.dtype == dtype
    torch.testing.assert_close(inverse_haar(bands, grid), x, atol=limit, rtol=0)


def test_energy_is_kept_and_subbands_are_orthogonal():
    x = torch.randn(2, 3, 8, 12, dtype=torch.float64)
    bands = haar(x)
    torch.testing.assert_close(bands.square().sum(), x.square().sum())
    lifted = [inverse_haar(torch.eye(4, dtype=x.dtype)[k].view(1, 4, 1, 1, 1) * bands) for k in range(4)]
    torch.testing.assert_close(sum(lifted), x)
    products = torch.tensor([[(a * b).sum() for b in lifted] for a in lifted])
    assert (products - products.diag().diag()).abs().max() < 1e-12 < products.diag().min()


@pytest.mark.parametrize("grid", GRIDS)
def test_constants_have_no_details(grid):
    bands = haar(torch.full((1, 2, *grid), 3.0))
    assert (bands[:, 0] == 6).all() and not bands[:, 1:].any()


def test_one_coefficient_is_a_block_of_halves():
    bands = torch.zeros(1, 4, 2, 3, 5)
    bands[0, 0, 1, 2, 3] = 1
    wanted = torch.zeros(1, 2, 6, 10)
    wanted[0, 1, 4:6, 6:8] = 0.5
    assert torch.equal(inverse_haar(bands), wanted)


@pytest.mark.parametrize("grid", [(8, 16), (5, 7), (1, 1)])
def test_the_bands_that_feed_the_coarse_levels_hold_the_whole_map(grid):
    pyramid = stirred(HaarPyramid(12, 8))
    fed = []
    for mix in pyramid.mixes:
        mix.register_forward_pre_hook(lambda _, inputs: fed.append(inputs[0].unflatten(1, (4, 8))))
    levels = pyramid(torch.randn(2, 12, *grid))
    sizes = [tuple(levels[1].shape[2:]), *(tuple(bands.shape[3:]) for bands in fed[:-1])]
    smooth = fed[-1][:, 0]
    for bands, size in zip(reversed(fed), reversed(sizes), strict=True):
        smooth = inverse_haar(torch.cat([smooth[:, None], bands[:, 1:]], dim=1), size)
    torch.testing.assert_close(smooth, levels[1], atol=1e-5, rtol=1e-5)


def test_details_move_coarse_levels_that_means_would_keep():
    pyramid = stirred(HaarPyramid(8, 8))
    pyramid.stem = torch.nn.Identity()
    x = torch.randn(1, 8, 8, 8)
    checks = (torch.arange(8)[:, None] + torch.arange(8)) % 2 * 2.0 - 1  # every 2x2 mean is zero
    before, after = pyramid(x), pyramid(x + checks)
    assert (after[2] - before[2]).abs().max() > 0.1
    torch.testing.assert_close(after[3], before[3], atol=1e-4, rtol=1e-4)  # the finest detail ends there


def test_planted_objects_are_found():
    assert ap50_after(make(Wavelet, width=24), steps=60) > 0.8
