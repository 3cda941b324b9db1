"""Identities in procedural films: the tracker with embeddings, by motion alone, and ByteTrack of other packages.

All trackers get the same boxes: the true ones with jitter, misses, false boxes, and scores that fall as objects are
hidden, with the vectors of a real backbone; or with ``--model`` those of a detector that knows the classes of scenes.
IDF1, MOTA and switches are counted by motmetrics, HOTA by TrackEval (`pip install --no-deps trackeval`). supervision
had ByteTrack up to 0.29 (`pip install 'supervision<0.30'`); the package `trackers` of the same authors has it now. What
is not installed is left out.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import motmetrics
import numpy as np
import numpy.typing as npt
import torch

from argus_core import Argus, Canvas, load_backbone
from argus_core.tasks.detect import DetectionResult, Detections
from argus_core.track import Tracker
from argus_core.track.association import overlaps
from argus_data.procedural.films import Film, FilmFrame
from argus_data.procedural.world import CLASSES
from timing import seconds

Array = npt.NDArray[np.float64]
Tracks = list[tuple[npt.NDArray[np.int64], Array]]
"""The ids (N,) and boxes (N, 4) of each frame."""
MEANS = ("HOTA", "AssA", "idf1", "mota")
MEMORY = 5.0
"""Seconds for which all trackers keep who is hidden."""
VISIBLE = 0.1
"""The visible share from which an object counts."""
JITTER, FALSE = 0.03, 0.3
"""Standard deviation of the sides of a box by its size, and false boxes per frame."""


@dataclass(frozen=True)
class Sight:
    """What a frame holds in truth, and what a detector might have found."""

    true_ids: npt.NDArray[np.int64]
    true_boxes: Array
    boxes: Array
    scores: Array
    labels: npt.NDArray[np.int64]
    vectors: npt.NDArray[np.float32]


def look_at(film: Film, seed: int, argus: Argus) -> list[Sight]:
    """What the detector finds in the frames of a film, or what one might find if there is none."""
    random, sights = np.random.default_rng(seed), []
    for frame in film:
        if argus.heads:
            result = argus.detect(frame.image, score_thresh=0.1, embeddings=True)
            found = result.detections
            parts = found.boxes.double().numpy(), found.scores.double().numpy(), found.labels.numpy(), result.embeddings
        else:
            boxes, scores, labels = detect(random, frame)
            parts = boxes, scores, labels, argus.embed(frame.image, boxes)
        seen = frame.visibility >= VISIBLE
        sights.append(Sight(frame.ids[seen], frame.boxes[seen], *parts))
    return sights


def detect(random: np.random.Generator, frame: FilmFrame) -> tuple[Array, Array, npt.NDArray[np.int64]]:
    """Boxes, scores and labels, best first: the true ones with faults that grow as less of an object is seen."""
    height, width = frame.world.camera.size
    found: list[tuple[float, int, Array]] = []
    for box, label, share in zip(frame.boxes, frame.labels, frame.visibility, strict=True):
        if random.random() < min(0.98, 0.2 + 1.4 * share):
            shifts = random.normal(0, JITTER * (2 - share), 4) * np.tile(box[2:] - box[:2], 2)
            score = float(np.clip(0.2 + 0.7 * share + random.normal(0, 0.08), 0.05, 0.99))
            found.append((score, int(label), np.clip(box + shifts, 0, [width, height, width, height])))
    for _ in range(random.poisson(FALSE)):
        side = random.uniform(15, 60, 2)
        corner = random.uniform([0, 0.3 * height], [width - side[0], height - side[1]])
        found.append(
            (random.uniform(0.05, 0.6), int(random.integers(len(CLASSES))), np.concatenate([corner, corner + side]))
        )
    found = [each for each in found if (each[2][2:] - each[2][:2]).min() >= 2]
    found.sort(key=lambda each: -each[0])
    boxes = np.array([box for _, _, box in found]).reshape(-1, 4)
    return boxes, np.array([score for score, _, _ in found]), np.array([label for _, label, _ in found], dtype=np.int64)


def kept(path: Path | None, make: Callable[[], list[Sight]]) -> list[Sight]:
    """Read sights from a file, or make them and write it."""
    names = list(Sight.__annotations__)
    if path is None or not path.exists():
        sights = make()
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            np.savez(path, **{f"{n}.{name}": getattr(s, name) for n, s in enumerate(sights) for name in names})
        return sights
    with np.load(path) as file:
        return [Sight(*(file[f"{n}.{name}"] for name in names)) for n in range(len(file.files) // len(names))]


def ours(sights: Sequence[Sight], rate: float, threshold: float, embeddings: bool) -> Tracks:
    """The tracker of Argus."""
    tracker, image, tracks = Tracker(threshold, memory=MEMORY), np.zeros((8, 8, 3), np.uint8), []
    for number, sight in enumerate(sights):
        found = Detections(*(torch.from_numpy(values) for values in (sight.boxes, sight.scores, sight.labels)))
        result = DetectionResult(image, found, CLASSES, embeddings=sight.vectors if embeddings else None)
        result = tracker.update(result, number / rate)
        assert result.tracks is not None
        named = result.tracks >= 0
        tracks.append((result.tracks[named], result.detections.boxes.numpy()[named]))
    return tracks


def theirs(sights: Sequence[Sight], update: Callable[[object], object]) -> Tracks:
    """A tracker that takes and gives ``supervision.Detections``."""
    import supervision

    tracks = []
    for sight in sights:
        boxes, scores = sight.boxes.astype(np.float32), sight.scores.astype(np.float32)
        found = update(supervision.Detections(xyxy=boxes, confidence=scores, class_id=sight.labels))
        named = found.tracker_id >= 0
        tracks.append((found.tracker_id[named], found.xyxy[named].astype(np.float64)))
    return tracks


def ways(rate: float, threshold: float) -> dict[str, Callable[[Sequence[Sight]], Tracks]]:
    """The trackers that are installed."""
    import supervision

    found: dict[str, Callable[[Sequence[Sight]], Tracks]] = {
        "Argus, embeddings": lambda sights: ours(sights, rate, threshold, True),
        "Argus, motion alone": lambda sights: ours(sights, rate, threshold, False),
    }
    # Both packages reckon the buffer in frames at 30 per second.
    options = {"track_activation_threshold": threshold, "lost_track_buffer": round(30 * MEMORY), "frame_rate": rate}
    if hasattr(supervision, "ByteTrack"):
        found[f"ByteTrack of supervision {supervision.__version__}"] = lambda sights: theirs(
            sights, supervision.ByteTrack(**options).update_with_detections
        )
    if find_spec("trackers") and find_spec("cv2"):
        from trackers import ByteTrackTracker

        found[f"ByteTrack of trackers {version('trackers')}"] = lambda sights: theirs(
            sights, ByteTrackTracker(**options, high_conf_det_threshold=threshold).update
        )
    return found


def count(sights: Sequence[Sight], tracks: Tracks) -> dict[str, float]:
    """IDF1, MOTA, switches and identities by motmetrics, at an IoU of 0.5, and HOTA by TrackEval."""
    events = motmetrics.MOTAccumulator(auto_id=True)
    for sight, (ids, boxes) in zip(sights, tracks, strict=True):
        apart = 1 - overlaps(sight.true_boxes, boxes)
        events.update(sight.true_ids, ids, np.where(apart <= 0.5, apart, np.nan))
    names = ["idf1", "mota", "num_switches"]
    scores = motmetrics.metrics.create().compute(events, metrics=names, return_dataframe=False)
    identities = len(np.unique(np.concatenate([ids for ids, _ in tracks])))
    return {**scores, "identities": identities, **hota(sights, tracks)}


def hota(sights: Sequence[Sight], tracks: Tracks) -> dict[str, float]:
    """HOTA and its part of association; nothing if TrackEval is not installed."""
    if not find_spec("trackeval"):
        return {}
    from trackeval import _timing
    from trackeval.metrics import HOTA

    _timing.DO_TIMING = False
    true, given = ([sight.true_ids for sight in sights], [ids for ids, _ in tracks])
    data = {"num_timesteps": len(sights)}
    for who, count, ids in (("gt", "gt", true), ("tracker", "tracker", given)):
        every = np.unique(np.concatenate(ids))
        data |= {f"{who}_ids": [np.searchsorted(every, each) for each in ids], f"num_{count}_ids": len(every)}
        data[f"num_{count}_dets"] = sum(map(len, ids))
    pairs = zip(sights, tracks, strict=True)
    data["similarity_scores"] = [overlaps(sight.true_boxes, boxes) for sight, (_, boxes) in pairs]
    scores = HOTA().eval_sequence(data)
    return {"HOTA": float(scores["HOTA"].mean()), "AssA": float(scores["AssA"].mean())}


def row(name: str, films: Sequence[Sequence[Sight]], track: Callable[[Sequence[Sight]], Tracks]) -> str:
    """The scores of a tracker over all films as a line: means, and switches of each film."""
    tracks: list[Tracks] = []
    time = seconds(lambda: tracks.extend(map(track, films))) / sum(map(len, films))
    scores = [count(sights, found) for sights, found in zip(films, tracks, strict=True)]
    means = [f"{key} {np.mean([score[key] for score in scores]):.3f}" for key in MEANS if key in scores[0]]
    switches = [int(score["num_switches"]) for score in scores]
    identities = sum(int(score["identities"]) for score in scores)
    totals = [f"switches {sum(switches)} {switches}", f"identities {identities}", f"{time * 1e3:.1f} ms per frame"]
    return "  ".join([f"{name:<32}", *means, *totals])


def main() -> None:
    """Print a line per tracker."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(8)))
    parser.add_argument("--backbone", default="lite2")
    parser.add_argument("--model", help="a run whose detector gives the boxes")
    parser.add_argument("--threshold", type=float, default=0.5, help="score from which boxes begin identities")
    parser.add_argument("--length", type=float, default=10, help="of each film in seconds")
    parser.add_argument("--rate", type=float, default=12, help="frames per second")
    parser.add_argument("--every", type=int, default=1, help="look at every n-th frame")
    parser.add_argument("--keep", type=Path, help="folder for boxes and vectors, which later calls read")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    model, films = options.model, list[list[Sight]]()
    argus = Argus.from_runs([model]) if model else Argus(load_backbone(options.backbone), canvas=Canvas(320))
    for seed in options.seeds:
        film = Film(seed, seconds=options.length, rate=options.rate)
        name = f"{Path(model).name if model else options.backbone}-{options.rate:g}-{options.length:g}-{seed}.npz"
        sights = kept(options.keep and options.keep / name, partial(look_at, film, seed, argus))
        films.append(sights[:: options.every])
        print(f"film {seed}: {len(film)} frames", file=sys.stderr, flush=True)
    objects = sum(len(np.unique(np.concatenate([sight.true_ids for sight in sights]))) for sights in films)
    print(f"{len(films)} films, {objects} objects, {sum(map(len, films))} frames")
    for name, track in ways(options.rate / options.every, options.threshold).items():
        print(row(name, films, track), flush=True)


if __name__ == "__main__":
    main()
