"""The conformance kit of tasks: the built-in ones pass, and every promise has a task that breaks it and is caught."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ConfigDict

from argus_core.errors import ArgusError
from argus_core.tasks import Contributions, PlainResult
from argus_core.tasks.classify import Accuracy, Classes, Classify, ClassTarget
from argus_core.tasks.detect import Detect
from argus_core.tasks.segment import Segment
from argus_core.testing import TASK_CHECKS, check_task, task_suite
from argus_core.testing.suite import TASK_KIT
from argus_core.testing.tasks.subject import TaskSubject

test_built_in_tasks = task_suite("detect", "classify", "segment", "depth", "correspond", Classify(classes=("a", "b")))


class BadName(Classify):
    name = "My Task"


class TakenName(Classify):
    """Called as another task is."""


class StrangeFloor(Classify):
    name = "strange"
    floor = "detect.fcos"


class TakesAnything(Classify):
    model_config = ConfigDict(extra="ignore")


class Mutable(Classify):
    model_config = ConfigDict(frozen=False)


class LosesItsType(Classify):
    size: Any = (2, 3)


class SmallOfParent(Classify):
    @classmethod
    def small(cls):
        return Classify.small()


class FillsPadding(Classify):
    def example(self, *arguments):
        tokens, targets = super().example(*arguments)
        return replace(tokens, maps={layer: torch.ones_like(x) for layer, x in tokens.maps.items()}), targets


class DrawsFromTheProcess(Classify):
    def example(self, *arguments):
        torch.rand(1)
        return super().example(*arguments)


class OneTargetForAll(Classify):
    def example(self, *arguments):
        tokens, targets = super().example(*arguments)
        return tokens, targets[:1]


class TellsNothing(Segment):
    def example(self, *arguments):
        tokens, targets = super().example(*arguments)
        noise = {layer: torch.randn(x.shape) * (x != 0) for layer, x in tokens.maps.items()}
        return replace(tokens, maps=noise), targets


class OffersNoTruth(Classify):
    def example_truth(self, size, generator):
        return None


class OffersNoOracle(Classify):
    def perfect(self, truth, placement):
        return None


class OffersFaults(Classify):
    def example_truth(self, size, generator):
        return -1


class WritesTruth(Segment):
    def target(self, truth, placement):
        truth[0, 0] = 1 - truth[0, 0] % 2
        return super().target(truth, placement)


class RandomTarget(Classify):
    def target(self, truth, placement):
        return ClassTarget(torch.randint(1000, ()))


class BareTarget(Classify):
    def target(self, truth, placement):
        return {"label": truth}


class OtherNothing(Classify):
    def nothing(self, canvas):
        return torch.tensor(-1)


class FaultRaises(Classify):
    def fault(self, truth, size):
        return "" if 0 <= truth < len(self.classes) else "no class"


class FaultSaysNone(Classify):
    def fault(self, truth, size):
        return super().fault(truth, size) or None


class CountsInNumpy(Classify):
    def summary(self, truths):
        return {"images": np.int64(len(list(truths)))}


class NeedsOne(Classify):
    def summary(self, truths):
        return {"first": next(iter(truths))}


class AcceptsAnything(Classify):
    def check(self, prediction, canvas):
        pass


class RefusesTheBest(Classify):
    def inside(self, prediction, extent):
        assert prediction.scores.max() < 1, "too sure"


class ForgetsMirrors(Segment):
    def to_image(self, prediction, placement):
        return super().to_image(prediction, replace(placement, mirrored=False))


class StaysOnTheCanvas(Detect):
    def to_image(self, prediction, placement):
        return prediction


class HalvesAlone(Classify):
    def merge(self, predictions, placements):
        merged = super().merge(predictions, placements)
        return Classes(merged.scores / 2)


class NoResult(Classify):
    def result(self, prediction, image):
        return {"scores": prediction.scores}


class Picture(PlainResult):
    def to_dict(self):
        return {"image": self.image.tolist()}


class ArrayResult(Classify):
    def result(self, prediction, image):
        result = Picture(image, prediction)
        object.__setattr__(result, "to_dict", lambda: {"scores": prediction.scores.numpy()})
        return result


class DrawsOnTheImage(Classify):
    def result(self, prediction, image):
        image[:] = 0
        return Picture(image, prediction)


class GreyPicture(Classify):
    def result(self, prediction, image):
        result = Picture(image, prediction)
        object.__setattr__(result, "draw", lambda: image[..., 0])
        return result


def scored_by(metric: type[Accuracy], name: str) -> type[Classify]:
    """A task whose metric is another."""
    return type(name, (Classify,), {"metric": lambda self: metric(self.classes), "__module__": __name__})


class NamesNoScore(Accuracy):
    primary = "f1"


class UpsideDown(Accuracy):
    higher_is_better = False


class LastCounts(Accuracy):
    def compute(self):
        last = list(self._records.values())[-1:]
        return {"top1": float(last[0][1] < 1) if last else float("nan")}


class MergeAdds(Accuracy):
    def merge(self, states):
        super().merge([self.state(), *states])


class StateOfTensors(Accuracy):
    def state(self):
        return {key: torch.tensor(value) for key, value in self._records.items()}


class TakesTwice(Accuracy):
    def update(self, key, prediction, truth):
        self._records.pop(key, None)
        super().update(key, prediction, truth)


class MergesTwice(Accuracy):
    def merge(self, states):
        self._records = {key: value for state in states for key, value in state.items()}


class CountsChoicesOnce(Accuracy):
    def rescore(self, kept, score):
        rule = super().rescore(kept, score)
        return rule and (lambda counts: rule(counts.clip(max=1)))


class LosesSamples(Accuracy):
    def contributions(self):
        kept = super().contributions()
        return Contributions(kept.keys[1:], {name: values[1:] for name, values in kept.arrays.items()})


class ScoresNothingAgain(Accuracy):
    def rescore(self, kept, score):
        return None if score == self.primary else super().rescore(kept, score)


class FailsOnNothing(Accuracy):
    def compute(self):
        return super().compute() if self._records else {"top1": 1 / len(self._records)}


class Shared(Accuracy):
    everything: dict[str, list[int]] = {}  # noqa: RUF012

    def __init__(self, classes):
        super().__init__(classes)
        self._records = self.everything

    def update(self, key, prediction, truth):
        self._records.pop(key, None)
        super().update(key, prediction, truth)


class HiddenOption(Classify):
    def metric(self, *, worst: bool = False):
        metric = Accuracy(self.classes)
        if worst:
            metric.compute = lambda: {"top1": 0.0}
        return metric


class NamelessRules(Classify):
    def metric(self):
        metric = Accuracy(self.classes)
        metric.protocol = " "
        return metric


class RightIsWrong(Classify):
    def outcomes(self, prediction, target, image):
        outcomes = super().outcomes(prediction, target, image)
        return replace(outcomes, true=1 - outcomes.true.clamp(max=1))


class CountsItsOwnImages(Classify):
    def outcomes(self, prediction, target, image):
        return super().outcomes(prediction, target, 0)


class CalibratesBeyondReason(Classify):
    def calibrated(self, prediction, calibration):
        return Classes(prediction.scores / 0)


BROKEN: dict[str, tuple[type, ...]] = {
    "name": (BadName, TakenName, StrangeFloor),
    "fields": (TakesAnything, Mutable, LosesItsType),
    "small": (SmallOfParent,),
    "example": (FillsPadding, DrawsFromTheProcess, OneTargetForAll),
    "learnable": (TellsNothing,),
    "example_truth": (OffersNoTruth, OffersNoOracle, OffersFaults),
    "target": (WritesTruth, RandomTarget, BareTarget),
    "nothing": (OtherNothing,),
    "fault": (FaultRaises, FaultSaysNone),
    "summary": (CountsInNumpy, NeedsOne),
    "check": (AcceptsAnything, RefusesTheBest),
    "to_image": (ForgetsMirrors, StaysOnTheCanvas),
    "merge": (HalvesAlone,),
    "confidences": (RightIsWrong, CountsItsOwnImages, CalibratesBeyondReason),
    "result": (NoResult, ArrayResult, DrawsOnTheImage, GreyPicture),
    "metric_best": (scored_by(NamesNoScore, "NamesNoScore"), scored_by(UpsideDown, "UpsideDown")),
    "metric_order": (scored_by(LastCounts, "LastCounts"),),
    "metric_merge": (scored_by(MergeAdds, "MergeAdds"), scored_by(StateOfTensors, "StateOfTensors")),
    "metric_duplicates": (scored_by(TakesTwice, "TakesTwice"), scored_by(MergesTwice, "MergesTwice")),
    "metric_contributions": tuple(
        scored_by(metric, metric.__name__) for metric in (CountsChoicesOnce, LosesSamples, ScoresNothingAgain)
    ),
    "metric_empty": (scored_by(FailsOnNothing, "FailsOnNothing"), scored_by(Shared, "Shared")),
    "metric_protocol": (HiddenOption, NamelessRules),
}
"""The check that must catch each of them."""


@pytest.mark.parametrize(
    ("check", "task"),
    [pytest.param(check, task, id=task.__name__) for check, tasks in BROKEN.items() for task in tasks],
)
def test_every_broken_task_is_caught_by_its_check(check, task):
    fault = TASK_KIT.fault(check, TaskSubject.of(task))
    assert fault and "AttributeError" not in fault  # which would be a slip of the broken task itself


def test_every_check_has_a_task_that_it_catches():
    assert set(BROKEN) == set(TASK_CHECKS)


def test_a_task_that_offers_no_example_fails_that_check_alone():
    faults = check_task(OffersNoOracle, expected_failures={"name": "it is called as its parent is"})
    assert [name for name, fault in faults.items() if fault] == ["example_truth"]
    assert "override Task.perfect" in faults["example_truth"]


def test_what_is_no_task_is_refused():
    with pytest.raises(ArgusError, match=r"subclass of argus_core\.Task"):
        check_task(Accuracy)
    with pytest.raises(ArgusError, match="unknown task 'classfy'; did you mean 'classify'"):
        check_task("classfy")
