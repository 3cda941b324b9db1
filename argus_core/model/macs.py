"""Counts multiply-accumulates.

The counter of torch covers other operators in each version, and in no version all attention operators of the CPU.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from argus_core.nn.winograd import direct_convolutions


def count_macs(work: Callable[[], Any]) -> tuple[Any, int]:
    """The result of ``work``, and its multiply-accumulates.

    Matrix products, distances (``cdist``), convolutions and attention, masked or not, are counted.
    """
    # The fast path of torch's own attention modules is one operator that hides its products.
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with _Counter() as counter, direct_convolutions():
            result = work()
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
    return result, counter.macs


class _Counter(TorchDispatchMode):
    """Counts every operator, after decomposing it into operators that have a formula."""

    supports_higher_order_operators = True

    def __init__(self) -> None:
        super().__init__()
        self.macs = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operator and count it."""
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
    """The count of one operator, by its name without the underscore of in-place operators."""
    if name.startswith("_scaled_dot_product") and not name.endswith("_backward"):
        return _attention(*args[:3])
    formula = FORMULAS.get(name)
    return formula(args, result) if formula else 0


def _attention(query: Tensor, key: Tensor, value: Tensor) -> int:
    """Scores of all pairs and the weighted values: (B, heads, n, d), (B, heads, m, d), (B, heads, m, e)."""
    return math.prod(query.shape[:-1]) * key.shape[-2] * (query.shape[-1] + value.shape[-1])


def _product(left: Tensor, right: Tensor) -> int:
    """(..., n, k) with (..., k, m)."""
    return left.numel() * right.shape[-1]


def _distances(left: Tensor, right: Tensor) -> int:
    """(..., n, k) to (..., m, k)."""
    return left.numel() * right.shape[-2]


def _convolution(args: Any, result: Tensor) -> int:
    """One filter for every element of the result, or of the input if transposed."""
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
"""Formulas of an operator's arguments and result."""
