"""The page of an audit: one HTML file that opens offline, with pictures of what was found."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from argus_arena.audit.audit import Audit
from argus_arena.audit.findings import Finding
from argus_arena.audit.pictures import SMALL, Pictures
from argus_arena.audit.result import Values, class_of, copy_groups
from argus_arena.report_page.page import SHARED, fill
from argus_core.common.files import write_text
from argus_core.common.progress import ProgressBar

SCRIPTS = (*SHARED, f"{__package__}:finds.js", f"{__package__}:map.js", f"{__package__}:audit.js")
STYLES = ("style.css", f"{__package__}:audit.css")
MEMBERS = 8
"""Images of a group of copies that are shown."""
SEEN = 1200
"""Images on the map that have a picture; of more, those at even distances."""


def write_page(audit: Audit, values: Values, out: Path, top: int, pictures: bool = True) -> None:
    """Write the page of ``values``, with the first ``top`` findings of each kind; the rest is counted there."""
    drawn = Pictures(audit.opened)
    with ProgressBar("page", unit="pictures") as bar:
        page = {
            "title": "Audit of " + ", ".join(dict.fromkeys(one["cache"] for one in values["splits"])),
            "version": version("argus-perception"),
            "rings": [],
            "pictures": pictures,
            "top": top,
            **{key: values[key] for key in ("splits", "notes", "backbone", "canvas")},
            "copies": _copies(audit, values, drawn if pictures else None, top, bar),
            "labels": _labels(audit, values, drawn if pictures else None, top, bar),
            "outliers": _outliers(audit, values, drawn if pictures else None, top, bar),
            "coverage": _coverage(audit, values, drawn if pictures else None, top, bar),
            "map": _map(audit, drawn if pictures else None, bar),
        }
    page["unread"] = drawn.unread
    write_text(out, fill(page, SCRIPTS, STYLES))


def _seen(drawn: Pictures | None, number: int, bar: ProgressBar, side: int | None = None) -> str | None:
    bar.advance()
    if drawn is None:
        return None
    return drawn.whole(number) if side is None else drawn.whole(number, side)


def _copies(audit: Audit, values: Values, drawn: Pictures | None, top: int, bar: ProgressBar) -> Values:
    groups = values["copies"]["groups"]
    shown = []
    for group, (members, _) in zip(groups[:top], copy_groups(audit)[:top], strict=True):
        tiles = [
            {**image, "src": _seen(drawn, number, bar)}
            for image, number in zip(group["images"][:MEMBERS], members[:MEMBERS], strict=True)
        ]
        shown.append({**group, "images": tiles, "count": len(members)})
    return {
        **values["copies"],
        "groups": shown,
        "count": len(groups),
        "across": sum(g["across_splits"] for g in groups),
    }


def _labels(audit: Audit, values: Values, drawn: Pictures | None, top: int, bar: ProgressBar) -> list[Values]:
    """By task and kind of finding."""
    tasks = []
    for found, told in zip(audit.labels, values["labels"], strict=True):
        kinds: dict[str, list[tuple[Finding, Values]]] = {}
        for one, row in zip(found.findings, told["findings"], strict=True):
            kinds.setdefault(one.kind, []).append((one, row))
        shown = [
            {"kind": kind, "count": len(rows), "rows": [_labelled(one, row, drawn, bar) for one, row in rows[:top]]}
            for kind, rows in kinds.items()
        ]
        tasks.append({**told, "findings": shown})
    return tasks


def _labelled(one: Finding, row: Values, drawn: Pictures | None, bar: ProgressBar) -> Values:
    bar.advance()
    return {**row, "src": drawn.marked(one) if drawn else None}


def _outliers(audit: Audit, values: Values, drawn: Pictures | None, top: int, bar: ProgressBar) -> Values:
    rows = [
        {**row, "src": _seen(drawn, one.number, bar)}
        for one, row in zip(audit.outliers[:top], values["outliers"][:top], strict=True)
    ]
    return {"count": len(audit.outliers), "rows": rows}


def _coverage(audit: Audit, values: Values, drawn: Pictures | None, top: int, bar: ProgressBar) -> list[Values]:
    shown = []
    for one, told in zip(audit.coverage, values["coverage"], strict=True):
        rows = [
            {**row, "src": _seen(drawn, number, bar)}
            for number, row in zip(one.far[:top], told["not_covered"][:top], strict=True)
        ]
        shown.append({**told, "not_covered": rows, "count": len(one.far), "regions": len(set(one.regions))})
    return shown


def _map(audit: Audit, drawn: Pictures | None, bar: ProgressBar) -> Values:
    """The points by split, class and what was found, with small pictures of some."""
    numbers = audit.mapped.tolist()
    pictured = {*np.linspace(0, len(numbers) - 1, min(SEEN, len(numbers))).round().astype(int).tolist()}
    classes = [class_of(audit.opened, number) for number in numbers]
    names = sorted({name for name in classes if name})
    found = _found(audit)
    points: list[list[Any]] = [
        [
            *(round(float(value), 4) for value in place),
            int(audit.opened.places[number, 0]),
            names.index(label) if label else -1,
            found.get(number, ""),
            audit.opened.key(number),
            _seen(drawn, number, bar, SMALL) if at in pictured else None,
        ]
        for at, (number, place, label) in enumerate(zip(numbers, audit.points, classes, strict=True))
    ]
    return {"classes": names, "points": points, "images": len(audit.opened)}


def _found(audit: Audit) -> dict[int, str]:
    """What was found of an image, in a few words."""
    words: dict[int, list[str]] = {}
    for members, _ in copy_groups(audit):
        for number in members:
            words.setdefault(number, []).append("copy")
    for task in audit.labels:
        for one in task.findings:
            words.setdefault(one.number, []).append(one.kind)
    for outlier in audit.outliers:
        words.setdefault(outlier.number, []).append("outlier")
    for one_way in audit.coverage:
        for number in one_way.far:
            words.setdefault(number, []).append("not covered")
    return {number: ", ".join(dict.fromkeys(found)) for number, found in words.items()}
