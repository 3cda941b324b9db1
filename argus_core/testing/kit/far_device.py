"""A stand-in for a GPU: tensors of the CPU that say they are on ``meta`` and refuse to mix with the CPU's."""

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

from argus_core.testing.kit.values import tensors

FAR = "meta"
"""The device type of the tensors: one that torch knows, and that has no kernels of its own."""
aten = torch.ops.aten
MOVES = (aten._to_copy.default, aten.copy_.default)
SYNCS = (
    *(aten._local_scalar_dense.default, aten.equal.default, aten.nonzero.default, aten.masked_select.default),
    *(aten._unique2.default, aten.unique_dim.default, aten.unique_consecutive.default, aten.bincount.default),
)
"""Operations that wait for a GPU, because their result or its size is needed on the CPU."""
MASKABLE = (aten.index.Tensor, aten.index_put.default, aten.index_put_.default)
LIBRARIES = (f"{os.sep}torch{os.sep}", f"{os.sep}torchvision{os.sep}", __file__)
"""Parts of the paths of files that are skipped when looking for the code that caused an operation."""
CPU = torch.device("cpu")


class FarTensor(Tensor):
    """A tensor whose numbers are in ``on_cpu``."""

    on_cpu: Tensor

    @staticmethod
    def __new__(cls: type[FarTensor], on_cpu: Tensor) -> FarTensor:
        return Tensor._make_wrapper_subclass(
            cls, on_cpu.shape, on_cpu.stride(), on_cpu.storage_offset(), dtype=on_cpu.dtype, device=torch.device(FAR)
        )

    def __init__(self, on_cpu: Tensor) -> None:
        self.on_cpu = on_cpu

    def __repr__(self, **_: Any) -> str:  # type: ignore[override]
        return f"{self.on_cpu!r} far away"

    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:  # type: ignore[override]
        raise AssertionError(f"{func} outside of FarDevice")


class FarDevice(ExitStack):
    """While it is open, ``.to("meta")`` gives such tensors, which compute as those of a GPU do.

    ``waits`` are the places that would wait for a GPU: numbers read, masks as indices, and copies from and to the
    CPU, each with the operation's name; ``count`` is the number of operations.
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

    def wait(self, operation: object) -> None:
        """Note an operation that waits, and the function of Argus or of a head that caused it."""
        frames = (frame for frame, _ in traceback.walk_stack(None))
        code = next(frame.f_code for frame in frames if not any(part in frame.f_code.co_filename for part in LIBRARIES))
        self.waits.append(f"{operation} in {code.co_name} of {Path(code.co_filename).name}")


_begin = torch.autocast.__init__


def _begin_autocast(context: torch.autocast, device_type: str, *args: Any, **kwargs: Any) -> None:
    """``torch.autocast`` knows no device type ``meta``: the stand-in computes as the CPU does."""
    _begin(context, "cpu" if device_type == FAR else device_type, *args, **kwargs)


class _Functions(TorchFunctionMode):
    """Functions that torch would run without a dispatch mode."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        if func is Tensor.tolist and isinstance(args[0], FarTensor):
            return args[0].cpu().tolist()
        if func is Tensor.new_tensor and isinstance(args[0], FarTensor):
            return torch.tensor(args[1], dtype=kwargs.get("dtype", args[0].dtype)).to(FAR)
        if func in (torch.tensor, torch.as_tensor) and _is_far(kwargs.get("device")):
            return func(*args, **{**kwargs, "device": "cpu"}).to(FAR)
        return func(*args, **kwargs)


class _Dispatch(TorchDispatchMode):
    def __init__(self, device: FarDevice) -> None:
        super().__init__()
        self.device = device

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        operands = [*tensors((args, kwargs))]
        created_far = _is_far(kwargs.get("device"))
        if not created_far and not any(isinstance(tensor, FarTensor) for tensor in operands):
            return func(*args, **kwargs)
        self.device.count += 1
        if func in MOVES:
            return self._move(func, args, kwargs)
        _refuse_mixing(func, operands)
        if func in SYNCS or (func in MASKABLE and _is_masked(func, args)):
            self.device.wait(func)
        return _compute(func, args, {**kwargs, "device": CPU} if created_far else kwargs, operands)

    def _move(self, func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
        """Copy between the CPU and the device, or within one of them, which does not wait."""
        source = args[0]
        if func is aten.copy_.default:
            result, source = args[0], args[1]
            func(_near(result), _near(source))
            to_far = isinstance(result, FarTensor)
        else:
            to_far = isinstance(source, FarTensor) if kwargs.get("device") is None else _is_far(kwargs["device"])
            result = func(_near(source), **({**kwargs, "device": CPU} if "device" in kwargs else kwargs))
            result = FarTensor(result) if to_far else result
        if to_far != isinstance(source, FarTensor):
            self.device.wait(func)
        return result


def _compute(func: Any, args: Any, kwargs: Mapping[str, Any], tensors: Iterable[Tensor]) -> Any:
    """The result of the CPU, wrapped; an argument that was written in place is returned as itself."""
    arguments = {id(tensor.on_cpu): tensor for tensor in tensors if isinstance(tensor, FarTensor)}

    def wrap(value: Any) -> Any:
        if not isinstance(value, Tensor):
            return value
        return arguments[id(value)] if id(value) in arguments else FarTensor(value)

    near = {key: _changed(value, _near) for key, value in kwargs.items()}
    return _changed(func(*_changed(args, _near), **near), wrap)


# Not torch.utils._pytree, which takes most of the time of an operation.
def _changed(value: Any, change: Callable[[Any], Any]) -> Any:
    """Arguments or results of an operation with each value changed, those in lists too."""
    if isinstance(value, list | tuple):
        return type(value)([_changed(item, change) for item in value])
    return change(value)


def _is_far(device: Any) -> bool:
    return device is not None and torch.device(device).type == FAR


def _near(value: Any) -> Any:
    return value.on_cpu if isinstance(value, FarTensor) else value


def _refuse_mixing(func: Any, tensors: Iterable[Tensor]) -> None:
    """AssertionError for a tensor of the CPU among those of the device, unless it is one number."""
    shapes = [tuple(tensor.shape) for tensor in tensors if not isinstance(tensor, FarTensor) and tensor.ndim]
    assert not shapes, f"{func} mixes a tensor {shapes[0]} of the CPU with tensors of another device"


def _is_masked(func: Any, args: tuple[Any, ...]) -> bool:
    """Whether an index is a mask; a number written through one is filled in, without counting."""
    mask = any(isinstance(index, Tensor) and index.dtype in (torch.bool, torch.uint8) for index in args[1])
    return mask and (func is aten.index.Tensor or args[2].ndim > 0)
