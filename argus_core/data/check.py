"""What is wrong with a data set: commands refuse it, or warn, before they work with it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from argus_core.data.split import DataSet, Split, guarded
from argus_core.errors import ArgusError, Fault

if TYPE_CHECKING:
    from argus_core.tasks import Task

Size = tuple[int, int]
WRONG_SHARE = 0.1
"""Faults of this share of the annotations or images make a result wrong; fewer make it doubtful."""
SAMPLED_MAPS = 256
"""Maps of whole images, such as masks, that are read before a command begins; all of them if there is a fault."""
MAX_SINGLE, OTHER = 5, "faults of several kinds"
"""Up to so many faults without a kind are reported one by one, more of them together under this name."""
SHOWN_CLASSES, SHOWN_IMAGES = 5, 20
SCORED = ("val", "test")
"""Names of splits from which nothing is learned."""
ACCEPT = "--accept-faults"


class DataRefused(ArgusError):
    """The faults of a data set make a result wrong, and were not accepted."""


@runtime_checkable
class Sized(Protocol):
    """A split whose annotations state the images' sizes."""

    def size(self, index: int) -> Size | None:
        """Height and width in pixels, None if not stated."""
        ...


@dataclass(frozen=True)
class Report:
    """The faults of a split, its size as JSON values, and ``remarks`` that are no faults."""

    faults: list[Fault]
    summary: dict[str, Any]
    remarks: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Finding:
    """Faults of one kind: how many there are, in words, and whether they make a result wrong."""

    what: str
    wrong: bool
    faults: list[Fault]

    @property
    def text(self) -> str:
        """One sentence, with the first of several faults as an example."""
        return f"{self.what}, such as {self.faults[0]}" if len(self.faults) > 1 else self.what


def check_data(data: DataSet) -> dict[str, Report]:
    """A report for every split; images that several splits share are faults of the later one."""
    digests: dict[str, str] = {}
    return {name: check_split(split, digests) for name, split in data.items()}


def check_split(split: Split, digests: dict[str, str] | None = None) -> Report:
    """Read all images and annotations; ``digests`` maps those of known images to their place, and is added to."""
    digests = {} if digests is None else digests
    faults: list[Fault] = []
    sizes: dict[int, Size] = {}
    for index in range(len(split)):
        where = f"{split.name}, image {split.key(index)}"
        try:
            with guarded(split):
                height, width, _ = split.read(index).shape
                sizes[index] = (height, width)
                first = digests.setdefault(split.digest(index), where)
        except ArgusError as error:
            faults.append(Fault(where, str(error), kind="images that cannot be read"))
            continue
        if first != where:
            kind = f"images with the same bytes as one of {first.partition(',')[0]}"
            faults.append(Fault(where, f"the same bytes as {first}", kind=kind))
    report = examine(split, split.tasks, sizes, learning=split.name not in SCORED)
    heights, widths = zip(*sizes.values(), strict=True) if sizes else ((0,), (0,))
    pixels = {"height": [min(heights), max(heights)], "width": [min(widths), max(widths)]}
    summary = {"images": len(split), "readable": len(sizes), **pixels, **report.summary}
    return Report([*faults, *report.faults], summary, report.remarks)


def examine(
    split: Split, tasks: Iterable[str], sizes: Mapping[int, Size], *, max_maps: int = 0, learning: bool = True
) -> Report:
    """The faults of a split that show without reading its images; ``sizes`` (height, width) are those of some images.

    ``learning`` is false for a split that is only scored. Of annotations that are maps of whole images at most
    ``max_maps``, evenly spread, are read; 0 reads all.
    """
    report = Report([*split.faults(), *_wrong_sizes(split, sizes)], {}, [f"{split.name}: {r}" for r in split.remarks()])
    for name in tasks:
        own = _check_annotations(split, name, sizes, max_maps, learning)
        faults = [*report.faults, *own.faults]
        remarks = [*report.remarks, *_unseen_remark(split, name, own.remarks, faults)]
        report = Report(faults, {**report.summary, **own.summary}, remarks)
    return report


def findings(split: str, faults: Sequence[Fault]) -> list[Finding]:
    """The faults of a split by kind. Those of a tenth of the data, and those that say so, make a result wrong."""
    many = sum(not fault.kind for fault in faults) > MAX_SINGLE
    kinds: dict[str, list[Fault]] = {}
    for fault in faults:
        kinds.setdefault(fault.kind or (OTHER if many and not fault.wrong else str(fault)), []).append(fault)
    return [_finding(split, kind, members) for kind, members in kinds.items()]


def refuse_faults(
    split: Split,
    tasks: Iterable[str],
    sizes: Mapping[int, Size],
    warn: Callable[[str], None],
    *,
    accept: bool = False,
    learning: bool = True,
) -> list[str]:
    """Raise DataRefused for a split whose faults make a result wrong, and warn of faults that make it doubtful.

    Every command that reads a data set calls this before it begins. With ``accept`` all faults are warnings, and those
    that would be refused are returned, to be recorded with the result.
    """
    tasks = list(tasks)
    report = examine(split, tasks, sizes, max_maps=SAMPLED_MAPS, learning=learning)
    kinds = findings(split.name, report.faults)
    if any(finding.wrong for finding in kinds):  # a sample of the maps may have few faults by chance, or many
        report = examine(split, tasks, sizes, learning=learning)
        kinds = findings(split.name, report.faults)
    wrong = [finding.text for finding in kinds if finding.wrong]
    if wrong and not accept:
        lines = "\n  ".join(wrong)
        raise DataRefused(
            f"the data would make the result wrong:\n  {lines}\n"
            f"fix them (`arena data check` lists them), or accept them with {ACCEPT}"
        )
    for finding in kinds:
        warn(f"{finding.text} (accepted with {ACCEPT})" if finding.wrong else finding.text)
    for remark in report.remarks:
        warn(remark)
    return wrong


def leave_out(split: Split, faults: Mapping[int, str], warn: Callable[[str], None], *, accept: bool) -> str:
    """Raise DataRefused for images that cannot be used, naming them, or with ``accept`` warn of each.

    ``faults`` say what is wrong, by the number of the image. Returns how many are left out, to be recorded with the
    result. Raises ArgusError if nothing is left.
    """
    what = f"{split.name}: images that cannot be used: {len(faults)} of {len(split)}"
    named = list(faults.values())
    if len(faults) == len(split) or not accept:
        more = [f"and {len(named) - SHOWN_IMAGES} more"] if len(named) > SHOWN_IMAGES else []
        lines = "\n  ".join([what, *named[:SHOWN_IMAGES], *more])
        remedy = "" if len(faults) == len(split) else f", or leave them out with {ACCEPT}"
        raise DataRefused(f"{lines}\nmend or remove them{remedy}")
    for one in named:
        warn(f"left out: {one}")
    return what


def _finding(split: str, kind: str, faults: list[Fault]) -> Finding:
    count, total = sum(fault.count for fault in faults), max(fault.total for fault in faults)
    wrong = any(fault.wrong for fault in faults) or (total > 0 and count >= WRONG_SHARE * total)
    if len(faults) == 1:
        text = str(faults[0])
        return Finding(text if text.startswith(f"{split},") else f"{split}, {text}", wrong, faults)
    return Finding(f"{split}: {kind}: {count}" + (f" of {total}" if total else ""), wrong, faults)


def _wrong_sizes(split: Split, sizes: Mapping[int, Size]) -> Iterator[Fault]:
    """Images whose size is not the one that the annotations state."""
    if not isinstance(split, Sized):
        return
    for index, size in sizes.items():
        stated = split.size(index)
        if stated is None or stated == size:
            continue
        text = f"the annotations say {stated[0]}x{stated[1]} (height x width), the image has {size[0]}x{size[1]}"
        turned = "; annotate the upright image, as its EXIF orientation is applied" if stated == size[::-1] else ""
        kind = "images that are turned, or of another size, than the annotations say"
        yield Fault(f"{split.name}, image {split.key(index)}", text + turned, kind=kind, total=len(sizes))


def _check_annotations(split: Split, name: str, sizes: Mapping[int, Size], max_maps: int, learning: bool) -> Report:
    """Read the annotations of a task; remarks are its classes that never occur."""
    task, samples = split.tasks[name], list(enumerate(split.samples(name)))
    step = max(1, -(-len(samples) // max_maps)) if max_maps and task.mapped else 1
    samples = samples[::step]
    unusable: list[Fault] = []
    summary = task.summary(_usable(split, task, samples, sizes, unusable))
    if samples and len(unusable) == len(samples):
        return Report(unusable, summary)
    # Counts of a sample prove only the faults that make a result wrong.
    whole = [fault for fault in task.faults(summary, learning=learning) if step == 1 or fault.wrong]
    named = [replace(fault, where=f"{split.name}, {name}") for fault in (*whole, *_similar_classes(task))]
    unseen = task.unseen(summary) if step == 1 and not any(fault.wrong for fault in whole) else []
    return Report([*unusable, *named], summary, unseen)


def _usable(
    split: Split,
    task: Task,
    samples: Sequence[tuple[int, Sequence[int]]],
    sizes: Mapping[int, Size],
    faults: list[Fault],
) -> Iterator[Any]:
    """The usable annotations of some samples; the faults of the others are added to ``faults``."""
    for sample, images in samples:
        try:
            with guarded(split):
                truth = split.truth(sample, task.name)
        except ArgusError as error:
            fault = str(error)
        else:
            known = [sizes[index] for index in images if index in sizes]
            fault = task.fault(truth, known[0]) if len(known) == len(images) else ""
        if fault:
            where = f"{split.name}, {task.name} of {' and '.join(split.key(index) for index in images)}"
            kind = f"annotations for {task.name} that cannot be used"
            faults.append(Fault(where, fault, kind=kind, total=len(samples)))
        else:
            yield truth


def _unseen_remark(split: Split, name: str, unseen: Sequence[str], faults: Sequence[Fault]) -> list[str]:
    """A line with the classes that never occur, except those that faults already name."""
    new = [label for label in unseen if not any(fault.where.endswith(f"class {label}") for fault in faults)]
    if not new:
        return []
    shown = ", ".join([*new[:SHOWN_CLASSES], *(["..."] if len(new) > SHOWN_CLASSES else [])])
    classes = getattr(split.tasks[name], "classes", new)
    return [f"{split.name}, {name}: {len(new)} of {len(classes)} classes are never seen: {shown}"]


def _similar_classes(task: Task) -> Iterator[Fault]:
    """Classes whose names differ only in case and spaces."""
    names: dict[str, str] = {}
    for name in getattr(task, "classes", ()):
        first = names.setdefault("".join(str(name).casefold().split()), name)
        if first != name:
            yield Fault("", f"classes {first!r} and {name!r} differ in case or spaces alone; are they one?")
