"""Replacements while a network is traced: the usual functions would freeze the sizes of the traced example."""

from __future__ import annotations

import builtins
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn

from argus_core.errors import ArgusError
from argus_core.nn import nearest

Functions = Mapping[Callable[..., Any], Callable[..., Any]]
SHARPNESS = -0.5
"""Of the cubic kernel that PyTorch resizes with when it averages (Keys 1981)."""


@contextmanager
def stand_ins(module: nn.Module) -> Iterator[None]:
    """All replacements for a module that is traced."""
    with dynamic_positions(module), replaced({nearest: _nearest}), symbolic_len(*module.modules()):
        yield


@contextmanager
def replaced(functions: Functions) -> Iterator[None]:
    """Replace ``functions`` in every loaded module that imported one of them under its own name."""
    places = [
        (module, original.__name__, original)
        for module in [*sys.modules.values()]
        for original in functions
        if getattr(module, "__dict__", {}).get(original.__name__) is original
    ]
    try:
        for module, name, original in places:
            setattr(module, name, functions[original])
        yield
    finally:
        for module, name, original in places:
            setattr(module, name, original)


@contextmanager
def symbolic_len(*modules: nn.Module) -> Iterator[None]:
    """Let ``len(tensor)`` be a symbol in the packages of these modules; Python's own ``len`` gives a fixed number."""
    packages = {"argus_core"} | {
        base.__module__.partition(".")[0] for module in modules for base in type(module).__mro__[:-1]
    } - {"torch"}
    patched = [
        module
        for name, module in [*sys.modules.items()]
        if name.partition(".")[0] in packages and "len" not in getattr(module, "__dict__", {"len": None})
    ]
    try:
        for module in patched:
            vars(module)["len"] = _len
        yield
    finally:
        for module in patched:
            vars(module).pop("len")


def _len(value: Any) -> Any:
    return value.shape[0] if isinstance(value, Tensor) else builtins.len(value)


def _nearest(queries: Tensor, bank: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The result of ``argus_core.nn.nearest``, from all similarities at once."""
    values, rows = (queries @ bank.to(queries.dtype).T).topk(min(k, bank.shape[0]), dim=1)
    return values, rows


@contextmanager
def dynamic_positions(model: nn.Module) -> Iterator[None]:
    """Make rotary and learned position codes of a timm network functions of the grid's symbols.

    Numbers stay the same: rotary codes to the bit, resampled learned ones to rounding.
    """
    with ExitStack() as stack:
        stack.enter_context(replaced(_resamplers(model)))
        for rope in model.modules():
            if type(rope).__name__ == "RotaryEmbeddingDinoV3":
                stack.callback(rope.__dict__.pop, "_create_embed")
                rope.__dict__["_create_embed"] = MethodType(_rotary, rope)
        yield


def _rotary(self: Any, feat_shape: Sequence[int], no_aug: bool = False) -> Tensor:
    """(h w, 2 dim) sines and cosines of a grid, which timm computes from the sizes as Python numbers."""
    if self.normalize_coords != "separate" or self.grid_indexing != "ij":
        raise ArgusError(
            f"rotary positions with normalize_coords={self.normalize_coords!r}, grid_indexing={self.grid_indexing!r} "
            "cannot be exported for any size; use 'separate' and 'ij', as the published networks do"
        )
    # In whole numbers first: a range of floats would be computed from frozen ones.
    axes = [(torch.arange(n).float() + (0.5 + self.grid_offset)) / n for n in feat_shape]
    grid = torch.stack(torch.meshgrid(axes, indexing="ij"), dim=-1) * 2.0 - 1.0
    return torch.cat(self._get_pos_embed_from_coords(grid.flatten(0, -2)), dim=-1)


def _resamplers(model: nn.Module) -> Functions:
    """The function by which timm resamples learned position codes, where a network uses it, and its stand-in."""
    homes = {base.__module__ for module in model.modules() for base in type(module).__mro__}
    functions = (getattr(sys.modules.get(home), "resample_abs_pos_embed", None) for home in homes)
    return {function: _resample for function in functions if function is not None}


def _resample(
    posemb: Tensor,
    new_size: Sequence[int],
    old_size: Sequence[int] | None = None,
    num_prefix_tokens: int = 1,
    interpolation: str = "bicubic",
    antialias: bool = True,
    verbose: bool = False,
    align_corners: bool | None = None,
) -> Tensor:
    """Learned codes (1, P + h w, C) on a grid of ``new_size``, averaged when shrinking, as two small products."""
    if interpolation != "bicubic" or not antialias or align_corners:
        raise ArgusError(f"positions resampled by {interpolation!r}, antialias={antialias} cannot be exported")
    prefix, cells = posemb[:, :num_prefix_tokens], posemb[:, num_prefix_tokens:]
    side = round(cells.shape[1] ** 0.5)
    old = old_size or (side, side)
    grid = cells.float().reshape(old[0], old[1], -1)
    rows, columns = (cubic_weights(n, to, grid.device) for n, to in zip(old, new_size, strict=True))
    out = torch.einsum("yh,xw,hwc->yxc", rows, columns, grid).flatten(0, 1)[None]
    return torch.cat([prefix, out.to(posemb.dtype)], dim=1)


def cubic_weights(cells: int, to: int, device: torch.device | None = None) -> Tensor:
    """(to, cells) weights by which ``F.interpolate`` resizes an axis: bicubic with ``antialias``."""
    at = torch.arange(to, device=device)
    scale = cells / (torch.zeros((), device=device) + to)  # a tensor, so that a graph divides by its own size
    wide = scale.clamp(min=1.0)
    centre = (at.float() + 0.5) * scale
    low = (centre - 2 * wide + 0.5).floor().clamp(min=0)[:, None]
    high = (centre + 2 * wide + 0.5).floor().clamp(max=cells)[:, None]
    cell = torch.arange(cells, device=device).float()
    weights = _cubic_kernel((cell - centre[:, None] + 0.5) / wide)
    weights = torch.where((cell >= low) & (cell < high), weights, 0.0)
    return weights / weights.sum(dim=1, keepdim=True)


def _cubic_kernel(x: Tensor) -> Tensor:
    a, x = SHARPNESS, x.abs()
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = (((x - 5) * x + 8) * x - 4) * a
    return torch.where(x < 1, near, torch.where(x < 2, far, 0.0))
