"""The folder of a training run: what lies where, and how it is continued."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from safetensors.torch import save_file
from torch import Tensor

from argus_core.checkpoint import read_tensors
from argus_core.errors import ArgusError
from argus_core.files import read_json, write_atomic, write_json, write_text

LOCK = "run.lock"


@dataclass(frozen=True)
class RunFolder:
    """``run.json`` (configuration and provenance), ``log.jsonl``, ``state.safetensors``, and one folder per head."""

    path: Path

    @property
    def config(self) -> Path:
        """The resolved configuration and what the run stands on."""
        return self.path / "run.json"

    @property
    def log(self) -> Path:
        """One JSON object per line: training steps and evaluations."""
        return self.path / "log.jsonl"

    @property
    def state(self) -> Path:
        """What is needed to continue, as of one step."""
        return self.path / "state.safetensors"

    def weights(self, head: str, which: str) -> Path:
        """A head's ``best`` or ``last`` weights."""
        return self.path / head / f"{which}.safetensors"

    def result(self, head: str) -> Path:
        """A head's result row."""
        return self.path / head / "result.json"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes out; raises ArgusError if one is at work here. A killed one's lock ends with it."""
        self._check_ours()
        self.path.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.path / LOCK, timeout=0)
        try:
            lock.acquire()
        except Timeout as error:
            raise ArgusError(
                f"another process is training in {self.path}; wait until it ends, or choose another --out"
            ) from error
        try:
            yield
        finally:
            lock.release()

    def open(self, record: Mapping[str, Any]) -> None:
        """Claim the folder for a run described by ``record``; another run's folder is refused."""
        if self.config.exists() and (self.state.exists() or self.log.exists()):  # else nothing was done under it
            held = read_json(self.config, "choose another --out, or remove the folder")
            name = _difference(held["identity"], record["identity"])
            if name:
                raise ArgusError(
                    f"{self.path} holds a run with another {name}; choose another --out, or remove the folder"
                )
            return
        self._check_ours()
        write_json(self.config, record)

    def save_state(self, step: int, scores: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        """Replace the state, atomically."""
        metadata = {"argus": json.dumps({"step": step, "scores": scores})}
        write_atomic(self.state, lambda to: save_file(dict(tensors), to, metadata))

    def load_state(self) -> tuple[int, dict[str, Any], dict[str, Tensor]] | None:
        """The saved step, scores and tensors, or None for a fresh run; later lines of the log are dropped."""
        if not self.state.exists():
            self.log.unlink(missing_ok=True)
            return None
        metadata, tensors = read_tensors(self.state)
        self._rewind(metadata["step"])
        return metadata["step"], metadata["scores"], tensors

    def append(self, record: Mapping[str, Any]) -> None:
        """Add a line to the log."""
        self.path.mkdir(parents=True, exist_ok=True)
        with self.log.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(record) + "\n")

    def _check_ours(self) -> None:
        # A run that was killed or refused in its first moments leaves no more than its lock and configuration.
        found = list(self.path.iterdir()) if self.path.exists() and not self.config.exists() else []
        if any(p.name != LOCK and p.suffix != ".tmp" for p in found):
            raise ArgusError(f"{self.path} is not empty and holds no run; choose another --out")

    def _rewind(self, step: int) -> None:
        if not self.log.exists():
            return
        kept = [line for line in self.log.read_text(encoding="utf-8").splitlines() if _before(line, step)]
        write_text(self.log, "".join(f"{line}\n" for line in kept))


def _before(line: str, step: int) -> bool:
    try:
        return int(json.loads(line)["step"]) <= step
    except (ValueError, KeyError):
        return False  # the line being written when the run was killed


def _difference(held: Mapping[str, Any], wanted: Mapping[str, Any], prefix: str = "") -> str:
    for key in [*held, *(k for k in wanted if k not in held)]:
        a, b = held.get(key), wanted.get(key)
        if isinstance(a, Mapping) and isinstance(b, Mapping):
            found = _difference(a, b, f"{prefix}{key}.")
            if found:
                return found
        elif a != b:
            return f"{prefix}{key} ({a!r}, now {b!r})"
    return ""
