"""Multiply-accumulates of a piece of work, by formulas of our own: the counter in torch knows other operators in each
version, and none knows the attention of a CPU in all of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode


def count_macs(work: Callable[[], Any]) -> tuple[Any, int]:
    """What ``work`` returns, and its multiply-accumulates.

    Counted are matrix products, distances (``cdist``), convolutions and attention, masked or not.
    """
    # The fast path of torch's own attention modules is one operator that hides its products.
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with _Counter() as counter:
            result = work()
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
    return result, counter.macs


class _Counter(TorchDispatchMode):
    """Sees every operator, after it was taken apart into those that have a formula."""

    supports_higher_order_operators = True

    def __init__(self) -> None:
        super().__init__()
        self.macs = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """The operator's result."""
        kwargs = kwargs or {}
        if func.namespace != "aten":
            return func(*args, **kwargs)
        with self:
            result = func.decompose(*args, **kwargs)
        if result is NotImplemented:
            result = func(*args, **kwargs)
            self.macs += _macs(func.overloadpacket.__name__.rstrip("_"), args, result)
        return result


def _macs(name: str, args: Any, result: Any) -> int:
    """Those of one operator, by its name without the underscore of those in place."""
    if name.startswith("_scaled_dot_product") and not name.endswith("_backward"):
        return _attention(*args[:3])
    formula = FORMULAS.get(name)
    return formula(args, result) if formula else 0


def _attention(query: Tensor, key: Tensor, value: Tensor) -> int:
    """Scores of all pairs and the mean of values: (B, heads, n, d), (B, heads, m, d), (B, heads, m, e)."""
    return math.prod(query.shape[:-1]) * key.shape[-2] * (query.shape[-1] + value.shape[-1])


def _product(left: Tensor, right: Tensor) -> int:
    """(..., n, k) with (..., k, m)."""
    return left.numel() * right.shape[-1]


def _distances(left: Tensor, right: Tensor) -> int:
    """(..., n, k) to (..., m, k)."""
    return left.numel() * right.shape[-2]


def _convolution(args: Any, result: Tensor) -> int:
    """Every element of the result, or of the input if transposed, takes one filter."""
    image, weight, transposed = args[0], args[1], args[6]
    return (image if transposed else result).numel() * math.prod(weight.shape[1:])


FORMULAS: dict[str, Callable[[Any, Any], int]] = {
    **dict.fromkeys(("mm", "bmm", "_int_mm", "_scaled_mm"), lambda args, _: _product(args[0], args[1])),
    **dict.fromkeys(("addmm", "addbmm", "baddbmm", "_addmm_activation"), lambda args, _: _product(args[1], args[2])),
    **dict.fromkeys(("mv", "dot", "vdot"), lambda args, _: args[0].numel()),
    "addmv": lambda args, _: args[1].numel(),
    **dict.fromkeys(("_cdist_forward", "_euclidean_dist"), lambda args, _: _distances(args[0], args[1])),
    "convolution": _convolution,
}
"""Operator to a formula of its arguments and its result."""
