"""A device that is not there: tensors of the CPU that say they are on ``meta`` and refuse to mix with the CPU's."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

FAR = "meta"
"""The type of device that the tensors name: one that has a place in torch, and no kernels of its own."""
aten = torch.ops.aten
MOVES = (aten._to_copy.default, aten.copy_.default)
ASKS = (
    *(aten._local_scalar_dense.default, aten.equal.default, aten.nonzero.default, aten.masked_select.default),
    *(aten._unique2.default, aten.unique_dim.default, aten.unique_consecutive.default, aten.bincount.default),
)
"""Operations whose result, or the size of it, a GPU must be waited for."""
MASKABLE = (aten.index.Tensor, aten.index_put.default, aten.index_put_.default)
OURS = (f"{os.sep}torch{os.sep}", f"{os.sep}torchvision{os.sep}", __file__)
"""Files that stand between an operation and whoever asked for it."""


class FarTensor(Tensor):
    """A tensor whose numbers are in ``held``, on the CPU."""

    held: Tensor

    @staticmethod
    def __new__(cls: type[FarTensor], held: Tensor) -> FarTensor:
        return Tensor._make_wrapper_subclass(
            cls, held.shape, held.stride(), held.storage_offset(), dtype=held.dtype, device=torch.device(FAR)
        )

    def __init__(self, held: Tensor) -> None:
        self.held = held

    def __repr__(self, **_: Any) -> str:  # type: ignore[override]
        return f"{self.held!r} far away"

    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:  # type: ignore[override]
        raise AssertionError(f"{func} outside of FarDevice")


class FarDevice(ExitStack):
    """While it is open, ``.to("meta")`` gives such tensors, which compute as those of a GPU do.

    ``waits`` are the places in which a GPU would have been waited for: numbers asked for, masks as indices, and
    copies from and to the CPU, each with the operation's name; ``count`` is how many operations there were.
    """

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[str] = []
        self.count = 0

    def __enter__(self) -> FarDevice:
        super().__enter__()
        self.enter_context(_Dispatch(self))
        self.enter_context(_Functions())
        self.enter_context(patch.object(torch.autocast, "__init__", _begin_autocast))
        return self

    def wait(self, what: object) -> None:
        """Note one, and where Argus or a head caused it."""
        frames = (frame for frame, _ in traceback.walk_stack(None))
        code = next(frame.f_code for frame in frames if not any(part in frame.f_code.co_filename for part in OURS))
        self.waits.append(f"{what} in {code.co_name} of {Path(code.co_filename).name}")


_begin = torch.autocast.__init__


def _begin_autocast(context: torch.autocast, device_type: str, *args: Any, **given: Any) -> None:
    """``torch.autocast`` of a type of device that has one."""
    _begin(context, "cpu" if device_type == FAR else device_type, *args, **given)


class _Functions(TorchFunctionMode):
    """What torch would do without asking a dispatch mode."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        given = dict(kwargs or {})
        if func is Tensor.tolist and isinstance(args[0], FarTensor):
            return args[0].cpu().tolist()
        if func is Tensor.new_tensor and isinstance(args[0], FarTensor):
            return torch.tensor(args[1], dtype=given.get("dtype", args[0].dtype)).to(FAR)
        if func in (torch.tensor, torch.as_tensor) and _is_far(given.get("device")):
            return func(*args, **{**given, "device": "cpu"}).to(FAR)
        return func(*args, **given)


class _Dispatch(TorchDispatchMode):
    def __init__(self, device: FarDevice) -> None:
        super().__init__()
        self.device = device

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        given = dict(kwargs or {})
        tensors = [one for one in tree_leaves((args, given)) if isinstance(one, Tensor)]
        far = any(isinstance(one, FarTensor) for one in tensors)
        made = _is_far(given.get("device"))
        if not far and not made:
            return func(*args, **given)
        self.device.count += 1
        if func in MOVES:
            return self._moved(func, args, given)
        _refuse_strangers(func, tensors)
        if func in ASKS or (func in MASKABLE and _masked(func, args)):
            self.device.wait(func)
        return self._computed(func, args, {**given, "device": torch.device("cpu")} if made else given, tensors)

    def _computed(self, func: Any, args: Any, given: Mapping[str, Any], tensors: Iterable[Tensor]) -> Any:
        """The result on the CPU, and what was written in place as the tensor that was given."""
        found = func(*tree_map(_here, args), **tree_map(_here, given))
        known = {id(one.held): one for one in tensors if isinstance(one, FarTensor)}

        def there(one: Any) -> Any:
            return known[id(one)] if id(one) in known else FarTensor(one) if isinstance(one, Tensor) else one

        return tree_map(there, found)

    def _moved(self, func: Any, args: Any, given: dict[str, Any]) -> Any:
        if func is aten.copy_.default:
            into, source = args[0], args[1]
            func(_here(into), _here(source))
            there, before = isinstance(into, FarTensor), isinstance(source, FarTensor)
        else:
            before = isinstance(args[0], FarTensor)
            there = _is_far(given["device"]) if given.get("device") is not None else before
            given = {**given, "device": torch.device("cpu")} if "device" in given else given
            into = func(_here(args[0]), **given)
            into = FarTensor(into) if there else into
        if there != before:
            self.device.wait(func)
        return into


def _is_far(device: Any) -> bool:
    return device is not None and torch.device(device).type == FAR


def _here(value: Any) -> Any:
    return value.held if isinstance(value, FarTensor) else value


def _refuse_strangers(func: Any, tensors: Iterable[Tensor]) -> None:
    """AssertionError for a tensor of the CPU among those of the device, unless it is one number."""
    strange = [tuple(one.shape) for one in tensors if not isinstance(one, FarTensor) and one.ndim]
    assert not strange, f"{func} mixes a tensor {strange[0]} of the CPU with tensors of another device"


def _masked(func: Any, args: tuple[Any, ...]) -> bool:
    """Whether an index is a mask; a number written through one is filled in, without counting."""
    mask = any(isinstance(one, Tensor) and one.dtype in (torch.bool, torch.uint8) for one in args[1])
    return mask and (func is aten.index.Tensor or args[2].ndim > 0)
