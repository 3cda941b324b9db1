"""How a split is scored: the passes over each image, the protocol, and the options of the metric."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby, zip_longest
from typing import Any

from argus_core.backbones.live import FramedSource
from argus_core.cache import CacheSource
from argus_core.common.options import check_options, options_model
from argus_core.data import Split
from argus_core.errors import ArgusError, counted, unknown
from argus_core.head import Head
from argus_core.plugins.data_spec import task_for
from argus_core.protocols import Protocol, find_protocol
from argus_core.registry import PROTOCOLS
from argus_core.tasks import Metric, Task
from argus_core.tokens import Item, PlacedTokens

Source = CacheSource | FramedSource
ImageTokens = tuple[list[int], PlacedTokens]
"""A batch of passes: the image of each, its tokens and placement."""


@dataclass(frozen=True)
class Scoring:
    """A split, the tokens of its images, and the rules; without a protocol each image takes one plain pass.

    ``images`` are those that are scored, by their indices in the split; None is all that have tokens.
    """

    source: Source
    split: Split
    options: Mapping[str, Any] = field(default_factory=dict)
    protocol: Protocol | None = None
    images: frozenset[int] | None = None

    @property
    def described(self) -> dict[str, Any]:
        """The split, and how many of its images are scored: what records say."""
        count = len(self.source) - len(self.source.skipped) if self.images is None else len(self.images)
        return {"split": self.split.name, "images": count}

    @property
    def told(self) -> str:
        """What is scored, as lines for the reader say it."""
        return self.split.name if self.images is None else counted(len(self.images), "selection image")

    def passes(self, index: int) -> list[Item]:
        """The items of every pass over an image."""
        if self.protocol is not None and isinstance(self.source, CacheSource):
            # Only the cache of a split that is trained on may lack one.
            return [(index, view) for view in self.protocol.views if view in self.source.views]
        return self.source.passes(index)

    def batches(self, images: Sequence[int], size: int, passes: int | None = None) -> Iterator[ImageTokens]:
        """All passes over some images, or the first ``passes`` of each, at most ``size`` of one canvas at a time."""
        items = [item for index in images for item in self.passes(index)[:passes]]
        for _, group in groupby(items, lambda item: self.source.placement(item).canvas_size):
            alike = list(group)
            for start in range(0, len(alike), size):
                batch = alike[start : start + size]
                yield [index for index, _ in batch], self.source.read(batch)

    def samples(self, task: str) -> list[tuple[int, tuple[int, ...]]]:
        """Number and images of each sample of a task, if all its images have tokens and are scored."""
        return [
            (number, images)
            for number, images in enumerate(self.split.samples(task))
            if not any(index in self.source.skipped for index in images)
            and (self.images is None or self.images.issuperset(images))
        ]

    def key(self, number: int, images: Sequence[int]) -> str:
        """A unique name of a sample."""
        keys = [self.split.key(index) for index in images]
        return keys[0] if len(keys) == 1 else f"{number}: {' '.join(keys)}"

    def metric(self, task: Task) -> Metric:
        """A fresh metric of a task, with the options that apply to it."""
        own = self.metric_options(task)
        return task.metric(**check_options(options_model(task.metric), own, f"the metric of {task.name}"))

    def metric_options(self, task: Task) -> dict[str, Any]:
        """The options of a task's metric that the protocol settles or that were given."""
        return own_options(task, {**(self.protocol.metric if self.protocol else {}), **self.options})

    def rules(self, task: Task) -> str:
        """The identifier under which scores of a task are comparable."""
        return self.protocol.name if self.protocol else self.metric(task).protocol


def check_scoring(heads: Mapping[str, Head], scoring: Scoring) -> None:
    """Raise ArgusError unless the split, the protocol and all options of the metric fit the heads."""
    known: set[str] = set()
    for head in heads.values():
        check_task(head, scoring.split)
        known |= set(options_model(head.task.metric).model_fields)
        check_protocol(head, scoring.protocol)
        scoring.metric(head.task)
    for key in scoring.options:
        if key not in known:
            raise unknown("option of the metric", key, known)
        if scoring.protocol is not None and key in scoring.protocol.metric:
            raise ArgusError(f"protocol {scoring.protocol.name!r} settles {key}; leave out --metric {key}=...")


def own_options(task: Task, options: Mapping[str, Any]) -> dict[str, Any]:
    """The scoring options that the task's metric has."""
    known = options_model(task.metric).model_fields
    return {key: value for key, value in options.items() if key in known}


def check_protocol(head: Head, protocol: Protocol | None) -> None:
    """Raise ArgusError, with the protocols that fit, if the protocol is for another task than the head's."""
    if protocol is None or protocol.task == head.task.name:
        return
    task = head.task.name
    fitting = [entry.name for entry in PROTOCOLS.entries() if find_protocol(entry.name).task == task]
    raise ArgusError(
        f"protocol {protocol.name!r} is for {protocol.task}, head {head.name!r} solves {task}; "
        f"protocols for {task}: {', '.join(fitting) or 'none'}. "
        "Heads of several tasks are scored one by one: arena eval --run RUN/HEAD --protocol NAME"
    )


def check_task(head: Head, split: Split) -> None:
    """Raise ArgusError unless the split is annotated for the head's task with the same classes and other numbers."""
    task = task_for(split, head.task.name)
    if task != head.task:
        own = {key: getattr(head.task, key) for key in type(task).model_fields}
        # Not all fields count when tasks are compared.
        different = [key for key in own if task.model_copy(update={key: own[key]}) != task]
        differences = [_difference(key, own[key], getattr(task, key)) for key in different]
        raise ArgusError(
            f"head {head.name!r} and split {split.name!r} do not fit: {'; '.join(filter(None, differences))}. "
            "Score the head on data like those it was trained on"
        )


def _difference(field: str, head: Any, split: Any) -> str:
    """How a field differs between a head's task and a split; of names the counts and the first three."""
    if head == split:
        return ""
    if not isinstance(head, tuple) or not isinstance(split, tuple):
        return f"{field} of the head {head!r}, of the split {split!r}"
    pairs = [(n, a, b) for n, (a, b) in enumerate(zip_longest(head, split, fillvalue="nothing")) if a != b]
    shown = ", ".join(f"{n}: {a} and {b}" for n, a, b in pairs[:3])
    places = f"differing in {counted(len(pairs), 'place')} ({shown})"
    return f"{len(head)} {field} of the head, {len(split)} of the split, {places}"


def check_cache(source: CacheSource, protocol: Protocol) -> None:
    """Raise ArgusError unless the cache holds the canvas and views of a protocol."""
    if protocol.canvas is None:
        raise ArgusError(
            f"protocol {protocol.name!r} takes several or differing canvases per image, which a cache does not hold; "
            f"train without it and score with `arena eval --protocol {protocol.name}`"
        )
    if source.canvas != protocol.canvas or not set(protocol.views) <= set(source.views):
        raise ArgusError(
            f"protocol {protocol.name!r} looks at {protocol.canvas} with views {','.join(protocol.views)}; the cache "
            f"holds {source.canvas} with {','.join(source.views)}: cache with `arena cache --protocol {protocol.name}`"
        )
