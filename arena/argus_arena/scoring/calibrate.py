"""How far confidences of heads are from the probability of being right, and a calibration that brings them there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from argus_arena.distributed import Distributed
from argus_arena.scoring.evaluate import by_samples
from argus_arena.scoring.rules import Scoring
from argus_core.cache.estimate import spread
from argus_core.data.split import read_truth
from argus_core.head import Head
from argus_core.model.composition import run_head
from argus_core.tasks import Calibration, Outcomes, Task, calibration_error, fit_calibration, join_outcomes

MOST = 1000
"""Images, evenly spaced, whose confidences are looked at; the plain pass of each."""


@dataclass(frozen=True)
class Calibrated:
    """What was measured of a head's confidences: their error before and after ``applied``, and on which images.

    ``fitted`` describes the images that a calibration was fitted on, if there were any; None is ``applied`` if none
    helped. Without an answer on the images of ``measured`` there is no error.
    """

    applied: Calibration | None
    fitted: Mapping[str, Any] | None
    before: float | None
    after: float | None
    measured: Mapping[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, as rows have them."""
        return {
            "applied": self.applied and self.applied.to_dict(),
            "fitted": self.fitted,
            "ece": {"before": self.before, "after": self.after},
            "measured": self.measured,
        }

    def __str__(self) -> str:
        unknown = self.before is None or self.after is None
        error = "unknown" if unknown else f"{self.before:.3f}"
        start = f"calibration error {error} on {self.measured['split']}"
        if self.fitted is None:
            return f"{start}; not calibrated, as no images were set apart for it"
        images = f"{self.fitted['images']} images of {self.fitted['split']}"
        if self.applied is None:
            reason = f"did not help on {images}" if self.fitted["images"] else "had no answer on the images set apart"
            return f"{start}; not calibrated, as it {reason}"
        after = "" if unknown else f"{self.after:.3f} "
        return f"{start}, {after}with {self.applied}, from {images}"


def calibrate(
    heads: Mapping[str, Head],
    fitted: Sequence[str],
    selection: Scoring | None,
    scoring: Scoring,
    process: Distributed,
    batch: int,
) -> dict[str, Calibrated]:
    """Calibrate the heads named in ``fitted`` on ``selection``, and measure all that have confidences by ``scoring``.

    Without ``selection`` none is calibrated.
    """
    for head in heads.values():
        head.calibration = None
    known = _outcomes({name: heads[name] for name in fitted}, selection, process, batch) if selection else {}
    measured = _outcomes(heads, scoring, process, batch)
    results: dict[str, Calibrated] = {}
    for name in [name for name in heads if name in known or name in measured]:
        applied = fit_calibration(known[name]) if name in known else None
        about = _about(selection, known.get(name)) if selection and name in fitted else None
        seen = measured.get(name)
        before, after = (calibration_error(seen, each) if seen else None for each in (None, applied))
        results[name] = Calibrated(applied, about, before, after, _about(scoring, seen))
    for name, result in results.items():
        heads[name].calibration = result.applied
    return results


def _about(scoring: Scoring, outcomes: Outcomes | None) -> dict[str, Any]:
    images = len(outcomes.image.unique()) if outcomes else 0
    return {"split": scoring.split.name, "images": images, "answers": len(outcomes) if outcomes else 0}


@torch.no_grad()
def _outcomes(heads: Mapping[str, Head], scoring: Scoring, process: Distributed, batch: int) -> dict[str, Outcomes]:
    """The outcomes of the heads that have confidences and an answer; alike in every process."""
    heads = {name: head for name, head in heads.items() if type(head.task).outcomes is not Task.outcomes}
    parts: dict[str, list[Outcomes]] = {name: [] for name in heads}
    for head in heads.values():
        head.eval()
    for samples, names in by_samples(heads, scoring).items():
        numbers = {images[0]: number for number, images in samples if len(images) == 1}
        every = list(numbers)
        images = [every[place] for place in spread(len(every), MOST)]
        for indices, (tokens, places) in scoring.batches(images[process.rank :: process.size], batch, passes=1):
            own = tokens.to(process.device)
            for name in names:
                task = heads[name].task
                for index, place, found in zip(indices, places, run_head(heads[name], own), strict=True):
                    target = task.target(read_truth(scoring.split, numbers[index], task.name), place)
                    outcomes = task.outcomes(found, target.to(process.device), index)
                    parts[name] += [outcomes] if outcomes is not None and len(outcomes) else []
    gathered = {name: [each for part in process.gather(own) for each in part] for name, own in parts.items()}
    return {name: join_outcomes(each) for name, each in gathered.items() if each}
