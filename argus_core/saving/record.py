"""A head's record in words: scores with data set and protocol, training data, licence, limits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from argus_core.tasks import Calibration

SHOWN_METRICS = 5
"""Metrics of a row that are shown, the primary one first; metrics per class are left out."""


def record_rows(
    record: Mapping[str, Any], license: str, calibration: Calibration | None = None
) -> list[tuple[str, str]]:
    """What is known of a head, as pairs of a key, such as ``scores``, and a line of text; keys may repeat.

    ``calibration`` is what is applied to its confidences, which need not be what the record tells of its training.
    """
    rows = [("scores", line) for line in _scores(record.get("scores"))] or [("scores", "not measured")]
    rows += [("scores", f"confidences with {calibration}")] if calibration else []
    data = record.get("data")
    rows += [("data", _data(data) if data else "not stated"), ("licence", license)]
    rows += [("limits", line) for line in _texts(record.get("limits"))]
    return rows + [("notes", line) for line in _texts(record.get("notes"))]


def record_lines(record: Mapping[str, Any], license: str, calibration: Calibration | None = None) -> list[str]:
    """The lines of ``argus info`` about a head."""
    rows = record_rows(record, license, calibration)
    keys = [""] + [key for key, _ in rows]
    return [f"    {'' if key == last else key:<9} {text}" for last, (key, text) in zip(keys, rows, strict=False)]


def _scores(scores: Any) -> Iterator[str]:
    """Scores as rows of the arena, or as plain values by name, with or without groups."""
    if isinstance(scores, Mapping):
        groups = {key: value for key, value in scores.items() if isinstance(value, Mapping)}
        plain = {key: value for key, value in scores.items() if key not in groups}
        if plain:
            yield _values(plain)
        yield from (f"{_values(group)} on {name}" for name, group in groups.items())
    elif isinstance(scores, Sequence) and not isinstance(scores, str):
        yield from (_row(row) for row in scores if isinstance(row, Mapping))
    elif scores:
        yield str(scores)


def shown_metrics(row: Mapping[str, Any]) -> dict[str, Any]:
    """The metrics of a row that are told, the primary one first; those without a value and those per class are not."""
    metrics = {key: value for key, value in (row.get("metrics") or {}).items() if "/" not in key and value is not None}
    first = row.get("primary")
    return {key: metrics[key] for key in sorted(metrics, key=lambda key: key != first)[:SHOWN_METRICS]}


def _row(row: Mapping[str, Any]) -> str:
    """Such as ``mIoU 0.559, mAcc 0.677 on images:camvid val, 101 images (miou-1); calibration error 0.0312``."""
    where = _split(row.get("data"), "val")
    protocol = f" ({row['protocol']})" if row.get("protocol") else ""
    return _values(shown_metrics(row)) + (f" on {where}" if where else "") + protocol + _error(row.get("calibration"))


def _error(calibration: Any) -> str:
    """How far confidences are from the share of right answers, before and after they were calibrated."""
    error = calibration.get("ece") if isinstance(calibration, Mapping) else None
    if not isinstance(error, Mapping) or error.get("before") is None:
        return ""
    before = f"; calibration error {error['before']:.3g}"
    return f"{before}, as trained {error['after']:.3g} calibrated" if calibration.get("applied") else before


def _data(data: Any) -> str:
    if not isinstance(data, Mapping):
        return str(data)
    trained = _split(data, "train")
    return trained or ", ".join(f"{key} {value}" for key, value in data.items())


def _split(data: Any, part: str) -> str:
    """The data set and one of its splits, such as ``coco:rooms train, 795 images``."""
    if not isinstance(data, Mapping):
        return str(data or "")
    known = data.get(part)
    split = f" {known.get('split', part)}, {known['images']} images" if isinstance(known, Mapping) else ""
    return f"{data.get('spec', '')}{split}".strip()


def _values(values: Mapping[str, Any]) -> str:
    rounded = {key: f"{value:.3g}" if isinstance(value, float) else value for key, value in values.items()}
    return ", ".join(f"{key} {value}" for key, value in rounded.items())


def _texts(value: Any) -> list[str]:
    if not value:
        return []
    return [str(text) for text in value] if isinstance(value, list | tuple) else [str(value)]
