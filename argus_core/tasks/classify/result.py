"""The result of a classification: the best classes of an image."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from argus_core.draw import draw_classes
from argus_core.draw.palette import Pixels
from argus_core.draw.panel import resized
from argus_core.errors import counted
from argus_core.tasks.classify.values import Classes
from argus_core.tasks.result import Result


@dataclass(frozen=True, repr=False)
class ClassResult(Result):
    """Scores of all classes; iterating gives the ``top_k`` best as ``{"class_id", "class_name", "score"}``.

    The first entry also carries ``margin``, its score minus the second best.
    """

    prediction: Classes = field(repr=False)
    classes: tuple[str, ...] = field(repr=False)
    top_k: int = 5

    @property
    def entries(self) -> list[dict[str, Any]]:
        """The best classes, best first."""
        entries: list[dict[str, Any]] = [
            {"class_id": label, "class_name": self.classes[label], "score": score}
            for label, score in self.prediction.top(self.top_k)
        ]
        entries[0]["margin"] = self.prediction.margin
        return entries

    @property
    def rows(self) -> list[tuple[str, float]]:
        """Names and scores of the best classes, best first."""
        return [(entry["class_name"], entry["score"]) for entry in self.entries]

    def __len__(self) -> int:
        return len(self.entries)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(self.entries)

    def __getitem__(self, place: int) -> dict[str, Any]:
        return self.entries[place]

    @property
    def class_name(self) -> str:
        """The best class."""
        return str(self.entries[0]["class_name"])

    def summary(self) -> str:
        """The three best classes with their scores, and of how many."""
        best = ", ".join(f"{name} {score:.2f}" for name, score in self.rows[:3])
        return f"{best}; of {counted(len(self.classes), 'class')}"

    def headline(self) -> str:
        """The best class."""
        return self.class_name

    def to_dict(self) -> dict[str, Any]:
        """The best classes with their scores."""
        return {"classes": self.entries}

    def draw(self) -> Pixels:
        """The image with the best classes under it."""
        return draw_classes(self.image, self.rows)

    def tile(self, size: tuple[int, int]) -> Pixels:
        """The same for an image of ``size``."""
        return draw_classes(resized(self.image, size), self.rows)
