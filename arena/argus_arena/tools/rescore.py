"""Score saved heads again, on another split, other data or under another protocol, and explain such scores."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from argus_arena.distributed import Distributed, join_processes
from argus_arena.requests import EvalRequest
from argus_arena.run.data_faults import DataChecks, sizes_of, undefined
from argus_arena.run.folder import versions
from argus_arena.scoring.contributions import keep_contributions
from argus_arena.scoring.evaluate import evaluate
from argus_arena.scoring.rules import Scoring, check_protocol, check_scoring, own_options
from argus_arena.training.checkpoints import finite
from argus_arena.training.progress import ConsoleReporter, Reporter
from argus_arena.training.result import head_fields
from argus_core.backbones.live import FramedSource
from argus_core.canvas import Framing
from argus_core.canvas.tiled import Tiled
from argus_core.cli.requests import tiling
from argus_core.common.files import json_sha256, write_json
from argus_core.common.options import options_model
from argus_core.common.progress import finished
from argus_core.common.tensors import tensors_sha256
from argus_core.data import Split
from argus_core.errors import ArgusError, counted
from argus_core.head import Head
from argus_core.model.heads import merged_needs
from argus_core.plugins.data_spec import open_data, split_of
from argus_core.plugins.hooks import load_plugins
from argus_core.protocols import Protocol, find_protocol
from argus_core.saving.runs import backbone_of, canvas_of, load_run, set_decoding
from argus_core.tasks import Metric
from argus_core.tasks.classify import Classify

Rows = dict[str, dict[str, Any]]


def evaluate_run(request: EvalRequest) -> Rows:
    """Score the saved heads of a run with live tokens; writes and returns a result row per head, and prints scores."""
    began = time.perf_counter()
    heads, record, protocol = _open_run(request)
    spec = request.data or record["data"]["spec"]
    with join_processes(request.device) as process:
        backbone = backbone_of(record, request.weights, str(process.device))
        split = _open_split(request, spec)
        framing = _framing(request, protocol, record, max(backbone.info.strides))
        source = FramedSource(backbone, split, framing, merged_needs(heads))
        scoring = Scoring(source, split, request.metric, protocol)
        metrics, accepted = _score(heads, scoring, request, process)
    shared = _shared(request, spec, split, framing if protocol or request.tiles else None, process, backbone.precision)
    notes = [*accepted]
    if protocol:
        notes += [f"the rules of {protocol.name}, applied to {spec}: published numbers are of its own data only"]
    rows = {
        name: _row(name, head, metrics[name], scoring.rules(head.task), head.record or record, notes) | shared
        for name, head in heads.items()
    }
    if process.main:
        for name, row in rows.items():
            _write(request, heads[name], row, metrics[name], scoring)
        finished(f"scored {counted(len(split), 'image')}", request.run, time.perf_counter() - began)
        print(f"next: arena board {request.run}")
    if reasons := undefined(rows, split.name, accepted):
        raise ArgusError("; ".join(f"{name}: {reason}" for name, reason in reasons.items()))
    return rows


def _open_run(request: EvalRequest) -> tuple[dict[str, Head], dict[str, Any], Protocol | None]:
    """The heads of a run, their record, and the protocol; heads whose code is not installed are left out."""
    missing: dict[str, str] = {}
    heads, record = load_run(request.run, request.which, missing)
    for name, reason in missing.items():
        print(f"warning: {name} is left out: {reason}", file=sys.stderr)
    protocol = find_protocol(request.protocol) if request.protocol else None
    for head in heads.values():
        check_protocol(head, protocol)
    if request.tiles and (protocol or any(isinstance(head.task, Classify) for head in heads.values())):
        reason = f"protocol {protocol.name!r} settles what is looked at" if protocol else "classes are of whole images"
        raise ArgusError(f"{reason}; leave out --tiles")
    return heads, record, protocol


def _shared(
    request: EvalRequest, spec: str, split: Split, framing: Framing | None, process: Distributed, precision: str
) -> dict[str, Any]:
    """What the rows of all heads say alike; ``framing`` is None for the canvas of the training."""
    return {
        "data": {"spec": spec, "val": {"split": split.name, "images": len(split), "sha256": split.annotation_digest()}},
        "framing": "the canvas that was trained on" if framing is None else repr(framing),
        "decoding": request.settings,
        "versions": versions(),
        "scored_on": {
            "device": process.hardware["device"],
            "model": process.hardware["model"],
            "tokens": precision,
        },
    }


def _framing(request: EvalRequest, protocol: Protocol | None, record: Mapping[str, Any], cell: int) -> Framing:
    """The passes over each image: those of the protocol, or one on the canvas of the training, by tiles if asked."""
    asked = tiling(request.tiles, request.overlap)
    if protocol:
        return protocol.passes
    return Tiled(canvas_of(record), asked, cell) if asked else canvas_of(record)


def _open_split(request: EvalRequest, spec: str) -> Split:
    """The split to score; where the data are the run's own and are gone, the error says how to name others."""
    try:
        data = open_data(spec, load_plugins())
    except ArgusError as error:
        hint = "" if request.data else "; if the data of the run have moved, add --data SPEC"
        raise ArgusError(f"{error}{hint}") from error
    return split_of(data, request.split)


def _score(
    heads: Mapping[str, Head], scoring: Scoring, request: EvalRequest, process: Distributed
) -> tuple[dict[str, Metric], list[str]]:
    """The filled metrics, and notes of faults of the data that were accepted."""
    for head in heads.values():
        head.to(process.device)
        if request.settings:
            set_decoding(head, request.settings)
    check_scoring(heads, scoring)
    checks = DataChecks(request.accept_faults, loud=process.main)
    tasks = dict.fromkeys(head.task.name for head in heads.values())
    checks.check(scoring.split, tasks, sizes_of(scoring.split), learning=False)
    reporter: Reporter = ConsoleReporter() if process.main else Reporter()
    try:
        return evaluate(heads, scoring, process, request.batch, reporter.scored), checks.notes
    finally:
        reporter.end()


def _row(
    name: str, head: Head, metric: Metric, protocol: str, record: Mapping[str, Any], notes: list[str]
) -> dict[str, Any]:
    """What a row says of one head; ``record`` is of its training."""
    return {
        **head_fields(name, head, metric, protocol),
        "metrics": finite(metric.compute()),
        "selected": record["weights"],
        "weights_sha256": tensors_sha256(head.state_dict()),
        "notes": [*head.notes(), *notes],
        "trained_on": record["data"],
        **({"hardware": record["hardware"]} if "hardware" in record else {}),
        "tokens": {**record["tokens"], "from": "live"},
        "license": record["license"],
    }


def _write(request: EvalRequest, head: Head, row: dict[str, Any], metric: Metric, scoring: Scoring) -> None:
    """Print the scores of a row, and write it beside the head, with what each sample adds to them."""
    name = row["name"]
    scores = {key: value for key, value in row["metrics"].items() if "/" not in key}
    shown = [f"{key} {'undefined' if value is None else format(value, '.4f')}" for key, value in scores.items()]
    print(f"{name}: {', '.join(shown)}")
    run: Path = request.run if request.run.is_dir() else request.run.parent
    folder = run / name if (run / name).is_dir() else run
    file = folder / "scores" / f"{row['protocol']}-{request.split}-{request.which}-{_tag(request, head)}.json"
    row["contributions"] = keep_contributions(file, metric, head.task, scoring)
    write_json(file, row)
    print(f"result row: {file}")


def _tag(request: EvalRequest, head: Head) -> str:
    """Tells rows of one head apart; options of other heads' metrics make no row of their own."""
    values: dict[str, Any] = {
        "data": request.data,
        "protocol": request.protocol,
        "settings": request.settings,
        "metric": own_options(head.task, request.metric),
    }
    if request.tiles:  # rows without tiles keep the names that they always had
        values |= {"tiles": request.tiles, "overlap": request.overlap}
    return json_sha256({key: str(value) for key, value in values.items()})[:8]


def print_explanation(request: EvalRequest) -> None:
    """Print how `arena eval` would score the heads of a run."""
    heads, record, protocol = _open_run(request)
    for name, head in heads.items():
        print(f"{name}:")
        for key, value in explain(head, head.record or record, request, protocol).items():
            print(f"  {key}: {value}")


def explain(head: Head, record: dict[str, Any], request: EvalRequest, protocol: Protocol | None) -> dict[str, str]:
    """The choices for one head, in the order in which they act."""
    backbone = record["tokens"]["backbone"]
    options = own_options(head.task, {**(protocol.metric if protocol else {}), **request.metric})
    metric = head.task.metric(**options)
    defaults = {key: field.default for key, field in options_model(head.task.metric).model_fields.items()}
    canvas, asked = canvas_of(record), tiling(request.tiles, request.overlap)
    framing = {"framing": f"{asked} on {canvas}" if asked else repr(canvas), "test-time augmentation": "none"}
    return {
        **({} if protocol else {"protocol": metric.protocol, "task": head.task.name, **framing}),
        **(protocol.explain() if protocol else {}),
        "data": f"{request.data or record['data']['spec']}, split {request.split}",
        "backbone": f"{backbone['name']}, weights {backbone['sha256'][:12]}, frozen and in eval mode",
        "precision": "float32",
        "reads": repr(head.needs),
        "head": f"{head.name} {head.options}",
        "weights": f"{request.which}: {record['weights']}",
        "decoding": str(getattr(head, "decoding", "as the task decodes")),
        **{f"metric {key}": str(options.get(key, value)) for key, value in defaults.items()},
        "ranked by": f"{metric.primary} ({'higher' if metric.higher_is_better else 'lower'} is better)",
    }
