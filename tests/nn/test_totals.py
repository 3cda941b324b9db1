"""Sums over batches, of which several processes have a share each, are those of one process."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch

from argus_core.errors import ArgusError
from argus_core.nn import total_over_batches


@dataclass
class Share:
    """What one of several processes is given, with the sums of the others."""

    own: list
    others: tuple[list, list]

    def __iter__(self):
        raise AssertionError("all batches were read")

    def share(self):
        return iter(self.own)

    def gather(self, value):
        before, after = self.others
        return [*before, value, *after]


def part(x, y):
    return x.sum(), [y], (1, x[:1])


BATCHES = [(torch.arange(3.0) + n, n) for n in range(5)]


def test_numbers_tensors_and_lists_are_joined_each():
    total, seen, (count, firsts) = total_over_batches(BATCHES, part)
    assert total == 45 and seen == [0, 1, 2, 3, 4] and count == 5 and firsts == torch.tensor([10.0])


@pytest.mark.parametrize("cut", [(0, 0), (0, 2), (2, 3), (5, 5)])
def test_a_share_and_the_sums_of_others_give_the_whole(cut):
    parts = [BATCHES[: cut[0]], BATCHES[cut[0] : cut[1]], BATCHES[cut[1] :]]
    before, after = ([total_over_batches(other, part)] if other else [None] for other in (parts[0], parts[2]))
    assert total_over_batches(Share(parts[1], (before, after)), part) == total_over_batches(BATCHES, part)


def test_nothing_to_fit_on_is_an_error():
    for batches in ([], Share([], ([None], [None]))):
        with pytest.raises(ArgusError, match="no batch was given"):
            total_over_batches(batches, part)


def test_the_batches_themselves_are_not_written_into():
    x = torch.ones(2)
    assert total_over_batches([(x, 0), (x, 0)], lambda x, _: x).tolist() == [2, 2] and x.tolist() == [1, 1]
