"""The filter of a box's motion against the textbook's, and properties that it must have."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import block_diag
from scipy.stats import chi2

from argus_core.track.motion import FIRST_SPEED, GATE, LEAST_TRUST, NOISE, UNREST, Motion

BOX = np.array([10.0, 20.0, 50.0, 120.0])


def centred(box):
    return np.array([(box[0] + box[2]) / 2, (box[1] + box[3]) / 2, box[2] - box[0], box[3] - box[1]])


class Textbook:
    """A Kalman filter of eight states, x y w h and their velocities, with full matrices."""

    def __init__(self, box):
        self.x = np.concatenate([centred(box), np.zeros(4)])
        self.P = block_diag(NOISE**2 * np.eye(4), FIRST_SPEED**2 * np.eye(4))
        self.H = np.hstack([np.eye(4), np.zeros((4, 4))])

    def predict(self, t):
        F = np.kron([[1, t], [0, 1]], np.eye(4))
        Q = UNREST**2 * np.kron([[t**3 / 3, t**2 / 2], [t**2 / 2, t]], np.eye(4))
        self.x, self.P = F @ self.x, F @ self.P @ F.T + Q

    def update(self, box):
        S = self.H @ self.P @ self.H.T + NOISE**2 * np.eye(4)
        K = self.P @ self.H.T @ np.linalg.inv(S)
        self.x = self.x + K @ (centred(box) - self.H @ self.x)
        self.P = (np.eye(8) - K @ self.H) @ self.P

    def distance(self, box, scale):
        S = scale * (self.H @ self.P @ self.H.T + NOISE**2 * np.eye(4))
        off = centred(box) - self.H @ self.x
        return off @ np.linalg.inv(S) @ off


def test_it_is_the_textbook_filter():
    rng = np.random.default_rng(0)
    motion, book = Motion.begin(BOX), Textbook(BOX)
    for _ in range(25):
        seconds, box = rng.uniform(0.01, 0.3), BOX + rng.normal(0, 3, 4) + 5 * rng.random()
        motion = motion.predict(seconds)
        book.predict(seconds)
        other = BOX + rng.normal(0, 20, 4)
        scale = motion.mean[0, 2] * motion.mean[0, 3]
        assert motion.distances(other[None])[0] == pytest.approx(book.distance(other, scale))
        motion = motion.update(box)
        book.update(box)
        assert motion.mean.reshape(-1) == pytest.approx(book.x)
        assert np.kron(motion.covariance, np.eye(4)) == pytest.approx(book.P, abs=1e-12)


def test_only_time_matters_and_not_the_number_of_steps():
    motion = Motion.begin(BOX).predict(0.1).update(BOX + 4)
    once, often = motion.predict(0.6), motion
    for _ in range(6):
        often = often.predict(0.1)
    assert often.mean == pytest.approx(once.mean)
    assert often.covariance == pytest.approx(once.covariance)
    assert motion.predict(0.0).mean == pytest.approx(motion.mean)


def test_a_steady_walk_is_expected_to_go_on():
    motion, step = Motion.begin(BOX), np.array([3.0, -1.0, 3.0, -1.0])
    for number in range(1, 40):
        motion = motion.predict(1 / 25).update(BOX + number * step)
    assert motion.predict(10 / 25).box == pytest.approx(BOX + 49 * step, abs=0.5)
    hidden = motion.hide().predict(2.0)
    assert hidden.box[2] - hidden.box[0] == pytest.approx(40, abs=0.5)


def test_covered_boxes_move_it_less_but_always_somewhat():
    motion = Motion.begin(BOX).predict(0.01)
    moved = [motion.update(BOX + 10, clear).mean[0, 0] for clear in (1.0, 0.5, LEAST_TRUST, 0.0)]
    assert moved[0] > moved[1] > moved[2] == moved[3] > motion.mean[0, 0]


def test_uncertainty_stays_a_covariance_and_sides_stay_positive():
    motion = Motion.begin(BOX).predict(0.1).update(np.array([25.0, 60.0, 30.0, 70.0]))
    for seconds in (1e-9, 0.1, 10.0, 1e4):
        motion = motion.predict(seconds)
        assert (np.linalg.eigvalsh(motion.covariance) > 0).all() and np.isfinite(motion.mean).all()
        assert motion.box[2] > motion.box[0] and motion.box[3] > motion.box[1]
        assert np.isfinite(motion.distances(BOX[None])).all()


def test_the_gate_holds_a_walker_and_who_stops_but_not_the_other_side_of_the_picture():
    motion, step = Motion.begin(BOX), np.array([3.0, 0.0, 3.0, 0.0])
    for number in range(1, 40):
        motion = motion.predict(1 / 25).update(BOX + number * step)
    last, later = BOX + 39 * step, motion.hide().predict(1.0)
    distances = later.distances(np.stack([last + 25 * step, last, last + 40, last + 2000]))
    assert (distances < GATE).tolist() == [True, True, True, False]
    assert chi2.cdf(GATE, 4) > 0.9999
