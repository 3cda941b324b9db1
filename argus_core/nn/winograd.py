"""3x3 convolutions with a quarter of the multiplications (Winograd 1980, Lavin 2016), for answers on a CPU.

The 4x4 outputs of a square depend on 6x6 inputs. Both are taken to values at six points along each axis, where a
convolution is one product a value and channel. Outputs differ from those of sums by 1e-6 of their deviation on average,
and by up to 2e-5 of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

OUT, SPAN = 4, 6
"""Sides of the squares that are written at once, and of what they depend on."""
POINTS = np.array([0, 0.75, -0.75, 1.5, -1.5])
"""With infinity the six points; of those tried they lose the fewest digits."""
CELLS, CHANNELS = 1024, 64
"""Maps of fewer cells, or of fewer channels, are convolved as fast directly."""
ROOM = 3 << 19
"""Values of squares at once: most of them stay in a cache, and memory is bounded."""
Matrix = npt.NDArray[np.float64]
_direct = ContextVar("direct", default=False)


class Conv3x3(nn.Conv2d):
    """A 3x3 convolution with bias that keeps the size of maps; without gradients on a CPU it takes fewer products."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__(channels, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, h, w) to (B, width, h, w)."""
        if self.bias is None or not self._pays(x):
            return super().forward(x)
        return convolve(x, self.weight, self.bias)

    def _pays(self, x: Tensor) -> bool:
        # Graphs come first: they must not depend on sizes.
        if torch.compiler.is_compiling() or torch.is_grad_enabled() or torch.is_autocast_enabled("cpu"):
            return False
        fast = x.device.type == "cpu" and x.dtype == self.weight.dtype == torch.float32 and not _direct.get()
        return fast and x.shape[2] * x.shape[3] >= CELLS and min(self.weight.shape[:2]) >= CHANNELS


@contextmanager
def direct_convolutions() -> Iterator[None]:
    """A context in which all convolutions are sums of products, as they are counted."""
    token = _direct.set(True)
    try:
        yield
    finally:
        _direct.reset(token)


def convolve(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Maps (B, C, h, w) with a kernel (O, C, 3, 3) and a bias (O,), zero beyond the border: (B, O, h, w)."""
    height, width = x.shape[2:]
    rows, columns = -(-height // OUT), -(-width // OUT)
    padded = x.new_zeros(len(x), OUT * rows + 2, OUT * columns + 2, x.shape[1])
    padded[:, 1 : height + 1, 1 : width + 1] = x.permute(0, 2, 3, 1)
    kernels = torch.mm(KERNEL, weight.reshape(-1, 9).T).view(SPAN**2, *weight.shape[:2])  # (36, O, C)
    whole = x.new_empty(len(x), rows, OUT, columns, OUT, len(weight))
    step = max(1, ROOM // (SPAN**2 * columns * x.shape[1]))
    for image, out in zip(padded, whole, strict=True):
        for first in range(0, rows, step):
            parts = _outputs(image[OUT * first : OUT * (first + step) + 2], kernels)
            torch.add(parts.permute(2, 0, 3, 1, 4), bias, out=out[first : first + step])
    return whole.flatten(3, 4).flatten(1, 2)[:, :height, :width].permute(0, 3, 1, 2)


def _outputs(image: Tensor, kernels: Tensor) -> Tensor:
    """(4, 4, rows, columns, O): the outputs of all squares of (h, w, C) inputs, without a bias."""
    squares = image.unfold(0, SPAN, OUT).unfold(1, SPAN, OUT).permute(3, 4, 0, 1, 2)  # (6, 6, rows, columns, C)
    values = torch.mm(READ, squares.reshape(SPAN**2, -1)).view(SPAN**2, -1, image.shape[2])  # (36, N, C)
    products = torch.bmm(values, kernels.mT)  # (36, N, O)
    return torch.mm(WRITE, products.view(SPAN**2, -1)).view(OUT, OUT, *squares.shape[2:4], -1)


def _matrices() -> tuple[Matrix, Matrix, Matrix]:
    """(6, 6) from inputs to values, (6, 3) from a kernel to values, (4, 6) from values to outputs, along an axis.

    Interpolation at the points and at infinity, turned over (Toom 1963, Cook 1966).
    """
    read, kernel, write = np.zeros((SPAN, SPAN)), np.zeros((SPAN, 3)), np.zeros((OUT, SPAN))
    for place, point in enumerate(POINTS):
        others = np.delete(POINTS, place)
        read[place, :-1] = np.poly(others)[::-1]
        kernel[place] = point ** np.arange(3) / np.prod(point - others)
        write[:, place] = point ** np.arange(OUT)
    read[-1] = np.poly(POINTS)[::-1]
    kernel[-1, -1] = write[-1, -1] = 1
    return read, kernel, write


READ, KERNEL, WRITE = (torch.from_numpy(np.kron(matrix, matrix)).float() for matrix in _matrices())
