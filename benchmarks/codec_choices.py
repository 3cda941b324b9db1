"""What the number formats of caches were chosen by: errors of ways to store four bits, and of samples for components.

python codec_choices.py DATA    # DATA holds nyuv2, imagenette160 and weights_vit_tiny

Errors are mean squares in parts of the variance of the tokens around their mean.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from argus_core import load_backbone
from argus_core.backbones import Backbone
from argus_core.backbones.live import LiveSource
from argus_core.cache.basis import Basis
from argus_core.cache.estimate import spread
from argus_core.cache.fit import Moments
from argus_core.cache.shard import rows_of, tensor_names
from argus_core.canvas import Canvas
from argus_core.plugins.data_spec import open_data
from argus_core.tokens import Needs
from minute_heads import NYU

Stored = Callable[[Tensor], Tensor]


def tokens(backbone: Backbone, data: str, canvas: Canvas, needs: Needs, images: int) -> dict[str, list[Tensor]]:
    """The rows of each stored tensor, by image, of evenly spaced training images."""
    split = open_data(data)["train"]
    source, found = LiveSource(backbone, split, canvas, needs), dict[str, list[Tensor]]()
    for index in spread(len(split), images):
        read = source.read([(index, "id")]).tokens
        for name, layer in tensor_names(needs.resolve(backbone.info)):
            found.setdefault(name, []).append(rows_of(read, name, layer))
    return found


def grouped(x: Tensor, size: int) -> Tensor:
    """(N, G, size), the last group filled up with the last channel; of size 0 one group of all."""
    return torch.cat([x, x[:, -1:].expand(-1, -x.shape[1] % size)], 1).unflatten(1, (-1, size)) if size else x[:, None]


def around_zero(levels: int, size: int) -> Stored:
    """Levels on both sides of zero, scaled by the largest magnitude of a group."""

    def store(x: Tensor) -> Tensor:
        groups = grouped(x, size)
        scale = (groups.abs().amax(2, keepdim=True) / levels).clamp(min=1e-30)
        return ((groups / scale).round() * scale).flatten(1)[:, : x.shape[1]]

    return store


def between(size: int) -> Stored:
    """Sixteen levels from the least to the largest value of a group."""

    def store(x: Tensor) -> Tensor:
        groups = grouped(x, size)
        least = groups.amin(2, keepdim=True)
        step = ((groups.amax(2, keepdim=True) - least) / 15).clamp(min=1e-30)
        return (((groups - least) / step).round() * step + least).flatten(1)[:, : x.shape[1]]

    return store


WAYS = {
    "around zero, token, 4 bits": around_zero(7, 0),
    "between, token, 4 bits": between(0),
    "around zero, 32 channels, 4.5 bits": around_zero(7, 32),
    "between, 64 channels, 4.5 bits": between(64),
    "around zero, 16 channels, 5 bits": around_zero(7, 16),
    "between, 32 channels, 5 bits": between(32),
    "int8, token, 8 bits": around_zero(127, 0),
}


def four_bits(what: str, found: dict[str, list[Tensor]]) -> None:
    """Print a row for each stored tensor."""
    for name, images in found.items():
        x = torch.cat(images)
        variance = (x - x.mean(0)).square().sum()
        errors = [f"{float((store(x) - x).square().sum() / variance):.4f}" for store in WAYS.values()]
        print(f"| {what}, {name}, {x.shape[1]} channels | {' | '.join(errors)} |", flush=True)


def samples(what: str, name: str, images: list[Tensor], counts: tuple[int, ...], rows: tuple[int, ...]) -> None:
    """Print what components leave of the variance of every fourth image, which are not in the sample."""
    seen, unseen = [x for n, x in enumerate(images) if n % 4], torch.cat(images[::4])
    for most in rows:
        for sample in (len(seen) // 4, len(seen) // 2, len(seen)):
            moments = Moments(unseen.shape[1])
            for place in spread(len(seen), sample):
                moments.add(seen[place][spread(len(seen[place]), most)])
            basis = Basis.of(max(counts), moments.total, moments.products, moments.rows)
            left = [f"{count}: {_left(basis, unseen, count):.3f}" for count in counts]
            print(f"{what}, {name}: {sample} images, {most} tokens of each: left by {', '.join(left)}", flush=True)


def _left(basis: Basis, x: Tensor, count: int) -> float:
    centred = x - basis.mean
    rest = centred - centred @ basis.components[:count].T @ basis.components[:count]
    return float(rest.square().sum() / (x - x.mean(0)).square().sum())


def main() -> None:
    """Print both tables."""
    data = Path(sys.argv[1])
    (weights,) = (data / "weights_vit_tiny").glob("*.safetensors")
    half = (0.5,) * 3
    lite, vit = load_backbone("lite0"), load_backbone("timm:vit_tiny_patch16_224", weights, mean=half, std=half)
    rooms = tokens(lite, NYU.format(data), Canvas(224, 288), Needs((2, 3, 4)), 64)
    photographs = tokens(lite, f"folder:{data}/imagenette160", Canvas(160), Needs((-1,), cls=True), 256)
    print(f"| | {' | '.join(WAYS)} |\n|---|{'---|' * len(WAYS)}")
    four_bits("lite0, rooms", rooms)
    four_bits("lite0, photographs", photographs)
    four_bits("ViT-Tiny, rooms", tokens(vit, NYU.format(data), Canvas(224), Needs((5, 11), cls=True), 64))
    samples("lite0, rooms", "maps.4", rooms["maps.4"], (16, 64), (32, 128))
    samples("lite0, rooms", "maps.2", rooms["maps.2"], (16,), (32, 128, 1000))
    samples("lite0, photographs", "maps.5", photographs["maps.5"], (64, 128), (128,))
    samples("lite0, photographs", "prefix.5", photographs["prefix.5"], (64, 128), (128,))


if __name__ == "__main__":
    main()
