"""What a head's record says of how it was taught, in the form that training writes."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from importlib.metadata import version
from typing import Any

from argus_core.backbones import Backbone
from argus_core.canvas import Canvas
from argus_core.common.license import find_license
from argus_core.data import Split
from argus_core.saving.config import portable
from argus_core.tasks import Metric

CROSS_VALIDATED = "cross-validated"
"""Stands after the protocol of such a score, which is not to be ranked with those of held-out data."""


def head_record(
    spec: str, split: Split, canvas: Canvas, backbone: Backbone, shown: Mapping[str, int], seconds: float
) -> dict[str, Any]:
    """Data, tokens and terms of a head that was solved from all images of a split."""
    train = {"split": split.name, "images": len(split), "sha256": split.annotation_digest()}
    counts = {"images_of_classes": dict(shown)} if shown else {}
    return taught_record(spec, train, canvas, backbone, {"seconds": round(seconds, 2), **counts})


def taught_record(
    spec: str, train: Mapping[str, Any], canvas: Canvas, backbone: Backbone, taught: Mapping[str, Any]
) -> dict[str, Any]:
    """Data, tokens and terms of a head that was solved just now; ``train`` and ``taught`` say from what, and how."""
    return {
        "data": {"spec": spec, "train": dict(train)},
        "taught": {"when": datetime.now(timezone.utc).isoformat(timespec="seconds"), **taught},
        "tokens": {
            "from": "live",
            "canvas": canvas.to_dict(),
            "views": ["id"],
            "backbone": {
                "name": backbone.name,
                "weights": None,
                "options": dict(backbone.options),
                "sha256": backbone.weights_sha256,
            },
        },
        "license": vars(find_license(backbone.license)),
        "versions": {name: version(name) for name in ("argus-perception", "torch")},
    }


def score_row(metric: Metric, spec: str, split: Split, folds: int, images: int) -> dict[str, Any]:
    """A cross-validated score as training writes scores."""
    return {
        "protocol": f"{metric.protocol}, {CROSS_VALIDATED}",
        "primary": metric.primary,
        "higher_is_better": metric.higher_is_better,
        "metrics": portable(metric.compute()),  # nan is None
        "data": {"spec": spec, "val": {"split": f"{split.name} in {folds} parts", "images": images}},
    }
