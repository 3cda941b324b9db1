"""A map seen as a surface over its grid, and how that surface bends (Sochen, Kimmel & Malladi 1998; do Carmo 1976)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

CURVATURES = 6

TINY = 1e-12
"""Added under square roots, whose slope at zero is infinite."""


def curvatures(u: Tensor, step: int = 1) -> Tensor:
    """(B, 6, h, w) of the surface (x, y, u(x, y)) in cells, from central differences over ``step`` cells.

    In order: Gaussian curvature K, mean curvature |H|, the whole second form |II|, and the normal curvatures
    |II11| / g11, |II22| / g22, |II12| / sqrt(g11 g22) along the grid's axes. ``u`` is (B, C, h, w), continued by
    its border. A rotation of its channels changes none; constants and ramps have none.
    """
    first, second = _derivatives(u, step)
    flat = torch.eye(2, device=u.device, dtype=u.dtype)[:, :, None, None, None]
    g = flat + torch.einsum("bichw,bjchw->ijbhw", first, first)
    determinant = g[0, 0] * g[1, 1] - g[0, 1].square()  # at least 1
    inverse = torch.stack([g[1, 1], -g[0, 1], -g[0, 1], g[0, 0]]).unflatten(0, (2, 2)) / determinant
    tangent = torch.einsum("bmchw,bichw->mibhw", second, first)
    # Products of the normal parts II_m, m = 11, 12, 22: second derivatives without what lies in the surface.
    normal = torch.einsum("bmchw,bnchw->mnbhw", second, second)
    normal = normal - torch.einsum("mibhw,ijbhw,njbhw->mnbhw", tangent, inverse, tangent)
    trace = torch.stack([inverse[0, 0], 2 * inverse[0, 1], inverse[1, 1]])
    gauss = (normal[0, 2] - normal[1, 1]) / determinant
    mean = torch.einsum("mbhw,mnbhw,nbhw->bhw", trace, normal, trace) / 4  # |H|^2
    whole = 4 * mean - 2 * gauss  # |II|^2, by Gauss's equation
    along = normal[0, 0] / g[0, 0].square(), normal[2, 2] / g[1, 1].square(), normal[1, 1] / (g[0, 0] * g[1, 1])
    roots = torch.stack([mean, whole, *along], dim=1).clamp(min=0)
    return torch.cat([gauss[:, None], (roots + TINY).sqrt()], dim=1)


def _derivatives(u: Tensor, step: int) -> tuple[Tensor, Tensor]:
    """(B, 2, C, h, w) by x and y, and (B, 3, C, h, w) by xx, xy and yy."""
    rows, cols = u.shape[2:]
    wide = F.pad(u, (step, step, step, step), mode="replicate")

    def at(down: int, right: int) -> Tensor:
        top, left = step * (1 + down), step * (1 + right)
        return wide[..., top : top + rows, left : left + cols]

    first = torch.stack([at(0, 1) - at(0, -1), at(1, 0) - at(-1, 0)], dim=1) / (2 * step)
    xx, yy = at(0, 1) - 2 * u + at(0, -1), at(1, 0) - 2 * u + at(-1, 0)
    xy = (at(1, 1) - at(1, -1) - at(-1, 1) + at(-1, -1)) / 4
    return first, torch.stack([xx, xy, yy], dim=1) / step**2
