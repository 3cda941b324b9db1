"""Claims: which process is at work on which shard, where several write one cache on a file system that they share.

A claim is a file that only one process can create, and that its writer renews. It counts as abandoned if its content
stays the same for as long as it says itself, by the clock of whoever waits for it; clocks of machines are not
compared. Who takes it over creates the claim of the next generation, which again only one can. Claims save work and
decide nothing: if two processes do write a shard, as after one of them slept, ``sidecar.commit`` keeps the first.
"""

from __future__ import annotations

import json
import os
import platform
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from argus_core.cache.survey import Survey
from argus_core.common.files import create_exclusive, write_atomic
from argus_core.common.writers import is_gone, this_writer
from argus_core.errors import ArgusError

SECONDS = 120.0
"""How long a claim may stay as it is before it counts as abandoned, unless ARGUS_CLAIM_SECONDS says otherwise."""
_RENEWALS = 4
"""How often a claim is renewed in that time."""


def claim_path(folder: Path, number: int, generation: int) -> Path:
    """The claim of a shard; each takeover has the next generation."""
    return folder / f"{number:05d}.{generation}.claim"


class Claims:
    """The claims of this process on the shards in ``folder``; a context, in which they are renewed."""

    def __init__(self, folder: Path, seconds: float | None = None) -> None:
        self.seconds = claim_seconds() if seconds is None else seconds
        self.abandoned: set[str] = set()
        self._folder, self._beat = folder, 0
        self._held: dict[int, int] = {}
        self._seen: dict[Path, tuple[bytes, float]] = {}
        self._lock, self._ended = threading.Lock(), threading.Event()
        self._renewer = threading.Thread(target=self._renew, name="claims", daemon=True)

    def __enter__(self) -> Claims:
        self._renewer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._ended.set()
        self._renewer.join()
        for number in list(self._held):
            self.release(number)

    def take(self, number: int, generation: int | None) -> bool:
        """Claim a shard whose newest claim is of ``generation``; False while somebody else is at work on it."""
        if number in self._held or (generation is not None and not self._is_abandoned(number, generation)):
            return False
        mine = 0 if generation is None else generation + 1
        if not create_exclusive(claim_path(self._folder, number, mine), self._content(), lasting=False):
            return False
        with self._lock:
            self._held[number] = mine
        return True

    def release(self, number: int) -> None:
        """Remove the claim, and those of before that were abandoned."""
        with self._lock:
            mine = self._held.pop(number)
        for generation in range(mine, -1, -1):
            claim_path(self._folder, number, generation).unlink(missing_ok=True)

    def watch(self, survey: Survey) -> None:
        """Look at all claims, so that the time of those that are abandoned already runs."""
        for number, generation in survey.claims.items():
            self._is_abandoned(number, generation)
        there = {claim_path(self._folder, *claim) for claim in survey.claims.items()}
        self._seen = {file: seen for file, seen in self._seen.items() if file in there}

    def _is_abandoned(self, number: int, generation: int) -> bool:
        file = claim_path(self._folder, number, generation)
        try:
            content = file.read_bytes()
        except OSError:
            return False  # released just now
        claim = _read(content)
        if is_gone(claim["writer"]):
            return self._abandon(claim)
        before, since = self._seen.get(file, (None, 0.0))
        if content != before:
            self._seen[file] = (content, time.monotonic())
            return False
        return time.monotonic() - since >= claim.get("seconds", self.seconds) and self._abandon(claim)

    def _abandon(self, claim: dict[str, Any]) -> bool:
        self.abandoned.add(claim["writer"])
        return True

    def _content(self) -> bytes:
        who = {"writer": this_writer(), "host": platform.node(), "pid": os.getpid()}
        return json.dumps({**who, "seconds": self.seconds, "beat": self._beat}).encode()

    def _renew(self) -> None:
        while not self._ended.wait(self.seconds / _RENEWALS):
            self._beat += 1
            content = self._content()
            for number in list(self._held):
                with self._lock:
                    self._renew_one(number, content)

    def _renew_one(self, number: int, content: bytes) -> None:
        generation = self._held.get(number)
        file = claim_path(self._folder, number, generation or 0)
        try:
            if generation is not None and file.exists():  # else another process took it over, and is done
                write_atomic(file, lambda to: to.write_bytes(content), lasting=False)
        except OSError:
            return  # such as a full disk; the next time may be in time


def claim_seconds() -> float:
    """How long a claim of this process stays valid without being renewed; raises ArgusError if that is no number."""
    text = os.environ.get("ARGUS_CLAIM_SECONDS", str(SECONDS))
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise ArgusError(f"ARGUS_CLAIM_SECONDS is {text!r}; give seconds, such as {SECONDS:.0f}")
    return seconds


def _read(content: bytes) -> dict[str, Any]:
    """The values of a claim; one that is damaged has no writer."""
    try:
        values = json.loads(content)
    except ValueError:
        values = None
    return values if isinstance(values, dict) and "writer" in values else {"writer": ""}
