"""What an audit found, on a terminal: counts, the worst of each kind, and what to do next."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from argus_arena.audit.result import Values
from argus_core.errors import counted

WORST = 3
"""Findings of each kind that are named."""


def lines(values: Values) -> Iterator[str]:
    """The lines of the summary."""
    sizes = ", ".join(f"{one['name']} {one['images']}" for one in values["splits"])
    yield f"{sizes} images; tokens of {values['backbone']} on {values['canvas']}"
    for note in values["notes"]:
        yield f"note: {note}"
    yield from _copies(values["copies"])
    for task in values["labels"]:
        yield from _labels(task)
    outliers = values["outliers"]
    yield f"outliers: {len(outliers) or 'none'}"
    yield from (f"  {_place(one)}  {one['kind']} ({one['deviations']:.1f} deviations)" for one in outliers[:WORST])
    for one in values["coverage"]:
        far = one["not_covered"]
        yield f"{one['split']} not covered by {one['by']}: {len(far)} of {counted(one['images'], 'image')}"
        yield from (
            f"  {_place(row)}  distance {row['distance']:.2f}, from {one['threshold']:.2f} on" for row in far[:WORST]
        )


def next_steps(values: Values) -> list[str]:
    """What to do next, the most important first."""
    groups = values["copies"]["groups"]
    across = sum(group["across_splits"] for group in groups)
    differ = sum(group["labels_differ"] for group in groups)
    doubtful = sum(len(task["findings"]) for task in values["labels"])
    steps = [
        f"remove the copies of {counted(across, 'group')} from one of the splits" if across else "",
        f"settle the labels of {counted(differ, 'group')} of copies" if differ else "",
        f"look at {counted(doubtful, 'doubtful annotation')}, from the top until they are right" if doubtful else "",
        f"look at {counted(len(values['outliers']), 'outlier')}" if values["outliers"] else "",
    ]
    return [step for step in steps if step]


def _copies(copies: Values) -> Iterator[str]:
    groups = copies["groups"]
    across = [group for group in groups if group["across_splits"]]
    yield f"copies: {counted(len(groups), 'group') if groups else 'none'}" + (
        f", {len(across)} across splits: the score counts images that were trained on" if across else ""
    )
    for group in groups[:WORST]:
        places = [_place(one) for one in group["images"]]
        more = [f"{len(places) - 2} more"] if len(places) > 2 else []
        marks = f"{', '.join(group['kinds'])} {group['score']:.2f}" + (
            "; labels differ" if group["labels_differ"] else ""
        )
        yield f"  {' = '.join([*places[:2], *more])}  {marks}"


def _labels(task: Values) -> Iterator[str]:
    judged = " and ".join(f"{count} {what}" for what, count in task["judged"].items())
    agree = "" if task["agreement"] is None else f", {task['agreement']:.1%} of the labels agree"
    if judged:
        yield f"{task['task']}: {judged} judged{agree}"
    for note in task["notes"]:
        yield f"note: {task['task']}: {note}"
    for kind in dict.fromkeys(one["kind"] for one in task["findings"]):
        rows = [one for one in task["findings"] if one["kind"] == kind]
        certain = sum(one.get("certain", False) for one in rows)
        yield f"  {kind}: {len(rows)} doubtful" + (f", {certain} of them certain" if certain else "")
        yield from (f"    {_place(row)}  {_said(row)}" for row in rows[:WORST])


def _said(row: Values) -> str:
    both = [row[key] for key in ("given", "suggested") if key in row]
    where = [f"at {_corners(row[key])}" for key in ("box", "proposed") if key in row][:1]
    return " ".join([" -> ".join(both), *where, f"({row['score']:.3g})"]).strip()


def _corners(box: Sequence[float]) -> str:
    return ",".join(f"{side:.0f}" for side in box)


def _place(one: Values) -> str:
    return f"{one['split']}: {one['key']}"
