"""Nearest neighbours: the most similar training images vote, weighted by similarity."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from argus_core.errors import ArgusError
from argus_core.head import Head
from argus_core.nn import nearest, total_over_batches
from argus_core.recipe import Recipe
from argus_core.tasks.classify import Classes, Classify, ClassTarget
from argus_core.tokens import FeatureInfo, Features, Needs


class NearestNeighbours(Head):
    """The exact k-nearest-neighbour protocol of DINO (Caron 2021) on L2-normalised CLS tokens.

    The ``neighbours`` most similar training images get weights by softmax of similarity over ``temperature``; a
    class's score is the sum of its weights among the first ``k``. The bank holds every training image in float16.
    A head that was not fitted scores 0.
    """

    solves = Classify
    needs = Needs(maps=False, cls=True)
    recipe = Recipe(batch=256)

    task: Classify
    bank: Tensor
    labels: Tensor

    def __init__(
        self,
        info: FeatureInfo,
        task: Classify,
        *,
        k: int = 10,
        temperature: float = 0.07,
        neighbours: int = 200,
    ) -> None:
        super().__init__(info, task)
        if not 1 <= k <= neighbours or temperature <= 0:
            raise ArgusError(
                f"k={k}, neighbours={neighbours}, temperature={temperature}: "
                "give 1 <= k <= neighbours and a positive temperature"
            )
        self.k, self.temperature, self.neighbours = k, temperature, neighbours
        channels = info.channels[self.needs.resolve(info).layers[-1]]
        self.register_buffer("bank", torch.zeros(0, channels, dtype=torch.float16))
        self.register_buffer("labels", torch.zeros(0, dtype=torch.long))

    def fit(self, batches: Iterable[tuple[Features, Sequence[ClassTarget]]]) -> None:
        """Remember the normalised token and the class of every image."""
        bank, labels = total_over_batches(batches, self._rows)
        device = self.bank.device
        self.bank, self.labels = torch.cat(bank).to(device), torch.cat(labels).to(device)

    def _rows(self, features: Features, targets: Sequence[ClassTarget]) -> tuple[list[Tensor], list[Tensor]]:
        """The tokens and classes of a batch, as the bank holds them."""
        tokens = F.normalize(features.cls[-1], dim=1).half()
        return [tokens], [torch.stack([target.label for target in targets])]

    def make_room(self, state: Mapping[str, Tensor]) -> None:
        """Give the bank as many rows as the saved one."""
        if "bank" in state and "labels" in state:
            self.bank = self.bank.new_zeros(len(state["bank"]), self.bank.shape[1])
            self.labels = self.labels.new_zeros(len(state["labels"]))

    def forward(self, features: Features) -> Tensor:
        """Scores (B, K) in 0..1, which sum to at most 1."""
        queries = F.normalize(features.cls[-1], dim=1)
        scores = queries.new_zeros(len(queries), len(self.task.classes))
        if not len(self.bank):
            return scores
        similarity, rows = nearest(queries, self.bank, self.neighbours)  # best first
        weights = (similarity / self.temperature).softmax(dim=1)
        return scores.scatter_add_(1, self.labels[rows[:, : self.k]], weights[:, : self.k])

    def decode(self, output: Tensor, canvas: tuple[int, int]) -> list[Classes]:
        """The scores of each image."""
        return [Classes(scores) for scores in output.float()]
