"""What an audit found as plain JSON values, with what to do about each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from argus_arena.audit.audit import Audit
from argus_arena.audit.copies import Pair
from argus_arena.audit.coverage import Coverage
from argus_arena.audit.findings import KINDS, Finding, TaskFindings
from argus_arena.audit.labels import Ints
from argus_arena.audit.opened import Opened, Part
from argus_arena.audit.outliers import Outlier
from argus_core.data.split import read_truth
from argus_core.errors import ArgusError

Values = dict[str, Any]


def as_values(audit: Audit) -> Values:
    """Everything that was found, plain; images as ``{"split": ..., "key": ...}``."""
    opened = audit.opened
    manifest = opened.parts[0].cache.manifest
    return {
        "format": 1,
        "backbone": manifest.fingerprint["backbone"],
        "weights_sha256": manifest.fingerprint["weights"],
        "canvas": manifest.spec.canvas.label,
        "splits": [_split(part) for part in opened.parts],
        "notes": audit.notes,
        "copies": _copies(audit),
        "labels": [_labels(opened, found) for found in audit.labels],
        "outliers": [_outlier(opened, one) for one in audit.outliers],
        "coverage": [_coverage(opened, one) for one in audit.coverage],
        "map": _map(audit),
    }


def _split(part: Part) -> Values:
    return {"name": part.name, "cache": str(part.cache.path), "images": len(part.usable)}


def _outlier(opened: Opened, one: Outlier) -> Values:
    return {
        **image(opened, one.number),
        "kind": one.kind,
        "deviations": round(one.score, 3),
        "suggestion": "look at it; remove it if it shows nothing that the data are for",
    }


def image(opened: Opened, number: int) -> Values:
    """The image's split and key."""
    return {"split": opened.part(number).name, "key": opened.key(number)}


def _copies(audit: Audit) -> Values:
    copies = audit.copies
    return {
        "threshold": round(copies.threshold, 4),
        "compared_by": "cells" if copies.by_cells else "vectors",
        "pairs_compared": copies.compared,
        "groups": [_group(audit, members, pairs) for members, pairs in copy_groups(audit)],
    }


def copy_groups(audit: Audit) -> list[tuple[list[int], list[Pair]]]:
    """The images of each group of copies and its pairs: groups across splits first, then the surest."""
    by_group: dict[int, list[Pair]] = {}
    for pair in audit.copies.pairs:
        by_group.setdefault(int(audit.groups[pair.one]), []).append(pair)
    found = [(sorted({n for pair in pairs for n in (pair.one, pair.other)}), pairs) for pairs in by_group.values()]
    return sorted(found, key=lambda one: (not _across(audit.opened, one[0]), -max(p.score for p in one[1]), one[0]))


def _across(opened: Opened, members: Sequence[int]) -> bool:
    return len({int(opened.places[number, 0]) for number in members}) > 1


def _group(audit: Audit, members: Sequence[int], pairs: Sequence[Pair]) -> Values:
    opened = audit.opened
    labels = [class_of(opened, number) for number in members]
    across = _across(opened, members)
    differ = len({label for label in labels if label}) > 1
    kinds = sorted({pair.kind for pair in pairs})
    return {
        "across_splits": across,
        "labels_differ": differ,
        "kinds": kinds,
        "score": round(max(pair.score for pair in pairs), 4),
        "images": [
            {**image(opened, n), **({"label": label} if label else {})}
            for n, label in zip(members, labels, strict=True)
        ],
        "suggestion": _advice(across, differ),
    }


def _advice(across: bool, differ: bool) -> str:
    parts = ["keep it in one split"] if across else ["keep one of them"]
    return "; ".join([*parts, *(["one of the labels is wrong"] if differ else [])])


def class_of(opened: Opened, number: int) -> str:
    """The name of the class that an image is annotated with; empty where there is none, or it cannot be read."""
    split = opened.part(number).split
    if split is None or "classify" not in split.tasks:
        return ""
    try:
        label = int(read_truth(split, int(opened.places[number, 1]), "classify"))
    except ArgusError:
        return ""
    classes: Sequence[str] = getattr(split.tasks["classify"], "classes")  # noqa: B009
    return classes[label] if 0 <= label < len(classes) else ""


def _labels(opened: Opened, found: TaskFindings) -> Values:
    return {
        "task": found.task,
        "judged": found.judged,
        "agreement": None if found.agreement is None else round(found.agreement, 4),
        "notes": found.notes,
        "findings": [finding_values(opened, one) for one in found.findings],
    }


def finding_values(opened: Opened, one: Finding) -> Values:
    """A doubtful annotation; boxes in pixels of its image."""
    values: Values = {**image(opened, one.number), "kind": one.kind, "score": round(one.score, 4)}
    values |= {key: getattr(one, key) for key in ("given", "suggested") if getattr(one, key)}
    values |= {"certain": True} if one.certain else {}
    for key in ("box", "proposed"):
        if (box := getattr(one, key)) is not None:
            values[key] = [round(side, 1) for side in box]
    return {**values, "suggestion": KINDS[one.kind]}


def _coverage(opened: Opened, one: Coverage) -> Values:
    rows = zip(one.far, one.distances, one.regions, strict=True)
    of, by = opened.parts[one.of].name, opened.parts[one.by].name
    return {
        "split": of,
        "by": by,
        "images": int((opened.places[:, 0] == one.of).sum()),
        "threshold": round(one.threshold, 4),
        "median_distance": round(one.median, 4),
        "usual_distance": round(one.typical, 4),
        "not_covered": [
            {**image(opened, number), "distance": round(distance, 4), "region": region}
            for number, distance, region in rows
        ],
        "suggestion": f"add images like these to {by}",
    }


def _map(audit: Audit) -> Values:
    images: Ints = audit.mapped
    return {
        "images": [image(audit.opened, number) for number in images.tolist()],
        "x": np.round(audit.points[:, 0], 4).tolist(),
        "y": np.round(audit.points[:, 1], 4).tolist(),
    }
