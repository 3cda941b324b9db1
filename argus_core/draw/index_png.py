"""Index masks as files, one label per pixel, that show in colours wherever they are opened."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from argus_core.draw.masks import check_labels
from argus_core.draw.palette import GREY, class_colors
from argus_core.errors import ArgusError
from argus_core.files import write_atomic

NARROW, WIDE = 255, 65535
"""What stands for a pixel without a label, in 8 and in 16 bits; the classes lie below."""


def index_image(labels: Any, classes: int, ignore: int = 255) -> Image.Image:
    """Labels (h, w) of 0..classes - 1 as an image of one channel whose values are the labels.

    Up to 255 classes: 8 bits with the classes' colours as its palette, 255 where the label is ``ignore``. More: 16 bits
    without colours, 65535 where it is ``ignore``. The number of classes decides, whichever are present.
    """
    if not 0 < classes <= WIDE:
        raise ArgusError(f"an index mask holds 1 to {WIDE} classes, not {classes}")
    values = check_labels(labels, classes, ignore)
    if classes > NARROW:
        return Image.fromarray(np.where(values == ignore, WIDE, values).astype(np.uint16))
    image = Image.fromarray(np.where(values == ignore, NARROW, values).astype(np.uint8))
    image.putpalette([*class_colors()[:NARROW].flatten().tolist(), *GREY])  # which makes it one of mode P
    return image


def index_png(labels: Any, classes: int, ignore: int = 255) -> bytes:
    """The bytes of a PNG file of ``index_image``."""
    stream = io.BytesIO()
    index_image(labels, classes, ignore).save(stream, format="PNG")
    return stream.getvalue()


def write_index_png(path: Path, labels: Any, classes: int, ignore: int = 255) -> None:
    """Write ``index_png``, atomically."""
    content = index_png(labels, classes, ignore)
    write_atomic(path, lambda temporary: temporary.write_bytes(content))
