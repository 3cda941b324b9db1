"""The task: the direction that every surface faces."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from argus_core import ArgusError, FeatureInfo, Metric, Placement, Task, Tokens
from argus_core.nn import batch_total, enlarge, merge_passes
from argus_core.tasks import draw_extents, paint_tokens
from argus_core.tokens import repeat_border
from argus_normals.example import draw_normals, paint
from argus_normals.metric import NormalMetric
from argus_normals.result import NormalsResult
from argus_normals.vectors import CellNormals, NormalMap, NormalTarget, RawNormals, mirrored, unit

Vectors = npt.NDArray[np.float32]


class Normals(Task):
    """Predict the direction that the surface at every pixel faces.

    A truth is a float array (h, w, 3) of unit vectors out of the surface in camera axes, x right, y down, z forward;
    three zeros mark unknown pixels.
    """

    name: ClassVar[str] = "normals"

    def target(self, truth: Vectors, placement: Placement) -> NormalTarget:
        """The nearest normal at every canvas pixel; a mirrored view turns left into right."""
        if problem := _problem(truth, placement.image_size):
            raise ArgusError(f"a map of normals cannot be used: {problem}")
        moved = placement.map_to_canvas(np.moveaxis(truth, -1, 0), 0.0, nearest=True)
        normals = torch.from_numpy(np.ascontiguousarray(moved, dtype=np.float32))
        return NormalTarget(mirrored(normals) if placement.mirrored else normals)

    def loss(self, output: RawNormals, targets: Sequence[NormalTarget]) -> dict[str, Tensor]:
        """1 - cosine at canvas resolution, the mean over known pixels."""
        truth = torch.stack([target.normals for target in targets])  # (B, 3, H, W)
        with torch.autocast(truth.device.type, enabled=False):
            vectors = repeat_border(output.vectors.float(), output.stride, output.extent)
            size = (truth.shape[2], truth.shape[3])
            normals = unit(enlarge(unit(vectors, dim=1), output.stride, size), dim=1)
            known = truth.any(dim=1)
            return {"cosine": (1 - (normals * truth).sum(dim=1))[known].sum() / batch_total(known.sum())}

    def decode(self, output: RawNormals, canvas: tuple[int, int]) -> list[CellNormals]:
        """The unit vector of every cell; padding repeats the border of the image."""
        normals = repeat_border(unit(output.vectors, dim=1), output.stride, output.extent)
        return [CellNormals(vectors, output.stride) for vectors in normals]

    def to_image(self, prediction: CellNormals, placement: Placement) -> NormalMap:
        """Interpolated bilinearly between cells and normalised again."""
        return self.merge([prediction], [placement])

    def merge(self, predictions: Sequence[CellNormals], placements: Sequence[Placement]) -> NormalMap:
        """The direction of the mean vector of all passes at image pixels, on the CPU."""
        maps = [
            mirrored(prediction.normals) if placement.mirrored else prediction.normals
            for prediction, placement in zip(predictions, placements, strict=True)
        ]
        plane = merge_passes(maps, predictions[0].stride, placements)
        return NormalMap((unit(plane.to_image(), dim=0) * plane.seen_in_image()).cpu())

    def result(self, prediction: NormalMap, image: npt.NDArray[np.uint8]) -> NormalsResult:
        """The vectors as an array (h, w, 3)."""
        return NormalsResult(image, prediction.normals.permute(1, 2, 0).contiguous().numpy())

    def metric(self) -> Metric:
        """Angles over all known pixels."""
        return NormalMetric()

    def check(self, prediction: CellNormals, canvas: tuple[int, int]) -> None:
        """Finite unit vectors on the smallest grid that covers the canvas."""
        normals, stride = prediction.normals, prediction.stride
        shape = (3, *(-(-n // stride) for n in canvas))
        assert normals.shape == shape, f"normals are {tuple(normals.shape)}, expected {shape} at stride {stride}"
        assert normals.isfinite().all(), "normals are not finite"
        worst = float((normals.detach().norm(dim=0) - 1).abs().max())
        assert worst < 1e-3, f"a normal's length is off by {worst:.2g}; they must be unit vectors"

    def nothing(self, canvas: tuple[int, int]) -> NormalTarget:
        """No normal is known."""
        return NormalTarget(torch.zeros(3, *canvas))

    def fault(self, truth: Any, size: tuple[int, int]) -> str:
        """What is wrong with a map of normals: type, shape, length, axes, or nothing known."""
        return _problem(truth, size) or ("" if truth.any() else "no pixel has a known normal")

    def summary(self, truths: Iterable[Vectors]) -> dict[str, Any]:
        """The share of known pixels, and the mean normal."""
        pixels, known, total = 0, 0, np.zeros(3)
        for truth in truths:
            pixels += truth.shape[0] * truth.shape[1]
            known += int(truth.any(axis=-1).sum())
            total += truth.sum(axis=(0, 1), dtype=np.float64)
        return {"known_share": known / max(1, pixels), "mean_normal": (total / max(1, known)).round(4).tolist()}

    def example(
        self,
        info: FeatureInfo,
        layers: Sequence[int],
        canvas: tuple[int, int],
        images: int,
        generator: torch.Generator,
    ) -> tuple[Tokens, list[NormalTarget]]:
        """Rolling surfaces whose normals are a linear function of each cell's vector; half have padding."""
        extent = draw_extents(canvas, images)
        normals = draw_normals(canvas, extent, generator)
        tokens = paint_tokens(
            info, layers, canvas, extent, generator, lambda layer: paint(normals, info, layer, generator)
        )
        return tokens, [NormalTarget(image) for image in normals]

    def example_truth(self, size: tuple[int, int], generator: torch.Generator) -> Vectors:
        """Normals of a rolling surface, a tenth of them unknown."""
        normals = draw_normals(size, torch.tensor([size]), generator)[0]
        return normals.permute(1, 2, 0).contiguous().numpy()

    def perfect(self, truth: Vectors, placement: Placement) -> CellNormals:
        """The normal at every canvas pixel, towards the camera where none is known."""
        return CellNormals(unit(self.target(truth, placement).normals, dim=0), 1)

    @classmethod
    def small(cls) -> Normals:
        """The task; it has no settings."""
        return cls()


def _problem(truth: Any, size: tuple[int, int]) -> str:
    """Why an array is not a map of normals for an image of ``size``; empty if it is one."""
    if not isinstance(truth, np.ndarray) or truth.dtype.kind != "f" or truth.shape != (*size, 3):
        kind = f"{truth.dtype} {truth.shape}" if isinstance(truth, np.ndarray) else type(truth).__name__
        return f"it is {kind}, not a float array of shape {(*size, 3)}: height, width, vector"
    known = truth[truth.any(axis=-1)]
    # Negated, so that a length of nan is wrong, too.
    if not (np.abs(np.linalg.norm(known, axis=-1) - 1) < 0.02).all():
        return "vectors have lengths other than 1; unknown ones are three zeros"
    if np.count_nonzero(known[:, 2] > 0) > len(known) / 2:
        return "most normals point away from the camera; axes are x right, y down, z forward"
    return ""
