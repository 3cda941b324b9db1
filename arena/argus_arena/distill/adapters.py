"""What turns a student's tokens into a teacher's; it is dropped when the student is finished."""

from __future__ import annotations

from torch import Tensor, nn


class Adapter(nn.Sequential):
    """A perceptron of two layers from vectors (..., inputs) to (..., outputs), with ``width`` values in between."""

    def __init__(self, inputs: int, outputs: int, width: int) -> None:
        super().__init__(nn.Linear(inputs, width), nn.GELU(), nn.Linear(width, outputs))

    def forward(self, x: Tensor) -> Tensor:
        """Predict a teacher's vectors."""
        out: Tensor = super().forward(x)
        return out
