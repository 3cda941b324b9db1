"""What a tracker promises: ids that stay, over hiding, crossing and gaps, and nothing that is not a track."""

from __future__ import annotations

import motmetrics
import numpy as np
import pytest
import torch

from argus_core.errors import ArgusError
from argus_core.tasks.detect import DetectionResult, Detections
from argus_core.track import Tracker
from argus_core.track.association import overlaps

IMAGE = np.zeros((120, 200, 3), np.uint8)
CLASSES = ("cat", "dog")
RATE = 25
LOOKS = np.linalg.qr(np.random.default_rng(0).normal(size=(16, 16)))[0]


def found(boxes, scores=None, labels=None, vectors=None):
    """A result with boxes (N, 4)."""
    boxes = np.array(boxes, dtype=np.float32).reshape(-1, 4)
    scores = np.full(len(boxes), 0.9) if scores is None else np.array(scores)
    labels = np.zeros(len(boxes), np.int64) if labels is None else np.array(labels)
    detections = Detections(*map(torch.from_numpy, (boxes, scores.astype(np.float32), labels)))
    embeddings = None if vectors is None else np.array(vectors, np.float32).reshape(len(boxes), -1)
    return DetectionResult(IMAGE, detections, CLASSES, embeddings=embeddings)


def at(x, y=40.0, size=20.0):
    """A box with its left upper corner at x, y."""
    return [x, y, x + size, y + size]


def look(rng, who):
    """The vector of an object in some frame."""
    vector = LOOKS[who] + rng.normal(0, 0.03, 16)
    return vector / np.linalg.norm(vector)


def ids(tracker, frames, start=0):
    """The ids of all frames, one after the other at 25 per second."""
    return [tracker.update(frame, (start + number) / RATE).tracks.tolist() for number, frame in enumerate(frames)]


def test_objects_of_the_first_frame_have_ids_from_1_and_later_ones_from_their_second():
    frames = [found([at(10), at(60)]), found([at(11), at(61), at(150)]), found([at(12), at(62), at(150)])]
    assert ids(Tracker(), frames) == [[1, 2], [1, 2, -1], [1, 2, 3]]


def test_an_object_that_hides_and_walks_on_keeps_its_id_by_motion_alone():
    tracker = Tracker()
    seen = ids(tracker, [found([at(10 + 2 * n)]) for n in range(25)])
    assert ids(tracker, [found([])] * 20, start=25) == [[]] * 20
    assert seen[-1] == ids(tracker, [found([at(10 + 2 * 45)])], start=45)[0] == [1]


def test_an_object_that_stops_while_it_hides_is_recognised_by_its_looks():
    rng = np.random.default_rng(0)
    for vectors, expected in ((True, 1), (False, 3)):
        tracker = Tracker()
        for n in range(25):
            scene = found([at(10 + n), at(160)], vectors=[look(rng, 0), look(rng, 1)] if vectors else None)
            tracker.update(scene, n / RATE)
        for n in range(25, 50):
            tracker.update(found([at(160)], vectors=[look(rng, 1)] if vectors else None), n / RATE)
        back = [found([at(20), at(160)], vectors=[look(rng, 0), look(rng, 1)] if vectors else None)] * 2
        assert ids(tracker, back, start=50)[-1] == [expected, 2]


def test_another_object_is_not_taken_for_one_that_hides():
    rng, tracker = np.random.default_rng(0), Tracker()
    for n in range(25):
        tracker.update(found([at(50), at(160)], vectors=[look(rng, 0), look(rng, 1)]), n / RATE)
    for n in range(25, 30):
        tracker.update(found([at(160)], vectors=[look(rng, 1)]), n / RATE)
    stranger = [found([at(75), at(160)], vectors=[look(rng, 2), look(rng, 1)])] * 2
    assert ids(tracker, stranger, start=30)[-1] == [3, 2]


def test_two_that_look_alike_cross_and_keep_their_ids():
    rng = np.random.default_rng(0)
    frames = [found([at(10 + 4 * n), at(150 - 4 * n, y=44)], vectors=[look(rng, 0), look(rng, 0)]) for n in range(35)]
    seen = ids(Tracker(), frames)
    assert set(map(tuple, seen)) == {(1, 2)}


def test_two_that_differ_keep_their_ids_when_they_meet_and_turn_back():
    rng, tracker, seen = np.random.default_rng(0), Tracker(), []
    places = [(10 + 4 * n, 120 - 4 * n) for n in range(14)]
    for n, (left, right) in enumerate(places + places[::-1]):
        frame = found([at(left), at(right, y=44)], vectors=[look(rng, 0), look(rng, 1)])
        seen.append(tuple(tracker.update(frame, n / 6).tracks.tolist()))
    assert set(seen) == {(1, 2)}


def test_low_scores_continue_an_identity_but_begin_none():
    tracker = Tracker(threshold=0.5)
    for n in range(5):
        tracker.update(found([at(10 + n)]), n / RATE)
    weak = tracker.update(found([at(15), at(100)], scores=[0.2, 0.4]), 5 / RATE)
    assert weak.tracks.tolist() == [1]
    assert weak.detections.scores.tolist() == pytest.approx([0.2])
    assert tracker.update(found([at(16)], scores=[0.05]), 6 / RATE).tracks.tolist() == []
    assert tracker.count == 1


def test_low_scores_alone_do_not_continue_an_identity_for_long():
    tracker = Tracker(threshold=0.5)
    tracker.update(found([at(10)]), 0.0)
    seen = [tracker.update(found([at(10)], scores=[0.3]), n / 10).tracks.tolist() for n in range(1, 15)]
    assert seen == [[1]] * 10 + [[]] * 4
    assert tracker.update(found([at(10)]), 1.5).tracks.tolist() == [1]


def test_classes_never_share_an_identity():
    tracker = Tracker()
    assert ids(tracker, [found([at(10)], labels=[0])] * 3)[-1] == [1]
    assert ids(tracker, [found([at(10)], labels=[1])] * 3, start=3) == [[-1], [2], [2]]
    both = found([at(10), at(10)], labels=[1, 0])
    assert ids(tracker, [both], start=6) == [[2, 1]]


def test_a_box_around_what_has_an_identity_of_another_class_gets_none():
    doubt = [found([at(10 + n), at(11 + n), at(60)], [0.9, 0.6, 0.5], [0, 1, 1]) for n in range(6)]
    assert ids(Tracker(), doubt) == [[1, -1, 2]] * 6
    assert ids(Tracker(), [found([at(10), at(11)], [0.5, 0.6], [0, 1])] * 3) == [[-1, 1]] * 3


def test_ids_are_never_used_again_and_are_forgotten_in_time():
    tracker = Tracker(memory=1.0)
    assert ids(tracker, [found([at(10)])] * 3)[-1] == [1]
    tracker.update(found([]), 3.0)
    assert ids(tracker, [found([at(10)])] * 3, start=100) == [[-1], [2], [2]]
    assert tracker.count == 2


@pytest.mark.parametrize("gap", [100.0, 1e6])
def test_over_a_gap_in_time_only_what_was_there_last_is_known(gap):
    tracker = Tracker()
    assert ids(tracker, [found([at(10), at(150)])] * 3)[-1] == [1, 2]
    tracker.update(found([at(10)]), 3 / RATE)
    later = [tracker.update(found([at(10), at(150)]), gap + n / RATE).tracks.tolist() for n in range(2)]
    assert later == [[1, -1], [1, 3]]


def test_times_that_stand_still_or_go_back_are_the_same_moment():
    tracker = Tracker()
    assert [tracker.update(found([at(10)]), time).tracks.tolist() for time in (5.0, 5.0, 1.0, 5.2)] == [[1]] * 4


def test_the_rate_of_frames_does_not_matter():
    speeds = [[at(10 + 40 * n / rate) for n in range(rate + 1)] for rate in (6, 30)]
    for boxes, rate in zip(speeds, (6, 30), strict=True):
        tracker = Tracker()
        seen = [tracker.update(found([box]), n / rate).tracks.tolist() for n, box in enumerate(boxes)]
        assert seen == [[1]] * (rate + 1)


def test_films_without_objects_and_objects_without_area():
    tracker = Tracker()
    assert ids(tracker, [found([])] * 3) == [[]] * 3
    flat = [found([[5, 5, 5, 5], at(50)], vectors=[LOOKS[0], np.zeros(16)])] * 4
    tracker = Tracker()
    for n, frame in enumerate(flat):
        result = tracker.update(frame, n / RATE)
        assert np.isfinite(result.embeddings).all()
    assert result.tracks[1] == 2
    assert tracker.count >= 2


def test_results_with_and_without_embeddings_may_alternate():
    tracker = Tracker()
    frames = [found([at(10 + n)], vectors=None if n % 2 else [LOOKS[0]]) for n in range(8)]
    assert ids(tracker, frames) == [[1]] * 8


def test_the_same_film_gives_the_same_ids_and_results_are_not_changed():
    def film():
        rng = np.random.default_rng(3)
        return [
            found(rng.uniform(0, 100, (6, 4)).cumsum(axis=1), rng.random(6), rng.integers(0, 2, 6), rng.random((6, 16)))
            for _ in range(40)
        ]

    frames = film()
    assert ids(Tracker(), frames) == ids(Tracker(), film())
    assert all(frame.tracks is None and len(frame) == 6 for frame in frames)


@pytest.mark.parametrize("wrong", [{"threshold": 2}, {"low": 0.5}, {"low": -0.1}, {"memory": -1}])
def test_numbers_that_make_no_tracker_are_refused(wrong):
    with pytest.raises(ArgusError, match="a tracker cannot have"):
        Tracker(**wrong)


@pytest.mark.parametrize("time", [np.nan, np.inf])
def test_times_that_are_none_are_refused(time):
    with pytest.raises(ArgusError, match="seconds from the beginning"):
        Tracker().update(found([]), time)


def test_vectors_of_another_layer_are_refused():
    tracker = Tracker()
    tracker.update(found([at(10)], vectors=[LOOKS[0]]), 0.0)
    with pytest.raises(ArgusError, match="embeddings of 8 numbers after those of 16"):
        tracker.update(found([at(10)], vectors=[LOOKS[0, :8]]), 0.1)


def test_results_carry_ids_to_all_formats():
    supervision = pytest.importorskip("supervision")
    tracker = Tracker()
    tracker.update(found([at(10)], vectors=[LOOKS[0]]), 0.0)
    result = tracker.update(found([at(11), at(90)], [0.9, 0.8], vectors=LOOKS[:2]), 0.1)
    assert [entry["track_id"] for entry in result] == [1, None]
    assert [entry["track_id"] for entry in result.to_coco("a")] == [1, None]
    assert [set(entry) >= {"track_id", "embedding"} for entry in result.to_dict()["detections"]] == [True, True]
    assert "track_id" not in found([at(10)])[0]
    other = result.to_supervision()
    assert other.tracker_id.tolist() == [1, -1]
    kept = other[other.tracker_id >= 0]
    assert isinstance(kept, supervision.Detections) and kept.xyxy.tolist() == [at(11)]
    assert np.allclose(kept.data["embedding"], LOOKS[0], atol=1e-6)


def test_identities_have_colours_of_their_own_and_are_all_drawn():
    boxes = [at(10), at(13), at(120)]
    result = found(boxes)
    plain = result.draw()
    tracked = [Tracker(), Tracker()]
    first = tracked[0].update(result, 0.0)
    assert not np.array_equal(first.draw(), plain)
    assert first.headline().startswith("3 objects") and result.headline().startswith("2 objects")
    assert np.array_equal(first.draw(), tracked[1].update(found(boxes), 0.0).draw())
    twice = tracked[0].update(found([*boxes, at(121), at(60)], [0.9] * 5, [0, 0, 0, 1, 1]), 0.04)
    assert twice.tracks.tolist() == [1, 2, 3, -1, -1] and twice.headline() == "4 objects: 3 cat, 1 dog"


def walks(seed):
    """Frames of six objects in pairs that look alike, with jitter, misses and times of hiding; and their true ids."""
    rng = np.random.default_rng(seed)
    speed, start = rng.uniform(-40, 40, 6), rng.uniform(0, 180, 6)
    hidden = rng.integers(20, 60, 6)
    for n in range(90):
        x = start + speed * n / RATE + 8 * np.sin(n / 9 + start)
        there = (rng.random(6) < 0.95) & ~((hidden <= n) & (n < hidden + 15))
        boxes = np.array([at(x[k], 10 + 16 * k, 24) for k in range(6)])[there] + rng.normal(0, 0.6, (there.sum(), 4))
        who = np.flatnonzero(there)
        yield who, boxes, [look(rng, k // 2 * 2 + (k % 2)) for k in who]


@pytest.mark.parametrize("seed", range(3))
def test_score_by_motmetrics(seed):
    scores = {}
    for embedded in (True, False):
        tracker, events = Tracker(), motmetrics.MOTAccumulator(auto_id=True)
        for n, (who, boxes, vectors) in enumerate(walks(seed)):
            result = tracker.update(found(boxes, vectors=vectors if embedded else None), n / RATE)
            named = result.tracks >= 0
            apart = 1 - overlaps(boxes, result.detections.boxes.double().numpy()[named])
            events.update(who, result.tracks[named], np.where(apart <= 0.5, apart, np.nan))
        names = ["idf1", "num_switches"]
        scores[embedded] = motmetrics.metrics.create().compute(events, metrics=names, return_dataframe=False)
    assert scores[True]["idf1"] > 0.95
    assert scores[True]["num_switches"] <= scores[False]["num_switches"]
