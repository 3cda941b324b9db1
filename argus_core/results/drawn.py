"""What can be shown as a picture: in notebooks, as a PIL image, as a file."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path

from PIL import Image

from argus_core.draw.palette import Pixels
from argus_core.errors import ArgusError
from argus_core.files import write_atomic

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
