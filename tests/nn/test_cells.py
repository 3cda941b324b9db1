"""Pixels gathered into cells, against loops over both."""

from __future__ import annotations

import torch

from argus_core.nn import cell_counts, cell_means

STRIDE = 4
GENERATOR = torch.Generator().manual_seed(0)
SIZE = (2, 10, 15)
"""Neither side divides into cells."""


def cells(x):
    """(image, row, column) and the pixels (n,) of every cell."""
    for image, plane in enumerate(x):
        for row, band in enumerate(plane.split(STRIDE, dim=0)):
            for column, cell in enumerate(band.split(STRIDE, dim=1)):
                yield (image, row, column), cell.flatten()


def test_counts_are_those_of_a_loop_and_strange_labels_count_nowhere():
    labels = torch.randint(-1, 5, SIZE, generator=GENERATOR)
    labels[0, :4, :4] = 255
    counts = cell_counts(labels, 4, STRIDE)
    assert counts.shape == (2, 3, 4, 4)
    for at, pixels in cells(labels):
        assert counts[at].tolist() == [int((pixels == label).sum()) for label in range(4)]


def test_means_are_those_of_known_pixels_whatever_the_others_hold():
    values, known = torch.rand(SIZE, generator=GENERATOR), torch.rand(SIZE, generator=GENERATOR) < 0.3
    known[1, :4, :4] = False
    values[~known] = torch.nan
    means, shares = cell_means(values, known, STRIDE)
    inside = dict(cells(known))
    for at, pixels in cells(values):
        chosen = pixels[inside[at]]
        wanted = chosen.mean() if len(chosen) else torch.zeros(())
        torch.testing.assert_close(means[at], wanted)
        assert shares[at] == len(chosen) / STRIDE**2
