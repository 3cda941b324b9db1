"""What the device's own precision, bf16 on a GPU that computes it, changes of the scores of every task."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

from argus_arena.distributed import Distributed
from argus_arena.requests import make_request
from argus_arena.scoring.evaluate import evaluate
from argus_arena.scoring.rules import Scoring
from argus_arena.training.train import train_run
from argus_core import Argus, Canvas, Correspond, build_head
from argus_core.backbones import Backbone
from argus_core.backbones.live import LiveSource
from argus_core.backbones.tiny import tiny
from argus_core.data import Split
from argus_core.head import Head
from argus_core.model.heads import merged_needs
from argus_data.scenes import open_scene_pairs, open_scenes
from gpu_parts.bench import Bench, close
from gpu_parts.training import quiet

HEADS = ("classify.linear", "segment.linear", "depth.linear", "detect.slim_fcos")
SIDE, BATCH = 96, 8
LIMIT = 0.02
"""The largest change of a score, relative to it where it is above 1."""


def run(bench: Bench) -> None:
    """A check of each task: heads trained on the narrow backbone, scored on its tokens in both precisions."""
    images, val, steps = (16, 4, 4) if bench.toy else (256, 64, 300)
    exact, rounded = (tiny(precision=precision).to(bench.device) for precision in ("fp32", "auto"))
    heads = trained(bench, images, val, steps)
    val_split = open_scenes(images=images, val=val, size=SIDE)["val"]
    compare(bench, heads, val_split, exact, rounded)
    match = build_head("correspond.match", exact.info, Correspond()).to(bench.device)
    compare(bench, {"match": match}, open_scene_pairs(images=2, val=val, size=SIDE)["val"], exact, rounded)


def trained(bench: Bench, images: int, val: int, steps: int) -> dict[str, Head]:
    """A head of each task that is learnt, from one run."""
    settings = {"batch": BATCH, "steps": steps, "width": 32, "stages": [], "sweep": []}
    options = {"heads": HEADS, "data": f"scenes:images={images},val={val},size={SIDE}", "settings": settings}
    tokens = {"backbone": "tiny", "canvas": str(SIDE), "device": str(bench.device)}
    with tempfile.TemporaryDirectory() as folder, quiet():
        train_run(make_request({**options, **tokens}), Path(folder) / "run")
        argus = Argus.from_runs([Path(folder) / "run"], device=bench.device)
    return {name: argus.head(name) for name in argus.heads}


def compare(bench: Bench, heads: Mapping[str, Head], split: Split, exact: Backbone, rounded: Backbone) -> None:
    """Note the score that ranks each head, and its change."""
    before, after = (scores(bench, heads, split, backbone) for backbone in (exact, rounded))
    for name, head in heads.items():
        with bench.check(f"{head.task.name}: {name} in {rounded.precision} as in fp32") as values:
            primary, score = before[name]
            change = after[name][1] - score
            values |= {primary: score, "change": change}
            close(abs(change), LIMIT * max(1.0, abs(score)), primary)


def scores(bench: Bench, heads: Mapping[str, Head], split: Split, backbone: Backbone) -> dict[str, tuple[str, float]]:
    """Name and value of the score that ranks each head."""
    source = LiveSource(backbone, split, Canvas(SIDE), merged_needs(heads))
    process = Distributed(0, 1, bench.device)
    metrics = evaluate(heads, Scoring(source, split), process, BATCH, lambda done, total: None)
    return {name: (metric.primary, metric.compute()[metric.primary]) for name, metric in metrics.items()}
