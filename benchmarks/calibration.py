"""How far confidences are from the probability of being right, before and after calibration: three tasks, real images.

python calibration.py DATA OUT    # caches and runs in OUT; prints a table
python calibration.py --chance    # heads whose temperature is known: what is kept, and what it brings

DATA holds imagenette160, camvid, nyuv2, bccd, coco256 and coco_plus. What was trained is not trained again.
"""

from __future__ import annotations

import itertools
import statistics
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from argus_arena.requests import CacheRequest, make_request
from argus_arena.tools.cache import build_cache
from argus_arena.training.train import train_run
from argus_core.tasks import Calibration, Outcomes, calibration_error, fit_calibration
from coco_groups import write_boxes
from minute_heads import NYU

SEEDS = range(3)


@dataclass(frozen=True)
class Case:
    """A head, the data it learns from, and the cache that it reads."""

    head: str
    data: str
    canvas: str
    layers: tuple[int, ...]
    settings: Mapping[str, Any]
    cls: bool = False


STREETS = "images:{}/camvid,masks=masks,classes=classes.json"
MASKS = {"steps": 300, "batch": 8}
DETECTOR = {"steps": 300, "batch": 8, "evaluations": 10, "width": 48}
CASES = {
    "imagenette160": Case("classify.linear", "folder:{}/imagenette160", "160", (-1,), {"epochs": 5}, cls=True),
    "camvid": Case("segment.linear", STREETS, "192x256", (2, 3, 4), MASKS),
    "nyuv2": Case("segment.linear", NYU, "192x256", (2, 3, 4), MASKS),
    "bccd": Case("detect.slim_fcos", "coco:{}/bccd", "192x256", (2, 3, 4), DETECTOR),
    "COCO's 12 groups": Case("detect.slim_fcos", "", "192x256", (2, 3, 4), {**DETECTOR, "steps": 600}),
}


def train(name: str, case: Case, data: Path, out: Path) -> list[dict[str, Any]]:
    """The rows of the seeds, with lite0's tokens."""
    spec, cache = case.data.format(data) or write_boxes(data, out / "groups"), out / name / "cache"
    stored = {"canvas": case.canvas, "layers": case.layers, "cls": case.cls}
    build_cache(CacheRequest(data=spec, out=cache, backbone="lite0", **stored))
    given = {"heads": (case.head,), "data": spec, "cache": str(cache), "settings": case.settings}
    runs = [train_run(make_request({**given, "seed": seed}), out / name / f"seed-{seed}") for seed in SEEDS]
    return [row for rows in runs for row in rows.values()]


def line(name: str, case: Case, rows: list[dict[str, Any]]) -> str:
    """A row of the table: numbers of the three seeds."""
    found = [row["calibration"] for row in rows]
    fitted = f"{found[0]['fitted']['images']} images, {found[0]['fitted']['answers']} answers"
    applied = "; ".join(str(Calibration(**each["applied"])) if each["applied"] else "none" for each in found)
    before, after = ([each["ece"][key] for each in found] for key in ("before", "after"))
    scores = statistics.mean(row["metrics"][row["primary"]] for row in rows)
    errors = " | ".join(" ".join(f"{value:.3f}" for value in values) for values in (before, after))
    return f"| {name} | `{case.head}` | {rows[0]['primary']} {scores:.3f} | {fitted} | {applied} | {errors} |"


def chance() -> None:
    """The mean error of 60 heads of ten classes on 4,000 further images, before and after a fit."""
    print("| images | true temperature | error before | after | kept of 60 |\n|---|---|---|---|---|")
    for images, temperature in itertools.product((16, 50, 140, 500), (1.0, 1.3, 0.7, 2.0)):
        errors, kept = [], 0
        for seed in range(60):
            found = fit_calibration(drawn(images, temperature, seed))
            further = drawn(4000, temperature, 1000 + seed)
            errors.append((calibration_error(further), calibration_error(further, found)))
            kept += found is not None
        before, after = (statistics.mean(column) for column in zip(*errors, strict=True))
        print(f"| {images} | {temperature} | {before:.3f} | {after:.3f} | {kept} |")


def drawn(images: int, temperature: float, seed: int) -> Outcomes:
    """Outcomes of a head that states the true logits times a temperature."""
    generator = torch.Generator().manual_seed(seed)
    logits = 2.5 * torch.randn(images, 10, generator=generator)
    true = torch.multinomial(logits.softmax(1), 1, generator=generator)[:, 0]
    return Outcomes(temperature * logits, logits.argmax(1), true, torch.arange(images))


def main() -> None:
    """Train what is missing, and print the table."""
    if sys.argv[1] == "--chance":
        return chance()
    data, out = Path(sys.argv[1]), Path(sys.argv[2])
    columns = "data", "head", "score", "fitted on", "applied", "ECE before", "ECE after"
    lines = [f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
    lines += [line(name, case, train(name, case, data, out)) for name, case in CASES.items()]
    print("\n".join(lines))


if __name__ == "__main__":
    main()
