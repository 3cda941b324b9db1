"""Streaming moments, discriminants and ridge regression, against numpy, against Gaussians and against loops."""

import numpy as np
import pytest
import torch

from argus_core.nn import CELL_PENALTY, Moments, class_logits, discriminant, find_penalty, residual_variance, ridge
from argus_core.nn.closed_form import PENALTIES


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


def test_weights_count_vectors_several_times_and_slices_are_moments_of_some_coordinates():
    x, times = rows(30, 5, 2, 3.0), torch.arange(30) % 4
    weighted, repeated = Moments.of(x, times), Moments.of(x.repeat_interleave(times, dim=0))
    assert weighted.count == repeated.count == times.sum()
    torch.testing.assert_close(weighted.mean, repeated.mean)
    torch.testing.assert_close(weighted.scatter, repeated.scatter)
    part, alone = weighted[1:4], Moments.of(x[:, 1:4], times)
    torch.testing.assert_close((part.mean, part.scatter), (alone.mean, alone.scatter))
    assert Moments.of(x, torch.zeros(30)).count == 0


def left_out(x, y, penalty):
    """Squared error of the regressions that leave one vector out, one after the other."""
    total = 0.0
    for row in range(len(x)):
        kept = torch.arange(len(x)) != row
        weights = ridge(Moments.of(torch.cat([x, y], dim=1)[kept]), x.shape[1], penalty)
        total += float((y[row] - x[row] @ weights[:-1] - weights[-1]).square().sum())
    return total


@pytest.mark.parametrize(("count", "dim"), [(40, 12), (15, 60)])
@pytest.mark.parametrize("noise", [0.05, 2.0])
def test_the_penalty_is_nearly_the_one_that_leaving_out_finds(count, dim, noise):
    x = rows(count, dim, 1)
    y = x[:, :2] + noise * x.std() * rows(count, 2, 7) / rows(count, 2, 7).std()
    found = find_penalty(Moments.of(torch.cat([x, y], dim=1)), dim)
    level = float(x.var(dim=0, correction=0).sum()) * count / min(dim, count - 1)
    errors = [left_out(x, y, float(penalty) * level) for penalty in PENALTIES]
    assert left_out(x, y, found) <= 1.25 * min(errors)


def clusters(count, dim, classes, seed=0, apart=1.0):
    """Vectors and labels of Gaussians with one covariance; their means, and the covariance's root."""
    random = np.random.default_rng(seed)
    means, mix = apart * random.normal(size=(classes, dim)), random.normal(size=(dim, dim)) / dim**0.5 + np.eye(dim)
    labels = torch.from_numpy(random.integers(classes, size=count))
    return torch.from_numpy(means[labels] + random.normal(size=(count, dim)) @ mix), labels, means, mix


def solved(x, labels, classes, rule):
    indicators = torch.nn.functional.one_hot(labels, classes)
    return class_logits(Moments.of(torch.cat([x, indicators], dim=1)), x.shape[1], rule)


def test_discriminants_are_those_of_the_gaussians():
    x, labels, means, mix = clusters(200_000, 5, 4)
    found = solved(x, labels, 4, "lda").numpy()
    weights = np.linalg.solve(mix.T @ mix, means.T)
    biases = -np.einsum("kd,dk->k", means, weights) / 2 + np.log(np.bincount(labels) / len(labels))
    for pair in ([0, 1], [2, 3], [0, 3]):  # only differences of logits mean something
        np.testing.assert_allclose(np.diff(found[:5, pair]), np.diff(weights[:, pair]), rtol=0.05, atol=0.05)
        np.testing.assert_allclose(np.diff(found[5, pair]), np.diff(biases[pair]), rtol=0.05, atol=0.1)


def test_discriminants_are_those_of_the_pooled_scatter_written_out():
    x, labels, *_ = clusters(60, 12, 3, seed=4)
    moments = Moments.of(torch.cat([x, torch.nn.functional.one_hot(labels, 3)], dim=1))
    parts = [Moments.of(x[labels == label]) for label in range(3)]
    penalty, total = find_penalty(moments, 12), moments.scatter[:12, :12]
    within = sum(part.scatter for part in parts) + penalty * torch.eye(12)
    freedom = 60 - 1 - torch.trace(torch.linalg.solve(total + penalty * torch.eye(12), total))
    weights = torch.linalg.solve(within / freedom, torch.stack([part.mean for part in parts], dim=1))
    difference = weights - solved(x, labels, 3, "lda")[:12]
    torch.testing.assert_close(difference, difference[:, :1].expand(-1, 3), atol=1e-8, rtol=1e-8)


@pytest.mark.parametrize("rule", ["ridge", "lda"])
@pytest.mark.parametrize("each", [1, 2])
def test_few_vectors_in_many_dimensions_are_told_apart_like_nearest_means(each, rule):
    x, labels, *_ = clusters(1000, 400, 5, seed=2, apart=0.6)
    few = torch.cat([(labels == label).nonzero()[:each, 0] for label in range(5)])
    found = solved(x[few], labels[few], 5, rule)
    assert found.isfinite().all() and found.abs().max() < 1e3
    centres = torch.stack([x[few][labels[few] == label].mean(0) for label in range(5)])
    nearest = (torch.cdist(x, centres).argmin(1) == labels).double().mean()
    right = ((x @ found[:-1] + found[-1]).argmax(1) == labels).double().mean()
    assert nearest > 0.5 and right > nearest - 0.05


@pytest.mark.parametrize("rule", ["ridge", "lda"])
def test_a_class_without_vectors_is_never_the_most_likely(rule):
    x, labels, *_ = clusters(80, 6, 3, apart=20.0)
    found = solved(x, torch.tensor([0, 1, 3])[labels], 5, rule)
    far = 1e3 * rows(500, 6, 9)
    assert not set((far @ found[:-1] + found[-1]).argmax(1).tolist()) & {2, 4}
    assert (x @ found[:-1] + found[-1]).softmax(1)[:, [2, 4]].max() < 1e-9


@pytest.mark.parametrize("rule", ["ridge", "lda"])
def test_what_does_not_vary_tells_nothing(rule):
    labels = torch.arange(12) % 3 % 2  # eight of class 0 and four of class 1
    found = solved(torch.full((12, 4), 0.1, dtype=torch.float64), labels, 3, rule)
    assert found[-1].argmax() == 0 and not found[:-1].any()
    alone = solved(rows(9, 4), torch.ones(9, dtype=torch.long), 3, rule)
    assert alone.isfinite().all() and ((rows(9, 4, 5) @ alone[:-1] + alone[-1]).argmax(1) == 1).all()
    nothing = class_logits(Moments.none(7), 4, rule)
    assert nothing.isfinite().all() and (nothing == nothing[:, :1]).all()


def test_confidences_of_noise_are_the_shares_of_classes():
    random = np.random.default_rng(0)
    labels = torch.from_numpy((random.random(400) < 0.3).astype(np.int64))
    found = solved(rows(400, 20, 3), labels, 2, "lda")
    assert (rows(400, 20, 3) @ found[:-1] + found[-1]).softmax(1)[:, 1].mean() == pytest.approx(0.3, abs=0.06)


def test_residual_variance_is_the_mean_square_of_residuals():
    x, y = rows(70, 5, 1, 2.0), rows(70, 2, 4)
    moments = Moments.of(torch.cat([x, y], dim=1), torch.full((70,), 3.0))
    weights = ridge(moments, 5, 4.0)
    wanted = (y - x @ weights[:-1] - weights[-1]).square().mean(0)
    torch.testing.assert_close(residual_variance(moments, 5, weights), wanted)


def test_the_scale_of_weights_changes_nothing():
    """Cells of which a single pixel is labelled say as much as whole ones."""
    x, labels, *_ = clusters(50, 8, 3, seed=6)
    rows_of = torch.cat([x, torch.nn.functional.one_hot(labels, 3)], dim=1)
    weight = torch.rand(50, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) + 0.1
    few, many = Moments.of(rows_of, weight / 256), Moments.of(rows_of, weight)
    assert few.vectors == pytest.approx(many.vectors) and 30 < many.vectors < 50
    for rule in ("ridge", "lda"):
        torch.testing.assert_close(class_logits(few, 8, rule), class_logits(many, 8, rule))
    torch.testing.assert_close(ridge(few, 8), ridge(many, 8))


def cells_of_images(images, seed):
    """40 strong and weak inputs, and an output that departs from the strong one in a way of each image's own."""
    generator = torch.Generator().manual_seed(seed)
    strong = torch.randn(images, 200, 1, generator=generator)
    waves = torch.sin(3 * torch.randn(images, 1, 41, generator=generator) * strong)
    inputs = torch.cat([strong, 0.03 * waves[..., :40]], dim=2)
    return inputs.flatten(0, 1), (strong + 0.5 * waves[..., 40:]).flatten(0, 1)


def test_cells_of_few_images_are_not_taken_for_independent():
    x, y = cells_of_images(5, seed=0)
    moments = Moments.of(torch.cat([x, y], dim=1))
    others, truth = (values.double() for values in cells_of_images(50, seed=1))
    errors = []
    for least in (0.0, CELL_PENALTY):
        weights = ridge(moments, 41, find_penalty(moments, 41, least))
        errors.append(float((others @ weights[:-1] + weights[-1] - truth).square().mean()))
    assert errors[1] < 0.5 * errors[0]
