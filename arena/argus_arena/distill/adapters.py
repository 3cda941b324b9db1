"""What turns a student's tokens into a teacher's; the next stage may go on with it, the student ends without it."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor, nn

from argus_core.backbones import read_tensors
from argus_core.common.tensors import tensors_sha256, write_tensors

FILE = "adapters.safetensors"
"""The file of a finished stage's adapters, beside the folder of its backbone."""


class Adapter(nn.Sequential):
    """A perceptron of two layers from vectors (..., inputs) to (..., outputs), with ``width`` values in between."""

    def __init__(self, inputs: int, outputs: int, width: int) -> None:
        super().__init__(nn.Linear(inputs, width), nn.GELU(), nn.Linear(width, outputs))

    def forward(self, x: Tensor) -> Tensor:
        """Predict a teacher's vectors."""
        out: Tensor = super().forward(x)
        return out


def write_adapters(adapters: nn.ModuleDict, backbone: Path) -> None:
    """Leave the adapters of a stage for one that begins with its ``backbone``."""
    write_tensors(backbone.parent / FILE, adapters.state_dict(), {})


def begin_adapters(adapters: nn.ModuleDict, start: Path | None) -> str:
    """Begin with the adapters that the stage of the backbone ``start`` left, of teachers that have the same names.

    Others stay as they are. Returns the sha256 of what was taken, or nothing.
    """
    file = None if start is None else start.parent / FILE
    if file is None or not file.is_file():
        return ""
    own = adapters.state_dict()
    taken = {key: value for key, value in read_tensors(file).items() if key in own and own[key].shape == value.shape}
    adapters.load_state_dict({**own, **taken})
    return tensors_sha256(taken) if taken else ""
