"""Placing an image on the backbone's input, and the exact inverse.

Coordinates are continuous: pixel ``i`` covers ``[i, i + 1)``, so an image of width ``w`` spans ``[0, w]``.
Nothing outside this file converts between image and canvas pixels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
from PIL import Image

from argus_core.canvas.tiles import Tiles
from argus_core.errors import ArgusError

Fit = Literal["letterbox", "stretch", "crop"]
"""How an image fills a canvas: whole with padding, whole with a changed aspect ratio, or cut."""
Interpolation = Literal["bilinear", "bicubic", "nearest"]
"""How pixels are resampled."""
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
    The image covers whole canvas pixels, so the two scales of one image may differ a little.
    """

    image_size: tuple[int, int]
    canvas_size: tuple[int, int]
    scale: tuple[float, float]
    offset: tuple[float, float] = (0.0, 0.0)
    mirrored: bool = False

    @property
    def extent(self) -> tuple[int, int]:
        """Canvas pixels (height, width), counted from the top left, that show the image."""
        far = [round(n * s + o) for n, s, o in zip(self.image_size, self.scale, self.offset, strict=True)]
        return min(far[0], self.canvas_size[0]), min(far[1], self.canvas_size[1])

    def mirror(self) -> Placement:
        """The placement of the horizontally mirrored image."""
        return replace(self, mirrored=not self.mirrored)

    def points_to_canvas(self, points: FloatArray) -> FloatArray:
        """Map (..., 2) x, y image pixels to canvas pixels; points that a crop cuts off lie outside."""
        x, y = np.moveaxis(np.asarray(points, dtype=np.float64), -1, 0)
        x = self.image_size[1] - x if self.mirrored else x
        return np.stack([x * self.scale[1] + self.offset[1], y * self.scale[0] + self.offset[0]], axis=-1)

    def points_to_image(self, points: FloatArray) -> FloatArray:
        """Map (..., 2) x, y canvas pixels to image pixels; points off the image stay off it."""
        x, y = np.moveaxis(np.asarray(points, dtype=np.float64), -1, 0)
        x, y = (x - self.offset[1]) / self.scale[1], (y - self.offset[0]) / self.scale[0]
        return np.stack([self.image_size[1] - x if self.mirrored else x, y], axis=-1)

    def boxes_to_canvas(self, boxes: FloatArray) -> FloatArray:
        """Map (N, 4) x1, y1, x2, y2 image boxes to canvas pixels, clipped to ``extent``."""
        return _map_boxes(boxes, self.points_to_canvas, self.extent)

    def boxes_to_image(self, boxes: FloatArray) -> FloatArray:
        """Map (N, 4) x1, y1, x2, y2 canvas boxes to image pixels, clipped to the image."""
        return _map_boxes(boxes, self.points_to_image, self.image_size)

    def map_to_canvas(self, values: npt.NDArray[Any], fill: float, nearest: bool = False) -> npt.NDArray[Any]:
        """Sample (..., h, w) image maps at the canvas's pixel centres; pixels without image become ``fill``.

        Bilinear (integers become floats) and without averaging when shrinking; ``nearest`` keeps the dtype.
        """
        _check_map(values, self.image_size, "image")
        values = values[..., ::-1] if self.mirrored else values
        axes = zip(self.canvas_size, self.scale, self.offset, strict=True)
        y, x = ((np.arange(n) + 0.5 - o) / s for n, s, o in axes)
        return _sample(values, y, x, fill, nearest)

    def map_to_image(self, values: npt.NDArray[Any], fill: float, nearest: bool = False) -> npt.NDArray[Any]:
        """Sample (..., H, W) canvas maps at the image's pixel centres, never reading padding.

        Image pixels that a crop cut away become ``fill``. Otherwise as ``map_to_canvas``.
        """
        _check_map(values, self.canvas_size, "canvas")
        axes = zip(self.image_size, self.scale, self.offset, strict=True)
        y, x = ((np.arange(n) + 0.5) * s + o for n, s, o in axes)
        out = _sample(values[..., : self.extent[0], : self.extent[1]], y, x, fill, nearest)
        return np.ascontiguousarray(out[..., ::-1]) if self.mirrored else out

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; ``Placement.from_dict`` is the inverse."""
        return asdict(self)

    @staticmethod
    def from_dict(values: dict[str, Any]) -> Placement:
        """Rebuild a placement from ``to_dict``."""
        pairs: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        return Placement(**pairs)


@dataclass(frozen=True)
class Canvas:
    """The backbone's input size and how images are fitted to it.

    ``letterbox`` keeps the aspect and puts the image at the top left, padding right and below; ``stretch``
    ignores the aspect; ``crop`` keeps it and cuts the centre, after resizing the short side to ``short`` pixels
    where that is given, as in ImageNet's 256 before 224. ``Canvas(640)`` is square. With ``tiles`` the backbone
    encodes a canvas that is larger than one of them tile by tile.
    """

    height: int
    width: int = 0
    fit: Fit = "letterbox"
    interpolation: Interpolation = "bilinear"
    short: int = 0
    tiles: Tiles | None = None

    def __post_init__(self) -> None:
        if self.width == 0:
            object.__setattr__(self, "width", self.height)
        if isinstance(self.tiles, dict):
            object.__setattr__(self, "tiles", Tiles(**self.tiles))
        if self.height < 1 or self.width < 1:
            raise ArgusError(f"a canvas of {self.height}x{self.width} px is empty; give positive sizes")
        for field, value, allowed in (
            ("fit", self.fit, get_args(Fit)),
            ("interpolation", self.interpolation, get_args(Interpolation)),
        ):
            if value not in allowed:
                raise ArgusError(f"canvas {field} {value!r} is not one of {', '.join(allowed)}")
        if self.short and (self.fit != "crop" or self.short < max(self.size)):
            raise ArgusError(f"canvas short={self.short} is for fit='crop' and at least the canvas, {self.size}")

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.height, self.width

    @property
    def label(self) -> str:
        """Size and fit for tables, such as ``640x640 letterbox``, and the tiles if there are any."""
        plain = f"{self.height}x{self.width} {self.fit}"
        return f"{plain}, {self.tiles.label}" if self.tiles else plain

    def place(self, height: int, width: int) -> Placement:
        """The placement of an image of ``height`` x ``width`` pixels on this canvas."""
        if height < 1 or width < 1:
            raise ArgusError(f"an image of {height}x{width} px has no pixels")
        resized = self._resized(height, width)
        scale = (resized[0] / height, resized[1] / width)
        if self.fit != "crop":
            return Placement((height, width), self.size, scale)
        y, x = ((r - c) // 2 for r, c in zip(resized, self.size, strict=True))
        return Placement((height, width), self.size, scale, (float(-y), float(-x)))

    def passes(self, height: int, width: int) -> tuple[Placement, ...]:
        """The single pass over an image of this size."""
        return (self.place(height, width),)

    def _resized(self, height: int, width: int) -> tuple[int, int]:
        """The whole image's height and width in canvas pixels."""
        if self.fit == "stretch":
            return self.size
        if self.short:
            return shorten(height, width, self.short)
        # Compared and divided as whole numbers: a float ratio may round to the wrong side of a half.
        tall = self.height * width <= self.width * height
        if tall == (self.fit == "letterbox"):
            return self.height, max(1, round(width * self.height / height))
        return max(1, round(height * self.width / width)), self.width

    def render(self, image: npt.NDArray[np.uint8], mirrored: bool = False) -> tuple[npt.NDArray[np.uint8], Placement]:
        """Resize (h, w, 3) RGB bytes onto the canvas, averaging when shrinking unless ``nearest``.

        Returns (height, width, 3) bytes, zero outside the image, and the placement.
        """
        _check_image(image)
        place = self.place(image.shape[0], image.shape[1])
        place = place.mirror() if mirrored else place
        return render(image, place, self.interpolation), place

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, of ``tiles`` only if there are any; ``Canvas(**canvas.to_dict())`` is the inverse."""
        values = {name: value for name, value in asdict(self).items() if name != "tiles"}
        return {**values, "tiles": self.tiles.to_dict()} if self.tiles else values


def shorten(height: int, width: int, short: int) -> tuple[int, int]:
    """Height and width after resizing to a short side of ``short`` pixels, the long one rounded."""
    if height <= width:
        return short, max(1, round(width * short / height))
    return max(1, round(height * short / width)), short


def render(image: npt.NDArray[np.uint8], place: Placement, interpolation: Interpolation) -> npt.NDArray[np.uint8]:
    """The canvas (H, W, 3) of RGB bytes (h, w, 3) that ``place`` describes, zero outside the image."""
    _check_image(image)
    rows, columns = place.extent
    # Only the visible part is resized: the whole enlargement of a 1 x 10000 strip would be huge.
    upright = replace(place, mirrored=False)
    corners = upright.points_to_image(np.array([(0, 0), (columns, rows)]))
    box = tuple(np.clip(corners, 0, (image.shape[1], image.shape[0])).flat)
    source = Image.fromarray(np.ascontiguousarray(image[:, ::-1] if place.mirrored else image))
    resized = source.resize((columns, rows), _RESAMPLING[interpolation], box=box)
    out = np.zeros((*place.canvas_size, 3), dtype=np.uint8)
    out[:rows, :columns] = np.asarray(resized)
    return out


def _check_image(image: npt.NDArray[np.uint8]) -> None:
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ArgusError(f"an image is (h, w, 3) uint8, not {image.shape} {image.dtype}: use read_image")


def _map_boxes(boxes: FloatArray, move: Callable[[FloatArray], FloatArray], size: tuple[int, int]) -> FloatArray:
    """Move both corners, sort them (mirroring swaps them) and clip to ``size``."""
    corners = np.sort(move(np.asarray(boxes, dtype=np.float64).reshape(-1, 2, 2)), axis=1)
    return np.clip(corners, 0.0, (size[1], size[0])).reshape(-1, 4)


def _check_map(values: npt.NDArray[Any], size: tuple[int, int], what: str) -> None:
    if values.shape[-2:] != size:
        raise ArgusError(f"the map is {values.shape[-2:]}, the {what} {size}: resize the map first")


def _sample(values: npt.NDArray[Any], y: FloatArray, x: FloatArray, fill: float, nearest: bool) -> npt.NDArray[Any]:
    """Read ``values`` (..., h, w) at continuous positions ``y`` by ``x``; ``fill`` where they lie outside."""
    sizes = values.shape[-2:]
    read = _nearest if nearest else _bilinear
    out = read(read(values, y, -2), x, -1)
    outside_y, outside_x = ((p < 0) | (p > n) for p, n in zip((y, x), sizes, strict=True))
    out[..., outside_y, :] = fill
    out[..., outside_x] = fill
    return out


def _nearest(values: npt.NDArray[Any], position: FloatArray, axis: int) -> npt.NDArray[Any]:
    return np.take(values, np.floor(position).astype(np.int64), axis=axis, mode="clip")


def _bilinear(values: npt.NDArray[Any], position: FloatArray, axis: int) -> npt.NDArray[Any]:
    last = values.shape[axis] - 1
    centre = np.clip(position - 0.5, 0, last)
    low = np.floor(centre).astype(np.int64)
    # Large float32 stacks of class scores must not become float64.
    weight = (centre - low).astype(np.result_type(values, np.float32))
    weight = weight[:, None] if axis == -2 else weight
    below, above = np.take(values, low, axis=axis), np.take(values, np.minimum(low + 1, last), axis=axis)
    return below * (1 - weight) + above * weight
