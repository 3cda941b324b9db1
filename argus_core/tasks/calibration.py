"""Confidences that are probabilities of being right: temperature scaling, and how far confidences are from that.

Guo 2017, "On calibration of modern neural networks"; for detections Küppers 2020, "Multivariate confidence calibration
for object detection", with the score alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from argus_core.errors import ArgusError

BINS = 15
"""Bins of equal width of the calibration error, as in Guo 2017."""
STEPS = 200
"""Most steps of a fit; a dozen are usual."""
LEAST = 1e-6
"""Distance of probabilities from 0 and 1 at which their logits are taken."""
RAW = 1e-3
"""Share of the raw score in a calibrated one: where probabilities round to 0 or 1 it keeps their order."""
RANGE = 1e-3, 1e3
"""The temperatures that are possible."""


@dataclass(frozen=True)
class Calibration:
    """Divides the logits behind a head's confidences by ``temperature``; those of yes-or-no scores gain ``shift``.

    The order of confidences stays, and so does the best class. ``temperature`` is 0.001 to 1,000; 1 and a shift of 0
    change nothing. Raises ArgusError for other numbers.
    """

    temperature: float
    shift: float = 0.0

    def __post_init__(self) -> None:
        numbers = all(isinstance(value, int | float) for value in (self.temperature, self.shift))
        if not (numbers and RANGE[0] <= self.temperature <= RANGE[1] and math.isfinite(self.shift)):
            raise ArgusError(f"{self!r} is no calibration: give a temperature of 0.001 to 1000, and a finite shift")

    def logits(self, logits: Tensor) -> Tensor:
        """Calibrated logits of classes, of any shape."""
        return logits / self.temperature

    def classes(self, scores: Tensor, dim: int = 0) -> Tensor:
        """Calibrated probabilities of classes, which ``scores`` are along ``dim``."""
        return _with_raw(self.logits(log_shares(scores)).softmax(dim), scores)

    def scores(self, scores: Tensor) -> Tensor:
        """Calibrated scores in 0..1 that each stand for yes or no, of any shape."""
        return _with_raw((self.logits(_logit(scores)) + self.shift).sigmoid(), scores)

    def to_dict(self) -> dict[str, float]:
        """Plain JSON values."""
        return asdict(self)

    def __str__(self) -> str:
        return f"temperature {self.temperature:.2f}" + (f", shift {self.shift:.2f}" if self.shift else "")


@dataclass(frozen=True)
class Outcomes:
    """Answers of a head with what turned out to be true, of some images; all on the CPU.

    ``logits`` (N, K) are of K answers, ``claimed`` (N,) the one that was given, ``true`` (N,) the right one and
    ``image`` (N,) the number of the image. ``shifted`` says that answers are yes (1) or no (0), of a score.
    """

    logits: Tensor
    claimed: Tensor
    true: Tensor
    image: Tensor
    shifted: bool = False

    def __len__(self) -> int:
        return len(self.true)

    def of_images(self, chosen: Tensor) -> Outcomes:
        """The answers whose image number is in ``chosen``."""
        kept = torch.isin(self.image, chosen)
        return Outcomes(self.logits[kept], self.claimed[kept], self.true[kept], self.image[kept], self.shifted)

    def scaled(self, calibration: Calibration | None) -> Tensor:
        """Calibrated logits (N, K) in float64."""
        logits = self.logits.double()
        if calibration is None:
            return logits
        return _scaled(logits, torch.tensor([calibration.temperature, calibration.shift], dtype=torch.float64))

    def loss(self, calibration: Calibration | None) -> float:
        """The mean negative log likelihood of what is true."""
        return float(F.cross_entropy(self.scaled(calibration), self.true))


def log_shares(scores: Tensor) -> Tensor:
    """The logits that probabilities of classes stand for, finite where a probability is 0."""
    return scores.clamp(min=torch.finfo(scores.dtype).tiny).log()


def yes_or_no(scores: Tensor, right: Tensor, image: int) -> Outcomes:
    """The outcomes of one image whose answers have ``scores`` (N,) in 0..1 and are ``right`` (N,) or not."""
    logit = _logit(scores.double()).cpu()
    logits = torch.stack([torch.zeros_like(logit), logit], dim=1)
    return Outcomes(logits, torch.ones(len(right), dtype=torch.long), right.long().cpu(), _numbers(right, image), True)


def best_of_classes(logits: Tensor, true: Tensor, image: int) -> Outcomes:
    """The outcomes of one image of which some places, or itself, have ``logits`` (N, K) and a class ``true`` (N,)."""
    logits, true = logits.float().cpu(), true.cpu()
    return Outcomes(logits, logits.argmax(dim=1), true, _numbers(true, image))


def join_outcomes(parts: Sequence[Outcomes]) -> Outcomes:
    """The outcomes of several images, one or more of each, in the order of the images' numbers."""
    ordered = sorted(parts, key=lambda part: part.image[:1].tolist())
    logits, claimed, true, image = (
        torch.cat([getattr(part, name) for part in ordered]) for name in ("logits", "claimed", "true", "image")
    )
    return Outcomes(logits, claimed, true, image, parts[0].shifted)


def fit_calibration(outcomes: Outcomes) -> Calibration | None:
    """The calibration of the least loss; None unless those of each half of the images help the other halves together.

    One answer's worth of weight pulls it to no change, so that it stays finite where all answers are right; of scores
    for yes or no, where all of N are right, it claims no more than about 1 - 1 / N (Platt 1999).
    """
    images = outcomes.image.unique()
    halves = [outcomes.of_images(images[start::2]) for start in (0, 1)]
    if not all(map(len, halves)):
        return None
    crossed = sum(b.loss(_fitted(a)) * len(b) for a, b in (halves, halves[::-1]))
    return _fitted(outcomes) if crossed < outcomes.loss(None) * len(outcomes) else None


def calibration_error(outcomes: Outcomes, calibration: Calibration | None = None) -> float:
    """The expected calibration error (0 to 1) over 15 bins of confidence; nan without an answer."""
    if not outcomes.logits.isfinite().all():
        raise ArgusError("confidences are not finite numbers")
    confidence = outcomes.scaled(calibration).softmax(dim=1).gather(1, outcomes.claimed[:, None])[:, 0]
    right = (outcomes.claimed == outcomes.true).double()
    place = (confidence * BINS).long().clamp(max=BINS - 1)
    gaps = torch.zeros(BINS, dtype=torch.float64).index_add_(0, place, confidence - right)
    return float(gaps.abs().sum() / len(outcomes)) if len(outcomes) else math.nan


def _fitted(outcomes: Outcomes) -> Calibration:
    """The logarithm of the temperature, and the shift, by a quasi-Newton method from no change."""
    values = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    logits, free = outcomes.logits.double(), torch.tensor([1.0, float(outcomes.shifted)], dtype=torch.float64)
    doubt = 2 / (len(outcomes) + 2) if outcomes.shifted else 0.0  # of classes it would also go to absurd ones
    optimizer = torch.optim.LBFGS([values], max_iter=STEPS, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        log_temperature, shift = values * free
        scaled = _scaled(logits, torch.stack([log_temperature.exp(), shift]))
        loss = F.cross_entropy(scaled, outcomes.true, label_smoothing=doubt)
        loss = loss + values.square().sum() / (2 * len(outcomes))
        loss.backward()
        return loss

    with torch.enable_grad():
        optimizer.step(closure)
    log_temperature, shift = (values.detach() * free).tolist()
    return Calibration(min(max(math.exp(log_temperature), RANGE[0]), RANGE[1]), shift)


def _scaled(logits: Tensor, values: Tensor) -> Tensor:
    """Logits (N, K) divided by a temperature, with a shift of the last answer's."""
    temperature, shift = values
    return torch.cat([logits[:, :-1] / temperature, logits[:, -1:] / temperature + shift], dim=1)


def _with_raw(calibrated: Tensor, raw: Tensor) -> Tensor:
    return calibrated + RAW * (raw - calibrated)


def _logit(scores: Tensor) -> Tensor:
    return scores.clamp(LEAST, 1 - LEAST).logit()


def _numbers(like: Tensor, image: int) -> Tensor:
    return torch.full((len(like),), image)
