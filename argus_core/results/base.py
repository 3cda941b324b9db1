"""What all results have in common: plain data, a picture, and the image they are about."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from argus_core.files import write_atomic

__all__ = ["Result"]

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Result(ABC):
    """The answer of one head about one image, RGB bytes (h, w, 3); coordinates are that image's pixels."""

    image: Pixels = field(repr=False)

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """The answer as plain JSON values; maps are lists of rows."""

    @abstractmethod
    def draw(self) -> Pixels:
        """The answer as a picture, RGB bytes."""

    def plot(self) -> Image.Image:
        """The picture as a PIL image, as notebooks show it."""
        return Image.fromarray(self.draw())

    def save_picture(self, path: str | Path) -> None:
        """Write the picture; the suffix decides the format."""
        target = Path(path)
        kind = Image.registered_extensions().get(target.suffix.lower(), "PNG")
        write_atomic(target, lambda to: self.plot().save(to, format=kind))

    def _repr_png_(self) -> bytes | None:
        return self.plot()._repr_png_()
