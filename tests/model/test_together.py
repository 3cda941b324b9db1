"""Questions about several images at once: each its own, and shared backbone passes."""

from __future__ import annotations

import numpy as np
import pytest

from argus_core import Argus, load_backbone
from argus_core.model.answerer import Question
from bundle_help import make_argus

QUESTIONS = (
    Question(("masks",)),
    Question(("boxes", "softmax"), {"detect": {"score_thresh": 0.0}, "classify": {"top_k": 2}}, embeddings=True),
    Question(("softmax",), {"classify": {"top_k": 1}}),
    Question(("masks",), embeddings=True),
    Question(("boxes",), {"detect": {"score_thresh": 0.9}}),
)


@pytest.fixture(scope="module")
def argus(tmp_path_factory):
    return make_argus(load_backbone("tiny"), tmp_path_factory.mktemp("text"), ("softmax", "masks", "boxes", "towers"))


@pytest.fixture(scope="module")
def photos():
    random = np.random.default_rng(0)
    sizes = ((61, 140), (90, 50), (1, 1), (140, 61), (64, 64))
    return [random.integers(0, 256, (*size, 3), dtype=np.uint8) for size in sizes]


def numbers(value):
    """All numbers of plain JSON values, in order; texts as they are."""
    if isinstance(value, dict):
        return [item for key, entry in value.items() for item in (key, *numbers(entry))]
    return [item for entry in value for item in numbers(entry)] if isinstance(value, list) else [value]


def passes(argus: Argus, monkeypatch, ask) -> list[int]:
    """How many images each run of the backbone held while ``ask`` ran."""
    sizes = []
    encode = type(argus.backbone).encode
    monkeypatch.setattr(
        type(argus.backbone),
        "encode",
        lambda self, images, *rest: sizes.append(len(images)) or encode(self, images, *rest),
    )
    ask()
    return sizes


def test_every_image_gets_the_answer_it_gets_alone(argus, photos):
    together = argus.answer_each(photos, QUESTIONS)
    for photo, question, answers in zip(photos, QUESTIONS, together, strict=True):
        (alone,) = argus.answer([photo], question.names, question.options, embeddings=question.embeddings)
        assert tuple(answers) == question.names
        for name, answer in answers.items():
            own, other = numbers(answer.to_dict()), numbers(alone[name].to_dict())
            assert len(own) == len(other)
            assert all(
                a == b if isinstance(a, str) else a == pytest.approx(b, abs=2e-3)
                for a, b in zip(own, other, strict=True)
            )


def test_images_on_one_canvas_share_a_pass_whichever_heads_they_are_for(argus, photos, monkeypatch):
    canvases = {argus.canvas_of(name) for question in QUESTIONS for name in question.names}
    asked = sum(len({argus.canvas_of(name) for name in question.names}) for question in QUESTIONS)
    sizes = passes(argus, monkeypatch, lambda: argus.answer_each(photos, QUESTIONS))
    assert len(sizes) == len(canvases)
    assert sum(sizes) == asked


def test_a_pass_holds_no_more_images_than_a_batch(argus, photos, monkeypatch):
    monkeypatch.setattr(argus, "batch", 2)
    sizes = passes(argus, monkeypatch, lambda: argus.answer_each(photos, [Question(("masks",))] * len(photos)))
    assert sizes == [2, 2, 1]
