"""Labels that contradict what the other images teach: out-of-fold probabilities, and the labels they doubt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from argus_core.nn import Moments, class_logits
from argus_core.teach.crossval import FOLDS, deal

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Judged:
    """What classifiers that have not seen a label say of it: by label (N,).

    ``score`` is the probability of the best other class less that of the given one, -1 to 1. ``suggested`` is the most
    probable class. ``certain`` are labels of which the suggested class is as probable as it is, on average, of its own
    (confident learning, Northcutt 2021). ``known`` are those that could be held out.
    """

    probabilities: Tensor
    score: Tensor
    suggested: Tensor
    certain: Tensor
    known: Tensor

    @property
    def doubtful(self) -> list[int]:
        """The labels that another class beats, the most doubtful first."""
        found = (self.known & (self.score > 0)).nonzero()[:, 0]
        return found[self.score[found].argsort(descending=True, stable=True)].tolist()


def judge(inputs: Tensor, labels: Tensor, classes: int, groups: Ints) -> Judged:
    """Judge labels (N,) of unit vectors (N, d) by ridge regression on those of other ``groups`` (N,) in five folds.

    Copies, or the objects of one image, are one group, so that none teaches about another.
    """
    parts = assign_folds(groups, labels.numpy())
    probabilities = out_of_fold(inputs, labels, classes, parts)
    own = probabilities.gather(1, labels[:, None])[:, 0]
    other = probabilities.scatter(1, labels[:, None], -1).amax(dim=1) if classes > 1 else torch.zeros_like(own)
    known = torch.from_numpy(parts >= 0)
    usual = torch.stack([_mean(own[known & (labels == label)]) for label in range(classes)])
    suggested = probabilities.argmax(dim=1)
    certain = known & (suggested != labels) & (probabilities.amax(dim=1) >= usual[suggested])
    return Judged(probabilities, other - own, suggested, certain, known)


def _mean(values: Tensor) -> Tensor:
    return values.mean() if len(values) else torch.tensor(1.0)


def assign_folds(groups: Ints, labels: Sequence[int] | Ints, folds: int = FOLDS) -> Ints:
    """(N,) the fold of each member, the same within a group; -1 for the only group of a label, which must teach.

    Groups are dealt label by label, by that of their first member.
    """
    _, first, own = np.unique(groups, return_index=True, return_inverse=True)
    dealt = deal([int(labels[place]) for place in first], folds)
    found: Ints = np.array([-1 if fold is None else fold for fold in dealt], dtype=np.int64)[own]
    return found


def out_of_fold(inputs: Tensor, labels: Tensor, classes: int, parts: Ints) -> Tensor:
    """(N, K) probabilities by regressions on the other folds; members of no fold, -1, teach all of them.

    Memory beyond the inputs is that of a (d + K, d + K) matrix a fold.
    """
    moments = {
        part: _moments(inputs[parts == part], labels[parts == part], classes) for part in np.unique(parts).tolist()
    }
    found = torch.full((len(inputs), classes), 1 / classes)
    for part in moments:
        others = [own for other, own in moments.items() if other != part]
        if part < 0 or not others:
            continue
        total = sum(others[1:], others[0])
        weights = class_logits(total, inputs.shape[1], "ridge").float()
        found[parts == part] = F.linear(inputs[parts == part], weights[:-1].T, weights[-1]).softmax(dim=1)
    return found


def _moments(inputs: Tensor, labels: Tensor, classes: int) -> Moments:
    total = Moments.none(inputs.shape[1] + classes)
    for part, own in zip(inputs.split(4096), labels.split(4096), strict=True):  # float64 copies are of a chunk
        total = total + Moments.of(torch.cat([part, F.one_hot(own, classes).to(part)], dim=1))
    return total
