"""The three classification heads against their definitions written out."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from argus_core.errors import ArgusError
from argus_core.saving.build import build_head
from argus_core.saving.checkpoint import load_head, save_head
from argus_core.tasks.classify import Classify, ClassTarget
from argus_core.testing import head_suite
from argus_core.tokens import FeatureInfo, Features
from kit_marks import SLOW_GRAPHS

INFO = FeatureInfo.vit(channels=24)
CLASSES = tuple("abcde")

test_gradient_heads_conform = head_suite("classify.linear", "classify.prototypes", "classify.knn", marks=SLOW_GRAPHS)


def features(vectors):
    size = torch.tensor([[32, 32]]).expand(len(vectors), 2)
    return Features((), (vectors,), size, (32, 32))


def targets(labels):
    return [ClassTarget(torch.tensor(int(label))) for label in labels]


@pytest.fixture(scope="module")
def data():
    generator = torch.Generator().manual_seed(0)
    means = torch.randn(5, 24, generator=generator)
    labels = torch.arange(60) % 5
    return means[labels] + torch.randn(60, 24, generator=generator), labels


def head(name, **options):
    return build_head(f"classify.{name}", INFO, Classify(classes=CLASSES), options).eval()


def in_batches(vectors, labels, size):
    return [
        (features(vectors[start : start + size]), targets(labels[start : start + size]))
        for start in range(0, len(vectors), size)
    ]


def test_the_linear_classifier_has_the_published_size():
    made = build_head("classify.linear", FeatureInfo.vit(768), Classify(classes=tuple(map(str, range(1000)))))
    assert sum(p.numel() for p in made.parameters()) == 769_000
    assert not any(p.any() for p in made.parameters())
    assert (made.recipe.lr, *made.recipe.sweep) == (30.0, 10.0, 3.0, 1.0, 0.5)
    assert (made.recipe.optimizer, made.recipe.batch, made.recipe.epochs, made.recipe.clip) == ("sgd", 4096, 100, 0)


def test_the_linear_classifier_ignores_the_length_of_tokens(data):
    made = head("linear")
    torch.nn.init.normal_(made.classify.weight)
    torch.testing.assert_close(made(features(data[0])), made(features(data[0] * 7)))


def test_prototypes_are_cosines_to_class_means(data):
    vectors, labels = data
    made = head("prototypes")
    made.fit(in_batches(vectors, labels, 7))
    unit = F.normalize(vectors, dim=1)
    means = torch.stack([unit[labels == label].mean(0) for label in range(5)])
    expected = F.cosine_similarity(vectors[:, None], means[None], dim=2)
    torch.testing.assert_close(made(features(vectors)), expected, atol=1e-6, rtol=1e-5)
    (first, *_) = made.decode(made(features(vectors)), (32, 32))
    best = expected[0].sort(descending=True).values
    assert first.margin == pytest.approx(float(best[0] - best[1]), abs=1e-6)


def test_a_class_without_images_is_never_chosen(data):
    vectors, labels = data
    made = head("prototypes")
    kept = labels != 2
    made.fit(in_batches(vectors[kept], labels[kept], 10))
    assert made(features(vectors))[:, 2].eq(-1).all()
    assert made.notes() == ["no images of the classes c"]


@pytest.mark.parametrize(("k", "neighbours"), [(1, 1), (10, 200), (20, 20), (7, 33)])
def test_nearest_neighbours_follow_the_protocol(data, k, neighbours):
    vectors, labels = data
    made = head("knn", k=k, neighbours=neighbours)
    made.fit(in_batches(vectors, labels, 13))
    queries = torch.randn(9, 24, generator=torch.Generator().manual_seed(1))
    bank = F.normalize(vectors, dim=1).half().float()
    similarity = (F.normalize(queries, dim=1) @ bank.T).double().numpy()
    expected = np.zeros((9, 5))
    for row, found in zip(expected, similarity, strict=True):
        order = np.argsort(-found, kind="stable")[:neighbours]
        weights = np.exp(found[order] / 0.07)
        weights /= weights.sum()
        for place in range(min(k, len(order))):
            row[int(labels[order[place]])] += weights[place]
    np.testing.assert_allclose(made(features(queries)).numpy(), expected, atol=2e-5)


def test_a_bank_is_saved_and_read_back(data, tmp_path):
    vectors, labels = data
    made = head("knn")
    made.fit(in_batches(vectors, labels, 60))
    save_head(tmp_path / "knn.safetensors", made, {})
    again, _ = load_head(tmp_path / "knn.safetensors")
    assert torch.equal(again(features(vectors)), made(features(vectors)))
    assert again.bank.dtype == torch.float16 and len(again.bank) == 60


@pytest.mark.parametrize("name", ["prototypes", "knn"])
def test_an_unfitted_head_scores_nothing(name, data):
    assert head(name)(features(data[0])).eq(0).all()


@pytest.mark.parametrize("options", [{"k": 0}, {"k": 300}, {"temperature": 0.0}])
def test_numbers_that_make_no_vote_are_refused(options):
    with pytest.raises(ArgusError, match="1 <= k <= neighbours"):
        head("knn", **options)
