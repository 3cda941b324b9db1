"""Index masks as colours over their image, and as files with the colours as their palette."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from argus_core.common.files import write_atomic
from argus_core.draw.inputs import Values, as_array, blend, checked, grey
from argus_core.draw.legend import Entry, attach_legend
from argus_core.draw.palette import COLORS, GREY, WHITE, Pixels, class_color, class_colors
from argus_core.draw.panel import enlarged, resized_map, size_of
from argus_core.errors import ArgusError

OPACITY = 0.55
LINE = 150
"""Opacity of the white lines between classes, of 255."""
NARROW, WIDE = 255, 65535
"""The value of a pixel without a label in 8 and in 16 bits; classes are below."""


def draw_mask(
    image: Pixels,
    labels: Values,
    classes: Sequence[str],
    ignore: int = 255,
    opacity: float = OPACITY,
    below: bool | None = None,
) -> Pixels:
    """``paint_mask`` with a legend ``below`` or beside it, by default below a wide picture.

    The legend shows the classes present and their shares, the largest first, and pixels without a label last. Small
    images are enlarged by a whole number.
    """
    values = _labels_of(image, labels, len(classes), ignore)
    big, _ = enlarged(image)
    picture = paint_mask(big, resized_map(values, size_of(big)), len(classes), ignore, opacity)
    entries = [
        Entry(GREY if label < 0 else class_color(label), "none" if label < 0 else classes[label], percent(share))
        for label, share in shares(values, ignore)
    ]
    return attach_legend(picture, entries, below)


def paint_mask(image: Pixels, labels: Values, classes: int, ignore: int = 255, opacity: float = OPACITY) -> Pixels:
    """A copy of an RGB image (h, w, 3) under the colours of the classes of its pixels (h, w), with light borders.

    Pixels of the index ``ignore`` keep the image's brightness but lose its colours. Raises ArgusError for labels of
    another size than the image and for labels without a class.
    """
    values = _labels_of(image, labels, classes, ignore)
    unlabelled = values == ignore
    # Otherwise the image's colours mix with those of the classes, which then match no entry of the legend.
    pale = np.asarray(Image.blend(Image.fromarray(image), Image.fromarray(grey(image)), math.sqrt(opacity)))
    picture = blend(pale, class_colors()[values % COLORS], opacity)
    picture.paste(Image.fromarray(grey(image)), (0, 0), Image.fromarray(unlabelled.astype(np.uint8) * 255))
    picture.paste(WHITE, (0, 0), _borders(values))
    return np.array(picture)


def _labels_of(image: Pixels, labels: Values, classes: int, ignore: int) -> npt.NDArray[np.int64]:
    """Labels as an array; raises ArgusError if they do not fit the image or the classes."""
    values = check_labels(labels, classes, ignore)
    if values.shape != checked(image).shape[:2]:
        text = "the mask is {}x{} (height x width), the image {}x{}: they must be the same"
        raise ArgusError(text.format(*values.shape, *size_of(image)))
    return values


def check_labels(labels: Values, classes: int, ignore: int) -> npt.NDArray[np.int64]:
    """Labels (h, w) as an array; raises ArgusError for a label that is neither ``ignore`` nor in 0..classes - 1."""
    values = as_array(labels)
    if values.ndim != 2 or not values.size or values.dtype.kind not in "ui":
        raise ArgusError(f"a mask is an integer array (h, w), not {values.dtype} {values.shape}")
    if 0 <= ignore < classes:
        raise ArgusError(f"ignore={ignore} is the index of one of {classes} classes; choose another")
    values = values.astype(np.int64)
    unknown = values[(values != ignore) & ((values < 0) | (values >= classes))]
    if len(unknown):
        raise ArgusError(f"label {unknown[0]} ({len(unknown)} pixels) is neither in 0..{classes - 1} nor {ignore}")
    return values


def shares(labels: Values, ignore: int = 255) -> list[tuple[int, float]]:
    """The labels present and their shares of all pixels, largest first; -1 stands for ``ignore`` and comes last."""
    values = as_array(labels)
    counts = np.bincount(values[values != ignore].astype(np.int64))
    rows = [(int(label), counts[label] / values.size) for label in np.flatnonzero(counts)]
    rest = values.size - int(counts.sum())
    return sorted(rows, key=lambda row: (-row[1], row[0])) + [(-1, rest / values.size)] * (rest > 0)


def percent(share: float) -> str:
    return "< 0.1 %" if share < 0.0005 else f"{100 * share:.1f} %"


def _borders(labels: npt.NDArray[np.int64]) -> Image.Image:
    """A paste mask of lines between classes, of a width that suits the size; thumbnails have none."""
    line, width = np.zeros(labels.shape, dtype=np.uint8), round(math.sqrt(labels.size) / 400)
    for lines, rows in ((line, labels), (line.T, labels.T)) if width else ():
        half, n = width // 2, len(rows)
        lines[half : half + n - width] |= rows[width:] != rows[:-width]
    return Image.fromarray(line * np.uint8(LINE))


def index_image(labels: Values, classes: int, ignore: int = 255) -> Image.Image:
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


def index_png(labels: Values, classes: int, ignore: int = 255) -> bytes:
    """The bytes of a PNG file of ``index_image``."""
    stream = io.BytesIO()
    index_image(labels, classes, ignore).save(stream, format="PNG")
    return stream.getvalue()


def write_index_png(path: Path, labels: Values, classes: int, ignore: int = 255) -> None:
    """Write ``index_png``, atomically."""
    content = index_png(labels, classes, ignore)
    write_atomic(path, lambda temporary: temporary.write_bytes(content))
