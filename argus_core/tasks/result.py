"""What all results share: plain data, a picture, and the image they are about."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from argus_core.common.files import write_atomic
from argus_core.draw.palette import Pixels
from argus_core.errors import ArgusError

SAVING = {"quality": 90, "compress_level": 3}
"""Of JPEG and of PNG; other formats take no notice. More compression of PNG gains 8 % and takes three times as long."""


class Drawn(ABC):
    """Something with a picture."""

    @abstractmethod
    def draw(self) -> Pixels:
        """The picture, RGB bytes (h, w, 3)."""

    def plot(self) -> Image.Image:
        """The picture as a PIL image, as notebooks show it."""
        return Image.fromarray(self.draw())

    def save_picture(self, path: str | Path) -> None:
        """Write the picture; the suffix decides the format."""
        target = Path(path)
        kind = Image.registered_extensions().get(target.suffix.lower())
        if kind not in Image.SAVE:
            raise ArgusError(
                f"{target}: pictures are written as .png, .jpg or .webp, not {target.suffix or 'no suffix'!r}"
            )
        write_atomic(target, lambda to: self.plot().save(to, format=kind, **SAVING))

    def _repr_png_(self) -> bytes | None:
        return self.plot()._repr_png_()


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


@dataclass(frozen=True, repr=False)
class PlainResult(Result):
    """``prediction`` is the task's own, in image pixels."""

    prediction: Any

    def summary(self) -> str:
        """The type of the prediction, and the shapes of its fields."""
        told = self.prediction
        parts = {each.name: getattr(told, each.name) for each in fields(told)} if is_dataclass(told) else {"": told}
        shapes = [f"{name} {_brief(value)}".strip() for name, value in parts.items()]
        return f"{type(told).__name__}: {', '.join(shapes)}" if is_dataclass(told) else shapes[0]

    def to_dict(self) -> dict[str, Any]:
        """The fields of the prediction, those of its parts among them; tensors and arrays as lists, nan as None.

        What JSON has no word for is told as text.
        """
        found = _plain(self.prediction)
        return found if is_dataclass(self.prediction) else {"prediction": found}

    def draw(self) -> Pixels:
        """The image as it is: only the task would know how to show its prediction."""
        return self.image


def _brief(value: Any) -> str:
    """A number or a short text as it is; of anything larger its type, and its shape or length."""
    if isinstance(value, Tensor | np.ndarray):
        return f"({', '.join(map(str, value.shape))})" if value.ndim else f"{value.item():.4g}"
    if isinstance(value, Mapping | list | tuple | set):
        return f"{type(value).__name__} of {len(value)}"
    text = repr(value)
    return text if len(text) <= 24 and "\n" not in text else type(value).__name__


def _plain(value: Any) -> Any:
    if isinstance(value, Tensor | np.ndarray | np.generic):
        return _plain(value.tolist())
    if is_dataclass(value):
        return {each.name: _plain(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, str | int) else str(value)
