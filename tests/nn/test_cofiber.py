"""The cofiber decomposition: what its docstrings claim, and that they claim no more."""

from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from argus_core.errors import ArgusError
from argus_core.nn import decompose, synthesize, upsample2

MODES = ("bilinear", "nearest")
examples = settings(max_examples=40, deadline=None, derandomize=True)
side = st.integers(1, 65)


def noise(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def coloured(size, power):
    """Noise with amplitudes falling as 1 / f ** power; power 0 is white."""
    frequency = torch.fft.fftfreq(size, dtype=torch.float64)
    radius = (frequency[:, None] ** 2 + frequency**2).sqrt()
    radius[0, 0] = torch.inf
    return torch.fft.ifft2(torch.fft.fft2(noise(4, 4, size, size)) / radius**power).real


def lifted(x, mode):
    """The bands, all of them on the grid of ``x``."""
    out = []
    for k, band in enumerate(decompose(x, 4, mode)):
        for j in reversed(range(k)):
            band = upsample2(band, tuple(-(-n // 2**j) for n in x.shape[-2:]), mode)
        out.append(band)
    return torch.stack(out)


def gram(x, mode):
    """Cosines between the lifted bands, and their summed energy as a share of that of ``x``."""
    bands = lifted(x, mode).flatten(1)
    energy = bands.square().sum() / x.square().sum()
    bands = F.normalize(bands, dim=1)
    return bands @ bands.T - torch.eye(len(bands), dtype=x.dtype), float(energy)


@examples
@given(side, side, st.integers(1, 6), st.sampled_from(MODES), st.integers(0, 99))
def test_synthesis_inverts_decomposition(height, width, bands, mode, seed):
    for dtype, tolerance in ((torch.float32, 1e-6), (torch.float64, 1e-12)):
        x = noise(2, 3, height, width, seed=seed, dtype=dtype)
        parts = decompose(x, bands, mode)
        assert [p.shape[-2:] for p in parts] == [(-(-height // 2**k), -(-width // 2**k)) for k in range(bands)]
        back = synthesize(parts, mode)
        assert back.dtype == dtype and back.shape == x.shape
        assert (back - x).abs().max() <= tolerance * max(1, x.abs().max())


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float16, 2e-3), (torch.bfloat16, 2e-2)])
def test_half_precision_is_rounded_once_only(dtype, tolerance):
    """With a mean of 50 the details would be lost if the differences were taken in half precision."""
    x = (noise(1, 8, 40, 40) + 50).to(dtype)
    for half, full in zip(decompose(x), decompose(x.float()), strict=True):
        assert torch.equal(half, full.to(dtype))
    x = noise(1, 8, 40, 40).to(dtype)
    assert (synthesize(decompose(x)) - x).abs().max() <= tolerance * x.abs().max()


def test_autocast_changes_nothing():
    x = noise(1, 8, 37, 40, dtype=torch.float32) + 50
    expected = decompose(x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        bands = decompose(x)
        back = synthesize(bands)
    assert all(torch.equal(a, b) for a, b in zip(bands, expected, strict=True))
    assert torch.equal(back, synthesize(expected))


@pytest.mark.parametrize("mode", MODES)
def test_it_is_linear(mode):
    f, g = noise(2, 3, 37, 20), noise(2, 3, 37, 20, seed=1)
    parts = zip(decompose(2 * f - 3 * g, 4, mode), decompose(f, 4, mode), decompose(g, 4, mode), strict=True)
    for both, first, second in parts:
        torch.testing.assert_close(both, 2 * first - 3 * second, atol=1e-12, rtol=0)


@pytest.mark.parametrize("mode", MODES)
def test_four_bands_hold_a_third_more_values(mode):
    assert sum(b.numel() for b in decompose(noise(1, 1, 64, 64), 4, mode)) == 64 * 64 * 85 // 64


@examples
@given(side, side, st.floats(-100, 100), st.sampled_from(MODES))
def test_constants_leave_no_detail(height, width, value, mode):
    *details, rest = decompose(torch.full((1, 1, height, width), value, dtype=torch.float64), 4, mode)
    assert all(d.abs().max() <= 1e-12 * 100 for d in details)
    assert (rest - value).abs().max() <= 1e-12 * 100


@pytest.mark.parametrize("size", [(40, 48), (37, 51), (41, 63), (65, 33)])
def test_ramps_leave_no_detail_in_the_interior(size):
    rows, columns = (torch.arange(n, dtype=torch.float64) for n in size)
    x = (rows[:, None] + 2 * columns)[None, None]
    coarse = F.avg_pool2d(x, 2, ceil_mode=True)
    assert decompose(x, 2)[0][..., 2:-2, 2:-2].abs().max() < 1e-12
    if size[0] % 2:  # what resizing straight to the odd size would have leaked
        assert (x - F.interpolate(coarse, size, mode="bilinear"))[..., 2:-2, 2:-2].abs().max() > 1


def test_the_interior_of_deeper_details_of_a_ramp_is_zero_too():
    x = torch.arange(61, dtype=torch.float64).expand(1, 1, 61, 61)
    for k, detail in enumerate(decompose(x)[:-1]):
        assert detail[..., 3:-3, 3:-3].abs().max() < 1e-12, k
        assert detail.abs().max() > 0.1, "the border effect is gone: mend the docstring"


@pytest.mark.parametrize("mode", MODES)
def test_bands_follow_shifts_of_their_own_spacing_and_no_others(mode):
    x = noise(1, 4, 96, 96)
    for k, (band, moved) in enumerate(zip(decompose(x, 4, mode), decompose(x.roll(8, 3), 4, mode), strict=True)):
        cells, edge = 8 >> k, 16 >> k
        there = band.roll(cells, 3)[..., edge:-edge, edge:-edge]
        assert (there - moved[..., edge:-edge, edge:-edge]).abs().max() < 1e-12
    for k in range(3):  # half of what detail band k needs
        band, moved = (decompose(v, 4, mode)[k][..., 16 >> k : -(16 >> k)] for v in (x, x.roll(2**k, 3)))
        change = (band.roll(1, 3) - moved)[..., 1:].norm() / band.norm()
        assert change > 0.1


@pytest.mark.parametrize("mode", MODES)
def test_mirroring_commutes_only_on_even_widths(mode):
    def gap(width):
        x = noise(1, 4, 24, width)
        mirrored = decompose(x.flip(3), 4, mode)
        pairs = zip(decompose(x, 4, mode), mirrored, strict=True)
        return max(float((a.flip(3) - b).abs().max()) for a, b in pairs)

    assert gap(40) < 1e-12 and gap(48) < 1e-12
    assert gap(20) > 0.1 and gap(37) > 0.1


@pytest.mark.parametrize("power", [0, 1, 2])
def test_nearest_bands_are_orthogonal_and_share_out_the_energy(power):
    for size in (40, 48):
        cosines, energy = gram(coloured(size, power), "nearest")
        assert cosines.abs().max() <= 1e-5
        assert energy == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize(("power", "largest", "energy"), [(0, 0.21, 0.90), (1, 0.47, 0.63), (2, 0.73, 0.65)])
def test_bilinear_bands_are_not(power, largest, energy):
    cosines, share = gram(coloured(48, power), "bilinear")
    assert cosines.max() == pytest.approx(largest, abs=0.08)
    assert share == pytest.approx(energy, abs=0.08)
    assert all(cosines[i, j] > 0.05 for i, j in pairwise(range(4)))


def test_images_and_channels_do_not_meet():
    x = noise(2, 3, 21, 30, dtype=torch.float32)
    other = x.clone()
    other[1, 2] += 1
    for before, after in zip(decompose(x), decompose(other), strict=True):
        assert torch.equal(before[0], after[0]) and torch.equal(before[1, :2], after[1, :2])
        assert not torch.equal(before[1, 2], after[1, 2])


def test_memory_layout_does_not_matter():
    x = noise(2, 6, 21, 30, dtype=torch.float32)
    wide = torch.zeros(2, 6, 42, 30)
    wide[:, :, ::2] = x
    for same in (x.contiguous(memory_format=torch.channels_last), wide[:, :, ::2]):
        for a, b in zip(decompose(x), decompose(same), strict=True):
            torch.testing.assert_close(a, b, atol=1e-6, rtol=0)
        torch.testing.assert_close(synthesize(decompose(same)), x, atol=1e-6, rtol=0)


@pytest.mark.parametrize("mode", MODES)
def test_gradients(mode):
    x = noise(1, 1, 3, 5).requires_grad_()
    assert torch.autograd.gradcheck(lambda v: decompose(v, 3, mode), x)
    bands = [b.detach().requires_grad_() for b in decompose(x, 3, mode)]
    assert torch.autograd.gradcheck(lambda *b: synthesize(b, mode), bands)


def test_upsampling_by_hand():
    x = torch.tensor([[[[0.0, 4.0]]]])
    assert upsample2(x, (1, 3)).tolist() == [[[[0.0, 1.0, 3.0]]]]
    assert upsample2(x, (2, 4), "nearest").tolist() == [[[[0.0, 0.0, 4.0, 4.0]] * 2]]


def test_mistakes_are_named():
    with pytest.raises(ArgusError, match="0 bands"):
        decompose(noise(1, 1, 4, 4), 0)
    with pytest.raises(ArgusError, match=r"'cubic'.*nearest"):
        decompose(noise(1, 1, 4, 4), 2, "cubic")
