"""One stage, from its recipe to the folder of a backbone."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from argus_arena.distill.adapters import begin_adapters, write_adapters
from argus_arena.distill.fixed import FixedViews
from argus_arena.distill.loop import StageLoop
from argus_arena.distill.networks import backbone_of, initial_backbone, student_of
from argus_arena.distill.objective import Distillation, Measure
from argus_arena.distill.optimise import StudentTrial
from argus_arena.distill.photographs import Photographs
from argus_arena.distill.pixels import StoredViews
from argus_arena.distill.plan import Plan
from argus_arena.distill.probes import Probe
from argus_arena.distill.probing import Probing
from argus_arena.distill.progress import StageProgress
from argus_arena.distill.provenance import provenance, result_licenses
from argus_arena.distill.recipe import DistillRecipe, Stage
from argus_arena.distill.record import STUDENT, StageLog
from argus_arena.distill.stored import Store, StoreWriter
from argus_arena.distill.student import Student
from argus_arena.distill.sweep import sweep, sweep_sizes
from argus_arena.distill.teachers import Teacher, load_teacher
from argus_arena.distill.views import Views
from argus_arena.distributed import Distributed, Interrupted
from argus_arena.run.batches import Order
from argus_arena.run.folder import RunFolder, versions
from argus_arena.training.checkpoints import Values
from argus_core.backbones import Backbone
from argus_core.backbones.base import check_grid
from argus_core.backbones.folder import write_backbone
from argus_core.common.architecture import is_backbone_folder
from argus_core.common.files import write_json
from argus_core.common.progress import finished, resumable
from argus_core.errors import ArgusError
from argus_core.plugins.hooks import Plugins

BACKBONE = "backbone"
"""The folder of the result, in that of its stage."""
SWEEP = "sweep.json"
"""The file of the agreement with the teachers at other sizes, in the folder of its stage."""
STORE = "stored"
"""The folder of stored views and answers, in that of their stage."""


@dataclass(frozen=True)
class StageRun:
    """One stage of a recipe: where it is written, what it starts from, and the results of the stages before it."""

    recipe: DistillRecipe
    stage: Stage
    folder: Path
    start: Path | None
    results: Mapping[str, Path]
    photographs: Photographs
    process: Distributed
    plugins: Plugins
    probes: Sequence[Probe] = ()
    workers: int = 0

    def run(self) -> Path:
        """Train, or continue, the stage; returns the folder of the backbone that comes out."""
        began, folder = time.perf_counter(), RunFolder(self.folder)
        with folder.locked() if self.process.main else nullcontext():
            started = initial_backbone(self.recipe.networks[self.stage.student], self.start, self.recipe.seed)
            teachers = self._teachers()
            self._check_sizes(started, teachers)
            distillation, adapters = self._distillation(started, teachers)
            origin = {**self._origin(started, teachers), "adapters": adapters}
            self._open(folder, origin)
            self.process.barrier()  # others write into a folder that is claimed
            if is_backbone_folder(self.result):
                if self.process.main:
                    print(f"{self.stage.name}: done before, in {self.result}")
                return self.result
            log = StageLog(folder, self.plugins, self.process.main)
            log.begin(self.recipe, self.stage)
            trial, scores = self._train(distillation, teachers, folder, log)
            result = trial.result  # of a divided one all processes must ask
            if self.process.main:
                self._sweep(result, teachers)
                write_adapters(result.adapters, self.result)
                self._write(result.student, teachers, origin, started, scores)
                log.finish(trial.steps, scores[STUDENT])
                finished("backbone", self.result, time.perf_counter() - began)
        self.process.barrier()
        return self.result

    @property
    def result(self) -> Path:
        """The folder of the backbone that comes out."""
        return self.folder / BACKBONE

    def _teachers(self) -> dict[str, Teacher]:
        device = self.process.device
        return {
            name: load_teacher(name, self.recipe.teachers[name], self.results, device) for name in self.stage.teachers
        }

    def _check_sizes(self, started: Backbone, teachers: Mapping[str, Teacher]) -> None:
        """Raise ArgusError for a size that does not divide into the cells of who sees it."""
        seen = [("stages." + self.stage.name, started, size) for size in self.stage.sizes]
        seen += [(f"teachers.{name}", teachers[name].backbone, size) for name, size in self._plan(teachers).pairs]
        for place, backbone, size in seen:
            try:
                check_grid((size, size), max(backbone.info.strides))
            except ArgusError as error:
                raise ArgusError(f"{place}: {error}") from None

    def _plan(self, teachers: Mapping[str, Teacher]) -> Plan:
        return Plan(self.stage, {name: teacher.source.size for name, teacher in teachers.items()}, self.recipe.seed)

    def _distillation(self, started: Backbone, teachers: Mapping[str, Teacher]) -> tuple[Distillation, str]:
        """What learns, with the digest of the adapters that it begins with."""
        comparison = self.recipe.comparison
        measure = Measure(comparison.cosine, comparison.smooth, comparison.normalize, comparison.grid)
        subjects = {name: teacher.subject for name, teacher in teachers.items()}
        torch.manual_seed(self.recipe.seed)  # of adapters, whatever the student was made of
        distillation = Distillation(student_of(started), subjects, measure, comparison.adapter)
        return distillation, begin_adapters(distillation.adapters, self.start)

    @property
    def _order(self) -> Order:
        batch = min(self.stage.recipe.batch, len(self.photographs))
        shares = self.process.size * self.stage.accumulate
        if batch % shares:
            raise ArgusError(
                f"a batch of {batch} images does not divide among {self.process.size} processes and "
                f"{self.stage.accumulate} passes; change stages.{self.stage.name}.recipe.batch, or give more images"
            )
        return Order(tuple(range(len(self.photographs))), self._fixed.names, batch, self.recipe.seed)

    @property
    def _fixed(self) -> FixedViews:
        return FixedViews(self.photographs, self.recipe.augmentation, self.stage.crops)

    def _train(
        self, distillation: Distillation, teachers: Mapping[str, Teacher], folder: RunFolder, log: StageLog
    ) -> tuple[StudentTrial, dict[str, Values]]:
        """The trial at its end, and the scores of student and teachers."""
        order, plan = self._order, self._plan(teachers)
        trial = StudentTrial(distillation, self.stage.recipe, order.steps_per_epoch, self.process, self.stage.fsdp)
        progress = StageProgress(self.stage.name, trial.steps, order.batch, self.process.main)
        for line in (note for teacher in teachers.values() for note in teacher.notes):
            progress.say(line)
        try:
            store = self._store(teachers, plan, progress)
            views = Views(self._fixed, order, plan, self.stage.accumulate, self.process, store)
            network = self.recipe.networks[self.stage.student]
            probing = Probing(self.probes, network, self.folder, self.process, progress)
            loop = StageLoop(trial, teachers, views, folder, log, probing, self.workers)
            return trial, loop.run(self.recipe.comparison.steps)
        except Interrupted:
            if self.process.main:
                print(
                    f"stopped; the state is saved, run the same command to continue in {self.folder}", file=sys.stderr
                )
            raise KeyboardInterrupt from None
        finally:
            progress.end()

    def _store(self, teachers: Mapping[str, Teacher], plan: Plan, progress: StageProgress) -> Store | None:
        """What was stored of a stage whose views are fixed; None where teachers run at every step."""
        if not self.stage.crops or self.stage.stored == "no":
            return None
        below = self.recipe.images.store
        folder = self.folder / STORE if below is None else below / self.stage.name
        views = StoredViews(folder / "views", self._fixed, self.stage.sizes)
        with resumable(folder):
            return StoreWriter(folder, views, self.stage.stored, self.process, progress).write(teachers, plan)

    def _origin(self, started: Backbone, teachers: Mapping[str, Teacher]) -> dict[str, Any]:
        """What decides the outcome beside the recipe: the bytes of all that it names."""
        return {
            "start": started.weights_sha256,
            "network": self.recipe.networks[self.stage.student].model_dump(
                mode="json", exclude={"weights", "pretrained", "license"}
            ),
            "teachers": {name: teacher.identity for name, teacher in teachers.items()},
            "images": {"count": len(self.photographs), "sha256": self.photographs.digest()},
            "processes": self.process.size,
        }

    def _open(self, folder: RunFolder, origin: Mapping[str, Any]) -> None:
        """Claim the folder for this stage; raises ArgusError if it holds another one."""
        if not self.process.main:
            return
        used = self.recipe.model_dump(mode="json", include={"seed", "augmentation", "comparison"})
        identity = {**used, "stage": self.stage.model_dump(mode="json", exclude={"save_every"}), **origin}
        described = {"identity": identity, "config": self.recipe.model_dump(mode="json")}
        hardware = [{**self.process.hardware, "tokens": self.process.precision, "from_step": 0}]
        folder.open({**described, "record": {"hardware": hardware, "versions": versions()}}, self.stage.recipe.steps)

    def _sweep(self, result: Distillation, teachers: Mapping[str, Teacher]) -> None:
        """Write the agreement at other sizes; a network that cannot take one ends with a line, not with an error."""
        sizes = sweep_sizes(self.stage.sizes, max(result.student.info.strides))
        try:
            found = sweep(result, teachers, self.photographs, sizes, self.process.device)
        except (ArgusError, RuntimeError, AssertionError) as error:
            print(f"no agreement at other sizes: {error}", file=sys.stderr)
        else:
            write_json(self.folder / SWEEP, found)

    def _write(
        self,
        student: Student,
        teachers: Mapping[str, Teacher],
        origin: Mapping[str, Any],
        started: Backbone,
        scores: Mapping[str, Values],
    ) -> None:
        network = self.recipe.networks[self.stage.student]
        licenses = result_licenses(self.recipe, started.license if self._begins_with_weights else None, teachers)
        backbone = backbone_of(student.cpu(), network, licenses.binding.id)
        record = provenance(self.recipe, self.stage, origin, teachers, licenses)
        if self.probes:
            record["scores"] = scores
        write_backbone(self.result, backbone, network.model, network.options, record)
        print(licenses)
        if not self.recipe.images.license:
            print("the terms of the photographs are not known and no part of this; images.license = 'ID' states them")

    @property
    def _begins_with_weights(self) -> bool:
        network = self.recipe.networks[self.stage.student]
        return self.start is not None or network.weights is not None or network.pretrained
