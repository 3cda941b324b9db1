"""How an image is placed on the backbone's input, and the exact way back.

Coordinates are continuous: pixel ``i`` covers ``[i, i + 1)``, so an image of width ``w`` spans ``[0, w]``.
Nothing outside this file converts between image and canvas pixels.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image

from argus_core.errors import ArgusError

Fit = Literal["letterbox", "stretch", "crop"]
Interpolation = Literal["bilinear", "bicubic", "nearest"]
FloatArray = npt.NDArray[np.floating[Any]]

_RESAMPLING = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "nearest": Image.Resampling.NEAREST,
}


@dataclass(frozen=True)
class Placement:
    """One image's invertible mapping between its own pixels and the canvas.

    ``canvas = image * scale + offset`` per axis; a mirrored view mirrors the image first.
    Pairs are ``(y, x)`` like array shapes; points and boxes are ``x, y`` like annotations.
    """

    image_size: tuple[int, int]
    canvas_size: tuple[int, int]
    scale: tuple[float, float]
    offset: tuple[float, float] = (0.0, 0.0)
    mirrored: bool = False

    @property
    def extent(self) -> tuple[int, int]:
        """Canvas pixels (height, width), counted from the top left, that hold image."""
        far = [round(n * s + o) for n, s, o in zip(self.image_size, self.scale, self.offset, strict=True)]
        return min(far[0], self.canvas_size[0]), min(far[1], self.canvas_size[1])

    def mirror(self) -> Placement:
        """The placement of the horizontally mirrored image."""
        return Placement(self.image_size, self.canvas_size, self.scale, self.offset, not self.mirrored)

    def points_to_canvas(self, points: FloatArray) -> FloatArray:
        """Map (..., 2) x, y image pixels to canvas pixels."""
        x, y = np.asarray(points, dtype=np.float64)[..., 0], np.asarray(points, dtype=np.float64)[..., 1]
        x = self.image_size[1] - x if self.mirrored else x
        return np.stack([x * self.scale[1] + self.offset[1], y * self.scale[0] + self.offset[0]], axis=-1)

    def points_to_image(self, points: FloatArray) -> FloatArray:
        """Map (..., 2) x, y canvas pixels to image pixels; points off the image stay off it."""
        points = np.asarray(points, dtype=np.float64)
        x = (points[..., 0] - self.offset[1]) / self.scale[1]
        y = (points[..., 1] - self.offset[0]) / self.scale[0]
        return np.stack([self.image_size[1] - x if self.mirrored else x, y], axis=-1)

    def boxes_to_canvas(self, boxes: FloatArray) -> FloatArray:
        """Map (N, 4) x1, y1, x2, y2 image boxes to canvas pixels, clipped to the canvas."""
        return _clip(self._corners(boxes, self.points_to_canvas), self.extent)

    def boxes_to_image(self, boxes: FloatArray) -> FloatArray:
        """Map (N, 4) x1, y1, x2, y2 canvas boxes to image pixels, clipped to the image."""
        return _clip(self._corners(boxes, self.points_to_image), self.image_size)

    def _corners(self, boxes: FloatArray, transform: Any) -> FloatArray:
        corners = transform(np.asarray(boxes, dtype=np.float64).reshape(-1, 2, 2))
        return np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1)

    def map_to_canvas(self, values: npt.NDArray[Any], fill: float, nearest: bool = False) -> npt.NDArray[Any]:
        """Resample (..., h, w) image maps onto the canvas; canvas pixels without image become ``fill``."""
        y = (np.arange(self.canvas_size[0]) + 0.5 - self.offset[0]) / self.scale[0]
        x = (np.arange(self.canvas_size[1]) + 0.5 - self.offset[1]) / self.scale[1]
        return _resample(values, y, self._unmirror(x, self.image_size[1]), self.image_size, fill, nearest)

    def map_to_image(self, values: npt.NDArray[Any], fill: float, nearest: bool = False) -> npt.NDArray[Any]:
        """Resample (..., H, W) canvas maps to the image; image pixels cropped away become ``fill``."""
        if values.shape[-2:] != self.canvas_size:
            raise ArgusError(f"the map is {values.shape[-2:]}, the canvas {self.canvas_size}: upsample it first")
        x_image = self._unmirror(np.arange(self.image_size[1]) + 0.5, self.image_size[1])
        y = (np.arange(self.image_size[0]) + 0.5) * self.scale[0] + self.offset[0]
        return _resample(values, y, x_image * self.scale[1] + self.offset[1], self.extent, fill, nearest)

    def _unmirror(self, x: FloatArray, width: int) -> FloatArray:
        return width - x if self.mirrored else x

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; ``Placement.from_dict`` is the inverse."""
        return asdict(self)

    @staticmethod
    def from_dict(values: dict[str, Any]) -> Placement:
        """Rebuild a placement from ``to_dict``."""
        pairs = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        return Placement(**pairs)


@dataclass(frozen=True)
class Canvas:
    """The backbone's input size and how images are fitted to it.

    ``letterbox`` keeps the aspect and puts the image at the top left, padding right and below; ``stretch``
    ignores the aspect; ``crop`` keeps it and cuts the centre. ``Canvas(640)`` is square.
    """

    height: int
    width: int = 0
    fit: Fit = "letterbox"
    interpolation: Interpolation = "bilinear"

    def __post_init__(self) -> None:
        if self.width == 0:
            object.__setattr__(self, "width", self.height)
        if self.height < 1 or self.width < 1:
            raise ArgusError(f"a canvas of {self.height}x{self.width} px holds nothing; give positive sizes")
        for field, value, allowed in (
            ("fit", self.fit, ("letterbox", "stretch", "crop")),
            ("interpolation", self.interpolation, tuple(_RESAMPLING)),
        ):
            if value not in allowed:
                raise ArgusError(f"canvas {field} {value!r} is not one of {', '.join(allowed)}")

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.height, self.width

    def place(self, height: int, width: int) -> Placement:
        """Where an image of ``height`` x ``width`` pixels lies on this canvas."""
        if height < 1 or width < 1:
            raise ArgusError(f"an image of {height}x{width} px has no pixels")
        ratios = (self.height / height, self.width / width)
        factor = {"letterbox": min(ratios), "crop": max(ratios), "stretch": None}[self.fit]
        resized = self.size if factor is None else (_scaled(height, factor), _scaled(width, factor))
        if self.fit == "letterbox":
            resized = (min(resized[0], self.height), min(resized[1], self.width))
        if self.fit == "crop":
            resized = (max(resized[0], self.height), max(resized[1], self.width))
        offset = [float(-((r - c) // 2)) if self.fit == "crop" else 0.0 for r, c in zip(resized, self.size, strict=True)]
        scale = (resized[0] / height, resized[1] / width)
        return Placement((height, width), self.size, scale, (offset[0], offset[1]))

    def render(self, image: npt.NDArray[np.uint8], mirrored: bool = False) -> tuple[npt.NDArray[np.uint8], Placement]:
        """Resize (h, w, 3) RGB bytes onto the canvas; returns (height, width, 3) bytes and the placement."""
        placement = self.place(image.shape[0], image.shape[1])
        source = Image.fromarray(np.ascontiguousarray(image[:, ::-1] if mirrored else image))
        height, width = (round(n * s) for n, s in zip(placement.image_size, placement.scale, strict=True))
        y, x = (int(-o) for o in placement.offset)
        # Only the visible part is resized: a 1 x 10000 strip must not allocate its uncropped enlargement.
        box = (x / placement.scale[1], y / placement.scale[0], 0.0, 0.0)
        seen = (min(height - y, self.height), min(width - x, self.width))
        box = (box[0], box[1], (x + seen[1]) / placement.scale[1], (y + seen[0]) / placement.scale[0])
        box = (box[0], box[1], min(box[2], source.width), min(box[3], source.height))
        resized = source.resize((seen[1], seen[0]), _RESAMPLING[self.interpolation], box=box)
        out = np.zeros((self.height, self.width, 3), dtype=np.uint8)
        out[: seen[0], : seen[1]] = np.asarray(resized)
        return out, placement.mirror() if mirrored else placement

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; ``Canvas(**canvas.to_dict())`` is the inverse."""
        return asdict(self)


def _scaled(length: int, factor: float) -> int:
    return max(1, round(length * factor))


def _clip(boxes: FloatArray, size: tuple[int, int]) -> FloatArray:
    limit = np.array([size[1], size[0], size[1], size[0]], dtype=np.float64)
    return np.clip(boxes, 0.0, limit)


def _resample(
    values: npt.NDArray[Any],
    y: FloatArray,
    x: FloatArray,
    size: tuple[int, int],
    fill: float,
    nearest: bool,
) -> npt.NDArray[Any]:
    """Sample the top-left ``size`` of ``values`` (..., h, w) at continuous positions ``y`` by ``x``."""
    out = values
    for axis, position, length in ((-2, y, size[0]), (-1, x, size[1])):
        if nearest:
            index = np.clip(np.floor(position), 0, length - 1).astype(np.int64)
            out = np.take(out, index, axis=axis)
            continue
        centre = np.clip(position - 0.5, 0, length - 1)
        low = np.floor(centre).astype(np.int64)
        weight = (centre - low).reshape(-1, 1) if axis == -2 else centre - low
        high = np.minimum(low + 1, length - 1)
        out = np.take(out, low, axis=axis) * (1 - weight) + np.take(out, high, axis=axis) * weight
    outside_y = (y < 0) | (y > size[0])
    outside_x = (x < 0) | (x > size[1])
    out[..., outside_y, :] = fill
    out[..., :, outside_x] = fill
    return out
