"""Score saved heads again: on another split, other data, or under another protocol."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from argus_arena.distributed import Distributed, join_processes, leave_processes
from argus_arena.progress import ConsoleReporter, Reporter
from argus_arena.run.data_faults import Care, sizes_of, undefined
from argus_arena.run.folder import versions
from argus_arena.scoring.evaluate import evaluate
from argus_arena.scoring.rules import Scoring, check_protocol, check_scoring, own_options
from argus_arena.tools.trained_heads import open_run
from argus_arena.training.checkpoints import finite
from argus_core.backbones import Backbone
from argus_core.backbones.live import FramedSource
from argus_core.canvas import Framing
from argus_core.common.files import json_sha256, write_json
from argus_core.common.progress import finished
from argus_core.common.tensors import tensors_sha256
from argus_core.data import DataSet, Split
from argus_core.errors import ArgusError, counted
from argus_core.head import Head
from argus_core.model.composition import merged_needs
from argus_core.plugins.data_spec import open_data, split_of
from argus_core.plugins.hooks import load_plugins
from argus_core.protocols import Protocol, find_protocol
from argus_core.saving.runs import backbone_of, canvas_of, set_decoding


@dataclass(frozen=True)
class EvalRequest:
    """Everything ``arena eval`` can be told."""

    run: Path
    data: str | None = None
    split: str = "val"
    which: str = "best"
    protocol: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    metric: Mapping[str, Any] = field(default_factory=dict)
    weights: Path | None = None
    device: str | None = None
    batch: int = 8
    accept_faults: bool = False


def evaluate_run(request: EvalRequest) -> dict[str, dict[str, Any]]:
    """Score the saved heads of a run with live tokens; writes and returns a result row per head, and prints scores."""
    began = time.perf_counter()
    heads, record = open_run(request.run, request.which)
    protocol = find_protocol(request.protocol) if request.protocol else None
    for head in heads.values():
        check_protocol(head, protocol)
    process = join_processes(request.device)
    reporter: Reporter = ConsoleReporter() if process.main else Reporter()
    try:
        backbone = backbone_of(record, request.weights, str(process.device))
        spec = request.data or record["data"]["spec"]
        split = split_of(_open(spec, told=request.data is not None), request.split)
        scoring = _scoring(heads, backbone, split, request, protocol, canvas_of(record), process)
        check_scoring(heads, scoring)
        care = Care(request.accept_faults, loud=process.main)
        care.heed(split, dict.fromkeys(head.task.name for head in heads.values()), sizes_of(split), learning=False)
        metrics = evaluate(heads, scoring, process, request.batch, reporter.scored)
    finally:
        reporter.end()
        leave_processes(process)
    scores = {name: finite(metric.compute()) for name, metric in metrics.items()}
    described = {"spec": spec, "val": {"split": split.name, "images": len(split), "sha256": split.annotation_digest()}}
    here = {key: process.hardware[key] for key in ("device", "model")}
    rows = {
        name: {
            **_row(name, head, scores[name], scoring, described, head.record or record, request.settings, care.notes),
            "scored_on": {**here, "tokens": backbone.precision},
        }
        for name, head in heads.items()
    }
    if process.main:
        _write(request, heads, rows, scores)
        finished(f"scored {counted(len(split), 'image')}", request.run, time.perf_counter() - began)
        print(f"next: arena board {request.run}")
    if lacking := undefined(rows, split.name, care.notes):
        raise ArgusError("; ".join(f"{name}: {reason}" for name, reason in lacking.items()))
    return rows


def _open(spec: str, told: bool) -> DataSet:
    """The data of a spec; where it is the run's own and not there any more, the error says how to tell."""
    try:
        return open_data(spec, load_plugins())
    except ArgusError as error:
        raise error if told else ArgusError(f"{error}; if the data of the run have moved, add --data SPEC") from error


def _scoring(
    heads: Mapping[str, Head],
    backbone: Backbone,
    split: Split,
    request: EvalRequest,
    protocol: Protocol | None,
    canvas: Framing,
    process: Distributed,
) -> Scoring:
    for head in heads.values():
        head.to(process.device)
        if request.settings:
            set_decoding(head, request.settings)
    source = FramedSource(backbone, split, protocol.passes if protocol else canvas, merged_needs(heads))
    return Scoring(source, split, request.metric, protocol)


def _reminder(scoring: Scoring, spec: str) -> list[str]:
    """What a reader must know who sees a published protocol's name."""
    if scoring.protocol is None:
        return []
    return [f"the rules of {scoring.protocol.name}, applied to {spec}: published numbers are of its own data only"]


def _row(
    name: str,
    head: Head,
    scores: Mapping[str, Any],
    scoring: Scoring,
    data: Mapping[str, Any],
    record: Mapping[str, Any],
    settings: Mapping[str, Any],
    notes: Sequence[str],
) -> dict[str, Any]:
    metric = scoring.metric(head.task)
    return {
        "name": name,
        "head": head.name,
        "task": head.task.name,
        "protocol": scoring.rules(head.task),
        "primary": metric.primary,
        "higher_is_better": metric.higher_is_better,
        "metrics": dict(scores),
        "selected": record["weights"],
        "parameters": sum(p.numel() for p in head.parameters()),
        "options": head.options,
        "weights_sha256": tensors_sha256(head.state_dict()),
        "notes": [*head.notes(), *notes, *_reminder(scoring, str(data["spec"]))],
        "trained_on": record["data"],
        **({"hardware": record["hardware"]} if "hardware" in record else {}),
        "data": dict(data),
        "tokens": {**record["tokens"], "from": "live"},
        "framing": repr(scoring.protocol.passes) if scoring.protocol else "the canvas that was trained on",
        "decoding": dict(settings),
        "license": record["license"],
        "versions": versions(),
    }


def _tag(request: EvalRequest, head: Head) -> str:
    """Tells rows of one head apart; options of other heads' metrics make no row of their own."""
    asked = {**vars(request), "metric": own_options(head.task, request.metric)}
    beside = ("run", "device", "batch", "weights", "split", "which", "accept_faults")
    return json_sha256({key: str(value) for key, value in asked.items() if key not in beside})[:8]


def _write(
    request: EvalRequest,
    heads: Mapping[str, Head],
    rows: Mapping[str, Mapping[str, Any]],
    scores: Mapping[str, Mapping[str, Any]],
) -> None:
    run = request.run if request.run.is_dir() else request.run.parent
    for name, values in scores.items():
        shown = {key: value for key, value in values.items() if "/" not in key}
        print(
            f"{name}: " + ", ".join(f"{k} {'undefined' if v is None else format(v, '.4f')}" for k, v in shown.items())
        )
        folder = run / name if (run / name).is_dir() else run
        parts = (rows[name]["protocol"], request.split, request.which, _tag(request, heads[name]))
        file = folder / "scores" / f"{'-'.join(parts)}.json"
        write_json(file, rows[name])
        print(f"result row: {file}")
