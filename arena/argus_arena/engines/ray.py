"""Cells as tasks of Ray."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import NonNegativeFloat, NonNegativeInt, PositiveFloat

from argus_arena.engines.cells import Cell, Outcome
from argus_arena.engines.engine import GRACE, Engine, Remote, last_line
from argus_arena.engines.site import attempt_at
from argus_core.common.extras import need
from argus_core.errors import ArgusError


class Ray(Remote[Any]):
    """The cluster at RAY_ADDRESS, or one on this machine that ends with the command.

    A cell takes ``gpus`` GPUs (default: one where nodes have any), ``cpus`` cores (default: a node's, divided by its
    GPUs) and ``memory`` GiB of a node.
    """

    def __init__(
        self,
        out: Path,
        *,
        cpus: PositiveFloat | None = None,
        gpus: NonNegativeFloat | None = None,
        memory: NonNegativeFloat = 0.0,
        parallel: NonNegativeInt = 0,
        retries: NonNegativeInt = 3,
    ) -> None:
        super().__init__(out, parallel, retries)
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # before the import, which reads it
        self._ray: Any = need("ray", "ray")
        self.cpus, self.gpus, self.memory = cpus, gpus, memory

    def __enter__(self) -> Engine:
        address = os.environ.get("RAY_ADDRESS") or "local"
        try:
            _check_reachable(address)
            self._ray.init(address=address, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
        except (OSError, RuntimeError, ValueError, self._ray.exceptions.RayError) as error:
            raise ArgusError(
                f"no Ray cluster can be used at RAY_ADDRESS={address}: {last_line(error)}; give the address that "
                "`ray start --head` printed, or unset RAY_ADDRESS to use this machine alone"
            ) from error
        self._task, self._takes = self._ray.remote(attempt_at), self._resources()
        return super().__enter__()

    def __exit__(self, *_: object) -> None:
        """Stop the workers, and leave the cluster."""
        try:
            super().__exit__()
        finally:
            self._ray.shutdown()

    def _resources(self) -> dict[str, Any]:
        """What a cell takes of a node; a request that no node can meet now is told."""
        nodes = [node["Resources"] for node in self._ray.nodes() if node["Alive"] and node["Resources"].get("CPU")]
        most = min(nodes, key=lambda node: (-node.get("GPU", 0), node["CPU"]), default={"CPU": 1})
        gpus = min(1.0, most.get("GPU", 0)) if self.gpus is None else self.gpus
        cpus = max(1.0, most["CPU"] // max(1.0, most.get("GPU", 0))) if self.cpus is None else self.cpus
        memory = self.memory * 2**30
        if not any(
            node["CPU"] >= cpus and node.get("GPU", 0) >= gpus and node.get("memory", 0) >= memory for node in nodes
        ):
            print(f"no node has {cpus:g} CPUs, {gpus:g} GPUs and {self.memory:g} GiB: waiting for one", file=sys.stderr)
        return {"num_cpus": cpus, "num_gpus": gpus, **({"memory": memory} if memory else {})}

    def _start(self, cells: Sequence[Cell]) -> list[Any]:
        plain = {"max_retries": 0, "scheduling_strategy": "SPREAD", **self._takes}  # losses are counted by Remote
        return [self._task.options(name=cell.name, **plain).remote(self.site, cell) for cell in cells]

    def _finished(self, jobs: Sequence[Any]) -> Sequence[Any]:
        return self._ray.wait(list(jobs))[0]

    def _outcome(self, job: Any) -> Outcome:
        errors = self._ray.exceptions
        try:
            return self._ray.get(job)
        except errors.RayTaskError as error:  # raised in the worker
            return Outcome(failure=last_line(error))
        except errors.RayError as error:
            return Outcome(failure=f"its worker was lost ({type(error).__name__})", lost=True)

    def _stop(self, jobs: Sequence[Any]) -> None:
        for job in jobs:
            self._ray.cancel(job)
        self._ray.wait(list(jobs), num_returns=len(jobs), timeout=GRACE)


def _check_reachable(address: str) -> None:
    """Raise OSError where nothing answers at HOST:PORT: Ray itself would try for minutes."""
    host, _, port = address.rpartition(":")
    if "://" not in address and port.isdigit():
        socket.create_connection((host, int(port)), timeout=10).close()
