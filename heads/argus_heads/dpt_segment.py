"""DPT for segmentation: four taps fused from coarse to fine."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from argus_core.head import Head
from argus_core.nn import Decoder, four_layers
from argus_core.recipe import Recipe
from argus_core.tasks.segment import DenseLogits, MaskTarget, Segment, cross_entropy, jaccard
from argus_core.tokens import FeatureInfo, Features, Needs


class SegmentDPT(Head):
    """The decoder of a dense prediction transformer (Ranftl 2021) with class logits.

    ``layers`` and ``double`` are those of ``depth.dpt``. ``dropout`` drops whole channels before the last layer, as
    published. ``overlap`` is the weight of the ``jaccard`` loss beside cross entropy.
    """

    solves = Segment
    recipe = Recipe(lr=1e-3, weight_decay=1e-2, batch=16, epochs=50)

    def __init__(
        self,
        info: FeatureInfo,
        task: Segment,
        *,
        width: int = 256,
        layers: tuple[int, ...] = (),
        double: bool = False,
        dropout: float = 0.1,
        overlap: float = 0.0,
    ) -> None:
        super().__init__(info, task)
        self.needs = Needs(layers=layers or four_layers(info), norm=False)
        self.ignore, self.overlap = task.ignore, overlap
        self.decoder = Decoder(info, self.needs, width, double)
        self.dropout = nn.Dropout2d(dropout)
        self.classify = nn.Conv2d(width, len(task.classes), 1)

    def forward(self, features: Features) -> DenseLogits:
        """Logits of every cell at the finest level's stride, or half of it."""
        x = self.dropout(self.decoder(features))
        return DenseLogits(self.classify(x), self.decoder.stride, features.extent)

    def loss(self, output: DenseLogits, targets: Sequence[MaskTarget]) -> dict[str, Tensor]:
        """Cross entropy at canvas resolution over the labelled pixels, and ``jaccard`` if it has a weight."""
        terms = {"cross_entropy": cross_entropy(output, targets, self.ignore)}
        return terms | ({"jaccard": self.overlap * jaccard(output, targets, self.ignore)} if self.overlap else {})
