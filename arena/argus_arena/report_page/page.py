"""The page: one HTML file with its data, style and script inside, which may load and send nothing."""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

from argus_arena.comparison.compare import FAILURES, below_floor
from argus_arena.leaderboard.standings import Standing, rankings, read_rows
from argus_arena.report_page.collect import ring_values
from argus_arena.report_page.look import look
from argus_arena.report_page.pictures import disagreements, predictions
from argus_arena.report_page.stages import stage_values
from argus_core.common.files import read_json, write_text
from argus_core.common.folders import claim_file
from argus_core.errors import ArgusError
from argus_core.tasks.detect import Detect

TITLE = "Comparison of heads"
DISTILLATION = "Distillation"
SHARED = ("nodes.js", "axes.js", "lines.js", "pictures.js", "card.js")
SCRIPTS = (*SHARED, "tables.js", "significance.js", "scatter.js", "curves.js", "page.js")
STYLES = ("style.css",)
STAGE_SCRIPTS = (*SHARED, "stages.js")


def write_report(
    folders: Sequence[Path],
    out: Path,
    images: int = 8,
    task: str = "",
    threshold: float = 0.3,
    device: str | None = None,
) -> dict[str, Any]:
    """Write a page about every result below some folders, with at most ``images`` pictures of each kind per ranking.

    Detections below ``threshold`` are neither drawn nor compared. Returns what is on the page; where images, weights
    or tokens are gone, a note says so in place of pictures.
    """
    claim_file(out, _is_page, "report of the arena")
    rows = [row for row in read_rows(folders) if task in ("", row["task"])]
    if not rows:
        raise ArgusError(f"no result below {', '.join(map(str, folders))} is of task {task!r}")
    values = {
        "title": TITLE,
        "version": version("argus-perception"),
        "threshold": threshold,
        "failures": [line for folder in folders for line in _failures(folder)],
        "rings": [_ring(standings, images, threshold, device) for standings in rankings(rows).values()],
    }
    write_text(out, fill(values))
    return values


def write_stages(folders: Sequence[Path], out: Path, images: int = 8, device: str | None = None) -> dict[str, Any]:
    """Write a page about the stages of distillations, with ``images`` photographs of each; returns what is on it."""
    claim_file(out, _is_page, "report of the arena")
    stages = [stage_values(folder, images, device) for folder in folders]
    values = {"title": DISTILLATION, "version": version("argus-perception"), "rings": [], "stages": stages}
    write_text(out, fill(values, STAGE_SCRIPTS))
    return values


def fill(values: Mapping[str, Any], scripts: Sequence[str] = SCRIPTS, styles: Sequence[str] = STYLES) -> str:
    """The text of the page; nothing in ``values`` can end the block of data that holds it.

    Scripts and styles are files of this package, or ``PACKAGE:FILE``.
    """
    style, script = "\n".join(map(_part, styles)), "\n".join(map(_part, scripts))
    data = json.dumps(values, allow_nan=False, separators=(",", ":"))
    for sign in "<>&":
        data = data.replace(sign, f"\\u{ord(sign):04x}")
    policy = (
        f"default-src 'none'; img-src data:; style-src '{_sha256(style)}'; script-src '{_sha256(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    parts = {"title": html.escape(str(values["title"])), "policy": policy}
    return Template(_part("template.html")).substitute(parts, style=style, script=script, data=data)


def _is_page(file: Path) -> bool:
    """Whether a file is a report of the arena."""
    with file.open("rb") as stream:
        start = stream.read(4096)
    return any(f"<title>{title}</title>".encode() in start for title in (TITLE, DISTILLATION))


def _ring(standings: Sequence[Standing], images: int, threshold: float, device: str | None) -> dict[str, Any]:
    values = ring_values(standings)
    pictures: dict[str, Any] = {"note": "no pictures were asked for", "predictions": [], "disagreements": None}
    if images:
        try:
            results = look(standings, images, threshold, device)
            pictures = {"note": "; ".join(results.faults), "predictions": predictions(results), "disagreements": None}
            if isinstance(results.task, Detect):
                pictures["disagreements"] = disagreements(results)
        except (ArgusError, OSError) as error:
            pictures["note"] = f"there are no pictures: {error}"
    return {**values, "floor": below_floor(standings), "pictures": pictures}


def _failures(folder: Path) -> list[str]:
    """The heads that failed in a comparison, with the reasons."""
    file = folder / FAILURES
    return [f"{name}: {why}" for name, why in read_json(file, "compare again").items()] if file.is_file() else []


def _part(name: str) -> str:
    package, colon, file = name.rpartition(":")
    return (files(package if colon else __package__) / file).read_text(encoding="utf-8")


def _sha256(text: str) -> str:
    """The source expression that lets a page's own block through its content security policy."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
