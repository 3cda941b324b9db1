"""What one stage optimises: the student, an adapter for each teacher and kind of token, and the loss between them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from torch import Tensor, nn

from argus_arena.distill.adapters import Adapter
from argus_arena.distill.losses import Answer, GridRule, as_vectors, cls_loss, common_grid, patch_loss, to_grid
from argus_arena.distill.normalize import Normalizer, Scheme, Statistics, no_statistics
from argus_arena.distill.student import Student

Answers = Mapping[str, Answer]
"""What teachers say of a batch, by name."""


@dataclass(frozen=True)
class Subject:
    """What the objective must know of a teacher: the channels of its tokens, and how much it and its CLS count."""

    channels: int
    weight: float = 1.0
    cls: bool = True


@dataclass(frozen=True)
class Measure:
    """How answers are compared: shares of the patch loss, scheme of the normalisation, and where patches meet."""

    cosine: float = 0.9
    smooth: float = 0.1
    scheme: Scheme = "meanstd"
    grid: GridRule = "smaller"


class Distillation(nn.Module):
    """A student with an adapter and the frozen normalisation of each teacher and token kind.

    ``forward`` and ``loss`` are those of a head, so that the arena's optimiser steps serve both.
    """

    def __init__(self, student: Student, teachers: Mapping[str, Subject], measure: Measure, width: int = 0) -> None:
        super().__init__()
        self.name = "student"
        self.student, self.teachers, self.measure = student, dict(teachers), measure
        inputs = student.channels
        self.adapters = nn.ModuleDict(
            {key: Adapter(inputs, channels, width or inputs) for key, channels in self._kinds().items()}
        )
        self.normalizers = nn.ModuleDict(
            {key: Normalizer(measure.scheme, channels) for key, channels in self._kinds().items()}
        )

    def _kinds(self) -> dict[str, int]:
        """Channels by teacher and kind of token, such as ``lite2 patches``."""
        kinds = {f"{name} patches": teacher.channels for name, teacher in self.teachers.items()}
        return kinds | {f"{name} cls": teacher.channels for name, teacher in self.teachers.items() if teacher.cls}

    def forward(self, images: Tensor) -> Answer:
        """The student's tokens of RGB bytes (B, 3, H, W)."""
        answer: Answer = self.student(images)
        return answer

    def loss(self, answer: Answer, targets: Answers) -> dict[str, Tensor]:
        """Weighted terms such as ``lite2 cls`` and ``lite2 patches`` against what ``aligned`` made of the answers."""
        return {
            key: self.teachers[name].weight * self._term(key, predicted, wanted)
            for name, key, predicted, wanted in self.pairs(answer, targets)
        }

    def pairs(self, answer: Answer, targets: Answers) -> Iterator[tuple[str, str, Tensor, Tensor]]:
        """Teacher, key such as ``lite2 cls``, and what the student predicts and should predict: (..., C)."""
        for name, target in targets.items():
            if answer.cls is not None and target.cls is not None:
                key = f"{name} cls"
                yield name, key, self.adapters[key](answer.cls), target.cls
            if answer.patches is not None and target.patches is not None:
                key, grid = f"{name} patches", (target.patches.shape[2], target.patches.shape[3])
                predicted = self.adapters[key](as_vectors(to_grid(answer.patches, grid)))
                yield name, key, predicted, as_vectors(target.patches)

    def _term(self, key: str, predicted: Tensor, wanted: Tensor) -> Tensor:
        if key.endswith(" cls"):
            return cls_loss(predicted, wanted)
        return patch_loss(predicted, wanted, self.measure.cosine, self.measure.smooth)

    def aligned(self, answers: Answers, student_size: int) -> dict[str, Answer]:
        """Teachers' answers on the grids where they meet those of a student that sees ``student_size`` pixels."""
        here, out = self.student.grid(student_size), {}
        for name, (cls, patches) in answers.items():
            if patches is not None:
                there = (patches.shape[2], patches.shape[3])
                patches = to_grid(patches, common_grid(here, there, self.measure.grid))
            out[name] = Answer(cls if self.teachers[name].cls else None, patches)
        return out

    def normalized(self, answers: Answers) -> dict[str, Answer]:
        """Aligned answers as targets of the loss."""
        return {
            name: Answer(
                None if cls is None else self.normalizers[f"{name} cls"](cls),
                None if patches is None else self._normalized_map(name, patches),
            )
            for name, (cls, patches) in answers.items()
        }

    def _normalized_map(self, name: str, patches: Tensor) -> Tensor:
        vectors = self.normalizers[f"{name} patches"](patches.permute(0, 2, 3, 1))
        return cast(Tensor, vectors.permute(0, 3, 1, 2))

    def no_statistics(self) -> dict[str, Statistics]:
        """Empty statistics by teacher and kind."""
        return {key: no_statistics(self.measure.scheme, channels) for key, channels in self._kinds().items()}

    def freeze(self, statistics: Mapping[str, Statistics]) -> None:
        """Normalise by these statistics from now on."""
        for key, normalizer in self.normalizers.items():
            cast(Normalizer, normalizer).freeze(statistics[key])

    def make_room(self, tensors: Mapping[str, Tensor]) -> None:
        """Saved tensors have the shapes of the recipe."""


def add_statistics(total: Mapping[str, Statistics], answers: Answers) -> dict[str, Statistics]:
    """Statistics with those of one batch of aligned answers."""
    out = dict(total)
    for name, (cls, patches) in answers.items():
        for key, vectors in ((f"{name} cls", cls), (f"{name} patches", patches)):
            if vectors is not None:
                rows = vectors if vectors.ndim == 2 else as_vectors(vectors).flatten(0, 1)
                out[key] = out[key] + type(out[key]).of(rows)  # type: ignore[operator]
    return out


def merged(parts: Sequence[Mapping[str, Statistics]]) -> dict[str, Statistics]:
    """Statistics of several processes, in order of rank."""
    first, *others = parts
    total = dict(first)
    for part in others:
        total = {key: total[key] + part[key] for key in total}  # type: ignore[operator]
    return total
