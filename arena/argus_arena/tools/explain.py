"""Every choice between saved heads and their scores, in words."""

from __future__ import annotations

from typing import Any

from argus_arena.requests import EvalRequest
from argus_arena.scoring.rules import check_protocol, own_options
from argus_arena.tools.trained_heads import open_run
from argus_core.common.options import options_model
from argus_core.head import Head
from argus_core.protocols import Protocol, find_protocol
from argus_core.saving.runs import canvas_of


def print_explanation(request: EvalRequest) -> None:
    """Print how `arena eval` would score the heads of a run."""
    heads, record = open_run(request.run, request.which)
    protocol = find_protocol(request.protocol) if request.protocol else None
    for head in heads.values():
        check_protocol(head, protocol)
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
    framing = {"framing": repr(canvas_of(record)), "test-time augmentation": "none"}
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
