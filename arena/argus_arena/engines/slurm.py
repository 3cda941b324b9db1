"""Cells as jobs of SLURM."""

from __future__ import annotations

import signal
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import NonNegativeInt, PositiveFloat, PositiveInt

from argus_arena.engines.cells import Cell, Outcome
from argus_arena.engines.engine import GRACE, Engine, Remote, last_line
from argus_arena.engines.site import JOBS, Site, attempt_at
from argus_core.common.address import Address
from argus_core.common.extras import need
from argus_core.errors import ArgusError, counted

POLL = 1.0
"""Seconds between two looks at the jobs."""


class Slurm(Remote[Any]):
    """Jobs of the SLURM cluster that this machine submits to; their files are in ``jobs`` of the output folder, or
    of the working directory where the output is an address.

    A cell gets ``time`` minutes, ``cpus`` cores, ``gpus`` GPUs and ``memory`` GiB; one that is stopped at its time, or
    for a job that goes first, saves its state and counts as lost. ``setup`` are commands of the shell before Python,
    ``sbatch`` further options of that command. With ``cluster=local`` jobs are processes on this machine.
    """

    def __init__(
        self,
        out: Path,
        *,
        time: PositiveInt = 60,
        cpus: PositiveInt | None = None,
        gpus: NonNegativeInt | None = None,
        memory: PositiveFloat | None = None,
        partition: str | None = None,
        account: str | None = None,
        qos: str | None = None,
        constraint: str | None = None,
        setup: tuple[str, ...] = (),
        sbatch: Mapping[str, Any] | None = None,
        cluster: str = "slurm",
        parallel: NonNegativeInt = 0,
        retries: NonNegativeInt = 3,
    ) -> None:
        super().__init__(out, parallel, retries)
        self._submitit: Any = need("submitit", "slurm")
        own = {"partition": partition, "account": account, "qos": qos, "constraint": constraint}
        self._parameters = {
            "timeout_min": time,
            "cpus_per_task": cpus,
            "gpus_per_node": gpus,
            "mem_gb": memory,
            "slurm_additional_parameters": dict(sbatch) if sbatch else None,
            f"{cluster}_setup": list(setup) or None,
            **{f"slurm_{key}": value for key, value in own.items()},
        }
        self.cluster = cluster

    def __enter__(self) -> Engine:
        try:
            folder = Path(JOBS) / self.out.name if isinstance(self.out, Address) else self.out / JOBS
            self._executor = self._submitit.AutoExecutor(folder, cluster=self.cluster)
            self._executor.update_parameters(name="argus", **self._parameters)
        except (ValueError, NameError, RuntimeError, AssertionError) as error:
            raise ArgusError(f"no jobs can be submitted from here: {error}") from error
        return super().__enter__()

    def _start(self, cells: Sequence[Cell]) -> list[Any]:
        if not cells:
            return []
        try:
            with self._executor.batch():  # one array, one call of sbatch
                return [self._executor.submit(_Stoppable(self.site, cell)) for cell in cells]
        except self._submitit.core.utils.FailedJobError as error:
            raise ArgusError(f"sbatch refused {counted(len(cells), 'job')}: {last_line(error)}") from error

    def _finished(self, jobs: Sequence[Any]) -> Sequence[Any]:
        while not (done := [job for job in jobs if job.done()]):
            time.sleep(POLL)
        return done

    def _outcome(self, job: Any) -> Outcome:
        errors = self._submitit.core.utils
        try:
            return job.result()
        except errors.FailedJobError as error:  # raised in the job
            return Outcome(failure=f"{last_line(error)}; see {job.paths.stderr}")
        except errors.UncompletedJobError:
            return Outcome(failure=f"job {job.job_id} ended without a result; see {job.paths.stderr}", lost=True)

    def _stop(self, jobs: Sequence[Any]) -> None:
        for job in jobs:
            job.cancel(check=False)
        end = time.monotonic() + GRACE
        while time.monotonic() < end and not all(job.done() for job in jobs):
            time.sleep(POLL)


class _Stoppable:
    """A cell in a job: what ends a job, by its time or by scancel, is to its cell what Ctrl-C is to a command."""

    def __init__(self, site: Site, cell: Cell) -> None:
        self.site, self.cell = site, cell

    def __call__(self) -> Outcome:
        for number in (signal.SIGTERM, signal.SIGUSR2):
            signal.signal(number, lambda *_: signal.raise_signal(signal.SIGINT))
        try:
            return attempt_at(self.site, self.cell)
        except KeyboardInterrupt:
            return Outcome(failure="its job was stopped", lost=True)
