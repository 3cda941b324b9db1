"""Any set of heads over one frozen backbone, and the passes of the backbone that they need."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import reduce
from operator import or_
from types import MappingProxyType

from torch import nn

from argus_core.backbones.base import Backbone
from argus_core.canvas import Canvas
from argus_core.canvas.large import Tiling
from argus_core.common.license import Licenses, work_licenses
from argus_core.errors import ArgusError, unknown
from argus_core.head import Head
from argus_core.model.compatibility import check_fit
from argus_core.model.outline import outline
from argus_core.model.passes import Pass
from argus_core.registry.places import Role
from argus_core.tasks.classify import Classify
from argus_core.tokens import FeatureInfo, Needs


class Heads(nn.Module):
    """Heads by name over one backbone that they were built for, and on whose weights they were trained.

    ``strict=False`` accepts heads of other weights or strides, if they can run at all. With ``canvas`` all heads use
    that canvas, so an image takes one pass. Without it each head uses the canvas it was trained on, and heads with the
    same canvas share a pass.
    """

    missing: Mapping[str, str] = MappingProxyType({})
    """Heads that were left out when this was loaded, with the reason."""
    tiling: Tiling | None = None
    """How images larger than a tile are looked at; without it they are shrunk to the canvas."""

    def __init__(
        self,
        backbone: Backbone,
        heads: Mapping[str, Head] | None = None,
        canvas: Canvas | None = None,
        *,
        strict: bool = True,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.heads = nn.ModuleDict()
        self.canvas = canvas
        for name, head in (heads or {}).items():
            self.add(name, head, strict)

    def __repr__(self) -> str:
        """A line for the backbone and one for each head."""
        return outline(type(self).__name__, self.backbone, {name: self.head(name) for name in self.heads}, self.canvas)

    def add(self, name: str, head: Head, strict: bool = True) -> None:
        """Add a head under a new name; raises ArgusError if it does not fit the backbone, see ``check_fit``."""
        check_name(name)
        if not isinstance(head, Head):
            raise ArgusError(f"{name!r} is {type(head).__name__}, not a Head; load_head gives a pair, (head, record)")
        if name in self.heads:
            raise ArgusError(f"there is a head {name!r} already; remove it first or choose another name")
        check_fit(name, head, self.backbone, strict)
        if self.canvas is None and head.canvas is None:
            raise _without_canvas(name)
        self.heads[name] = head.to(self.backbone.device).eval()

    def roles(self) -> dict[str, Role]:
        """The task of each head, and its registered name."""
        return {name: Role(self.head(name).task.name, self.head(name).name) for name in self.heads}

    def licenses(self) -> Licenses:
        """The licences of all parts, and the terms that apply to the whole."""
        return work_licenses(self.backbone.license, {name: self.head(name).record for name in self.heads})

    def remove(self, name: str) -> Head:
        """Remove a head and return it."""
        head = self.head(name)
        del self.heads[name]
        return head

    def head(self, name: str) -> Head:
        """The head of that name; raises ArgusError with similar names if there is none."""
        if name not in self.heads:
            raise unknown("head of this Argus", name, self.heads)
        head = self.heads[name]
        assert isinstance(head, Head)
        return head

    def canvas_of(self, name: str) -> Canvas:
        """The canvas that a head uses."""
        canvas = self.canvas or self.head(name).canvas
        if canvas is None:
            raise _without_canvas(name)
        return canvas

    def passes(
        self, names: Sequence[str] | None = None, tiling: Tiling | None = None, image: tuple[int, int] = (1, 1)
    ) -> list[Pass]:
        """The backbone passes for some heads, by default all: one per canvas.

        With ``tiling``, heads whose answers have a place see an ``image`` (height, width) that is larger than a tile on
        a canvas as large as it asks for. Classes are told of the whole image, on the usual canvas.
        """
        groups: dict[tuple[Canvas, bool], dict[str, Head]] = {}
        for name in self._chosen(names):
            head, canvas = self.head(name), self.canvas_of(name)
            large = canvas
            if self._tells_places(name):
                large = self.canvas_for(canvas, image, tiling)
            groups.setdefault((large, large != canvas), {})[name] = head
        info, merge = self.backbone.info, "tokens" if tiling is None else tiling.merge
        return [
            Pass(canvas, tuple(heads), merged_needs(heads, info), merge=merge if grown else "tokens")
            for (canvas, grown), heads in groups.items()
        ]

    def canvas_for(self, usual: Canvas, image: tuple[int, int], tiling: Tiling | None) -> Canvas:
        """The canvas for an ``image`` (height, width) that is looked at by tiles; ``usual`` if it fits into one."""
        return usual if tiling is None else tiling.canvas(usual, image, self._cell)

    def shrinking(self, names: Sequence[str] | None = None) -> list[Canvas]:
        """The canvases to which some heads, by default all, shrink large images and lose small objects."""
        places = [name for name in self._chosen(names) if self._tells_places(name)]
        return [] if self.tiling is not None else [*dict.fromkeys(map(self.canvas_of, places))]

    def _tells_places(self, name: str) -> bool:
        """Whether the answers of a head have places in the image, so that it can look at tiles."""
        head = self.head(name)
        return head.needs.maps and not isinstance(head.task, Classify)

    @property
    def _cell(self) -> int:
        """The pixels that sides of tiles are multiples of."""
        return max(self.backbone.info.strides)

    @property
    def needs(self) -> Needs:
        """The union of what the heads read."""
        return merged_needs({name: self.head(name) for name in self._chosen(None)}, self.backbone.info)

    def _one_canvas(self) -> Canvas:
        canvases = [group.canvas for group in self.passes()]
        if len(canvases) > 1:
            raise ArgusError(f"the heads were trained on {len(canvases)} canvases; say which: canvas={canvases[0]}")
        return canvases[0]

    def _chosen(self, names: Sequence[str] | None) -> Iterator[str]:
        if not len(self.heads):
            raise ArgusError("Argus needs at least one head: Argus(backbone, {'boxes': head}, canvas)")
        yield from self.heads if names is None else names


def _without_canvas(name: str) -> ArgusError:
    return ArgusError(
        f"head {name!r} was not trained on any canvas, so what should it see? give all heads one, as in "
        f"Argus(..., canvas=Canvas(320)), or this one its own: head.canvas = Canvas(320)"
    )


def check_name(name: str) -> None:
    """Raise ArgusError for a name that a head cannot have in ``Argus``."""
    if "." in name or hasattr(nn.ModuleDict, name):
        raise ArgusError(f"{name!r} cannot name a head in Argus; choose a plain name such as 'boxes'")


def merged_needs(heads: Mapping[str, Head], info: FeatureInfo | None = None) -> Needs:
    """What one backbone pass must give to serve all heads; ``info`` is that of the backbone, by default the heads'."""
    return reduce(or_, (head.needs.resolve(info or head.info) for head in heads.values()))
