"""Identities of objects from frame to frame, by motion and by the embeddings of the same pass."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from argus_core.errors import ArgusError
from argus_core.tasks.detect import DetectionResult
from argus_core.track.association import CLEAR, NEW, WEAK, Owners, overlapping, overlaps, recognised
from argus_core.track.identity import NONE, SAME, Identity, Seen
from argus_core.track.likeness import Likeness
from argus_core.track.motion import GATE, Motion

THRESHOLD = 0.3
"""The lowest score of a box that can begin an identity."""
LOW = 0.1
"""The lowest score of a box that can continue an identity."""
DOUBT = 1.0
"""Seconds for which boxes of low scores alone continue an identity."""
WAIT = 1.0
"""Seconds for which a covered object stays without an id if it may be one that was hidden."""
LEAST = 0.01
"""What the vector of any box is worth."""


class Tracker:
    """Gives the objects of a film ids, which count from 1 and are never used again; each film needs its own tracker.

    Two stages as in ByteTrack (Zhang 2022): boxes of at least ``threshold`` are assigned to identities first, those
    from ``low`` on to what is left. If results have embeddings, overlap and likeness decide together in the first
    stage, as in BoT-SORT (Aharon 2022), and objects that were hidden for up to ``memory`` seconds are recognised.
    Boxes of different classes never share an identity; one around what has an identity of another class gets none.
    """

    def __init__(self, threshold: float = THRESHOLD, low: float = LOW, memory: float = 5.0) -> None:
        if not (0 <= low <= threshold <= 1 and memory >= 0):
            raise ArgusError(
                f"a tracker cannot have threshold {threshold}, low {low} and memory {memory}: "
                "scores are within 0..1, low is at most threshold, and memory is in seconds"
            )
        self.threshold, self.low, self.memory = threshold, low, memory
        self.count = 0
        self._identities: list[Identity] = []
        self._likeness = Likeness()
        self._time = self._before = -math.inf

    def update(self, result: DetectionResult, time: float) -> DetectionResult:
        """The result of the next frame, at ``time`` in seconds, with ``tracks`` (N,): the id of each box, or -1.

        Boxes below ``threshold`` are left out, except those that continue an identity; -1 are objects that were seen
        once, or may turn out to be known ones. A time before that of the last frame counts as the same moment.
        """
        if not math.isfinite(time):
            raise ArgusError(f"the time of a frame is {time}; give seconds from the beginning of the film")
        self._go_to(time)
        seen = Seen.of(result, self.threshold)
        owners = self._assign(seen)
        for place, identity in owners.items():
            self._follow(identity, seen, place)
        self._leave()
        for place in self._sure(seen):
            if place not in owners and not self._is_named_otherwise(seen, place, owners):
                owners[place] = self._begin(seen, place)
        ids = np.array([owners[n].id if n in owners else NONE for n in range(len(seen))], dtype=np.int64)
        return replace(result, tracks=ids).chosen((ids != NONE) | seen.sure)

    @property
    def _is_first(self) -> bool:
        return math.isinf(self._before)

    def _go_to(self, time: float) -> None:
        """Expect every identity where it should be by now, and forget who was hidden for too long."""
        self._before, self._time = self._time, max(time, self._time)
        self._identities = [
            identity
            for identity in self._identities
            if identity.seen == self._before or self._time - identity.seen <= self.memory
        ]
        for identity in self._identities:
            identity.motion = identity.motion.predict(self._time - self._before)

    def _sure(self, seen: Seen) -> list[int]:
        """The boxes of the first stage, best first."""
        order = np.argsort(-seen.scores, kind="stable")
        return order[seen.sure[order]].tolist()

    def _assign(self, seen: Seen) -> Owners:
        """The known identities of boxes; those that were seen only once come last."""
        sure, known = self._sure(seen), [identity for identity in self._identities if identity.id != NONE]
        owners = recognised(known, seen, sure, self._likeness)
        weak = np.flatnonzero((seen.scores >= self.low) & ~seen.sure).tolist()
        taken = set(owners.values())
        there = (identity for identity in known if identity.seen == self._before and identity not in taken)
        left = [identity for identity in there if self._time - identity.sure <= DOUBT]
        owners |= overlapping(left, seen, weak, WEAK)
        new = [identity for identity in self._identities if identity.id == NONE]
        return owners | overlapping(new, seen, [place for place in sure if place not in owners], NEW)

    def _follow(self, identity: Identity, seen: Seen, place: int) -> None:
        """Take a box as the next one of an identity; it gets an id unless it may be another one."""
        identity.motion = identity.motion.update(seen.boxes[place], float(seen.clear[place]))
        identity.seen = self._time
        if seen.sure[place]:
            identity.sure = self._time
        self._remember(identity, seen, place)
        if identity.id == NONE and not self._may_be_known(identity, seen, place):
            self._name(identity)

    def _may_be_known(self, identity: Identity, seen: Seen, place: int) -> bool:
        """Whether it is too covered to tell it from one that is hidden near by."""
        if seen.vectors is None or seen.clear[place] >= CLEAR or self._time - identity.begun > WAIT:
            return False
        hidden = (other for other in self._identities if other.id != NONE and other.seen < self._before)
        rivals = (other.motion for other in hidden if other.label == identity.label)
        return any(motion.distances(seen.boxes[place, None])[0] < GATE for motion in rivals)

    def _is_named_otherwise(self, seen: Seen, place: int, owners: Owners) -> bool:
        """Whether a box is around what already has an identity of another class, as detectors often are in doubt."""
        others = [other for other in owners if seen.labels[other] != seen.labels[place]]
        return bool((overlaps(seen.boxes[place], seen.boxes[others]) > SAME).any())

    def _remember(self, identity: Identity, seen: Seen, place: int) -> None:
        """Learn how it looks; boxes of low scores, and covered ones, say little (Deep OC-SORT, Maggiolino 2023)."""
        sure = (seen.scores[place] - self.threshold) / max(1.0 - self.threshold, 1e-9)
        if seen.vectors is not None:
            identity.remember(seen.vectors[place], max(LEAST, float(sure * seen.clear[place])))

    def _name(self, identity: Identity) -> None:
        self.count += 1
        identity.id = self.count

    def _leave(self) -> None:
        """Forget who is gone without an id; the sides of others who are gone stay as they are."""
        self._identities = [who for who in self._identities if who.id != NONE or who.seen == self._time]
        for identity in self._identities:
            if identity.seen < self._time:
                identity.motion = identity.motion.hide()

    def _begin(self, seen: Seen, place: int) -> Identity:
        """A new identity, which has an id at once in the first frame."""
        now = self._time
        identity = Identity(int(seen.labels[place]), Motion.begin(seen.boxes[place]), now, now, now)
        self._remember(identity, seen, place)
        self._identities.append(identity)
        if self._is_first:
            self._name(identity)
        return identity
