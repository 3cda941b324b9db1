"""Hadamard matrices: orthogonal, and all of whose entries are equally large."""

from __future__ import annotations

import torch
from torch import Tensor

from argus_core.errors import ArgusError


def hadamard(order: int) -> Tensor:
    """An orthonormal (order, order) matrix in float64 whose entries are all +-1/sqrt(order).

    By doubling (Sylvester 1867) from an order that is one above a prime of the form 4k + 3 (Paley 1933). Raises
    ArgusError for an order that this does not reach, among them all above 2 that 4 does not divide.
    """
    signs = _signs(order)
    if signs is None:
        raise ArgusError(f"no Hadamard matrix of order {order} is known here; choose another normalisation")
    return signs / order**0.5


def _signs(order: int) -> Tensor | None:
    if order == 1:
        return torch.ones(1, 1, dtype=torch.float64)
    if order % 4 == 0 and _is_prime(order - 1):
        return _paley(order - 1)
    half = _signs(order // 2) if order % 2 == 0 else None
    if half is None:
        return None
    return torch.cat([torch.cat([half, half], 1), torch.cat([half, -half], 1)])


def _paley(prime: int) -> Tensor:
    """The matrix of order ``prime`` + 1, from which numbers are squares modulo the prime."""
    squares = {number * number % prime for number in range(1, prime)}
    character = torch.tensor([0.0] + [1.0 if n in squares else -1.0 for n in range(1, prime)], dtype=torch.float64)
    index = torch.arange(prime)
    skew = torch.zeros(prime + 1, prime + 1, dtype=torch.float64)
    skew[0, 1:], skew[1:, 0] = 1, -1
    skew[1:, 1:] = character[(index[:, None] - index) % prime]
    return skew + torch.eye(prime + 1, dtype=torch.float64)


def _is_prime(number: int) -> bool:
    return number > 1 and all(number % divisor for divisor in range(2, int(number**0.5) + 1))
