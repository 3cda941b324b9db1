"""Checks of a data set's annotations: samples, faults, targets, and their digest."""

from __future__ import annotations

import re

from argus_core.canvas import Canvas
from argus_core.errors import Fault
from argus_core.testing.data.subject import DataSubject
from argus_core.testing.kit.plain import same, through_json


def samples(subject: DataSubject) -> None:
    """Every sample names images of its split by their indices, and each task has one sample or more."""
    for name, split in subject.data.items():
        for task in split.tasks:
            found = split.samples(task)
            assert len(found) > 0, f"split {name!r}, {task}: there is no sample"
            for number, members in enumerate(found):
                known = isinstance(members, tuple) and members and all(0 <= i < len(split) for i in members)
                assert known, (
                    f"split {name!r}, {task}: sample {number} is {members!r}, not a tuple of indices below {len(split)}"
                )


def truths(subject: DataSubject) -> None:
    """Annotations are without fault in the eyes of their task, the same at every reading, and can be counted."""
    for split, name, sample, where in subject.truths():
        task, members = split.tasks[name], split.samples(name)[sample]
        truth, shape = split.truth(sample, name), split.read(members[0]).shape
        wrong = task.fault(truth, (shape[0], shape[1]))
        assert not wrong, f"{where} ({split.key(members[0])}): {wrong}"
        assert same(truth, split.truth(sample, name)), f"{where}: the annotation changes from call to call"
        through_json(task.summary(iter([truth])), f"{where}: the task's summary")


def targets(subject: DataSubject) -> None:
    """Every annotation becomes a target on a letterboxed canvas."""
    for split, name, sample, where in subject.truths():
        shape = split.read(split.samples(name)[sample][0]).shape
        place = Canvas(160, 96).place(shape[0], shape[1])
        try:
            split.tasks[name].target(split.truth(sample, name), place)
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
        found = split.faults()
        assert isinstance(found, list), f"split {name!r}: faults() gives {type(found).__name__}, not a list"
        odd = [fault for fault in found if not (isinstance(fault, Fault) and fault.where and fault.what)]
        assert not odd, f"split {name!r}: {odd[0]!r} is no Fault that says where and what"
        assert split.faults() == found, f"split {name!r}: faults() changes from call to call"
