"""The bottleneck: nothing passes it by, its code is the best linear one, and it is quantised as it says."""

from itertools import pairwise

import pytest
import torch
from planted_help import COCO, SMALL, VITB, ap50_after, make, scenes, size_of, stirred, tensors, whole

from argus_core.errors import ArgusError
from argus_core.nn import Moments
from argus_core.tokens import FeatureInfo
from argus_heads.experimental.compression import Bottleneck, Compression, principal_components

CHANNELS = 24


def test_the_size_is_the_specified_one_and_the_rate_is_noted():
    head = Compression(VITB, COCO)
    assert size_of(head) == 1_682_618
    assert head.rate == 256 and head.notes() == ["256 bits per token, of 12288 in float16"]
    assert Compression(VITB, COCO, code=4, bits=None).rate == 128


@pytest.mark.parametrize("bits", [None, 4])
def test_what_the_code_cannot_see_changes_nothing(bits):
    head = stirred(make(Compression, width=16, code=8, bits=bits))
    x = torch.randn(2, CHANNELS, 5, 7)
    weight = head.bottleneck.project.weight[:, :, 0, 0]
    unseen = torch.linalg.svd(weight, full_matrices=True).Vh[8:]  # (16, C), W v = 0
    hidden = torch.einsum("bkhw,kc->bchw", torch.randn(2, 16, 5, 7), unseen)
    before, after, other = (tensors(head(whole(each))) for each in (x, x + hidden, torch.randn_like(x)))
    for one, same in zip(before, after, strict=True):
        torch.testing.assert_close(one, same, atol=1e-4, rtol=1e-4)
    assert not torch.allclose(before[0], other[0], atol=1e-2)


def test_the_code_has_the_rank_it_claims():
    bottleneck = stirred(Bottleneck(CHANNELS, 8, None))
    x = torch.randn(1, CHANNELS, 1, 1)
    jacobian = torch.autograd.functional.jacobian(bottleneck, x).reshape(8, CHANNELS)
    assert torch.linalg.matrix_rank(jacobian) == 8


@pytest.mark.parametrize("bits", [1, 2, 5])
def test_the_quantiser_has_few_values_and_is_stable(bits):
    bottleneck = Bottleneck(4, 3, bits)
    bottleneck.deviations.copy_(torch.tensor([0.1, 1.0, 7.0]))
    z = 4 * torch.randn(2, 3, 40, 50) * bottleneck.deviations[:, None, None]
    q = bottleneck.quantise(z)
    for channel, deviation in zip(q.unbind(1), bottleneck.deviations, strict=True):
        values = channel.unique()
        values = values[
            torch.cat([torch.ones(1, dtype=bool), values.diff() > 1e-4 * deviation])
        ]  # equal but for rounding
        assert len(values) == 2**bits and values.abs().max() < 3 * deviation
    torch.testing.assert_close(bottleneck.quantise(q), q)
    reach = 3 * bottleneck.deviations[:, None, None]
    inside = z.abs() <= reach
    assert ((q - z).abs() <= reach / 2**bits * 1.0001)[inside].all()


def test_the_gradient_passes_inside_the_range_and_not_beyond():
    bottleneck = Bottleneck(4, 3, 3)
    z = (2 * torch.randn(2, 3, 9, 9)).requires_grad_()
    bottleneck.quantise(z).sum().backward()
    assert torch.equal(z.grad, (z.abs() <= 3).float()) and not z.grad.all()


def test_one_more_bit_halves_the_error():
    z = torch.randn(1, 3, 200, 200)
    errors = [(Bottleneck(4, 3, bits).quantise(z) - z).square().mean().sqrt() for bits in (2, 3, 4, 5)]
    assert all(1.7 < coarse / fine < 2.1 for coarse, fine in pairwise(errors))


def test_fitting_gives_the_smallest_error_that_a_linear_code_can_have():
    head = make(Compression, width=16, code=6, bits=None)
    batches = [scenes(head, seed=seed) for seed in range(3)]
    random = head.bottleneck.project.weight[:, :, 0, 0].detach().clone()
    head.fit(batches)
    cells = torch.cat([_image_cells(features) for features, _ in batches]).double()
    centred = cells - cells.mean(dim=0)
    values = torch.linalg.svdvals(centred).square() / len(cells)  # the eigenvalues of the covariance
    weight = head.bottleneck.project.weight[:, :, 0, 0].detach().double()
    torch.testing.assert_close(weight @ weight.T, torch.eye(6).double(), atol=1e-6, rtol=0)
    lost = (centred - centred @ weight.T @ weight).square().sum(dim=1).mean()
    torch.testing.assert_close(lost, values[6:].sum(), rtol=1e-5, atol=0)
    assert lost < 0.7 * (centred - centred @ random.double().T @ random.double()).square().sum(dim=1).mean()
    code = head.bottleneck(cells.float().T[None, :, :, None])[0, :, :, 0]
    torch.testing.assert_close(code.mean(dim=1), torch.zeros(6), atol=1e-4, rtol=0)
    torch.testing.assert_close(code.std(dim=1, correction=0), head.bottleneck.deviations, rtol=1e-4, atol=1e-5)


def _image_cells(features):
    """Cut out by hand: cells of 16 pixels that begin within the image."""
    parts = [
        x[:, : -(-int(rows) // 16), : -(-int(cols) // 16)].flatten(1).T
        for x, (rows, cols) in zip(features.map, features.extent, strict=True)
    ]
    return torch.cat(parts)


def test_components_do_not_depend_on_batches_even_far_from_zero():
    rows = 1000 + torch.randn(60, 12)
    moments = [Moments.of(part) for part in rows.split(7)]
    at_once, parts = (principal_components(each, 5) for each in (Moments.of(rows), sum(moments, Moments.none(12))))
    for one, other in zip(at_once, parts, strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-9)
    with pytest.raises(ArgusError, match="gives none"):
        principal_components(Moments.none(12), 5)


def test_a_channel_that_never_varies_does_no_harm():
    head = make(Compression, width=16, code=CHANNELS)
    features, targets = scenes(head)
    head.fit([(whole(torch.ones(1, CHANNELS, 2, 3)), [SMALL.nothing((32, 48))])])
    assert all(term.isfinite() for term in head.loss(head(features), targets).values())


@pytest.mark.parametrize("options", [{"code": 0}, {"code": CHANNELS + 1}, {"bits": 0}, {"bits": 17}])
def test_impossible_codes_are_refused(options):
    with pytest.raises(ArgusError, match="is not between 1 and"):
        Compression(FeatureInfo.vit(CHANNELS), SMALL, **{"code": 4, **options})


def test_planted_objects_are_found_through_few_bits():
    head = make(Compression, width=24, code=4, bits=4)
    head.fit([scenes(head)])
    assert head.rate == 16
    assert ap50_after(head, steps=60) > 0.8
