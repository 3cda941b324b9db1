"""The routes of the page that teach: a head is solved from marks, shown, and saved."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from operator import or_
from typing import Any, TypeVar

from fastapi import APIRouter, Request
from fastapi.responses import Response

from argus_core.argus import Argus
from argus_core.head import Head
from argus_core.serve.asked import Lesson, Saving, asked
from argus_core.serve.engine import Engine
from argus_core.serve.kept import Kept
from argus_core.serve.look import Look
from argus_core.serve.marks import MOST_CLASSES, MOST_LETTERS, MOST_MARKS, MOST_PHOTOS, Marks
from argus_core.serve.refusal import Refusal
from argus_core.serve.routes import unless_gone
from argus_core.serve.settings import Settings
from argus_core.serve.taught import head_file, learn, needs_of, save_model, shown
from argus_core.tokens import Needs

T = TypeVar("T")
LIMITS = {"classes": MOST_CLASSES, "marks": MOST_MARKS, "photos": MOST_PHOTOS, "letters": MOST_LETTERS}


class Teaching:
    """Heads that are solved from marks on the photographs that are ``kept``; none of them is kept itself."""

    def __init__(self, engine: Engine, settings: Settings, kept: Kept[Look]) -> None:
        self.engine, self.settings, self.kept = engine, settings, kept
        self.needs = needs_of(engine.argus)

    @property
    def taught(self) -> Needs | None:
        """What all heads that can be taught read; None if there are none."""
        return reduce(or_, self.needs.values()) if self.needs else None

    def offered(self) -> dict[str, Any]:
        """The tasks that can be taught, whether heads are saved here, and how much may be marked."""
        return {"tasks": list(self.needs), "saves": self.settings.taught is not None, "limits": LIMITS}

    async def show(self, request: Request) -> list[dict[str, Any]]:
        """What the head solved from marks says about some photographs, see ``shown``."""
        lesson = await asked(request, Lesson, self.settings)
        seen = self.kept.all(lesson.ids)
        return await self._with_head(
            request, lesson.marks, lambda argus, head: [shown(argus, head, one) for one in seen]
        )

    async def head(self, request: Request) -> Response:
        """The head solved from marks, as a file."""
        saving = await asked(request, Saving, self.settings)
        content = await self._with_head(request, saving.marks, lambda argus, head: head_file(head))
        return Response(content, media_type="application/octet-stream")

    async def save(self, request: Request) -> dict[str, Any]:
        """Save the model with the head solved from marks; gives its path and what to type next."""
        saving, folder = await asked(request, Saving, self.settings), self.settings.taught
        if folder is None:
            raise Refusal("this server saves no heads; start it with --taught FOLDER", 403)

        def save(argus: Argus, head: Head) -> dict[str, Any]:
            save_model(argus, head, saving.name, folder)
            others = any(argus.head(name).task.name == head.task.name for name in argus.heads)
            where = f"{folder.name}/{saving.name}"
            return {"model": where, "task": head.task.name, "head": saving.name if others else None}

        return await self._with_head(request, saving.marks, save)

    async def _with_head(self, request: Request, marks: Marks, use: Callable[[Argus, Head], T]) -> T:
        """What ``use`` makes of the model and the head solved from marks, on the model's thread."""
        if marks.task not in self.needs:
            raise Refusal(f"nothing solves {marks.task!r} for this model")
        sizes = [look.size for look in self.kept.all([photo.id for photo in marks.photos])]
        marks.check(sizes)
        looks = self.kept.all([photo.id for photo in marks.marked])
        work = self.engine.run(lambda argus: use(argus, learn(argus, marks, looks)))
        return await unless_gone(request, work, self.settings.timeout)


def teaching_router(teaching: Teaching) -> APIRouter:
    """What the page asks to teach."""
    router = APIRouter(include_in_schema=False)
    router.add_api_route("/page/teach", teaching.show, methods=["POST"])
    router.add_api_route("/page/teach/head", teaching.head, methods=["POST"])
    router.add_api_route("/page/teach/save", teaching.save, methods=["POST"])
    return router
