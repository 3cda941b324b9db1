"""Arrays and tensors: layouts, types and values."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from hostile_case import Case, bad, good
from hostile_images import ALPHA, COLOURS, GREY, over_white, thrice
from torchvision import tv_tensors

SHARES = COLOURS / 255
WIDE = (COLOURS.astype(np.uint16) << 8) + 99
FIRST = torch.from_numpy(COLOURS).permute(2, 0, 1)


def locked(values: np.ndarray) -> np.ndarray:
    values = values.copy()
    values.flags.writeable = False
    return values


def layouts() -> Iterator[Case]:
    """Strides, flags and subclasses."""
    yield good("reversed", COLOURS[::-1, ::-1, ::-1], COLOURS[::-1, ::-1, ::-1])
    yield good("fortran", np.asfortranarray(COLOURS), COLOURS)
    yield good("read-only", locked(COLOURS), COLOURS)
    yield good("broadcast", np.broadcast_to(np.uint8(7), (5, 6, 3)), np.full((5, 6, 3), 7))
    yield good("grey", GREY, thrice(GREY))
    yield good("one-channel", GREY[..., None], thrice(GREY))
    yield good("four-channels", np.dstack([COLOURS, ALPHA])[:, ::-1], over_white(COLOURS, ALPHA)[:, ::-1], 1)
    yield good("matrix", GREY.view(np.matrix), thrice(GREY))
    yield good("unmasked", np.ma.masked_array(COLOURS), COLOURS)
    yield bad("masked", np.ma.masked_array(COLOURS, mask=COLOURS > 99), "masked.*filled")
    for shape in ((), (5,), (5, 6, 2), (3, 5, 6), (1, 5, 6, 3), (0, 6, 3), (5, 0), (5, 6, 0)):
        yield bad(f"shape-{shape}", np.zeros(shape, np.uint8), rf"not \({', '.join(map(str, shape))}")


def values() -> Iterator[Case]:
    """Types and ranges."""
    for dtype in ("f2", "f4", ">f4", "f8", "g"):
        yield good(f"share-{dtype}", SHARES.astype(dtype), COLOURS)
    yield good("share-rounded", (SHARES * (1 + 1e-6)).astype(np.float32), COLOURS)
    for dtype in ("<u2", ">u2"):
        yield good(f"wide-{dtype}", WIDE.astype(dtype), COLOURS)
    yield good("wide-black", np.zeros((5, 6), np.uint16), np.zeros((5, 6, 3)))
    yield bad("wide-bytes", COLOURS.astype(np.uint16), "16-bit values of 0 to 25.*all black")
    for dtype in ("bool", "i1", "i4", "u4", "i8", "c8", "O", "U1", "M8[s]"):
        yield bad(f"type-{dtype}", np.zeros((5, 6, 3), dtype), "no agreed white")
    yield bad("type-record", np.zeros((5, 6), [("red", "u1")]), "no agreed white")
    for value in (np.nan, np.inf, -np.inf):
        for dtype in (np.float16, np.float64):
            spoilt = np.where(GREY > 99, value, SHARES[..., 0]).astype(dtype)
            yield bad(f"share-{value}-{np.dtype(dtype)}", spoilt, "nan|inf.*finite")
    yield bad("share-255", COLOURS.astype(np.float32), r"0\.\.1, not in .*255: scale")
    yield bad("share-normalised", SHARES - 0.5, r"0\.\.1, not in -0\.5")
    yield bad("share-enormous", SHARES * 1e300, r"0\.\.1, not in .*e\+300")


def tensors() -> Iterator[Case]:
    """Channels first or last, of every type, and what cannot be told."""
    shares = torch.from_numpy(SHARES).permute(2, 0, 1)
    yield good("tensor-first", FIRST, COLOURS)
    yield good("tensor-last", torch.from_numpy(COLOURS), COLOURS)
    yield good("tensor-grey", FIRST[:1], thrice(GREY))
    yield good("tensor-alpha", torch.cat([FIRST, FIRST[1:2]]), over_white(COLOURS, ALPHA), 1)
    yield good("tensor-flipped", FIRST.flip(2), COLOURS[:, ::-1])
    yield good("tensor-uint16", torch.from_numpy(WIDE).permute(2, 0, 1), COLOURS)
    for dtype in (torch.float16, torch.float32, torch.float64):
        yield good(f"tensor-{dtype}", shares.to(dtype), COLOURS)
    yield good("tensor-bfloat16", shares.bfloat16(), COLOURS, 1)
    yield good("tensor-gradient", shares.clone().requires_grad_(), COLOURS)
    yield good("tensor-parameter", torch.nn.Parameter(shares), COLOURS)
    yield good("tensor-subclass", tv_tensors.Image(FIRST), COLOURS)
    for shape in ((3, 5, 3), (1, 5, 3), (4, 5, 3), (3, 5, 4)):
        yield bad(f"tensor-either-{shape}", torch.zeros(shape, dtype=torch.uint8), "first or last: give an array")
    yield bad("tensor-batch", FIRST[None], r"batch.*list\(tensor\)")
    for shape in ((), (5, 6), (5, 6, 1), (2, 5, 6), (1, 2, 3, 5, 6)):
        yield bad(f"tensor-{shape}", torch.zeros(shape), "an image tensor is")
    yield bad("tensor-empty", torch.zeros(3, 0, 6), r"not \(0, 6, 3\)")
    for dtype in (torch.bool, torch.int64, torch.complex64):
        yield bad(f"tensor-{dtype}", torch.zeros(3, 5, 6, dtype=dtype), "no agreed white")
    yield bad("tensor-nan", torch.full((3, 5, 6), torch.nan), "nan.*finite")
    yield bad("tensor-normalised", shares - 0.5, "scale")
    yield bad("tensor-sparse", shares.to_sparse(), "cannot be read")
    yield bad("tensor-meta", torch.zeros(3, 5, 6, device="meta"), "meta cannot be read")


def cases() -> Iterator[Case]:
    """All of them."""
    for part in (layouts, values, tensors):
        yield from part()
