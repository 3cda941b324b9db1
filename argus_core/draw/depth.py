"""Depth maps as colours with a scale in metres, and as files of whole millimetres."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from argus_core.common.files import write_atomic
from argus_core.draw.inputs import Values, as_array
from argus_core.draw.palette import GREY, Pixels
from argus_core.draw.panel import factor_for, resized_map
from argus_core.draw.scale import Scale, attach_scale
from argus_core.errors import ArgusError

Metres = npt.NDArray[np.float64]
OUTLIERS = 1.0
"""The per cent of known pixels below, and above, the range of a picture if none is given."""
MOST = 65535
"""The largest distance in millimetres that 16 bits hold."""


def draw_depth(depth: Values, low: float | None = None, high: float | None = None, below: bool | None = None) -> Pixels:
    """``paint_depth`` with a scale bar ``below`` it or beside it, by default below a wide map.

    A pointed end of the bar means that there are depths beyond it. Small maps are enlarged by a whole number.
    """
    metres = known(depth)
    scale, factor = depth_scale(metres, low, high), factor_for((metres.shape[0], metres.shape[1]))
    picture = _paint(resized_map(metres, (metres.shape[0] * factor, metres.shape[1] * factor)), scale)
    return attach_scale(picture, scale, below)


def paint_depth(depth: Values, low: float | None = None, high: float | None = None) -> Pixels:
    """RGB bytes (h, w, 3) of metres (h, w): near is light, far is dark, unknown (0 or not finite) is grey.

    Depths beyond ``low`` and ``high`` get the colours of the ends; by default these are the 1st and the 99th
    percentile of the known depths.
    """
    metres = known(depth)
    return _paint(metres, depth_scale(metres, low, high))


def depth_scale(metres: Metres, low: float | None = None, high: float | None = None) -> Scale:
    """The colours of a map as ``known`` gives it; raises ArgusError for an empty range."""
    values = metres[metres > 0]
    if low is None or high is None:
        first, last = np.percentile(values, (OUTLIERS, 100 - OUTLIERS)).tolist() if len(values) else (0.0, 1.0)
        low = low if low is not None else first if high is None else min(first, high)
        high = high if high is not None else max(last, low)
    if not -np.inf < low <= high < np.inf:
        raise ArgusError(f"low={low} and high={high} m are not a range of depths; give low <= high")
    beyond = (bool((values < low).any()), bool((values > high).any()))
    return Scale(float(low), float(high), "m", True, *beyond, "unknown" if len(values) < metres.size else "")


def known(depth: Values) -> Metres:
    """Metres (h, w) with 0 where the depth is 0, negative or not finite, which is unknown."""
    values = as_array(depth)
    if values.ndim != 2 or not values.size or values.dtype.kind not in "fui":
        raise ArgusError(f"a depth map is an array of metres (h, w), not {values.dtype} {values.shape}")
    values = values.astype(np.float64)
    return np.where(np.isfinite(values) & (values > 0), values, 0.0)


def _paint(metres: Metres, scale: Scale) -> Pixels:
    colors = scale.paint(metres)
    colors[metres == 0] = GREY
    return colors


def depth_image(depth: Values) -> Image.Image:
    """Metres (h, w) as a 16-bit image of millimetres, rounded; 0 where the depth is 0, negative or not finite.

    Known depths stay known: below half a millimetre they become 1, above 65.535 m they become 65535.
    """
    metres = known(depth)
    millimetres = np.clip(np.rint(1000 * np.minimum(metres, MOST)), 1, MOST)
    return Image.fromarray(np.where(metres > 0, millimetres, 0).astype(np.uint16))


def write_depth_png(path: Path, depth: Values) -> None:
    """Write ``depth_image`` as PNG, atomically."""
    image = depth_image(depth)
    write_atomic(path, lambda temporary: image.save(temporary, format="PNG"))
