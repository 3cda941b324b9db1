"""What is wrong with a data set: found by reading as much of it as a command has at hand, and refused or warned of."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from argus_core.data.split import DataSet, Split
from argus_core.errors import ArgusError, Fault

if TYPE_CHECKING:
    from argus_core.tasks import Task


Size = tuple[int, int]
SHARE = 0.1
"""A fault of this share of the annotations or images makes a result wrong; of less, doubtful."""
LOOKED = 256
"""Maps of whole images, such as masks, that are read before a command begins; all of them once a fault is refused."""
LOOSE, OTHER = 5, "faults of several kinds"
"""Faults without a kind that are told one by one; what more of them are called together."""
NAMED = 5
"""Classes that are told of many."""
SCORED = ("val", "test")
"""Splits from which nothing is learned, as far as their names tell."""
ACCEPT = "--accept-faults"


class DataRefused(ArgusError):
    """A data set whose faults make a result wrong, and nobody accepted them."""


@runtime_checkable
class Sized(Protocol):
    """A split whose annotations state the images' sizes."""

    def size(self, index: int) -> Size | None:
        """Height and width in pixels, None where nothing is stated."""
        ...


@dataclass(frozen=True)
class Report:
    """What ails a split and how large it is; ``summary`` is plain data, ready for JSON, ``remarks`` are no faults."""

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
        """One sentence, with the first fault as an example of several."""
        return f"{self.what}, such as {self.faults[0]}" if len(self.faults) > 1 else self.what


def check_data(data: DataSet) -> dict[str, Report]:
    """A report for every split; images that several splits share are faults of the later one."""
    seen: dict[str, str] = {}
    return {name: check_split(split, seen) for name, split in data.items()}


def check_split(split: Split, seen: dict[str, str] | None = None) -> Report:
    """Read all images and annotations; ``seen`` maps digests to where they were met, and is added to."""
    seen = {} if seen is None else seen
    unread: list[Fault] = []
    sizes: dict[int, Size] = {}
    for index in range(len(split)):
        where = f"{split.name}, image {split.key(index)}"
        try:
            height, width, _ = split.read(index).shape
            sizes[index] = (height, width)
            first = seen.setdefault(split.digest(index), where)
        except ArgusError as error:
            unread.append(Fault(where, str(error), kind="images that cannot be read"))
            continue
        if first != where:
            kind = f"images with the same bytes as one of {first.partition(',')[0]}"
            unread.append(Fault(where, f"the same bytes as {first}", kind=kind))
    found = examine(split, split.tasks, sizes, learning=split.name not in SCORED)
    summary = {**_pixels(len(split), list(sizes.values())), **found.summary}
    return Report([*unread, *found.faults], summary, found.remarks)


def examine(
    split: Split, tasks: Iterable[str], sizes: Mapping[int, Size], *, looked: int = 0, learning: bool = True
) -> Report:
    """The faults of a split that show without reading its images, of which some sizes (height, width) are known.

    ``learning`` is false for a split that is only scored. Of annotations that are maps of whole images at most
    ``looked``, evenly spread, are read; 0 reads all.
    """
    faults = [*split.faults(), *_mismatches(split, sizes)]
    summary: dict[str, Any] = {}
    remarks: list[str] = []
    for name in tasks:
        found = _annotations(split, name, sizes, looked, learning)
        faults, summary = [*faults, *found.faults], {**summary, **found.summary}
        remarks += _remark(split, name, found.remarks, faults)
    return Report(faults, summary, remarks)


def findings(split: str, faults: Sequence[Fault]) -> list[Finding]:
    """The faults of a split, kind by kind: wrong are a tenth of what there is, and those that say so."""
    loose = sum(not fault.kind for fault in faults) > LOOSE
    kinds: dict[str, list[Fault]] = {}
    for fault in faults:
        kinds.setdefault(fault.kind or (OTHER if loose and not fault.wrong else str(fault)), []).append(fault)
    return [_finding(split, kind, held) for kind, held in kinds.items()]


def heed(
    split: Split,
    tasks: Iterable[str],
    sizes: Mapping[int, Size],
    warn: Callable[[str], None],
    *,
    accept: bool = False,
    learning: bool = True,
) -> list[str]:
    """Refuse a split whose faults make a result wrong, and warn of those that make it doubtful.

    Every command that reads a data set calls this before it works on it. With ``accept`` what would be refused is
    warned of too, and returned, to stand beside the result. Raises DataRefused.
    """
    tasks = list(tasks)
    report = examine(split, tasks, sizes, looked=LOOKED, learning=learning)
    found = findings(split.name, report.faults)
    if any(one.wrong for one in found):  # a part of the maps is no proof
        report = examine(split, tasks, sizes, learning=learning)
        found = findings(split.name, report.faults)
    wrong = [one.text for one in found if one.wrong]
    if wrong and not accept:
        lines = "\n  ".join(wrong)
        raise DataRefused(
            f"the data would make the result wrong:\n  {lines}\n"
            f"mend them (`arena data check` lists them), or accept them with {ACCEPT}"
        )
    for one in found:
        warn(f"{one.text} (accepted with {ACCEPT})" if one.wrong else one.text)
    for remark in report.remarks:
        warn(remark)
    return wrong


def _finding(split: str, kind: str, faults: list[Fault]) -> Finding:
    count, total = sum(fault.count for fault in faults), max(fault.total for fault in faults)
    wrong = any(fault.wrong for fault in faults) or (total > 0 and count >= SHARE * total)
    first = faults[0]
    if len(faults) == 1:
        text = str(first) if first.where.startswith(f"{split},") else f"{split}, {first}"
        return Finding(text, wrong, faults)
    of = f" of {total}" if total else ""
    return Finding(f"{split}: {kind}: {count}{of}", wrong, faults)


def _mismatches(split: Split, sizes: Mapping[int, Size]) -> Iterator[Fault]:
    """Images of another size than the annotations assume."""
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


def _pixels(images: int, sizes: list[Size]) -> dict[str, Any]:
    heights, widths = zip(*sizes, strict=True) if sizes else ((0,), (0,))
    return {
        "images": images,
        "readable": len(sizes),
        "height": [min(heights), max(heights)],
        "width": [min(widths), max(widths)],
    }


class _Truths:
    """The annotations of a task that can be used, one by one; ``faults`` are of those met so far that cannot."""

    def __init__(self, split: Split, name: str, sizes: Mapping[int, Size], looked: int) -> None:
        self._split, self._name, self._sizes = split, name, sizes
        samples = list(enumerate(split.samples(name)))
        step = -(-len(samples) // looked) if looked and samples and split.tasks[name].mapped else 1
        self.samples, self.whole = samples[::step], step == 1
        self.faults: list[Fault] = []

    def __iter__(self) -> Iterator[Any]:
        task = self._split.tasks[self._name]
        for sample, images in self.samples:
            try:
                truth = self._split.truth(sample, self._name)
            except ArgusError as error:
                self._add(images, str(error))
                continue
            known = [self._sizes[index] for index in images if index in self._sizes]
            if wrong := task.fault(truth, known[0]) if len(known) == len(images) else "":
                self._add(images, wrong)
            else:
                yield truth

    def _add(self, images: Sequence[int], what: str) -> None:
        where = f"{self._split.name}, {self._name} of {' and '.join(self._split.key(index) for index in images)}"
        kind = f"annotations for {self._name} that cannot be used"
        self.faults.append(Fault(where, what, kind=kind, total=len(self.samples)))


def _annotations(split: Split, name: str, sizes: Mapping[int, Size], looked: int, learning: bool) -> Report:
    """Read the annotations of a task, and count those that can be used."""
    task, truths = split.tasks[name], _Truths(split, name, sizes, looked)
    summary = task.summary(iter(truths))
    if truths.samples and len(truths.faults) == len(truths.samples):
        return Report(truths.faults, summary)
    told = [one for one in task.faults(summary, learning=learning) if truths.whole or one.wrong]
    named = [replace(one, where=f"{split.name}, {name}") for one in (*told, *_alike(task))]
    unseen = task.unseen(summary) if truths.whole and not any(one.wrong for one in told) else []
    return Report([*truths.faults, *named], summary, unseen)


def _remark(split: Split, name: str, unseen: Sequence[str], faults: Sequence[Fault]) -> list[str]:
    """Which classes nothing shows, but for those that faults name already."""
    new = [one for one in unseen if not any(fault.where.endswith(f"class {one}") for fault in faults)]
    if not new:
        return []
    few = ", ".join([*new[:NAMED], *(["..."] if len(new) > NAMED else [])])
    classes = getattr(split.tasks[name], "classes", new)
    return [f"{split.name}, {name}: {len(new)} of {len(classes)} classes are never seen: {few}"]


def _alike(task: Task) -> Iterator[Fault]:
    """Classes whose names differ in nothing but case and spaces."""
    names: dict[str, str] = {}
    for name in getattr(task, "classes", ()):
        first = names.setdefault("".join(str(name).casefold().split()), name)
        if first != name:
            yield Fault("", f"classes {first!r} and {name!r} differ in case or spaces alone; are they one?")
