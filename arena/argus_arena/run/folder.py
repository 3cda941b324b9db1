"""The folder of a training run: what lies where, and how it is continued."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

from safetensors import safe_open
from torch import Tensor

from argus_arena.hardware import Stretch, alike, with_tokens
from argus_arena.run.lock import LOCK, locked
from argus_arena.run.log import Log
from argus_core.common.files import read_json, write_atomic, write_json
from argus_core.common.folders import claim
from argus_core.common.places import as_local
from argus_core.common.tensors import save_tensors
from argus_core.errors import ArgusError
from argus_core.saving.checkpoint import read_tensors


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

    @cached_property
    def _lines(self) -> Log:
        return Log(self.log)

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
        claim(self.path, self._is_ours, "run")
        with locked(self.path):
            try:
                yield
            finally:
                self._lines.save()

    def open(self, record: Mapping[str, Any], steps: int = 0, new_device: bool = False) -> list[Stretch]:
        """Claim the folder for a run of ``steps`` described by ``record``; returns what it is computed on, in order.

        Raises ArgusError if it holds another run, or one that is not done and was begun on another type of device or
        in another precision, unless ``new_device``.
        """
        claim(self.path, self._is_ours, "run")
        if self.config.exists() and (self.state.exists() or self.log.exists()):  # else nothing was done under it
            earlier = read_json(self.config, "choose another --out, or remove the folder")
            name = difference(earlier["identity"], record["identity"])
            if name:
                raise ArgusError(
                    f"{self.path} holds a run with another {name}; choose another --out, or remove the folder"
                )
            return self._hardware(earlier, record["record"]["hardware"], steps, new_device)
        write_json(self.config, record)
        return list(record["record"]["hardware"])

    def _hardware(self, earlier: Any, here: list[Stretch], steps: int, new_device: bool) -> list[Stretch]:
        """What a run in this folder was computed on so far, and is from now on."""
        done, before = self._saved_step(), earlier["record"].get("hardware", here)
        if done is None:
            before = here
        elif done < steps and not alike(before[-1], here[0]):
            if not new_device:
                then, now = with_tokens(before[-1]), with_tokens(here[0])
                raise ArgusError(
                    f"{self.path} was trained on {then} so far; here it would be {now}, and its scores of neither: "
                    f"give --device {before[-1]['device']} to continue as before, "
                    "--new-device to continue here (its rows will say so), or another --out"
                )
            kept = [stretch for stretch in before if stretch["from_step"] < max(done, 1)]
            before = [*kept, {**here[0], "from_step": done}]
        write_json(self.config, {**earlier, "record": {**earlier["record"], "hardware": before}})
        return before

    def _saved_step(self) -> int | None:
        if not self.state.exists():
            return None
        with as_local(self.state) as local, safe_open(local, "pt") as file:
            return int(json.loads(file.metadata()["argus"])["step"])

    def save_state(self, step: int, scores: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        """Replace the state, atomically; the log, with all lines up to there, is saved before it."""
        self._lines.save()
        metadata = {"argus": json.dumps({"step": step, "scores": scores})}
        write_atomic(self.state, lambda to: save_tensors(tensors, to, metadata))

    def load_state(self) -> tuple[int, dict[str, Any], dict[str, Tensor]] | None:
        """The saved step, scores and tensors, or None for a fresh run; later lines of the log are dropped."""
        if not self.state.exists():
            self._lines.rewind(None)
            return None
        metadata, tensors = read_tensors(self.state)
        self._lines.rewind(metadata["step"])
        return metadata["step"], metadata["scores"], tensors

    def append(self, record: Mapping[str, Any]) -> None:
        """Add a line to the log."""
        self._lines.append(record)

    def append_once(self, record: Mapping[str, Any]) -> None:
        """Add a line to the log, unless it is there."""
        self._lines.append_once(record)

    def _is_ours(self, path: Path) -> bool:
        """Whether the folder holds a run, or what one leaves that was refused in its first moments: its lock."""
        if not self.config.exists():
            return all(file.name == LOCK or file.suffix == ".claim" or file.name[0] == "." for file in path.iterdir())
        record = read_json(self.config, "choose another --out, or remove the folder")
        return isinstance(record, dict) and {"identity", "config"} <= record.keys()


def difference(earlier: Mapping[str, Any], wanted: Mapping[str, Any], prefix: str = "") -> str:
    """The dotted name of the first value that differs, with both values; empty if none does."""
    for key in [*earlier, *(k for k in wanted if k not in earlier)]:
        a, b = earlier.get(key), wanted.get(key)
        if isinstance(a, Mapping) and isinstance(b, Mapping):
            if found := difference(a, b, f"{prefix}{key}."):
                return found
        elif a != b:
            return f"{prefix}{key} ({a!r}, now {b!r})"
    return ""


def versions() -> dict[str, str]:
    """Versions of what computes the numbers."""
    names = ("argus-perception", "torch", "timm", "numpy", "pycocotools")
    return {"python": platform.python_version(), **{name: version(name) for name in names}}
