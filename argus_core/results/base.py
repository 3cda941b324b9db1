"""What all results have in common: plain data, a picture, and the image they are about."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from PIL import Image

from argus_core.draw.palette import Pixels as Pixels
from argus_core.results.drawn import Drawn

__all__ = ["Result"]


@dataclass(frozen=True, repr=False)
class Result(Drawn):
    """The answer of one head about one image, RGB bytes (h, w, 3); coordinates are that image's pixels."""

    image: Pixels = field(repr=False)

    def __repr__(self) -> str:
        said = self.summary()
        return f"{type(self).__name__}({said}{'; ' if said else ''}{size_text(self.image)})"

    def summary(self) -> str:
        """What is answered, in a few words; empty where nothing short can be said."""
        return ""

    def headline(self) -> str:
        """What stands over the answer's picture among those of other heads; empty for the head's name alone."""
        return ""

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """The answer as plain JSON values, a few kilobytes: of maps what they say in short."""

    def tile(self, size: tuple[int, int]) -> Pixels:
        """The picture for an image of ``size`` (height, width), its explanation below; may be a little larger."""
        picture = self.plot()
        picture.thumbnail((size[1], size[0]), Image.Resampling.LANCZOS)
        return np.array(picture)


def size_text(image: Pixels) -> str:
    """Height and width of an image."""
    return f"{image.shape[0]}x{image.shape[1]} px"
