"""Which shards a process writes next, and how far all that write the cache have come."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from argus_core.cache.claims import Claims
from argus_core.cache.manifest import Manifest
from argus_core.cache.sidecar import is_done
from argus_core.cache.survey import Survey
from argus_core.common.part import Part

_LOOK_EVERY = 10.0
_LOOK_SHARE = 50
"""A listing may take this fraction of the time between two."""


class Schedule:
    """The shards of the cache at ``path`` as ``part`` takes them: first its own, then what others have not begun."""

    def __init__(self, path: Path, manifest: Manifest, part: Part, claims: Claims) -> None:
        self.part, self.claims = part, claims
        self._path, self._shards = path, manifest.shards
        self._own: set[int] = set()
        self._written: set[int] = set()
        self._lock = threading.Lock()  # shards are taken by one thread and written by another
        self.look()

    def look(self) -> None:
        """List the shards again."""
        began = time.monotonic()
        survey = Survey.of(self._path)
        self.claims.watch(survey)
        self._looked = time.monotonic()
        self._pause = (self._looked - began) * _LOOK_SHARE
        with self._lock:
            survey.done |= self._written
            self.survey = survey
            self.images_of_others = self._images(survey.done - self._own)
            self._of_part = sum(map(self.part.holds, survey.done))

    def available(self) -> Iterator[int]:
        """Claim one shard after another; ends once all that are left are being written by others."""
        self.look()
        for number in self.part.sort(range(len(self._shards))):
            self._look_now_and_then()
            if number not in self.survey.done and self.claims.take(number, self.survey.claims.get(number)):
                if is_done(self._path, number):  # since the last look
                    self.claims.release(number)
                else:
                    self._own.add(number)
                    yield number

    def written(self, number: int) -> None:
        """Note that a shard of this process is done."""
        self.claims.release(number)
        with self._lock:
            self._written.add(number)
            if number not in self.survey.done:
                self.survey.done.add(number)
                self._of_part += self.part.holds(number)

    def wait(self) -> None:
        """Wait a little for other processes."""
        time.sleep(max(min(self.claims.seconds / 8, 2.0), self._pause))

    @property
    def left(self) -> int:
        """The number of shards that are not written, as of the last look."""
        return len(self._shards) - len(self.survey.done)

    @property
    def images_done(self) -> int:
        """The number of images in shards that are written, as of the last look."""
        return self._images(self.survey.done)

    def note(self) -> str:
        """How far the part and all parts are; empty for a process that writes the whole."""
        self._look_now_and_then()
        if self.part.of == 1:
            return ""
        share = len(range(self.part.number - 1, len(self._shards), self.part.of))
        done = f"all parts: {len(self.survey.done):,} of {len(self._shards):,}"
        return f"{self.part}: {self._of_part:,} of {share:,} shards, {done}"

    def _look_now_and_then(self) -> None:
        if time.monotonic() - self._looked > max(_LOOK_EVERY, self._pause):
            self.look()

    def _images(self, shards: set[int]) -> int:
        last = len(self._shards) - 1
        missing = self._shards.step - len(self._shards[last])
        return len(shards) * self._shards.step - missing * (last in shards)


Report = Callable[[int, int, float, float], None]
"""Receives progress: images done, images in all, images per second, seconds left."""
Note = Callable[[str], None]
"""Receives, before each report, how far the parts are, or what is waited for; empty for a whole."""


class Meter:
    """Counts the images of this process, and of all, and reports them."""

    def __init__(self, schedule: Schedule, total: int, report: Report | None, note: Note | None) -> None:
        self._schedule, self._total = schedule, total
        self._report, self._note = report or (lambda *_: None), note or (lambda _: None)
        self._before, self._began = schedule.images_done, time.monotonic()
        self._own = 0

    def add(self, images: int) -> None:
        """Count ``images`` more."""
        self._own += images
        self.show(self._schedule.note())

    def show(self, note: str) -> None:
        """Report, with a note."""
        self._note(note)
        done = self._schedule.images_of_others + self._own
        rate = max(done - self._before, 1e-9) / max(time.monotonic() - self._began, 1e-9)
        self._report(done, self._total, rate, (self._total - done) / rate)
