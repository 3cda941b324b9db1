"""Teachers that answer once: the fixed views of all photographs, and what each teacher says of them, on disk."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from argus_arena.distill.augment import render_view
from argus_arena.distill.pixels import StoredViews
from argus_arena.distill.plan import Plan, StepPlan
from argus_arena.distill.progress import StageProgress
from argus_arena.distill.teachers import NEEDS, Teacher
from argus_arena.distributed import Distributed
from argus_core.cache import Cache, CacheSource, CacheSpec, DType, estimate, write_cache
from argus_core.cache.spec import CacheMismatch
from argus_core.cache.writer import batch_size
from argus_core.canvas import Canvas
from argus_core.common.files import json_sha256
from argus_core.common.part import Part
from argus_core.data import Split
from argus_core.errors import ArgusError
from argus_core.tasks import Task
from argus_core.tokens import Item, Tokens


class ViewSplit(Split):
    """Stored views as the images of a teacher that sees ``size`` pixels; their keys tell the parameters.

    They have the bytes of their photographs, so that a cache of them is refused once one of these has changed.
    """

    tasks: Mapping[str, Task] = {}

    def __init__(self, views: StoredViews, size: int) -> None:
        self.name, self.views, self.size = f"views at {size} px", views, size

    def __len__(self) -> int:
        return len(self.views)

    def key(self, index: int) -> str:
        """The key of the photograph, the number of the view, and its parameters."""
        split, own = self._place(index)
        number = index % self.views.fixed.count
        return f"{split.key(own)} #{number} {json.dumps(asdict(self.views.view(index)))}"

    def read(self, index: int) -> npt.NDArray[np.uint8]:
        """The view (size, size, 3): its stored pixels where the student sees this size, else rendered anew."""
        if self.size in self.views.sizes:
            return self.views.pixels(index, self.size)
        image = self.views.fixed.photographs.read(index // self.views.fixed.count)
        return render_view(image, self.views.view(index), self.size).permute(1, 2, 0).numpy()

    def image_size(self, index: int) -> tuple[int, int]:
        """That of all views."""
        return self.size, self.size

    def digest(self, index: int) -> str:
        """That of the photograph."""
        split, own = self._place(index)
        return split.digest(own)

    def stamp(self, index: int) -> str:
        """That of the photograph."""
        split, own = self._place(index)
        return split.stamp(own)

    def truth(self, sample: int, task: str) -> Any:
        """None: views are not annotated."""
        return None

    def annotation_digest(self) -> str:
        """The digest of the keys."""
        return json_sha256([self.key(index) for index in range(len(self))])

    def _place(self, index: int) -> tuple[Split, int]:
        return self.views.fixed.photographs.place(index // self.views.fixed.count)


@dataclass(frozen=True)
class Store:
    """Stored views, and by teacher and size the tokens of a cache of them."""

    views: StoredViews
    sources: Mapping[tuple[str, int], CacheSource]

    def read(self, items: Sequence[Item], plan: StepPlan) -> tuple[dict[int, Tensor], dict[str, Tokens]]:
        """The student's pixels of some items, by size, and the tokens of the teachers of a step, by name."""
        rows = [self.views.row(item) for item in items]
        tokens = {
            name: self.sources[name, size].read([(row, "id") for row in rows]).tokens
            for name, size in plan.teachers.items()
        }
        return {plan.student: self.views.batch(rows, plan.student)}, tokens


@dataclass(frozen=True)
class StoreWriter:
    """Writes what a stage stores below ``folder``: the student's views, and one cache for each teacher and size."""

    folder: Path
    views: StoredViews
    dtype: DType
    process: Distributed
    progress: StageProgress

    def write(self, teachers: Mapping[str, Teacher], plan: Plan) -> Store:
        """Store, or finish storing, together with other processes.

        Raises ArgusError for a folder with other views, and for answers of other weights, at another size or in another
        number format.
        """
        try:
            self.progress.begin("store views", len(self.views), unit="views")
            self.views.write(self.process, self.progress.count)
            sources = {(name, size): self._answers(teachers[name], size) for name, size in plan.pairs}
        except CacheMismatch as error:
            raise ArgusError(
                f"{error.path} was stored for another recipe: its {error.field} is {error.cached!r}, this run's is "
                f"{error.wanted!r}; set another images.store, or remove the folder"
            ) from error
        return Store(self.views, sources)

    def _answers(self, teacher: Teacher, size: int) -> CacheSource:
        path, split = self.folder / f"{teacher.name}-{size}px", ViewSplit(self.views, size)
        spec = CacheSpec(Canvas(size, fit="stretch"), NEEDS, dtype=self.dtype)
        bytes_ = estimate(split, teacher.backbone.info, spec)
        self.progress.begin(f"store {teacher.name} at {size} px", len(split), unit="views")
        write_cache(
            path,
            teacher.backbone,
            split,
            spec,
            batch=batch_size([path], teacher.backbone.device),
            expected=bytes_,
            report=lambda done, total, rate, left: self.progress.count(done, f"{bytes_ / 1e9:.2g} GB in all"),
            part=Part(self.process.rank + 1, self.process.size),
        )
        return CacheSource(Cache.open(path), needs=NEEDS)
