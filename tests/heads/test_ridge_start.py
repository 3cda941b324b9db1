"""Linear heads that start from a ridge regression: they begin with exactly its answers, whatever they held before."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from argus_core.errors import ArgusError
from argus_core.nn import CELL_PENALTY, Moments, bin_shares, class_logits, decode_bins, find_penalty, ridge
from argus_core.saving.build import build_head
from argus_core.tasks.classify import Classify, ClassTarget
from argus_core.tasks.depth import Depth, DepthTarget
from argus_core.tasks.segment import MaskTarget, Segment
from argus_core.testing import head_suite
from argus_core.testing.heads.subject import perturb
from argus_core.tokens import FeatureInfo, Features
from kit_marks import SLOW_GRAPHS

INFO, STRIDE = FeatureInfo.vit(12), 16
EXTENT, SIZE = torch.tensor([[48, 80], [48, 64]]), (48, 80)

test_kit = head_suite("classify.linear", "segment.linear", "depth.linear", options={"init": "ridge"}, marks=SLOW_GRAPHS)


def make(name, task, **options):
    """A head whose parameters are all random."""
    torch.manual_seed(0)
    return perturb(build_head(name, INFO, task, {"init": "ridge", **options}))


def dense(generator):
    """Features of two images on 3 x 5 cells, the second of which ends after four columns."""
    maps = torch.randn(2, 12, 3, 5, generator=generator) * 3 + 1
    maps[1, :, :, 4] = 0
    return Features((maps,), (), EXTENT, SIZE)


def cells(features, pixels):
    """Every cell with its tokens and its pixels, by a loop."""
    for image in range(2):
        for row in range(3):
            for column in range(5):
                patch = pixels[image, row * 16 : row * 16 + 16, column * 16 : column * 16 + 16]
                yield features.map[image, :, row, column], patch.flatten()


def moments(rows, weights):
    return Moments.of(torch.stack(rows), torch.tensor(weights))


def solution(features, weights):
    return torch.einsum("bchw,ck->bkhw", features.map.double(), weights[:-1]) + weights[-1][:, None, None]


def segment_example():
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 3, (2, *SIZE), generator=generator)
    labels[:, :20] = 255
    labels[1, :, 64:] = 255
    return dense(generator), labels


def test_the_segmenter_gives_the_regression_of_shares_through_its_norm():
    features, labels = segment_example()
    head = make("segment.linear", Segment.small())
    head.fit([(features, [MaskTarget(each) for each in labels])])
    rows, weights = [], []
    for token, pixels in cells(features, labels):
        counts = torch.stack([(pixels == label).sum() for label in range(3)])
        if counts.sum():
            rows.append(torch.cat([token, counts / counts.sum()]))
            weights.append(float(counts.sum()) / STRIDE**2)
    wanted = solution(features, class_logits(moments(rows, weights), 12, "ridge", CELL_PENALTY))
    torch.testing.assert_close(head.eval()(features).logits, wanted.float(), rtol=1e-5, atol=1e-5)


def test_training_begins_near_the_solution():
    """Statistics of the whole training split are those of a batch that is all of it, but for the unbiased variance."""
    generator = torch.Generator().manual_seed(0)
    features = Features((torch.randn(8, 12, 6, 6, generator=generator),), (), torch.tensor([[96, 96]] * 8), (96, 96))
    labels = torch.randint(0, 3, (8, 96, 96), generator=generator)
    head = make("segment.linear", Segment.small())
    head.fit([(features, [MaskTarget(each) for each in labels])])
    with torch.no_grad():
        solved, training = head.eval()(features).logits, head.train()(features).logits
    torch.testing.assert_close(training, solved, rtol=0, atol=0.01 * float(solved.std()))


def test_depth_is_the_regression_of_depth_where_no_share_is_negative():
    """Cells of three kinds, each at depths all over the range: shares are means of their kind, so positive."""
    generator = torch.Generator().manual_seed(0)
    task = Depth(low=1.0, high=5.0)
    kind, size = torch.randint(0, 3, (2, 12, 5), generator=generator), (192, 80)
    features = Features((torch.eye(12)[kind].permute(0, 3, 1, 2),), (), torch.tensor([size] * 2), size)
    depth = 1 + 4 * torch.rand(2, 12, 5, generator=generator) ** (1 + 3 * kind)
    head = make("depth.linear", task, bins=4)
    pixels = depth.repeat_interleave(16, 1).repeat_interleave(16, 2)
    head.fit([(features, [DepthTarget(each) for each in pixels])])
    tokens, truth = torch.eye(12)[kind].flatten(0, 2), depth.flatten()
    rows = torch.cat([tokens, bin_shares(truth, 1.0, 5.0, 4)], dim=1)
    penalty = find_penalty(Moments.of(rows, truth**-2), 12, CELL_PENALTY)
    weights = ridge(Moments.of(torch.cat([tokens, truth[:, None]], dim=1), truth**-2), 12, penalty)
    wanted = solution(features, weights)[:, 0].float()
    found = decode_bins(head.eval()(features).logits, 1.0, 5.0)
    torch.testing.assert_close(found, wanted, rtol=2e-4, atol=0)
    assert float(wanted.std()) > 0.1


def test_the_shares_of_bins_have_the_mean_of_the_depth():
    depth = torch.cat([torch.linspace(0.5, 9.5, 37), torch.tensor([0.0, 0.5, 9.5, 20.0])])
    shares = bin_shares(depth, 0.5, 9.5, 10)
    assert (shares >= 0).all() and ((shares > 0).sum(dim=1) <= 2).all()
    torch.testing.assert_close(shares.sum(dim=1), torch.ones(41))
    torch.testing.assert_close(shares @ torch.linspace(0.5, 9.5, 10), depth.clamp(0.5, 9.5))


def test_the_classifier_is_the_regression_of_indicators():
    generator = torch.Generator().manual_seed(0)
    task, tokens = Classify.small(), torch.randn(40, 12, generator=generator)
    labels = tokens[:, :3].argmax(dim=1)
    head = make("classify.linear", task, normalize=False)
    features = Features((), (tokens,), torch.tensor([SIZE] * 40), SIZE)
    head.fit([(features, [ClassTarget(label) for label in labels])])
    found = head.eval()(features).detach().double().numpy()
    x, y = tokens.double().numpy(), np.eye(3)[labels]
    penalty = find_penalty(Moments.of(torch.cat([tokens, torch.eye(3)[labels]], dim=1)), 12)
    apart = x - x.mean(axis=0)
    wanted = apart @ np.linalg.solve(apart.T @ apart + penalty * np.eye(12), apart.T @ (y - y.mean(axis=0))) + y.mean(0)
    scale = (found[:, 0] - found[:, 1]) / (wanted[:, 0] - wanted[:, 1])
    assert scale == pytest.approx(scale.mean(), rel=1e-3) and scale.mean() > 1


@pytest.mark.parametrize(
    ("name", "task", "target", "said"),
    [
        ("segment.linear", Segment.small(), MaskTarget(torch.full(SIZE, 255)), "no pixel"),
        ("depth.linear", Depth.small(), DepthTarget(torch.zeros(SIZE)), "no depth"),
    ],
)
def test_where_nothing_is_annotated_there_is_no_start(name, task, target, said):
    features = dense(torch.Generator().manual_seed(0))
    with pytest.raises(ArgusError, match=said):
        make(name, task).fit([(features, [target, target])])


def test_other_starts_are_not_fitted():
    for name, task in (("classify.linear", Classify.small()), ("segment.linear", Segment.small())):
        assert not build_head(name, INFO, task).fitted and build_head(name, INFO, task, {"init": "ridge"}).fitted
    with pytest.raises(ArgusError, match="init"):
        build_head("depth.linear", INFO, Depth.small(), {"init": "zero"})
