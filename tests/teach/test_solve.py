"""Heads that are solved from lessons: as from all images at once, whatever canvases they lie on."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from argus_core.canvas import Canvas
from argus_core.errors import ArgusError
from argus_core.saving.build import build_head
from argus_core.tasks.classify import Classify
from argus_core.tasks.segment import Segment
from argus_core.teach.crossval import cross_validate, deal
from argus_core.teach.solve import BATCH, Lesson, join_tokens, solve_head
from argus_core.tokens import FeatureInfo, PlacedTokens, Tokens

INFO = FeatureInfo.vit(8, stride=16, depth=2, prefix=1)
KINDS = Classify(classes=("a", "b", "c"))
MASKS = Segment(classes=("x", "y"))


def placed(seed, height=40, width=64, canvas=64):
    """Random tokens of an image of a size on a canvas."""
    generator = torch.Generator().manual_seed(seed)
    placement = Canvas(canvas).place(height, width)
    grid, layers = canvas // 16, range(2)
    tokens = Tokens(
        {layer: torch.randn(1, 8, grid, grid, generator=generator) for layer in layers},
        {layer: torch.randn(1, 1, 8, generator=generator) for layer in layers},
        torch.tensor([placement.extent]),
        (canvas, canvas),
        INFO,
    )
    return PlacedTokens(tokens, [placement])


def class_lessons(labels, shift=0.0):
    """A lesson per label, whose token is the farther from those of others, the larger ``shift`` is."""
    lessons = [Lesson(placed(seed), label) for seed, label in enumerate(labels)]
    for lesson in lessons:
        for prefix in lesson.placed.tokens.prefix.values():
            prefix[..., lesson.truth] += shift
    return lessons


def mask_lessons(count, **size):
    """Masks of two halves; the first channel of a cell tells which."""
    lessons = []
    for seed in range(count):
        one = placed(seed, **size)
        height, width = one.placements[0].image_size
        truth = np.zeros((height, width), dtype=np.uint8)
        truth[:, width // 2 :] = 1
        for cells in one.tokens.maps.values():
            cells[:, 0] = 0.0
            cells[:, 0, :, cells.shape[3] // 2 :] = 3.0
        lessons.append(Lesson(one, truth))
    return lessons


@pytest.mark.parametrize("name", ["classify.prototypes", "classify.ridge", "classify.knn"])
def test_a_head_is_what_its_fit_makes_of_all_images_at_once(name):
    lessons = class_lessons([0, 1, 2] * (BATCH // 2))
    head = solve_head(name, INFO, KINDS, lessons)
    other = build_head(name, INFO, KINDS)
    tokens = join_tokens([lesson.placed.tokens for lesson in lessons])
    other.fit([(tokens.features(other.needs), [lesson.target(KINDS) for lesson in lessons])])
    features = join_tokens([placed(seed).tokens for seed in range(50, 55)]).features(head.needs)
    assert torch.allclose(head(features), other(features), atol=1e-5)
    assert not head.training


def test_lessons_on_canvases_of_several_sizes_teach_together():
    small, large = mask_lessons(3), mask_lessons(2, canvas=96)
    head = solve_head("segment.ridge", INFO, MASKS, [*small, *large, *small])
    metric, count = cross_validate(lambda lessons: head, MASKS, [*small, *large], 5)
    assert count == 5 and metric.compute()["mIoU"] > 0.8


def test_lessons_may_be_computed_anew_for_every_pass():
    class Fresh:
        def __iter__(self):
            return iter(mask_lessons(4))

    head, other = (solve_head("segment.ridge", INFO, MASKS, lessons) for lessons in (Fresh(), mask_lessons(4)))
    assert all(torch.equal(a, b) for a, b in zip(head.state_dict().values(), other.state_dict().values(), strict=True))


def test_an_image_without_annotation_teaches_nothing():
    lessons = mask_lessons(4)
    more = [*lessons, Lesson(placed(99), None)]
    head, other = (solve_head("segment.ridge", INFO, MASKS, each) for each in (lessons, more))
    assert all(torch.allclose(head.state_dict()[key], value) for key, value in other.state_dict().items())
    with pytest.raises(ArgusError, match="only from annotated images"):
        solve_head("classify.prototypes", INFO, KINDS, [Lesson(placed(0), None)])


def test_a_head_that_is_trained_is_refused():
    for name in ("classify.linear", "segment.linear"):
        with pytest.raises(ArgusError, match="is trained, not solved"):
            solve_head(name, INFO, KINDS if name.startswith("classify") else MASKS, [])


def test_joined_tokens_have_the_layers_that_all_have():
    first, second = placed(0).tokens, placed(1).tokens
    less = Tokens({1: second.maps[1]}, {}, second.extent, second.size, INFO)
    joined = join_tokens([first, less])
    assert [*joined.maps] == [1] and not joined.prefix and len(joined) == 2
    assert torch.equal(joined[1:].maps[1], second.maps[1])


def test_each_image_is_held_out_once_and_its_class_stays_known():
    random = np.random.default_rng(0)
    for folds in (2, 3, 5, 10):
        labels = random.integers(0, 6, 40).tolist()
        parts = deal(labels, folds)
        for label, part in zip(labels, parts, strict=True):
            others = [p for other, p in zip(labels, parts, strict=True) if other == label]
            if part is None:
                assert len(others) == 1
            else:
                assert 0 <= part < folds and any(other != part for other in others)
        for label in {*labels}:  # neighbours of a class stay together
            own = [part for other, part in zip(labels, parts, strict=True) if other == label]
            assert own == sorted(own, key=lambda part: -1 if part is None else part)


def test_a_score_is_of_heads_that_have_not_seen_the_image():
    lessons = class_lessons([0, 1, 2] * 4, shift=9.0)
    asked = []

    def solve(chosen):
        chosen = list(chosen)
        asked.append({id(lesson.placed) for lesson in chosen})
        return solve_head("classify.prototypes", INFO, KINDS, chosen)

    metric, count = cross_validate(solve, KINDS, lessons, 4)
    assert count == 12 and metric.compute()["top1"] == 1.0
    everyone = {id(lesson.placed) for lesson in lessons}
    held = [everyone - seen for seen in asked]
    assert len(held) == 4 and set.union(*held) == everyone and sum(map(len, held)) == len(everyone)


def test_labels_that_tokens_do_not_tell_are_scored_as_chance():
    random = np.random.default_rng(5)
    lessons = class_lessons(random.integers(0, 3, 60).tolist())
    metric, _ = cross_validate(lambda chosen: solve_head("classify.knn", INFO, KINDS, chosen), KINDS, lessons, 5)
    assert metric.compute()["top1"] < 0.6  # a head that has seen the image would say its class


def test_the_only_image_of_a_class_is_not_asked_about():
    lessons = class_lessons([0, 0, 1, 1, 2], shift=9.0)
    metric, count = cross_validate(lambda chosen: solve_head("classify.ridge", INFO, KINDS, chosen), KINDS, lessons)
    assert count == 4 and metric.compute()["top1"] == 1.0
    assert cross_validate(lambda chosen: None, KINDS, class_lessons([0, 1]))[1] == 0
