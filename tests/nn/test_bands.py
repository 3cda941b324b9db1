"""Large planes are read in bands of rows, without a trace."""

from __future__ import annotations

import pytest
import torch

from argus_core.canvas import Canvas, Flipped, Windows
from argus_core.nn import merge_passes, planes


@pytest.mark.parametrize("framing", [Canvas(64), Canvas(64, fit="crop"), Flipped(Windows(100, 64, 40))], ids=str)
@pytest.mark.parametrize("size", [(200, 333), (7, 300), (640, 480)])
@pytest.mark.parametrize("stride", [1, 4, 16])
def test_bands_give_the_plane_that_was_computed_at_once(framing, size, stride, monkeypatch):
    places, random = framing.passes(*size), torch.Generator().manual_seed(0)
    grids = [[-(-n // stride) for n in place.canvas_size] for place in places]
    plane = merge_passes([torch.randn(3, *grid, generator=random) for grid in grids], stride, places)
    whole = plane.to_image()
    heights = []
    rows = type(plane)._rows
    monkeypatch.setattr(planes, "BAND", 3 * plane.count.shape[1] * 9)
    monkeypatch.setattr(planes, "STRIP", 3 * size[1])
    monkeypatch.setattr(
        type(plane), "_rows", lambda self, *span: heights.append(span[1] - span[0]) or rows(self, *span)
    )
    assert torch.allclose(plane.to_image(), whole, atol=1e-5)
    assert max(heights) <= 9 + 2, "rows of a band, and one more on either side"
