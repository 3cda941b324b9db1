"""Class names as vectors: computed once by a text encoder and shipped as a file that states its origin."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from torch import Tensor

from argus_core.common.files import write_atomic
from argus_core.common.tensors import save_tensors
from argus_core.errors import ArgusError, unknown

REMEDY = "make such a file with `arena text`"


@dataclass(frozen=True)
class ClassText:
    """Unit vectors (K, d) of K class ``names``, float32, with the model and the prompts they come from."""

    names: tuple[str, ...]
    vectors: Tensor
    model: str
    prompts: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.vectors.ndim != 2 or len(self.vectors) != len(self.names) or not self.vectors.isfinite().all():
            raise ArgusError(f"{len(self.names)} names need one finite vector each, not {tuple(self.vectors.shape)}")
        if len(set(self.names)) != len(self.names):
            raise ArgusError("a class name occurs twice among the class vectors; give each name once")

    @property
    def sha256(self) -> str:
        """sha256 (hex) of the vectors' bytes."""
        return hashlib.sha256(self.vectors.contiguous().numpy().tobytes()).hexdigest()

    def select(self, names: Sequence[str]) -> Tensor:
        """The (len(names), d) vectors of ``names``; raises ArgusError for a name that the file lacks."""
        rows = {name: row for row, name in enumerate(self.names)}
        for name in names:
            if name not in rows:
                raise ArgusError(f"{unknown('class name', name, rows)}; {REMEDY} that has it")
        return self.vectors[[rows[name] for name in names]]

    def save(self, path: Path) -> None:
        """Write a safetensors file with one tensor, ``embeddings``, and the rest as metadata."""
        metadata = {
            "names": json.dumps(self.names),
            "model": self.model,
            "prompts": json.dumps(self.prompts),
            "sha256": self.sha256,
        }
        write_atomic(path, lambda to: save_tensors({"embeddings": self.vectors.contiguous()}, to, metadata))

    @classmethod
    def load(cls, path: Path) -> ClassText:
        """Read a file written by ``save``; raises ArgusError if it is missing, damaged or altered."""
        try:
            with safe_open(path, framework="pt") as file:
                metadata, vectors = file.metadata() or {}, file.get_tensor("embeddings").float()
            names, prompts = (tuple(json.loads(metadata[key])) for key in ("names", "prompts"))
            text = cls(names, vectors, metadata["model"], prompts)
        except (OSError, SafetensorError, KeyError, json.JSONDecodeError) as error:
            raise ArgusError(f"{path} cannot be read as class vectors ({error}); {REMEDY}") from error
        if metadata.get("sha256") != text.sha256:
            raise ArgusError(f"the vectors in {path} do not match their checksum: the file was altered; {REMEDY}")
        return text


def stand_in(classes: int, dim: int) -> Tensor:
    """(classes, dim) random unit vectors, always the same, in place of class vectors where there is no file."""
    generator = torch.Generator().manual_seed(0)
    return F.normalize(torch.randn(classes, dim, generator=generator), dim=1)
