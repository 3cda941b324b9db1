"""Index masks in colours over their image, and as palette files that show in colours wherever they are opened."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from argus_core.common.files import write_atomic
from argus_core.draw.inputs import as_array, blend, checked, grey
from argus_core.draw.legend import Entry, legend
from argus_core.draw.palette import COLORS, GREY, WHITE, Pixels, class_color, class_colors
from argus_core.draw.panel import attach, enlarged, lies, resized_map
from argus_core.draw.text import font_for
from argus_core.errors import ArgusError

OPACITY = 0.55
LINE = 150
"""How opaque the white lines between classes are, of 255."""


def draw_mask(
    image: Pixels,
    labels: Any,
    classes: Sequence[str],
    ignore: int = 255,
    opacity: float = OPACITY,
    below: bool | None = None,
) -> Pixels:
    """``paint_mask`` with a legend ``below`` or beside it, by default below a wide picture.

    It tells the classes present and their shares, the largest first; pixels without a label last. Small images are
    enlarged by a whole number.
    """
    values = _fitting(image, labels, len(classes), ignore)
    big, _ = enlarged(image)
    size = (big.shape[0], big.shape[1])
    picture = paint_mask(big, resized_map(values, size), len(classes), ignore, opacity)
    entries = [
        Entry(GREY if label < 0 else class_color(label), "none" if label < 0 else classes[label], _percent(share))
        for label, share in shares(values, ignore)
    ]
    under, face = lies(size) if below is None else below, font_for(size)
    return attach(picture, legend(entries, size[under], face, under), face.size / 2, under)


def paint_mask(image: Pixels, labels: Any, classes: int, ignore: int = 255, opacity: float = OPACITY) -> Pixels:
    """A copy of an RGB image (h, w, 3) under the colours of the classes of its pixels (h, w), with light borders.

    Pixels of the index ``ignore`` keep the image's brightness but lose its colours. Raises ArgusError where labels and
    image do not have one size and for labels that are no class.
    """
    values = _fitting(image, labels, classes, ignore)
    unlabelled = values == ignore
    # The image's own colours would mix with those of the classes, which then match no entry of the legend.
    pale = np.asarray(Image.blend(Image.fromarray(image), Image.fromarray(grey(image)), math.sqrt(opacity)))
    picture = blend(pale, class_colors()[values % COLORS], opacity)
    picture.paste(Image.fromarray(grey(image)), (0, 0), Image.fromarray(unlabelled.astype(np.uint8) * 255))
    picture.paste(WHITE, (0, 0), _borders(values))
    return np.array(picture)


def _fitting(image: Pixels, labels: Any, classes: int, ignore: int) -> npt.NDArray[np.int64]:
    """The labels of an image's pixels."""
    values = check_labels(labels, classes, ignore)
    if values.shape != checked(image).shape[:2]:
        sizes = [f"{one[0]}x{one[1]}" for one in (values.shape, image.shape)]
        raise ArgusError("the mask is {} (height x width), the image {}: they must be the same".format(*sizes))
    return values


def check_labels(labels: Any, classes: int, ignore: int) -> npt.NDArray[np.int64]:
    """Labels (h, w) as they are; raises ArgusError if one is neither ``ignore`` nor one of 0..classes - 1."""
    values = as_array(labels)
    if values.ndim != 2 or not values.size or values.dtype.kind not in "ui":
        raise ArgusError(f"a mask is an integer array (h, w), not {values.dtype} {values.shape}")
    if 0 <= ignore < classes:
        raise ArgusError(f"ignore={ignore} is the index of one of {classes} classes; choose another")
    values = values.astype(np.int64)
    wrong = values[(values != ignore) & ((values < 0) | (values >= classes))]
    if len(wrong):
        raise ArgusError(f"label {wrong[0]} ({len(wrong)} pixels) is none of 0..{classes - 1} and not {ignore}")
    return values


def shares(labels: Any, ignore: int = 255) -> list[tuple[int, float]]:
    """The labels present and their shares of all pixels, largest first; -1 stands for ``ignore`` and comes last."""
    values = as_array(labels)
    known = np.bincount(values[values != ignore].astype(np.int64))
    rows = [(int(label), known[label] / values.size) for label in np.flatnonzero(known)]
    rest = values.size - int(known.sum())
    return sorted(rows, key=lambda row: (-row[1], row[0])) + [(-1, rest / values.size)] * (rest > 0)


def _percent(share: float) -> str:
    return "< 0.1 %" if share < 0.0005 else f"{100 * share:.1f} %"


def _borders(labels: npt.NDArray[np.int64]) -> Image.Image:
    """A paste mask of where one class meets another: a line as wide as suits the size, none on thumbnails."""
    line, width = np.zeros(labels.shape, dtype=np.uint8), round(math.sqrt(labels.size) / 400)
    for lines, rows in ((line, labels), (line.T, labels.T)) if width else ():
        half, n = width // 2, len(rows)
        lines[half : half + n - width] |= rows[width:] != rows[:-width]
    return Image.fromarray(line * np.uint8(LINE))


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
