"""Weight files without pickled code: reading, unwrapping, strict loading."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from pickle import UnpicklingError

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from argus_core.common.places import as_local, place
from argus_core.errors import ArgusError

_WRAPPERS = ("model", "state_dict", "teacher")
_PREFIXES = ("module.", "teacher.", "backbone.")


def read_tensors(path: str | Path) -> dict[str, Tensor]:
    """All tensors of a ``.safetensors`` or PyTorch file, without the usual wrappers and prefixes.

    Raises ArgusError for a file that is missing, damaged, or holds anything but data.
    """
    path = place(path)
    if not path.is_file():
        raise ArgusError(f"there is no weights file {path}")
    try:
        with as_local(path) as local:
            if path.suffix == ".safetensors":
                return _unwrap(load_file(local), path)
            return _unwrap(torch.load(local, map_location="cpu", weights_only=True), path)
    except (SafetensorError, UnpicklingError, RuntimeError, EOFError) as error:
        raise ArgusError(
            f"{path} cannot be read as weights ({str(error).splitlines()[0]}); "
            "fetch it again, or save its tensors as .safetensors"
        ) from error


def _unwrap(content: object, path: Path) -> dict[str, Tensor]:
    while isinstance(content, Mapping) and (inner := [k for k in _WRAPPERS if isinstance(content.get(k), Mapping)]):
        content = content[inner[0]]
    values = content if isinstance(content, Mapping) else {}
    tensors = {str(key): value for key, value in values.items() if isinstance(value, Tensor)}
    while prefix := next((p for p in _PREFIXES if any(key.startswith(p) for key in tensors)), None):
        tensors = {key[len(prefix) :]: value for key, value in tensors.items() if key.startswith(prefix)}
    if not tensors:
        raise ArgusError(f"{path} holds no tensors")
    return tensors


def load_strict(
    model: nn.Module, tensors: Mapping[str, Tensor], source: str | Path, ignore: Sequence[str] = ()
) -> None:
    """Copy ``tensors``, RoPE periods included, into ``model`` in place; every name must match.

    Only batch counters may be missing, and only modules in ``ignore`` (a classifier) may be unexpected.
    """
    tensors = {k: v for k, v in tensors.items() if not any(k.startswith(f"{module}.") for module in ignore)}
    periods = rope_periods(model)
    new_periods = {key: tensors.pop(key) for key in periods if key in tensors}
    try:
        missing, unexpected = model.load_state_dict(tensors, strict=False)
        for key, value in new_periods.items():
            periods[key].copy_(value)
    except RuntimeError as error:
        first = " ".join(str(error).split()[:60])
        raise ArgusError(f"{source} does not fit the network: {first}; check the backbone's name") from error
    missing = [key for key in missing if not key.endswith("num_batches_tracked")]
    if missing or unexpected:
        raise ArgusError(
            f"{source} does not fit the network: {_some('missing', missing)}, "
            f"{_some('unexpected', unexpected)}; check that the backbone's name and options match the file"
        )


def _some(kind: str, keys: Sequence[str]) -> str:
    return f"{len(keys)} {kind}" + (f" ({', '.join(keys[:4])}{', ...' if len(keys) > 4 else ''})" if keys else "")


def rope_periods(model: nn.Module) -> dict[str, Tensor]:
    """The RoPE periods by buffer name; timm leaves them out of ``state_dict``."""
    return {name: buffer for name, buffer in model.named_buffers() if name.split(".")[-1] == "periods"}
