"""Varied views of an image: parameters are drawn first, then applied by torchvision, at any size."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torchvision.transforms.v2.functional as transform
from torch import Tensor
from torchvision.transforms import InterpolationMode

from argus_arena.distill.recipe import Augmentation, Range

TRIES = 10
"""Crops that are drawn before the middle of the image is taken."""
BLUR_SIDE = 256
"""The side in pixels that the deviation of a blur refers to."""
Image = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class View:
    """The parameters of one view: a crop (top, left, height, width) in pixels of the image, and what follows it.

    A factor of 1, a hue of 0, a deviation of 0 and a threshold of 256 change nothing.
    """

    crop: tuple[int, int, int, int]
    flip: bool = False
    brightness: float = 1.0
    contrast: float = 1.0
    saturation: float = 1.0
    hue: float = 0.0
    blur: float = 0.0
    solarize: int = 256


def central_view(image: Image) -> View:
    """The square in the middle of an image, as it is."""
    return View(_middle(image.shape[0], image.shape[1]))


def draw_view(recipe: Augmentation, size: tuple[int, int], rng: np.random.Generator) -> View:
    """The parameters of a view of an image of ``size`` (height, width), from a generator of its own."""
    crop = _crop(recipe, size, rng)
    chances = rng.random(4)
    strength = float(chances[1] < recipe.colour_p)
    brightness, contrast, saturation, hue = (float(value) for value in rng.uniform(-1, 1, 4) * strength)
    blur = float(rng.uniform(*recipe.blur))
    return View(
        crop,
        bool(chances[0] < recipe.flip_p),
        1 + brightness * recipe.brightness,
        1 + contrast * recipe.contrast,
        1 + saturation * recipe.saturation,
        hue * recipe.hue,
        blur if chances[2] < recipe.blur_p else 0.0,
        recipe.solarize if chances[3] < recipe.solarize_p else 256,
    )


def _crop(recipe: Augmentation, size: tuple[int, int], rng: np.random.Generator) -> tuple[int, int, int, int]:
    height, width = size
    for _ in range(TRIES):
        area, aspect = height * width * rng.uniform(*recipe.area), _log_uniform(recipe.aspect, rng)
        rows, columns = round(math.sqrt(area / aspect)), round(math.sqrt(area * aspect))
        if 0 < rows <= height and 0 < columns <= width:
            return int(rng.integers(height - rows + 1)), int(rng.integers(width - columns + 1)), rows, columns
    return _middle(height, width)


def _middle(height: int, width: int) -> tuple[int, int, int, int]:
    side = min(height, width)
    return (height - side) // 2, (width - side) // 2, side, side


def _log_uniform(bounds: Range, rng: np.random.Generator) -> float:
    return math.exp(rng.uniform(math.log(bounds[0]), math.log(bounds[1])))


def render_view(image: Image, view: View, size: int) -> Tensor:
    """The view of an image (h, w, 3) as RGB bytes (3, size, size); equal parameters show equal content at any size."""
    pixels = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)
    out = transform.resized_crop(pixels, *view.crop, [size, size], InterpolationMode.BICUBIC, antialias=True)
    out = transform.horizontal_flip(out) if view.flip else out
    out = transform.adjust_brightness(out, view.brightness) if view.brightness != 1 else out
    out = transform.adjust_contrast(out, view.contrast) if view.contrast != 1 else out
    out = transform.adjust_saturation(out, view.saturation) if view.saturation != 1 else out
    out = transform.adjust_hue(out, view.hue) if view.hue else out
    if view.blur:
        sigma = view.blur * size / BLUR_SIDE
        out = transform.gaussian_blur(out, [2 * math.ceil(3 * sigma) + 1] * 2, [sigma] * 2)
    return transform.solarize(out, view.solarize) if view.solarize < 256 else out
