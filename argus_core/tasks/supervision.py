"""Results for the packages of others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from argus_core.errors import ArgusError

if TYPE_CHECKING:
    import supervision


def as_supervision(
    boxes: npt.NDArray[Any],
    scores: Sequence[float],
    labels: Sequence[int],
    classes: Sequence[str],
    masks: npt.NDArray[np.bool_] | None = None,
) -> supervision.Detections:
    """Boxes (N, 4) x1, y1, x2, y2 and masks (N, h, w) as ``supervision.Detections``; names are ``class_name``."""
    try:
        import supervision
    except ImportError as error:
        raise ArgusError("to_supervision needs its package: pip install 'argus-perception[supervision]'") from error
    return supervision.Detections(
        xyxy=boxes.reshape(-1, 4).astype(np.float32),
        mask=masks,
        confidence=np.array(scores, dtype=np.float32),
        class_id=np.array(labels, dtype=np.int64),
        data={"class_name": np.array([classes[label] for label in labels], dtype=str)},
    )
