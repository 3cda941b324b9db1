"""Argus: any set of heads over one pass of one frozen backbone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from operator import or_
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image
from torch import nn

from argus_core.canvas import Canvas, Placement
from argus_core.errors import ArgusError
from argus_core.head import Head
from argus_core.image import read_image
from argus_core.tokens import Needs, Tokens

if TYPE_CHECKING:
    from argus_core.backbones import Backbone


def check_name(name: str) -> None:
    """Raise ArgusError for a name that a head cannot have in ``Argus``."""
    if "." in name or hasattr(nn.ModuleDict, name):
        raise ArgusError(f"{name!r} cannot name a head in Argus; choose a plain name such as 'boxes'")


def merged_needs(heads: Mapping[str, Head]) -> Needs:
    """What one backbone pass must give to serve all ``heads``."""
    return reduce(or_, (head.needs.resolve(head.info) for head in heads.values()))


class Argus(nn.Module):
    """Several heads by name over one backbone; heads must have been built for a backbone of the same shape."""

    def __init__(self, backbone: Backbone, heads: Mapping[str, Head], canvas: Canvas) -> None:
        super().__init__()
        if not heads:
            raise ArgusError("Argus needs at least one head: Argus(backbone, {'boxes': head}, canvas)")
        for name, head in heads.items():
            check_name(name)
            if head.info != backbone.info:
                raise ArgusError(
                    f"head {name!r} was built for tokens of {head.info}, "
                    f"backbone {backbone.name!r} gives {backbone.info}"
                )
        self.backbone = backbone
        self.heads = nn.ModuleDict(dict(heads))
        self.canvas = canvas
        self.eval()

    @property
    def needs(self) -> Needs:
        """The union of what the heads read."""
        return merged_needs({name: self._head(name) for name in self.heads})

    def tokens(self, images: Sequence[Any]) -> tuple[Tokens, list[Placement]]:
        """One backbone pass over images (paths, PIL images or arrays, of any sizes), and where each was placed."""
        if isinstance(images, str | Path | np.ndarray | Image.Image):
            raise ArgusError("argus(images) takes a list of images, even of one: argus([image])")
        if not images:
            raise ArgusError("there is no image to look at; give at least one path, PIL image or array")
        rendered = [self.canvas.render(read_image(image)) for image in images]
        canvases = torch.from_numpy(np.stack([canvas for canvas, _ in rendered]))
        placements = [placement for _, placement in rendered]
        extent = torch.tensor([placement.extent for placement in placements])
        return self.backbone.encode(canvases, extent, self.needs), placements

    @torch.no_grad()
    def run_heads(self, tokens: Tokens) -> dict[str, list[Any]]:
        """Every head's predictions on live or stored tokens, in canvas pixels."""
        return {name: run_head(self._head(name), tokens) for name in self.heads}

    def forward(self, images: Sequence[Any]) -> dict[str, list[Any]]:
        """Every head's predictions in pixels of each original image."""
        tokens, placements = self.tokens(images)
        return {
            name: [self._head(name).task.to_image(p, place) for p, place in zip(found, placements, strict=True)]
            for name, found in self.run_heads(tokens).items()
        }

    def _head(self, name: str) -> Head:
        head = self.heads[name]
        assert isinstance(head, Head)
        return head


def run_head(head: Head, tokens: Tokens) -> list[Any]:
    """One head's predictions in canvas pixels."""
    return head.decode(head(tokens.features(head.needs)), tokens.size)
