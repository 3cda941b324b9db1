"""Fitting the principal components of a cache on a sample of its images, before the first shard."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing

import torch
from torch import Tensor

from argus_core.backbones.base import Backbone, encode_rendered
from argus_core.cache.basis import Bases, Basis
from argus_core.cache.estimate import spread
from argus_core.cache.job import Batch, RenderedImage, read_ahead
from argus_core.cache.manifest import Manifest
from argus_core.cache.shard import rows_of, tensor_names
from argus_core.common.dtypes import parse_dtype
from argus_core.errors import ArgusError

SAMPLE_IMAGES = 256
"""Images that are looked at, evenly spaced; each costs a pass. Of 48 instead of 192, 128 components of a layer of 1280
channels left 0.62 instead of 0.53 of the variance of other images (benchmarks/codec_choices.py).
"""
SAMPLE_ROWS = 128
"""Tokens of each that are, evenly spaced: of 32, more of the variance was left, of 1000 hardly less."""


class Moments:
    """The sum, and the products of all pairs of channels, of the rows of one stored tensor, in float64."""

    def __init__(self, channels: int) -> None:
        self.rows = 0
        self.total = torch.zeros(channels, dtype=torch.float64)
        self.products = torch.zeros(channels, channels, dtype=torch.float64)

    def add(self, rows: Tensor) -> None:
        """Count (N, C) rows."""
        rows = rows.cpu().double()
        self.rows += len(rows)
        self.total += rows.sum(0)
        self.products += rows.T @ rows


def fit_bases(
    backbone: Backbone,
    manifest: Manifest,
    read: Callable[[int], RenderedImage],
    threads: int,
    progress: Callable[[int, int], object],
) -> Bases:
    """The components of each tensor that is stored, of the first view of a sample of images.

    ``progress`` hears how many images of how many are done. The result depends on the images and the device alone.
    """
    names = tensor_names(manifest.spec.needs)
    moments = {name: Moments(backbone.info.channels[layer]) for name, layer in names}
    sample = spread(manifest.fingerprint["images"], SAMPLE_IMAGES)
    size, done = manifest.layout["batch"], 0
    batches = ((0, sample[first : first + size]) for first in range(0, len(sample), size))
    with closing(read_ahead(read, batches, threads)) as rendered:
        for batch in rendered:
            _look(backbone, manifest, batch, moments)
            done += len(batch.images)
            progress(done, len(sample))
    return {name: _basis(each, manifest) for name, each in moments.items()}


def _look(backbone: Backbone, manifest: Manifest, batch: Batch, moments: Mapping[str, Moments]) -> None:
    """Count tokens of the images of a batch, the unreadable ones left out."""
    spec, views = manifest.spec, [image.views[0] for image in batch.images if image.views]
    if not views:
        return
    tokens = encode_rendered(backbone, views, spec.needs, spec.canvas.tiles).tokens
    for name, layer in tensor_names(spec.needs):
        rows = rows_of(tokens, name, layer, manifest.prefix_rows)
        moments[name].add(_some(rows, SAMPLE_ROWS * len(views), batch, layer))


def _some(rows: Tensor, most: int, batch: Batch, layer: int) -> Tensor:
    """At most so many of (N, C) rows, evenly spaced; raises ArgusError if one is not finite."""
    rows = rows[spread(len(rows), most)]
    if not torch.isfinite(rows).all():
        keys = _range([image.record.key for image in batch.images])
        raise ArgusError(f"the backbone gives NaN or infinity for an image of {keys} at layer {layer}")
    return rows


def _range(keys: Sequence[str]) -> str:
    return " to ".join(dict.fromkeys((repr(keys[0]), repr(keys[-1]))))


def _basis(moments: Moments, manifest: Manifest) -> Basis:
    if moments.rows == 0:
        raise ArgusError("none of the images that the components would be fitted on can be read; cache as fp16 or int8")
    count = parse_dtype(manifest.spec.dtype).width(len(moments.total))
    return Basis.of(count, moments.total, moments.products, moments.rows)
