"""Matching without training: the backbone's own features as descriptors."""

from __future__ import annotations

from argus_core.errors import ArgusError
from argus_core.head import Head
from argus_core.matching import Refine
from argus_core.tasks.correspond import Correspond
from argus_core.tasks.described import DescriptorMaps, Search
from argus_core.tokens import FeatureInfo, Features, Needs


class Match(Head):
    """Cosine similarity of one layer's features, enlarged until the canvas' longer side has ``size`` pixels.

    Features of a 512-pixel canvas enlarged to 512 are those of the published protocol. Finer pixels only round
    less; what is told apart is decided by the canvas. ``refine`` moves a match between the pixels; ``mutual``
    also tells which matches lead back to where they began.
    """

    solves = Correspond

    def __init__(
        self,
        info: FeatureInfo,
        task: Correspond,
        *,
        layer: int = -1,
        norm: bool = True,
        size: int = 512,
        refine: Refine = "none",
        mutual: bool = False,
    ) -> None:
        super().__init__(info, task)
        if size < 1:
            raise ArgusError(f"option size={size} must be at least 1 pixel")
        self.needs = Needs(layers=(layer,), norm=norm)
        self.stride = info.strides[self.needs.resolve(info).layers[0]]
        self.search = Search(size, refine, mutual)

    def forward(self, features: Features) -> DescriptorMaps:
        """The features themselves."""
        return DescriptorMaps(features.map, self.stride, features.extent, self.search)
