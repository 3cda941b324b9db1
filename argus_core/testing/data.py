"""Checks of data sets: splits that share nothing, keys, pixels and digests, and the annotations of every task."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import Any

import numpy as np

from argus_core.canvas import Canvas
from argus_core.data import DataSet, Split
from argus_core.errors import ArgusError, Fault
from argus_core.plugins.data_spec import open_data
from argus_core.registry import TASKS
from argus_core.tasks import Task
from argus_core.testing.kit.isolation import unchanged_process
from argus_core.testing.kit.values import same, through_json

IMAGES = 6
"""Images of each split that are read."""
HASHED = 500
"""Images of each split, spread evenly, whose digests are compared."""
DataSource = str | DataSet | Callable[[], DataSet]
"""A data spec, an open data set, or a function that opens one."""


@dataclass(frozen=True)
class DataSubject:
    """A data set and the images and annotations of it that are read."""

    target: DataSource

    @classmethod
    def of(cls, target: DataSource, options: Mapping[str, Any] | None = None) -> DataSubject:
        """The subject; nothing is opened yet. Raises ArgusError for what is no data set, and for options."""
        if options:
            raise ArgusError(f"options of a data set are part of its spec, as in NAME:PATH,key=value; got {options}")
        if not isinstance(target, str | Mapping) and not callable(target):
            raise ArgusError(f"{target!r} is no data set: give a data spec, splits by name, or a function")
        return cls(target)

    def open(self) -> DataSet:
        """The splits, opened anew unless the target is an open data set."""
        if isinstance(self.target, str):
            return open_data(self.target)
        return self.target if isinstance(self.target, Mapping) else self.target()

    @cached_property
    def data(self) -> DataSet:
        """The splits that checks share."""
        return self.open()

    def images(self) -> Iterator[tuple[Split, int, str]]:
        """Split, index and a name of every image that is read."""
        for split in self.data.values():
            for index in spread(len(split), IMAGES):
                yield split, index, f"{split.name}, image {split.key(index)!r}"

    def truths(self) -> Iterator[tuple[Split, str, int, str]]:
        """Split, task, sample and a name of every annotation that is read."""
        for split in self.data.values():
            for task in split.tasks:
                for sample in spread(len(split.samples(task)), IMAGES):
                    yield split, task, sample, f"{split.name}, {task} of sample {sample}"


def spread(count: int, most: int) -> list[int]:
    """At most that many indices, evenly over all."""
    return sorted({i * count // most for i in range(most)}) if count > most else list(range(count))


def splits(subject: DataSubject) -> None:
    """The data set is splits by name, none of them empty, each knowing its name."""
    assert subject.data, "the data set has no split"
    for name, split in subject.data.items():
        assert isinstance(split, Split), f"split {name!r} is {type(split).__name__}, no subclass of argus_core.Split"
        assert split.name == name, f"the split under {name!r} calls itself {split.name!r}"
        assert len(split) > 0, f"split {name!r} has no image: raise ArgusError when the data set is opened"


def keys(subject: DataSubject) -> None:
    """Keys are texts, unique in their split, and always the same."""
    for name, split in subject.data.items():
        keys = _keys(split)
        odd = [key for key in keys if not isinstance(key, str) or not key]
        assert not odd, f"split {name!r}: key {odd[0]!r} is no text"
        twice = [key for key, count in Counter(keys).items() if count > 1]
        assert not twice, f"split {name!r}: keys {twice[:3]} occur more than once; use paths below the root"
        assert keys == _keys(split), f"split {name!r}: keys change from call to call: fix them"
        absolute = [key for key in keys if re.match(r"/|[A-Za-z]:[\\/]", key)]
        assert not absolute, f"split {name!r}: key {absolute[0]!r} is a path of this machine; make it relative"


def _keys(split: Split) -> list[str]:
    return [split.key(index) for index in range(len(split))]


def tasks(subject: DataSubject) -> None:
    """Every split has annotations for one task or more; all tasks are registered, under their own names."""
    for name, split in subject.data.items():
        assert split.tasks, f"split {name!r} has annotations for no task: nothing can be trained or scored"
        for key, task in split.tasks.items():
            assert isinstance(task, Task), f"split {name!r}: task {key!r} is {type(task).__name__}, no argus_core.Task"
            assert task.name == key, f"split {name!r}: the task under {key!r} is called {task.name!r}"
            registered = TASKS.load(key)
            assert registered is type(task), (
                f"split {name!r}: {key!r} is registered as {registered.__name__}, not this class"
            )


def images(subject: DataSubject) -> None:
    """Images are RGB bytes (h, w, 3), the same at every reading."""
    for split, index, where in subject.images():
        image = split.read(index)
        assert isinstance(image, np.ndarray), f"{where}: read gives {type(image).__name__}, not an array"
        assert image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3 and image.size, (
            f"{where}: read gives {image.shape} {image.dtype}, not RGB bytes (h, w, 3): use argus_core's read_image"
        )
        assert np.array_equal(image, split.read(index)), f"{where}: read gives other pixels the second time"


def digests(subject: DataSubject) -> None:
    """Digests are sha256 (hex), stable, and tell different images apart; stamps are stable texts."""
    images: dict[str, tuple[str, Any]] = {}
    for split, index, where in subject.images():
        digest, stamp, image = split.digest(index), split.stamp(index), split.read(index)
        assert re.fullmatch(r"[0-9a-f]{64}", digest), f"{where}: digest {digest!r} is not 64 hexadecimal digits"
        assert digest == split.digest(index), f"{where}: digest changes from call to call"
        assert isinstance(stamp, str) and stamp, f"{where}: stamp {stamp!r} is no text"
        assert stamp == split.stamp(index), f"{where}: stamp changes from call to call"
        other, pixels = images.setdefault(digest, (where, image))
        assert np.array_equal(pixels, image), f"{where} has the digest of {other}, but other pixels: hash the bytes"


def disjoint(subject: DataSubject) -> None:
    """No image is in two splits: what a head was trained on says nothing of how it does elsewhere."""
    digests = {
        name: {split.digest(index): split.key(index) for index in spread(len(split), HASHED)}
        for name, split in subject.data.items()
    }
    for (first, ours), (second, theirs) in combinations(digests.items(), 2):
        shared = sorted(ours.keys() & theirs.keys())
        pairs = [f"{ours[digest]} and {theirs[digest]}" for digest in shared[:3]]
        assert not shared, (
            f"splits {first!r} and {second!r} share {len(shared)} images ({'; '.join(pairs)}): scores on one would "
            "tell what was learnt by heart; `arena data check` lists them all"
        )


def reopened(subject: DataSubject) -> None:
    """Opened again, the data set has the same splits, keys and annotations."""
    again = subject.open()
    assert list(again) == list(subject.data), f"splits {list(subject.data)} became {list(again)}"
    for name, split in subject.data.items():
        assert _keys(split) == _keys(again[name]), (
            f"split {name!r}: keys change when the data set is opened again; sort what is listed"
        )
        assert split.annotation_digest() == again[name].annotation_digest(), (
            f"split {name!r}: annotation_digest changes when the data set is opened again"
        )


def bounds(subject: DataSubject) -> None:
    """An index beyond the end and a task without annotations raise IndexError or ArgusError."""
    for name, split in subject.data.items():
        _check_bound(split.read, len(split), what=f"split {name!r}: read of an index beyond the end")
        for task in split.tasks:
            beyond = len(split.samples(task))
            _check_bound(split.truth, beyond, task, what=f"split {name!r}: {task} of a sample beyond the end")
        _check_bound(split.truth, 0, "no such task", what=f"split {name!r}: the truth of a task that it has not")


def _check_bound(call: Callable[..., Any], *arguments: Any, what: str) -> None:
    try:
        call(*arguments)
    except (IndexError, ArgusError):
        return
    except Exception as error:
        raise AssertionError(f"{what} raises {type(error).__name__}: raise IndexError or ArgusError") from error
    raise AssertionError(f"{what} gives something: raise IndexError or ArgusError")


def samples(subject: DataSubject) -> None:
    """Every sample names images of its split by their indices, and each task has one sample or more."""
    for name, split in subject.data.items():
        for task in split.tasks:
            samples = split.samples(task)
            assert len(samples) > 0, f"split {name!r}, {task}: there is no sample"
            for number, members in enumerate(samples):
                valid = isinstance(members, tuple) and members and all(0 <= i < len(split) for i in members)
                assert valid, (
                    f"split {name!r}, {task}: sample {number} is {members!r}, not a tuple of indices below {len(split)}"
                )


def truths(subject: DataSubject) -> None:
    """Annotations are without fault in the eyes of their task, the same at every reading, and can be counted."""
    for split, name, sample, where in subject.truths():
        task, index = split.tasks[name], split.samples(name)[sample][0]
        truth, shape = split.truth(sample, name), split.read(index).shape
        fault = task.fault(truth, (shape[0], shape[1]))
        assert not fault, f"{where} ({split.key(index)}): {fault}"
        assert same(truth, split.truth(sample, name)), f"{where}: the annotation changes from call to call"
        through_json(task.summary(iter([truth])), f"{where}: the task's summary")


def targets(subject: DataSubject) -> None:
    """Every annotation becomes a target on a letterboxed canvas."""
    for split, name, sample, where in subject.truths():
        shape = split.read(split.samples(name)[sample][0]).shape
        try:
            split.tasks[name].target(split.truth(sample, name), Canvas(160, 96).place(shape[0], shape[1]))
        except Exception as error:
            raise AssertionError(f"{where} makes no target: {type(error).__name__}: {error}") from error


def annotation_digest(subject: DataSubject) -> None:
    """``annotation_digest`` is a sha256 (hex) and does not change with reading."""
    for name, split in subject.data.items():
        first = split.annotation_digest()
        assert re.fullmatch(r"[0-9a-f]{64}", first), f"split {name!r}: {first!r} is not 64 hexadecimal digits"
        for task in split.tasks:
            split.truth(0, task)
        assert split.annotation_digest() == first, f"split {name!r}: annotation_digest changes from call to call"


def faults(subject: DataSubject) -> None:
    """``faults`` is a list of Fault, each saying where and what, the same at every call."""
    for name, split in subject.data.items():
        faults = split.faults()
        assert isinstance(faults, list), f"split {name!r}: faults() gives {type(faults).__name__}, not a list"
        odd = [fault for fault in faults if not (isinstance(fault, Fault) and fault.where and fault.what)]
        assert not odd, f"split {name!r}: {odd[0]!r} is no Fault that says where and what"
        assert split.faults() == faults, f"split {name!r}: faults() changes from call to call"


def global_state(subject: DataSubject) -> None:
    """Opening and reading changes nothing in the process, its random states included."""
    with unchanged_process("the data set"):
        split = next(iter(subject.open().values()))
        split.read(0)
        for task in split.tasks:
            split.truth(0, task)
