"""The thread that a model runs on: images of all clients share its passes, anything else takes its turn."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar, cast

from argus_core.argus import Argus
from argus_core.image import ImageSource
from argus_core.model.answerer import Question
from argus_core.serve.refusal import Busy, Stopping
from argus_core.tasks import Result

T = TypeVar("T")
Outcome = Any
"""What a job gave, or the exception that it raised."""


class Asked(NamedTuple):
    """An image, and what is asked about it."""

    image: ImageSource
    question: Question


@dataclass(eq=False)
class Job:
    """Work that somebody waits for: a question about an image, or a call with the model, since a time of the loop."""

    work: Asked | Callable[[Argus], Any]
    future: asyncio.Future[Any]
    since: float


class Engine:
    """A model for many callers of one event loop; use it as ``async with Engine(argus) as engine``.

    Up to ``batch`` images that wait share passes, whatever is asked about each. The first of them waits at most
    ``wait`` seconds for others. At most ``queue`` jobs wait; one more raises ``Busy``. A caller that is cancelled takes
    its job along, unless the model works on it already. Leaving the context finishes what was taken, and new jobs
    raise ``Stopping``.
    """

    def __init__(self, argus: Argus, *, batch: int = 8, wait: float = 0.005, queue: int = 64) -> None:
        self.argus, self.batch, self.wait, self.queue = argus, batch, wait, queue
        argus.batch = batch
        self._jobs: deque[Job] = deque()
        self._changed = asyncio.Event()
        self._open = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="argus-model")
        self._loop: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Engine:
        self._open = True
        self._loop = asyncio.create_task(self._work())
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()

    @property
    def waiting(self) -> int:
        """How many jobs wait."""
        return len(self._jobs)

    @property
    def full(self) -> bool:
        """Whether a job more would be refused."""
        return self.waiting >= self.queue

    async def answer(
        self,
        image: ImageSource,
        names: Sequence[str],
        options: Mapping[str, Mapping[str, Any]] | None = None,
        embeddings: bool = False,
    ) -> dict[str, Result]:
        """The results of heads by name, as ``Argus.answer`` gives them, in passes shared with other images."""
        question = Question(tuple(names), options or {}, embeddings, self.argus.tiling)
        return cast("dict[str, Result]", await self._submit(Asked(image, question)))

    async def run(self, call: Callable[[Argus], T]) -> T:
        """What ``call`` returns or raises; it is called on the model's thread, while nothing else uses the model."""
        return cast(T, await self._submit(call))

    async def close(self) -> None:
        """Finish what was taken; jobs from now on raise ``Stopping``."""
        self._open = False
        self._changed.set()
        if self._loop is not None:
            await self._loop
        self._thread.shutdown(wait=False)

    async def _submit(self, work: Asked | Callable[[Argus], Any]) -> Any:
        if not self._open:
            raise Stopping
        if self.full:
            raise Busy
        loop = asyncio.get_running_loop()
        job = Job(work, loop.create_future(), loop.time())
        self._jobs.append(job)
        self._changed.set()
        try:
            return await job.future
        finally:
            with suppress(ValueError):  # it is not there if the model has begun it
                self._jobs.remove(job)

    async def _work(self) -> None:
        """Run jobs until the engine is closed and none is left."""
        loop = asyncio.get_running_loop()
        while True:
            await self._fill()
            if not self._jobs:
                return
            jobs = self._take()
            outcomes = await loop.run_in_executor(self._thread, self._run, [job.work for job in jobs])
            for job, outcome in zip(jobs, outcomes, strict=True):
                if job.future.done():
                    continue  # nobody waits any more
                if isinstance(outcome, BaseException):
                    job.future.set_exception(outcome)
                else:
                    job.future.set_result(outcome)

    async def _fill(self) -> None:
        """Wait for a job, and then as long as more images may come that share its pass."""
        while self._open:
            left = self._jobs[0].since + self.wait - asyncio.get_running_loop().time() if self._jobs else None
            images = all(isinstance(job.work, Asked) for job in self._jobs)
            if left is not None and (left <= 0 or len(self._jobs) >= self.batch or not images):
                return
            self._changed.clear()
            with suppress(TimeoutError, asyncio.TimeoutError):
                await asyncio.wait_for(self._changed.wait(), left)

    def _take(self) -> list[Job]:
        """The jobs that run next: a call, or as many images as share a pass."""
        if not isinstance(self._jobs[0].work, Asked):
            return [self._jobs.popleft()]
        taken = [job for job in self._jobs if isinstance(job.work, Asked)][: self.batch]
        for job in taken:
            self._jobs.remove(job)
        return taken

    def _run(self, works: Sequence[Asked | Callable[[Argus], Any]]) -> Sequence[Outcome]:
        """The outcome of each job, on the model's thread; if one of several fails, each is tried by itself."""
        try:
            asked = [work for work in works if isinstance(work, Asked)]
            if asked:
                return self.argus.answer_each(*(list(column) for column in zip(*asked, strict=True)))  # type: ignore[arg-type]
            return [work(self.argus) for work in works if not isinstance(work, Asked)]
        except Exception as error:
            return [error] if len(works) == 1 else [outcome for work in works for outcome in self._run([work])]
