"""Depth maps as files of whole millimetres."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from argus_core.draw.depth import known
from argus_core.files import write_atomic

MOST = 65535
"""The farthest millimetre that 16 bits hold."""


def depth_image(depth: Any) -> Image.Image:
    """Metres (h, w) as a 16-bit image of millimetres, rounded; 0 where the depth is 0, negative or not finite.

    Known depths stay known: below half a millimetre they become 1, above 65.535 m they become 65535.
    """
    metres = known(depth)
    millimetres = np.clip(np.rint(1000 * np.minimum(metres, MOST)), 1, MOST)
    return Image.fromarray(np.where(metres > 0, millimetres, 0).astype(np.uint16))


def write_depth_png(path: Path, depth: Any) -> None:
    """Write ``depth_image`` as PNG, atomically."""
    image = depth_image(depth)
    write_atomic(path, lambda temporary: image.save(temporary, format="PNG"))
