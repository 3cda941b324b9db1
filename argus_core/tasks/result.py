"""What all results share: plain data, a picture, the image they are about, and the way to `supervision`."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image
from torch import Tensor

from argus_core.common.files import write_atomic
from argus_core.draw.palette import Pixels
from argus_core.errors import ArgusError

if TYPE_CHECKING:
    import supervision

Vectors: TypeAlias = "npt.NDArray[np.float32]"
"""One vector (C,), or one for each object (N, C)."""
SAVING = {"quality": 90, "compress_level": 3}
"""For JPEG and for PNG; other formats ignore both. More compression of PNG gains 8 % and takes three times as long."""


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
    """The answer of one head about one image, RGB bytes (h, w, 3); coordinates are that image's pixels.

    ``embedding`` (C,) is the vector of the whole image, of length 1, if embeddings were asked for.
    """

    image: Pixels = field(repr=False)
    embedding: Vectors | None = field(default=None, repr=False, kw_only=True)

    def __repr__(self) -> str:
        parts = [self.summary(), size_text(self.image)]
        return f"{type(self).__name__}({'; '.join(filter(None, parts))})"

    def summary(self) -> str:
        """The answer in a few words; empty where it cannot be said in short."""
        return ""

    def headline(self) -> str:
        """The title of the picture among those of other heads; empty for the head's name alone."""
        return ""

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """The answer as plain JSON values of a few kilobytes: maps are summarised."""

    def tile(self, size: tuple[int, int]) -> Pixels:
        """The picture for an image of ``size`` (height, width), its explanation below; may be a little larger."""
        picture = self.plot()
        picture.thumbnail((size[1], size[0]), Image.Resampling.LANCZOS)
        return np.array(picture)


def rounded(vectors: Vectors) -> list[Any]:
    """Vectors of length 1 as plain numbers of five decimals, which leave their cosines four."""
    return vectors.astype(np.float64).round(5).tolist()


def size_text(image: Pixels) -> str:
    """Height and width of an image."""
    return f"{image.shape[0]}x{image.shape[1]} px"


@dataclass(frozen=True, repr=False)
class PlainResult(Result):
    """``prediction`` is the task's own, in image pixels."""

    prediction: Any

    def summary(self) -> str:
        """The type of the prediction, and the shapes of its fields."""
        if not is_dataclass(self.prediction):
            return _brief(self.prediction)
        shapes = [f"{field.name} {_brief(getattr(self.prediction, field.name))}" for field in fields(self.prediction)]
        return f"{type(self.prediction).__name__}: {', '.join(shapes)}"

    def to_dict(self) -> dict[str, Any]:
        """The fields of the prediction, nested ones included; tensors and arrays as lists, nan as None.

        Values of any other type are given as text.
        """
        plain = _plain(self.prediction)
        return plain if is_dataclass(self.prediction) else {"prediction": plain}

    def draw(self) -> Pixels:
        """The image as it is: only the task itself knows how to show its prediction."""
        return self.image


def _brief(value: Any) -> str:
    """A number or a short text as it is; for anything larger its type, and its shape or length."""
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
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, str | int) else str(value)


def as_supervision(
    boxes: npt.NDArray[Any],
    scores: Sequence[float],
    labels: Sequence[int],
    classes: Sequence[str],
    masks: npt.NDArray[np.bool_] | None = None,
) -> supervision.Detections:
    """Boxes (N, 4) x1, y1, x2, y2 and masks (N, h, w) as ``supervision.Detections``; names are ``class_name``."""
    try:
        import supervision
    except ImportError as error:
        raise ArgusError("to_supervision needs its package: pip install 'argus-perception[supervision]'") from error
    return supervision.Detections(
        xyxy=boxes.reshape(-1, 4).astype(np.float32),
        mask=masks,
        confidence=np.array(scores, dtype=np.float32),
        class_id=np.array(labels, dtype=np.int64),
        data={"class_name": np.array([classes[label] for label in labels], dtype=str)},
    )
