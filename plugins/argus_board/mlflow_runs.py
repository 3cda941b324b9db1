"""A run in MLflow, one MLflow run per head, where MLFLOW_TRACKING_URI or MLFLOW_EXPERIMENT_NAME is set."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from argus_board.tracking import Memory, Results, Scalars, TrackerHooks, group, is_requested, parameters, result_scalars

if TYPE_CHECKING:
    from mlflow import MlflowClient

T = TypeVar("T")
VARIABLES = ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME")


class MLflowRuns:
    """The MLflow runs of an arena run; MLflow's own variables say where they are stored.

    Raises what MLflow raises, as when its server cannot be reached.
    """

    def __init__(self, run: Path, config: Mapping[str, Any]) -> None:
        from mlflow import MlflowClient

        self._client = MlflowClient()
        self._memory = Memory(run / "mlflow.json", log=run / "log.jsonl")
        for head in config["heads"]:
            if not self._resumed(self._memory.runs.get(head)):
                self._memory.begin(head, self._create(run, config, head))
                self._memory.save()

    def write(self, head: str, scalars: Scalars) -> None:
        """Add values at a step that was not reported before."""
        from mlflow.entities import Metric

        if self._memory.is_new(head, scalars):
            now = int(time.time() * 1000)
            metrics = [Metric(key(tag), value, now, scalars.step) for tag, value in scalars.values.items()]
            for batch in _batches(metrics):
                self._client.log_batch(self._memory.runs[head], metrics=batch)

    def close(self, results: Results) -> None:
        """Store each result row as ``result_row.json`` with its notes as the description, and end the runs."""
        for head, run in self._memory.runs.items():
            try:
                if head in results:
                    self.write(head, result_scalars(results[head]))
                    self._client.log_dict(run, dict(results[head]), "result_row.json")
                    self._client.set_tag(run, "mlflow.note.content", "\n\n".join(results[head].get("notes", ())))
            finally:
                self._client.set_terminated(run, "FINISHED" if head in results else "FAILED")
        self._memory.save()

    def _create(self, run: Path, config: Mapping[str, Any], head: str) -> str:
        from mlflow.entities import Param

        tags = {"argus.run": group(run), "argus.head": config["heads"][head].get("head", head)}
        run_id: str = self._client.create_run(_experiment(self._client), run_name=head, tags=tags).info.run_id
        for batch in _batches([Param(key(name), _text(v)) for name, v in parameters(config, head).items()]):
            self._client.log_batch(run_id, params=batch)
        return run_id

    def _resumed(self, run: str | None) -> bool:
        """Reopen a run of an earlier process; False if there is none, as on another server."""
        from mlflow.exceptions import MlflowException

        if run is None:
            return False
        try:
            active = self._client.get_run(run).info.lifecycle_stage == "active"
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return False
        if active:
            self._client.update_run(run, status="RUNNING")
        return active


def key(name: str) -> str:
    """A name that every store of MLflow accepts: ``live/AP/odd (name)`` becomes ``live/AP.odd _name_``.

    One slash at most, since a store of files cannot hold ``live/AP`` beside ``live/AP/disc``.
    """
    stage, slash, rest = re.sub(r"[^\w\-. /]", "_", name).partition("/")
    return stage + slash + (rest.replace("/", ".").strip(".") or "_" if slash else "")


def _experiment(client: MlflowClient) -> str:
    from mlflow.exceptions import MlflowException

    if "MLFLOW_EXPERIMENT_ID" in os.environ:
        return os.environ["MLFLOW_EXPERIMENT_ID"]
    name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or "argus"
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        try:
            return str(client.create_experiment(name))
        except MlflowException:  # another process may have created it in the meantime
            experiment = client.get_experiment_by_name(name)
            if experiment is None:
                raise
    return str(experiment.experiment_id)


def _batches(items: Sequence[T]) -> Iterator[Sequence[T]]:
    """At most 100 at a time: MLflow accepts no more parameters in one request."""
    yield from (items[start : start + 100] for start in range(0, len(items), 100))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _start(run: Path, config: Mapping[str, Any]) -> MLflowRuns | None:
    return MLflowRuns(run, config) if is_requested("mlflow", VARIABLES) else None


_hooks = TrackerHooks(_start)
arena_started = _hooks.arena_started
arena_logged = _hooks.arena_logged
arena_finished = _hooks.arena_finished
