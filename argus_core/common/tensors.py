"""The identity of a set of weights, and writing them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from argus_core.common.files import write_atomic
from argus_core.errors import ArgusError


def tensors_sha256(tensors: Mapping[str, Tensor]) -> str:
    """sha256 (hex) over names, dtypes, shapes and bytes, in order of name; batch counters are left out."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        if name.endswith("num_batches_tracked"):
            continue
        value = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def save_tensors(tensors: Mapping[str, Tensor], to: Path, metadata: Mapping[str, str]) -> None:
    """Write tensors that share no memory to a file; raises ArgusError where it cannot be written, as on a full disk."""
    try:
        save_file(dict(tensors), to, dict(metadata))
    except SafetensorError as error:
        raise ArgusError(f"{to.parent} cannot be written: {error}") from error


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write a safetensors file atomically; tensors are cloned, because safetensors refuses any that share memory."""
    copies = {key: value.detach().cpu().contiguous().clone() for key, value in tensors.items()}

    def write(to: Path) -> None:
        to.touch()
        mode = to.stat().st_mode
        save_tensors(copies, to, metadata)
        to.chmod(mode)  # safetensors creates files that only their owner can read

    write_atomic(path, write)
