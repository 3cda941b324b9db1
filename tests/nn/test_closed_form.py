"""Streaming moments, the linear discriminant and ridge regression, against numpy and against Gaussians."""

import numpy as np
import pytest
import torch

from argus_core.nn.closed_form import PENALTIES, Moments, discriminant, ridge


def rows(count, dim, seed=0, shift=0.0):
    random = np.random.default_rng(seed)
    return torch.from_numpy(random.normal(size=(count, dim)) @ random.normal(size=(dim, dim)) + shift)


def test_moments_are_numpys_in_any_split_and_order():
    x = rows(200, 6, shift=1e4)  # far from zero, where plain sums of squares cancel
    shards = [Moments.of(part) for part in x.split([1, 0, 57, 90, 52])]
    for order in ([0, 1, 2, 3, 4], [4, 2, 0, 3, 1]):
        total = Moments.none(6)
        for index in order:
            total = total + shards[index]
        assert total.count == 200
        np.testing.assert_allclose(total.mean, x.numpy().mean(0), rtol=1e-12)
        np.testing.assert_allclose(total.scatter / 199, np.cov(x.numpy().T), rtol=1e-9, atol=1e-9)
    left, right = (shards[0] + shards[2]) + shards[3], shards[0] + (shards[2] + shards[3])
    np.testing.assert_allclose(left.scatter, right.scatter, rtol=1e-9, atol=1e-9)
    assert Moments.of(x.half().float()).scatter.dtype == torch.float64


def test_the_discriminant_points_where_least_squares_does():
    positive, negative = rows(40, 5, 1, 0.7), rows(700, 5, 2)
    weight, _ = discriminant(Moments.of(positive), Moments.of(negative), shrinkage=0)
    x = np.concatenate([positive, negative])
    labels = np.r_[np.ones(40), np.zeros(700)]
    line = np.linalg.lstsq(np.c_[x, np.ones(740)], labels, rcond=None)[0][:5]
    cosine = weight.numpy() @ line / np.linalg.norm(line) / weight.norm().item()
    assert cosine == pytest.approx(1, abs=1e-10)


def test_the_sigmoid_is_the_posterior_for_gaussians_of_rare_positives():
    random = np.random.default_rng(0)
    mix = random.normal(size=(8, 8))
    labels = random.random(200_000) < 0.01
    x = torch.from_numpy(random.normal(size=(200_000, 8)) @ mix + labels[:, None] * (2 * mix[0] - mix[3]))
    weight, bias = discriminant(Moments.of(x[labels]), Moments.of(x[~labels]))
    posterior = torch.sigmoid(x @ weight + bias).numpy()
    assert posterior.mean() == pytest.approx(labels.mean(), rel=0.03)
    for low, high in ((0.001, 0.01), (0.01, 0.1), (0.1, 0.3), (0.3, 0.6), (0.6, 1.0)):
        chosen = (posterior >= low) & (posterior < high)
        share, count = labels[chosen].mean(), chosen.sum()
        assert count > 100 and abs(posterior[chosen].mean() - share) < 4 * np.sqrt(share * (1 - share) / count) + 1e-4


def test_shrinkage_makes_a_solution_of_few_vectors():
    weight, bias = discriminant(Moments.of(rows(1, 9, 1)), Moments.of(rows(2, 9, 2)))
    assert weight.isfinite().all() and bias.isfinite()
    flat = discriminant(Moments.of(torch.zeros(3, 4)), Moments.of(torch.zeros(5, 4)))
    assert not flat[0].any() and flat[1].exp().item() == pytest.approx(3 / 5)


def test_ridge_is_least_squares_on_the_augmented_system():
    x, y = rows(50, 7, 3, 5.0), rows(50, 2, 4, -3.0)
    moments = Moments.of(x[:20].new_tensor(np.c_[x, y][:20])) + Moments.of(x.new_tensor(np.c_[x, y][20:]))
    centred = x - x.mean(0)
    for penalty in (0.0, 0.3, 40.0):
        found = ridge(moments, 7, penalty).numpy()
        system = np.r_[centred, np.sqrt(penalty) * np.eye(7)]  # the intercept is not penalised
        wanted = np.linalg.lstsq(system, np.r_[y - y.mean(0), np.zeros((7, 2))], rcond=None)[0]
        np.testing.assert_allclose(found[:7], wanted, atol=1e-8)
        np.testing.assert_allclose(found[7], y.mean(0).numpy() - x.mean(0).numpy() @ wanted, atol=1e-8)


@pytest.mark.parametrize("noise", [0.01, 3.0])
def test_cross_validation_chooses_what_leaving_out_would(noise):
    random = np.random.default_rng(5)
    x = random.normal(size=(60, 20))
    y = x @ random.normal(size=(20, 1)) * 0.3 + noise * random.normal(size=(60, 1))
    moments = Moments.of(torch.from_numpy(np.c_[x, y]))
    spectrum = torch.linalg.eigvalsh(moments.scatter[:20, :20])
    scores = []
    for penalty in (PENALTIES * spectrum.mean()).tolist():
        centred = x - x.mean(0)
        smoother = centred @ np.linalg.solve(centred.T @ centred + penalty * np.eye(20), centred.T) + 1 / 60
        scores.append(np.sum((y - smoother @ y) ** 2) / (60 - np.trace(smoother)) ** 2)
    best = float(PENALTIES[int(np.argmin(scores))] * spectrum.mean())
    torch.testing.assert_close(ridge(moments, 20), ridge(moments, 20, best))


@pytest.mark.parametrize("count", [0, 1, 2])
def test_ridge_of_hardly_anything(count):
    xy = rows(3, 6, 1)[:count]
    found = ridge(Moments.of(xy) + Moments.none(6), 4)
    assert found.shape == (5, 2) and found.isfinite().all()
    if count:
        ones = torch.cat([xy[:, :4], torch.ones(count, 1)], dim=1)
        torch.testing.assert_close((ones @ found).mean(0), xy[:, 4:].mean(0))
    else:
        assert not found.any()
