"""A split of generated images and a small seeded backbone, fast enough to cache hundreds of times."""

from __future__ import annotations

import hashlib

import numpy as np
import torch
from torch import nn

from argus_core.cache import CacheSpec
from argus_core.canvas import Canvas
from argus_core.data import Split
from argus_core.errors import ArgusError
from argus_core.tokens import FeatureInfo, FinalNorm, Needs, Tokens, cell_mask

LAYERS = (1, 3)
SPEC = CacheSpec(Canvas(64), Needs(LAYERS, cls=True), ("id", "hflip"))


class FakeSplit(Split):
    """Noise images of many shapes; ``bad`` ones cannot be read, ``edits`` change an image's bytes."""

    name = "fake"
    tasks = {}  # noqa: RUF012

    def __init__(self, count=11, bad=(), edits=None, restamped=()):
        self.count, self.bad, self.edits, self.restamped = count, set(bad), edits or {}, set(restamped)

    def __len__(self):
        return self.count

    def key(self, index):
        return f"image-{index:03d}"

    def read(self, index):
        if index in self.bad:
            raise ArgusError(f"somewhere/{self.key(index)}.jpg: truncated")
        random = np.random.default_rng(1000 + index + self.edits.get(index, 0) * 7919)
        height, width = random.integers(5, 90, 2)
        return random.integers(0, 256, (height, width, 3), dtype=np.uint8)

    def digest(self, index):
        pixels = b"bad" if index in self.bad else self.read(index).tobytes()
        return hashlib.sha256(pixels).hexdigest()

    def stamp(self, index):
        return f"{index}-{self.edits.get(index, 0)}-{index in self.bad}-{index in self.restamped}"

    def truth(self, index, task):
        raise NotImplementedError

    def annotation_digest(self):
        return ""


class FakeBackbone(nn.Module):
    """Patch projections at strides 8, 8, 16, 16; the later layers see their neighbours, as real ones do."""

    def __init__(self, gain=1.0, seed=0):
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.info = FeatureInfo((12, 12, 20, 20), (8, 8, 16, 16), prefix=2)
        self.weights = [torch.randn(c, 3, s, s, generator=generator) * gain / s for c, s in self._shapes()]
        self.name, self.mean, self.std = "fake", (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)
        self.weights_sha256, self.license, self.precision = f"sha-{seed}", "apache-2.0", "fp32"
        self.device = torch.device("cpu")
        self.norm = FinalNorm(torch.rand(20, generator=generator), torch.rand(20, generator=generator), 1e-5, (2, 3))

    def _shapes(self):
        return zip(self.info.channels, self.info.strides, strict=True)

    def encode(self, canvases, extent, needs, tiles=None):
        pixels = canvases.float() / 255
        images = ((pixels - torch.tensor(self.mean)) / torch.tensor(self.std)).permute(0, 3, 1, 2)
        images = images * cell_mask(extent, 1, tuple(canvases.shape[1:3]))
        maps, prefix = {}, {}
        for layer in needs.resolve(self.info).layers:
            stride = self.info.strides[layer]
            out = torch.nn.functional.conv2d(images, self.weights[layer], stride=stride)
            mean = out.mean((2, 3))
            maps[layer] = out * cell_mask(extent, stride, tuple(out.shape[2:]))
            prefix[layer] = torch.stack([mean, -mean], dim=1)
        size = (canvases.shape[1], canvases.shape[2])
        return Tokens(maps if needs.maps else {}, prefix if needs.cls else {}, extent, size, self.info, self.norm)
