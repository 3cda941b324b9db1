"""COCO's average precision and recall over any choice of images, from what pycocotools found in each of them.

The numbers are those of ``COCOeval.accumulate`` over the chosen images, of which one may be there several times: copies
of an image stand side by side. Precision matters at true detections only: between two of them it falls.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from argus_core.tasks.contributions import Array, Contributions, Counts, Rescore, Scores, item_owners, mean_defined

IOUS = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0.0, 1.0, 101)
HIGHER = np.append(RECALLS[1:], np.inf)
AREAS = ("all", "small", "medium", "large")
MOST = (1, 10, 100)
"""Detections per image and class that count, as many as ``AR1``, ``AR10`` and all other scores look at."""
CELLS = 300_000
"""Numbers that are worked on at once: few enough for the cache of a processor."""


def image_results(evaluation: Any, keys: tuple[str, ...], classes: int) -> Contributions:
    """What a ``COCOeval`` that has evaluated says of every detection and annotation, in the order of its images.

    Per detection its class, score, and for each area and IoU whether it is matched and whether it is ignored, as bits;
    ``detections`` of them belong to an image. Per annotation its class and the areas that ignore it. Detections that
    rank below all true ones of their class are left out: they change no score.
    """
    found, annotated = _columns(evaluation, len(keys), classes)
    matched, ignored = found["matched"], found["ignored"]
    true = (matched & ~ignored).any(axis=(1, 2))
    lowest = np.full(classes, np.inf)
    np.minimum.at(lowest, found["label"][true], found["score"][true])
    kept = found["score"] >= lowest[found["label"]]
    scores = found["score"][kept]
    single = scores.astype(np.float32)
    flags = np.stack([matched, ignored], axis=1)[kept].reshape(len(scores), 2 * len(AREAS) * len(IOUS))
    arrays = {
        "label": found["label"][kept].astype(np.uint16),
        "score": single if (single == scores).all() else scores,
        "flags": np.packbits(flags, axis=1),
        "detections": np.bincount(found["image"][kept], minlength=len(keys)).astype(np.int32),
        "annotation_label": annotated["label"].astype(np.uint16),
        "annotation_ignored": np.packbits(annotated["ignored"], axis=1),
        "annotations": np.bincount(annotated["image"], minlength=len(keys)).astype(np.int32),
    }
    return Contributions(keys, arrays)


def _columns(evaluation: Any, images: int, classes: int) -> tuple[dict[str, Array], dict[str, Array]]:
    """Detections and annotations of all images in turn, those of an image by class and then in their ranks."""
    found: dict[str, list[Array]] = {"image": [], "label": [], "score": [], "matched": [], "ignored": []}
    annotated: dict[str, list[Array]] = {"image": [], "label": [], "ignored": []}
    for image in range(images):
        for label in range(classes):
            by_area = [evaluation.evalImgs[(label * len(AREAS) + area) * images + image] for area in range(len(AREAS))]
            if by_area[0] is None:
                continue
            scores, count = by_area[0]["dtScores"], len(by_area[0]["gtIds"])
            found["image"].append(np.full(len(scores), image))
            found["label"].append(np.full(len(scores), label))
            found["score"].append(np.array(scores, dtype=np.float64))
            for name, key in (("matched", "dtMatches"), ("ignored", "dtIgnore")):
                found[name].append(np.stack([one[key].T > 0 for one in by_area], axis=1))  # (detections, areas, IoUs)
            annotated["image"].append(np.full(count, image))
            annotated["label"].append(np.full(count, label))
            annotated["ignored"].append(_ignored(by_area))
    shapes = {"matched": (0, len(AREAS), len(IOUS)), "ignored": (0, len(AREAS), len(IOUS))}
    return _joined(found, shapes), _joined(annotated, {"ignored": (0, len(AREAS))})


def _ignored(by_area: Sequence[Mapping[str, Any]]) -> npt.NDArray[np.bool_]:
    """Which areas ignore each annotation, (annotations, areas); every area has an order of its own."""
    orders = [np.argsort(one["gtIds"]) for one in by_area]
    return np.stack(
        [np.asarray(one["gtIgnore"])[order] > 0 for one, order in zip(by_area, orders, strict=True)], axis=1
    )


def _joined(columns: Mapping[str, list[Array]], shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Array]:
    kinds = {"image": np.int64, "label": np.int64, "score": np.float64}
    empty = {name: np.zeros(shapes.get(name, (0,)), dtype=kinds.get(name, bool)) for name in columns}
    return {name: np.concatenate([empty[name], *parts]) for name, parts in columns.items()}


@dataclass(frozen=True)
class _Asked:
    """What a score is the mean of: precision or recall, at some IoUs, of one area, of so many detections an image."""

    precision: bool
    ious: tuple[int, ...]
    area: int
    most: int
    classes: tuple[int, ...]


def asked(score: str, classes: Sequence[str]) -> _Asked | None:
    """The meaning of a score's name, such as ``AP50``, ``AR_small`` or ``AP/cat``; None if it has none."""
    every, labels = tuple(range(len(IOUS))), tuple(range(len(classes)))
    start, slash, name = score.partition("/")
    if slash:
        known = start == "AP" and name in classes
        return _Asked(True, every, 0, MOST[-1], (list(classes).index(name),)) if known else None
    kind, _, area = score.partition("_")
    if area:
        known = kind in ("AP", "AR") and area in AREAS[1:]
        return _Asked(kind == "AP", every, AREAS.index(area), MOST[-1], labels) if known else None
    if score in ("AP", "AP50", "AP75"):
        return _Asked(True, {"AP": every, "AP50": (0,), "AP75": (5,)}[score], 0, MOST[-1], labels)
    most = {f"AR{count}": count for count in MOST}.get(score)
    return None if most is None else _Asked(False, every, 0, most, labels)


def rescore(kept: Contributions, wanted: _Asked) -> Rescore:
    """The score over each choice of images."""
    parts = [_ClassResults(kept, label, wanted) for label in wanted.classes]

    def scores(counts: Counts) -> Scores:
        size = max(1, CELLS // max(1, *(part.width for part in parts)))
        chunks = [counts[start : start + size] for start in range(0, len(counts), size)]
        return np.concatenate([np.empty(0), *(_mean_of_classes(parts, chunk) for chunk in chunks)])

    return scores


def _mean_of_classes(parts: Sequence[_ClassResults], counts: Counts) -> Scores:
    return mean_defined(np.stack([part.score(counts) for part in parts], axis=-1))


class _ClassResults:
    """One class: its annotations to find per image, and its detections by falling score."""

    def __init__(self, kept: Contributions, label: int, wanted: _Asked) -> None:
        self.wanted = wanted
        owners = item_owners(kept.arrays["annotations"])
        ignored = np.unpackbits(kept.arrays["annotation_ignored"], axis=1, count=len(AREAS))[:, wanted.area]
        sought = (kept.arrays["annotation_label"] == label) & (ignored == 0)
        self.sought = np.bincount(owners[sought], minlength=len(kept))
        own = np.flatnonzero(kept.arrays["label"] == label)
        images = item_owners(kept.arrays["detections"])[own]
        own, images = own[_first(images, wanted.most)], images[_first(images, wanted.most)]
        scores = kept.arrays["score"][own].astype(np.float64)
        order = np.argsort(-scores, kind="stable")
        self.images, self.scores = images[order], scores[order]
        flags = np.unpackbits(kept.arrays["flags"][own[order]], axis=1, count=2 * len(AREAS) * len(IOUS))
        matched, ignored = np.moveaxis(flags.reshape(-1, 2, len(AREAS), len(IOUS)), 1, 0)[:, :, wanted.area].astype(
            bool
        )
        self.counted, self.true = ~ignored, matched & ~ignored  # (detections, IoUs)
        self.width = max(len(kept), len(own))

    def score(self, counts: Counts) -> Scores:
        """The mean over IoUs for each choice; nan without anything to find."""
        sought = counts @ self.sought
        if self.wanted.precision:
            total = self._precisions(counts, sought)
        else:
            found = np.stack([np.bincount(self.images, self.true[:, iou], counts.shape[1]) for iou in self.wanted.ious])
            total = _over((counts @ found.T).sum(axis=1), sought)
        return np.where(sought > 0, total / len(self.wanted.ious), np.nan)

    def _precisions(self, counts: Counts, sought: Array) -> Scores:
        """The mean of interpolated precision at 101 recalls for each choice, summed over IoUs."""
        columns, weights = self._weights(counts)
        everything, reached = np.cumsum(weights, axis=1, dtype=np.int32), _Reached(sought)
        total = np.zeros(len(counts))
        for iou in self.wanted.ious:
            counted, places = self.counted[columns, iou], np.flatnonzero(self.true[columns, iou])
            if len(places):
                before = everything if counted.all() else np.cumsum(weights * counted, axis=1, dtype=np.int32)
                true = np.cumsum(np.take(weights, places, axis=1), axis=1, dtype=np.int32)
                precision = true / (np.take(before, places, axis=1) + np.spacing(1))
                highest = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
                total += np.einsum("ij,ij->i", highest, reached.more(true)) / len(RECALLS)
        return total

    def _weights(self, counts: Counts) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]:
        """Detections in order, and how often each stands there, (choices, detections).

        Detections of one image with the same score stand there in turn, once for each copy of the image.
        """
        columns, copies = _in_turn(self.scores, self.images, int(counts.max(initial=1)))
        weights = np.take(counts, self.images[columns], axis=1).astype(np.int32)
        several = copies >= 0
        weights[:, several] = weights[:, several] > copies[several]
        return columns, weights


class _Reached:
    """How many of ``RECALLS`` each number of true detections reaches, where so many are sought in each choice."""

    def __init__(self, sought: Array) -> None:
        numbers = np.arange(int(sought.max(initial=0)) + 1)
        recall = np.minimum(numbers / np.maximum(sought, 1)[:, None], 1.0)
        below = (recall * 100).astype(np.intp)  # put right where rounding moved one
        below += HIGHER[below] <= recall
        below -= RECALLS[below] > recall
        self._table = (below + 1).astype(np.int16)
        self._starts = np.arange(len(sought))[:, None] * len(numbers)

    def more(self, true: Array) -> Array:
        """The recalls that each of some true detections in a line is the first to reach."""
        reached = np.take(self._table, true + self._starts)
        return np.diff(reached, axis=1, prepend=np.int16(0))


def _over(part: Array, whole: Array) -> Scores:
    """Shares; of nothing 0, which the caller leaves out."""
    return part / np.maximum(whole, 1)


def _first(images: npt.NDArray[np.int64], most: int) -> npt.NDArray[np.bool_]:
    """Which detections, in turn by image, are among the first ``most`` of their image."""
    if not len(images):
        return np.zeros(0, dtype=bool)
    starts = np.flatnonzero(np.diff(images, prepend=-1))
    return np.arange(len(images)) - np.repeat(starts, np.diff(starts, append=len(images))) < most


def _in_turn(
    scores: Scores, images: npt.NDArray[np.int64], most: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Columns of detections, and which copy of its image each is of: -1 where one column stands for all copies."""
    if not len(scores):
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    starts = np.flatnonzero((np.diff(scores, prepend=np.nan) != 0) | (np.diff(images, prepend=-1) != 0))
    sizes = np.diff(starts, append=len(scores))
    if sizes.max() == 1:
        return np.arange(len(scores)), np.full(len(scores), -1)
    runs = list(_runs(starts, sizes, most))
    return np.concatenate([run for run, _ in runs]), np.concatenate([copies for _, copies in runs])


def _runs(starts: Array, sizes: Array, most: int) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
    for start, size in zip(starts.tolist(), sizes.tolist(), strict=True):
        if size == 1:
            yield np.array([start]), np.array([-1])
        else:
            yield np.tile(np.arange(start, start + size), most), np.repeat(np.arange(most), size)
