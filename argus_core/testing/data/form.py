"""Checks of a data set's splits and images: keys, pixels, digests, and that splits share nothing."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from itertools import combinations
from typing import Any

import numpy as np

from argus_core.data import Split
from argus_core.errors import ArgusError
from argus_core.registry import TASKS
from argus_core.tasks import Task
from argus_core.testing.data.subject import HASHED, DataSubject, spread
from argus_core.testing.kit.isolation import changed, snapshot


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
        found = [split.key(index) for index in range(len(split))]
        odd = [key for key in found if not isinstance(key, str) or not key]
        assert not odd, f"split {name!r}: key {odd[0]!r} is no text"
        twice = [key for key, count in Counter(found).items() if count > 1]
        assert not twice, f"split {name!r}: keys {twice[:3]} occur more than once; use paths below the root"
        assert found == [split.key(index) for index in range(len(split))], (
            f"split {name!r}: keys change from call to call: fix them"
        )
        absolute = [key for key in found if re.match(r"/|[A-Za-z]:[\\/]", key)]
        assert not absolute, f"split {name!r}: key {absolute[0]!r} is a path of this machine; make it relative"


def tasks(subject: DataSubject) -> None:
    """Every split has annotations for one task or more; all tasks are registered, under their own names."""
    for name, split in subject.data.items():
        assert split.tasks, f"split {name!r} has annotations for no task: nothing can be trained or scored"
        for key, task in split.tasks.items():
            assert isinstance(task, Task), f"split {name!r}: task {key!r} is {type(task).__name__}, no argus_core.Task"
            assert task.name == key, f"split {name!r}: the task under {key!r} is called {task.name!r}"
            known = TASKS.load(key)
            assert known is type(task), f"split {name!r}: {key!r} is registered as {known.__name__}, not this class"


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
    seen: dict[str, tuple[str, Any]] = {}
    for split, index, where in subject.images():
        digest, stamp, image = split.digest(index), split.stamp(index), split.read(index)
        assert re.fullmatch(r"[0-9a-f]{64}", digest), f"{where}: digest {digest!r} is not 64 hexadecimal digits"
        assert digest == split.digest(index), f"{where}: digest changes from call to call"
        assert isinstance(stamp, str) and stamp, f"{where}: stamp {stamp!r} is no text"
        assert stamp == split.stamp(index), f"{where}: stamp changes from call to call"
        other, pixels = seen.setdefault(digest, (where, image))
        assert np.array_equal(pixels, image), f"{where} has the digest of {other}, but other pixels: hash the bytes"


def disjoint(subject: DataSubject) -> None:
    """No image is in two splits: what a head was trained on says nothing of how it does elsewhere."""
    found = {
        name: {split.digest(index): split.key(index) for index in spread(len(split), HASHED)}
        for name, split in subject.data.items()
    }
    for (first, ours), (second, theirs) in combinations(found.items(), 2):
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
        ours, theirs = ([one.key(i) for i in range(len(one))] for one in (split, again[name]))
        assert ours == theirs, f"split {name!r}: keys change when the data set is opened again; sort what is listed"
        digests = split.annotation_digest(), again[name].annotation_digest()
        assert digests[0] == digests[1], f"split {name!r}: annotation_digest changes when the data set is opened again"


def bounds(subject: DataSubject) -> None:
    """An index beyond the end and a task without annotations raise IndexError or ArgusError."""
    for name, split in subject.data.items():
        _assert_raises(split.read, len(split), what=f"split {name!r}: read of an index beyond the end")
        for task in split.tasks:
            beyond = len(split.samples(task))
            _assert_raises(split.truth, beyond, task, what=f"split {name!r}: {task} of a sample beyond the end")
        _assert_raises(split.truth, 0, "no such task", what=f"split {name!r}: the truth of a task that it has not")


def _assert_raises(work: Callable[..., Any], *arguments: Any, what: str) -> None:
    try:
        work(*arguments)
    except (IndexError, ArgusError):
        return
    except Exception as error:
        raise AssertionError(f"{what} raises {type(error).__name__}: raise IndexError or ArgusError") from error
    raise AssertionError(f"{what} gives something: raise IndexError or ArgusError")


def global_state(subject: DataSubject) -> None:
    """Opening and reading changes nothing in the process, its random states included."""
    before = snapshot()
    split = next(iter(subject.open().values()))
    split.read(0)
    for task in split.tasks:
        split.truth(0, task)
    assert not changed(before), f"the data set changed the {', '.join(changed(before))} of the process"
