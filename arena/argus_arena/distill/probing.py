"""Probes while a stage trains: the student's scores as it learns, beside those of its teachers."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from argus_arena.distill.networks import backbone_of
from argus_arena.distill.probes import Probe
from argus_arena.distill.progress import StageProgress
from argus_arena.distill.recipe import Network
from argus_arena.distill.student import Student
from argus_arena.distill.teachers import Teacher
from argus_arena.distributed import Distributed
from argus_arena.training.checkpoints import Values
from argus_core.backbones import Backbone
from argus_core.common.files import json_sha256, read_json, write_json


@dataclass(frozen=True)
class Probing:
    """The probes of a stage in ``folder``; ``teachers.json`` there keeps the scores of teachers, which never change."""

    probes: Sequence[Probe]
    network: Network
    folder: Path
    process: Distributed
    progress: StageProgress

    def due(self, done: int, steps: int) -> list[Probe]:
        """The probes to take after so many of ``steps`` steps."""
        return [probe for probe in self.probes if done in (0, steps) or done % probe.source.every == 0]

    def score(self, student: Student, probes: Sequence[Probe]) -> Values:
        """A student's scores, of a copy, as a backbone never trains again."""
        if not probes:
            return {}
        backbone = backbone_of(copy.deepcopy(student), self.network, "unknown").to(self.process.device)
        return self._scores(backbone, probes)

    def teachers(self, teachers: Mapping[str, Teacher]) -> dict[str, Values]:
        """The scores of teachers by their names, computed once."""
        file = self.folder / "teachers.json"
        known = read_json(file, "remove it, it is made again") if file.is_file() else {}
        scores, used = {}, {}
        for name, teacher in teachers.items() if self.probes else ():
            key = json_sha256([teacher.identity, [probe.source.model_dump(mode="json") for probe in self.probes]])
            self.progress.begin(f"probe {name}", len(self.probes), unit="probes")
            used[key] = scores[name] = known.get(key) or self._scores(teacher.backbone, self.probes)
        if used.keys() != known.keys() and self.process.main:
            write_json(file, used)
        return scores

    def _scores(self, backbone: Backbone, probes: Sequence[Probe]) -> Values:
        scores: Values = {}
        for probe in probes:
            scores |= probe.score(backbone, self.process, self.folder / "probe")
        return scores


def shown(scores: Values, teachers: Mapping[str, Values]) -> str:
    """Scores in a line, with those of teachers in brackets: ``imagenette knn top1 0.46 (lite2 0.97)``."""
    return ", ".join(
        f"{name} {_number(value)}" + _brackets({teacher: own.get(name) for teacher, own in teachers.items()})
        for name, value in scores.items()
    )


def _brackets(values: Mapping[str, Any]) -> str:
    return f" ({', '.join(f'{name} {_number(value)}' for name, value in values.items())})" if values else ""


def _number(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.3f}"
