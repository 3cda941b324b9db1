import numpy as np
import pytest
import torch
from argus_ridge import Ridge, _Sums, solve

from argus_core import ArgusError, Classify, FeatureInfo
from argus_core.testing import head_suite

test_head = head_suite("classify.tempered_ridge", options={"pool": True})


def data(count, seed=0):
    rng = np.random.default_rng(seed)
    x, true = rng.normal(2, 1, (count, 7)), rng.normal(0, 1, (7, 3))
    labels = (x @ true + rng.normal(0, 2, (count, 3))).argmax(axis=1)
    return x, np.eye(3)[labels]


def sums(x, y):
    total = _Sums.zeros(7, 3, torch.device("cpu"))
    for part in np.array_split(np.arange(len(x)), 4):
        total.add(torch.from_numpy(x[part]), torch.from_numpy(y[part]))
    return total


def test_the_solution_is_that_of_scikit_learn():
    linear_model = pytest.importorskip("sklearn.linear_model")
    x, y = data(50)
    unit = np.linalg.eigvalsh((x - x.mean(0)).T @ (x - x.mean(0))).mean()
    weight, bias, used = solve(sums(x, y), 0.3)
    reference = linear_model.Ridge(alpha=0.3 * unit).fit(x, y)
    assert used == 0.3
    assert np.allclose(weight.T, reference.coef_) and np.allclose(bias, reference.intercept_)


def test_the_chosen_penalty_is_about_that_of_leaving_one_out():
    x, y = data(30)
    xs = x - x.mean(0)
    unit = np.linalg.eigvalsh(xs.T @ xs).mean()
    used = solve(sums(x, y), 0.0)[2]

    def leave_one_out_error(penalty):
        errors = []
        for i in range(len(x)):
            kept = np.arange(len(x)) != i
            weight, bias, _ = solve(sums(x[kept], y[kept]), penalty * unit / _unit(x[kept]))
            errors.append(((x[i] @ weight.numpy() + bias.numpy() - y[i]) ** 2).sum())
        return np.mean(errors)

    grid = np.logspace(-3, 1, 17)
    assert leave_one_out_error(used) < 1.02 * min(leave_one_out_error(penalty) for penalty in grid)


def _unit(x):
    return np.linalg.eigvalsh((x - x.mean(0)).T @ (x - x.mean(0))).mean()


def test_invalid_options_are_refused():
    info, task = FeatureInfo.vit(8), Classify.small()
    for options, words in (({"penalty": -1}, "penalty=-1"), ({"smoothing": 1}, "smoothing=1")):
        with pytest.raises(ArgusError, match=words):
            Ridge(info, task, **options)
    with pytest.raises(ArgusError, match="none"):
        Ridge(info, task).fit([])
