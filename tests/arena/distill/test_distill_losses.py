"""Losses and normalisation of distillation, against definitions and a two-pass oracle."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from argus_arena.distill.hadamard import hadamard
from argus_arena.distill.losses import Answer, cls_loss, common_grid, patch_loss, to_grid
from argus_arena.distill.normalize import Normalizer, Spread
from argus_arena.distill.objective import Distillation, Measure, Subject, add_statistics, merged
from argus_arena.distill.student import Student
from argus_core.backbones.timm_models import build, feature_info
from argus_core.errors import ArgusError
from argus_core.nn import Moments

NORMAL = (0.5, 0.4, 0.3), (0.2, 0.3, 0.25)


def student() -> Student:
    """A narrow EUPE transformer whose parameters are all random, layer scales included."""
    model = build("vit_tiny_patch16_dinov3_qkvb", embed_dim=64, num_heads=1, depth=2)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.2)
    return Student(model, feature_info(model, "student"), *NORMAL)


def pictures(size: int, count: int = 3) -> Tensor:
    generator = torch.Generator().manual_seed(size)
    return torch.randint(256, (count, 3, size, size), generator=generator, dtype=torch.uint8)


@pytest.mark.parametrize("scheme", ["meanstd", "phi_s", "none"])
def test_a_student_that_says_what_the_teacher_says_has_no_loss(scheme):
    """With the identity in place of adapters the prediction is the student's own answer, normalised like the target."""
    net = student()
    objective = Distillation(net, {"same": Subject(64)}, Measure(scheme=scheme))
    for key in objective.adapters:
        objective.adapters[key] = objective.normalizers[key]
    images = pictures(48)
    with torch.no_grad():
        answers = objective.aligned({"same": net(images)}, 48)
        objective.freeze(merged([add_statistics(objective.no_statistics(), answers)]))
        terms = objective.loss(net(images), objective.normalized(answers))
        other = objective.loss(net(pictures(48).flip(1)), objective.normalized(answers))
    assert set(terms) == {"same cls", "same patches"}
    assert max(float(value) for value in terms.values()) < 1e-5
    assert min(float(value) for value in other.values()) > 1e-3


def test_losses_are_their_definitions():
    generator = torch.Generator().manual_seed(1)
    a, b = (torch.randn(5, 7, 16, generator=generator, dtype=torch.float64) for _ in range(2))
    cosine = (a * b).sum(-1) / a.norm(dim=-1) / b.norm(dim=-1)
    away = (a - b).abs()
    smooth = torch.where(away < 1, 0.5 * away**2, away - 0.5).mean()
    torch.testing.assert_close(cls_loss(a, b), (1 - cosine).mean())
    torch.testing.assert_close(patch_loss(a, b), 0.9 * (1 - cosine).mean() + 0.1 * smooth)
    torch.testing.assert_close(cls_loss(a, 5 * b), cls_loss(a, b))


def test_grids_that_do_not_divide_meet_on_the_smaller_one():
    assert common_grid((6, 6), (7, 7), "smaller") == (6, 6)
    assert common_grid((6, 6), (5, 5), "smaller") == (5, 5)
    assert common_grid((6, 6), (7, 7), "teacher") == (7, 7)
    slope = torch.linspace(0, 1, 7).expand(1, 2, 7, 7)
    moved = to_grid(slope, (5, 5))
    assert moved.shape == (1, 2, 5, 5)
    assert (moved.diff(dim=-1) > 0).all() and torch.allclose(moved.mean(), slope.mean(), atol=1e-5)
    net = student()
    objective = Distillation(net, {"odd": Subject(8)}, Measure())
    images, target = pictures(48), Answer(torch.randn(3, 8), torch.randn(3, 8, 7, 7))
    aligned = objective.aligned({"odd": target}, 48)
    assert aligned["odd"].patches is not None and aligned["odd"].patches.shape == (3, 8, 3, 3)
    assert all(value.isfinite() for value in objective.loss(net(images), objective.normalized(aligned)).values())


def test_a_teacher_without_cls_teaches_patches_alone():
    net = student()
    objective = Distillation(net, {"dense": Subject(8, cls=False)}, Measure())
    answers = objective.aligned({"dense": Answer(torch.randn(3, 8), torch.randn(3, 8, 3, 3))}, 48)
    assert answers["dense"].cls is None
    assert set(objective.loss(net(pictures(48)), objective.normalized(answers))) == {"dense patches"}
    assert set(objective.adapters) == {"dense patches"}


def batches() -> list[Tensor]:
    """Batches of unequal length, far from zero, on which sums of squares about zero would cancel."""
    generator = torch.Generator().manual_seed(2)
    turn = torch.randn(12, 12, generator=generator)
    return [torch.randn(n, 12, generator=generator) @ turn + 3000 for n in (1, 50, 7, 200)]


@pytest.mark.parametrize("kind", [Spread, Moments])
def test_streaming_statistics_equal_two_passes(kind):
    parts = batches()
    whole = torch.cat(parts).double()
    total = kind.none(12)
    for part in parts:
        total = total + kind.of(part)
    other = kind.none(12)
    for part in reversed(parts):
        other = kind.of(part) + other
    apart = whole - whole.mean(0)
    oracle = apart.square().sum(0)
    for statistics in (total, other):
        assert statistics.count == len(whole)
        torch.testing.assert_close(statistics.mean, whole.mean(0), rtol=1e-12, atol=0)
        squares = statistics.squares if kind is Spread else statistics.scatter.diagonal()
        torch.testing.assert_close(squares, oracle, rtol=1e-9, atol=0)


def test_normalised_vectors_have_mean_zero_and_variance_one():
    whole = torch.cat(batches()).double()
    for scheme, statistics in (("meanstd", Spread.of(whole)), ("phi_s", Moments.of(whole))):
        normalizer = Normalizer(scheme, 12).double()
        torch.testing.assert_close(normalizer(whole), whole)
        normalizer.freeze(statistics)
        out = normalizer(whole)
        torch.testing.assert_close(out.mean(0), torch.zeros(12, dtype=out.dtype), atol=1e-4, rtol=0)
        torch.testing.assert_close(out.var(0, unbiased=False), torch.ones(12, dtype=out.dtype), atol=1e-4, rtol=1e-4)
    # PHI-S is a rotation and one scale: it keeps angles and relative distances.
    away, moved = torch.cdist(whole, whole), torch.cdist(out, out)
    ratio = (moved / away)[~torch.eye(len(whole), dtype=torch.bool)]
    assert float(ratio.std() / ratio.mean()) < 1e-6


def test_a_coordinate_that_never_varied_counts_nothing():
    x = torch.randn(50, 4)
    x[:, 2] = 7.3
    normalizer = Normalizer("meanstd", 4)
    normalizer.freeze(Spread.of(x))
    assert normalizer(x + 100)[:, 2].abs().max() == 0


@pytest.mark.parametrize("order", [1, 2, 4, 12, 20, 88, 96, 192, 320, 384, 768])
def test_hadamard_matrices_are_orthonormal_and_flat(order):
    matrix = hadamard(order)
    torch.testing.assert_close(matrix @ matrix.T, torch.eye(order, dtype=torch.float64), atol=1e-9, rtol=0)
    torch.testing.assert_close(matrix.abs(), torch.full_like(matrix, order**-0.5))


def test_a_width_without_hadamard_matrix_is_told():
    with pytest.raises(ArgusError, match="order 90"):
        Normalizer("phi_s", 90)


def test_a_student_answers_as_the_backbone_made_of_it():
    from argus_core.backbones.timm_models import wrap
    from argus_core.tokens import Needs

    needs = Needs(layers=(-1,), norm=True, cls=True)
    makes = {
        "vit_tiny_patch16_dinov3_qkvb": {"embed_dim": 64, "num_heads": 1, "depth": 2},
        "convnext_atto": {"depths": (1, 1, 1, 1), "dims": (8, 8, 16, 16)},
        "tf_efficientnet_lite0": {},
    }
    for name, options in makes.items():
        model = build(name, **options)
        torch.manual_seed(0)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(torch.randn_like(parameter) * 0.05)
        learning = Student(model, feature_info(model, name), *NORMAL).eval()
        cls, patches = learning(pictures(64))
        assert cls is not None and patches is not None and cls.requires_grad
        features = wrap(model, name, license="mit", mean=NORMAL[0], std=NORMAL[1])(pictures(64), needs).features(needs)
        torch.testing.assert_close(cls, features.cls[0], atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(patches, features.maps[0], atol=1e-4, rtol=1e-4)
        assert isinstance(learning.model, nn.Module)
