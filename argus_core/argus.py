"""Argus: classes, masks, depth, objects and correspondences of photographs, from one frozen backbone."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from argus_core.common.places import place
from argus_core.model.questions import Questions

if TYPE_CHECKING:
    from typing_extensions import Self

    from argus_core.canvas import Canvas
    from argus_core.data import Split
    from argus_core.export.folder import ExportReport
    from argus_core.export.int8 import Images
    from argus_core.model.plan import Plan
    from argus_core.model.watch import WatchedFrame
    from argus_core.saving.push import Upload
    from argus_core.teach.teach import Taught

__all__ = ["Argus"]


class Argus(Questions):
    """Heads over one frozen backbone: asked questions, loaded, saved and exported as a whole."""

    @classmethod
    def load(
        cls,
        source: str | Path,
        variant: str | None = None,
        device: torch.device | str | None = None,
        allow_missing: bool = False,
        revision: str | None = None,
    ) -> Self:
        """Load a folder or hub id, see ``saving.read.load``; no code in the folder is run."""
        from argus_core.saving.read import load

        return load(cls, source, variant, device, allow_missing, revision)

    @classmethod
    def from_runs(
        cls,
        paths: Sequence[str | Path],
        which: str = "best",
        weights: str | Path | None = None,
        device: torch.device | str | None = None,
        allow_missing: bool = False,
    ) -> Self:
        """Load the trained heads of runs, head folders or files over their backbone, see ``saving.runs``."""
        from argus_core.saving.runs import assemble

        return assemble(cls, [place(path) for path in paths], which, weights, device, allow_missing)

    def watch(
        self,
        source: str | Path,
        every: int = 1,
        *,
        limit: int = 0,
        tasks: Sequence[str] | None = None,
        return_confidence: bool = False,
        embeddings: bool = False,
        track: bool = False,
    ) -> Iterator[WatchedFrame]:
        """The frames of a film, a stream or ``webcam:0`` one after the other, with what ``perceive`` says of each.

        ``every`` n-th frame is looked at, at most ``limit`` of them if that is not 0. ``batch`` frames share a backbone
        pass, and no more are in memory. With ``track`` detections have ``tracks``, ids of objects that stay the same
        from frame to frame, see ``Tracker``. Needs the extra ``video``. Raises ArgusError for a source without a
        readable frame; warns of damage.
        """
        from argus_core.model.watch import watch

        return watch(self, source, every, limit, tasks, return_confidence, embeddings, track)

    def teach(
        self,
        data: str | Path | Split,
        task: str | None = None,
        *,
        head: str | None = None,
        name: str | None = None,
        options: Mapping[str, Any] | None = None,
        canvas: Canvas | None = None,
        split: str | None = None,
        folds: int = 5,
        replace: bool = False,
        accept_faults: bool = False,
    ) -> Taught:
        """Add a head that is solved, in seconds, from a few annotated images; returns what was learnt, and how well.

        ``data`` is a data spec, a path, or a split, of which ``split`` is learned from, by default ``train`` or the
        only one. ``head`` is a registered head that is solved, with ``options``, by default the ridge head of the
        ``task``; ``name`` is what this model calls it, by default after the data. It looks at the canvas of a head of
        its task, or at ``canvas``. The score is cross-validated in ``folds`` parts, none below 2. Raises ArgusError
        for a name that is taken, unless the new head shall ``replace`` the other, and for data that cannot teach. With
        ``accept_faults`` images that cannot be used are left out, with a warning.
        """
        from argus_core.teach.plan import TeachOptions, make_plan
        from argus_core.teach.teach import teach

        asked = TeachOptions(task, head, name, canvas, options or {}, folds, replace, accept_faults)
        taught, _ = teach(self, make_plan(data, split, asked), lambda text: warnings.warn(text, stacklevel=2))
        return taught

    def save(self, folder: str | Path, variant: str | None = None, per_head: bool = False) -> None:
        """Write weights and config.json, see ``saving.write``; variant ``bf16_backbone`` makes a smaller file."""
        from argus_core.saving.write import save

        save(self, folder, variant, per_head)

    def export_hf(self, folder: str | Path, variant: str | None = None) -> None:
        """Save so that ``AutoModel.from_pretrained(folder, trust_remote_code=True)`` loads it too."""
        from argus_core.saving.huggingface import export_hf

        export_hf(self, folder, variant)

    def push(
        self,
        repository: str,
        *,
        private: bool = False,
        revision: str | None = None,
        variant: str | None = None,
        message: str | None = None,
        license_file: str | Path | None = None,
        dry_run: bool = False,
        accept_license: bool = False,
    ) -> Upload:
        """Publish as ``OWNER/NAME`` on the Hugging Face hub with a model card, in one commit, see ``saving.push``."""
        from argus_core.saving.push import push

        return push(
            self,
            repository,
            private=private,
            revision=revision,
            variant=variant,
            message=message,
            license_file=None if license_file is None else Path(license_file),
            dry_run=dry_run,
            accept_license=accept_license,
        )

    def export_onnx(self, folder: str | Path, verify: bool = True, embeddings: bool = False) -> ExportReport:
        """Write ONNX graphs for any batch, height and width, see ``export.onnx``; needs the extra ``onnx``.

        With ``embeddings`` they also give the vectors of objects and images, of ``embedding_layers``.
        """
        from argus_core.export.onnx import export_onnx

        return export_onnx(self, folder, verify, embedding=self.embedding_layers if embeddings else None)

    def export_torch(self, folder: str | Path, verify: bool = True, embeddings: bool = False) -> ExportReport:
        """Write exported PyTorch programs of the same graphs, see ``export.program``."""
        from argus_core.export.program import export_torch

        return export_torch(self, folder, verify, embedding=self.embedding_layers if embeddings else None)

    def export_openvino(
        self, folder: str | Path, verify: bool = True, embeddings: bool = False, int8: Images | None = None
    ) -> ExportReport:
        """Write OpenVINO graphs, see ``export.ir``, with a backbone in int8 if there are images to calibrate it on."""
        from argus_core.export.ir import export_openvino

        layers = self.embedding_layers if embeddings else None
        return export_openvino(self, folder, verify, embedding=layers, int8=int8)

    def quantize_int8(self) -> Self:
        """Store the backbone's linear weights as int8, in place, see ``export.weights``; needs the extra ``quant``."""
        from argus_core.export.weights import quantize_int8

        return quantize_int8(self)

    def compile(  # type: ignore[override]
        self,
        engine: str = "inductor",
        precision: str = "fp32",
        images: Images | None = None,
        graph: str | Path | None = None,
    ) -> Self:
        """Run the backbone with ``inductor``, ``openvino`` or ``eager`` from now on, see ``export.engines``.

        OpenVINO's ``precision`` may be ``bf16``, or ``int8`` with ``images`` that it is calibrated on; ``graph`` is the
        folder of an ``export_openvino``.
        """
        from argus_core.export.engines import compile_backbone

        return compile_backbone(self, engine, precision, images, graph)

    def plan(self) -> Plan:
        """The passes for an image, and the cost of backbone and heads; prints as a table."""
        from argus_core.model.plan import make_plan

        return make_plan(self)
