"""Predictions of the best heads of a ranking on images that it was scored on."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from argus_arena.distributed import Distributed
from argus_arena.leaderboard.standings import RankingKey, Row, Standing
from argus_arena.report_page.collect import labels
from argus_arena.run.folder import RunFolder
from argus_arena.scoring.evaluate import usable
from argus_arena.scoring.rules import Scoring, Source, check_task
from argus_core.backbones.live import FramedSource
from argus_core.cache import Cache, CacheSource
from argus_core.common.device import find_device
from argus_core.common.files import read_json
from argus_core.common.places import place
from argus_core.common.progress import ProgressBar
from argus_core.data import Split
from argus_core.errors import ArgusError
from argus_core.head import Head
from argus_core.model.composition import run_passes
from argus_core.model.heads import merged_needs
from argus_core.plugins.data_spec import open_data, split_of
from argus_core.plugins.hooks import load_plugins
from argus_core.protocols import find_protocol
from argus_core.saving.runs import backbone_of, canvas_of, load_run
from argus_core.tasks import Task
from argus_core.tasks.detect import Detect, Detections

BATCH = 8
BEST = 4
"""Heads that are looked at."""
SCANNED = 100
"""Images on which detections are compared, evenly spaced over the split."""


@dataclass(frozen=True)
class Predictions:
    """``predictions`` by image and head, in image pixels; ``shown`` are the images to draw.

    Of detections only those that score at least the threshold are held; ``faults`` are of heads that could not run.
    """

    split: Split
    task: Task
    heads: tuple[str, ...]
    predictions: Mapping[int, Mapping[str, Any]]
    shown: tuple[int, ...]
    faults: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Loaded:
    """A saved head with its result row, and the request of its run."""

    head: Head
    row: Row
    request: Mapping[str, Any]

    @property
    def origin(self) -> str:
        """The same for heads that read the same tokens."""
        return json.dumps([self.request["cache"], self.request["protocol"], self.row["tokens"]], sort_keys=True)


@torch.no_grad()
def look(standings: Sequence[Standing], images: int, threshold: float = 0.3, device: str | None = None) -> Predictions:
    """Run the best heads on cached tokens, or live where the cache is gone; one pass for heads with the same tokens.

    Raises ArgusError, with the reason, where that cannot be done.
    """
    faults: list[str] = []
    loaded = _load(standings, faults)
    first = next(iter(loaded.values())).row
    split = _split(first)
    task = split.tasks[first["task"]]
    if any(len(members) != 1 for members in split.samples(task.name)):
        raise ArgusError(f"samples of task {task.name!r} are several images each, which are not drawn")
    process = Distributed(0, 1, find_device(device))
    groups = [(members, _scoring(members, split, process)) for members in _by_origin(loaded).values()]
    there = set.intersection(*(set(usable(scoring.source)) for _, scoring in groups))
    scanned = spaced(sorted(there), SCANNED if isinstance(task, Detect) else images)
    predictions = _predictions(groups, scanned, threshold, process)
    return Predictions(split, task, tuple(loaded), predictions, tuple(spaced(scanned, images)), tuple(faults))


def _predictions(
    groups: Sequence[tuple[Mapping[str, _Loaded], Scoring]],
    images: Sequence[int],
    threshold: float,
    process: Distributed,
) -> dict[int, dict[str, Any]]:
    """By image and label what every head finds there."""
    predictions: dict[int, dict[str, Any]] = {index: {} for index in images}
    with ProgressBar("report", len(groups) * len(images)) as bar:
        for members, scoring in groups:
            heads = {label: entry.head for label, entry in members.items()}
            for start in range(0, len(images), BATCH):
                chunk = images[start : start + BATCH]
                batches = ((some, placed.to(process.device)) for some, placed in scoring.batches(chunk, BATCH))
                for index, by_label in run_passes(heads, batches).items():
                    predictions[index] |= {label: _kept(entry, threshold) for label, entry in by_label.items()}
                bar.advance(len(chunk))
    return predictions


def _by_origin(loaded: Mapping[str, _Loaded]) -> dict[str, dict[str, _Loaded]]:
    groups: dict[str, dict[str, _Loaded]] = {}
    for label, entry in loaded.items():
        groups.setdefault(entry.origin, {})[label] = entry
    return groups


def _kept(prediction: Any, threshold: float) -> Any:
    if not isinstance(prediction, Detections):
        return prediction
    kept = prediction.scores >= threshold
    return Detections(prediction.boxes[kept], prediction.scores[kept], prediction.labels[kept])


def spaced(values: Sequence[int], count: int) -> list[int]:
    """``count`` of some values, evenly spaced, or all if there are fewer."""
    count = min(count, len(values))
    return [values[(2 * place + 1) * len(values) // (2 * count)] for place in range(count)]


def _load(standings: Sequence[Standing], faults: list[str]) -> dict[str, _Loaded]:
    """The best entries that were trained and whose weights can be read, by label; what is wrong joins ``faults``."""
    loaded: dict[str, _Loaded] = {}
    for label, standing in zip(labels(standings), standings, strict=True):
        trained = [row for row in standing.rows if Path(row.get("path", "")).name == "result.json"]
        if not trained or len(loaded) == BEST:
            continue
        try:
            loaded[label] = _load_row(trained[0])
        except (ArgusError, OSError) as error:
            faults.append(f"{label}: {error}")
    if not loaded:
        raise ArgusError("; ".join(faults) or "none of the results is of a training run, whose folder holds weights")
    return loaded


def _load_row(row: Row) -> _Loaded:
    path = place(row["path"])
    heads, _ = load_run(path.parent)
    record = read_json(RunFolder(path.parent.parent).config, "keep result.json in its run folder")
    return _Loaded(next(iter(heads.values())).eval(), row, record["config"]["request"])


def _split(row: Row) -> Split:
    """The split a row was scored on; raises ArgusError if it is gone or was changed."""
    spec = row["data"]["spec"]
    split = split_of(open_data(spec, load_plugins()), row["data"]["val"]["split"])
    if split.annotation_digest() != RankingKey.of(row).sha256:
        raise ArgusError(f"the annotations of {spec} have changed since the heads were scored")
    return split


def _scoring(members: Mapping[str, _Loaded], split: Split, process: Distributed) -> Scoring:
    """How heads with the same tokens were scored."""
    first = next(iter(members.values()))
    heads = {label: member.head.to(process.device) for label, member in members.items()}
    for head in heads.values():
        check_task(head, split)
    name = first.request["protocol"]
    protocol = find_protocol(name) if name else None
    source: Source | None = _cached(first, split, heads)
    if source is None:
        framing = protocol.passes if protocol else canvas_of(first.row)
        backbone = backbone_of(first.row, None, str(process.device))
        source = FramedSource(backbone, split, framing, merged_needs(heads))
    return Scoring(source, split, protocol=protocol)


def _cached(entry: _Loaded, split: Split, heads: Mapping[str, Head]) -> CacheSource | None:
    """The cache that was read in training; None if there was none, or if it was removed or replaced."""
    if entry.request["cache"] is None:
        return None
    try:
        cache = Cache.open(place(entry.request["cache"]) / split.name)
        cache.require(merged_needs(heads))
        cache.check_images(split)
    except (ArgusError, OSError):
        return None
    return CacheSource(cache) if cache.id == entry.row["tokens"]["val"] else None
