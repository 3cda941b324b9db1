"""Three doors to the same checks of heads, tasks, backbones and data sets: pytest cases, dictionaries, the engine."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar

from argus_core.data import DataSet
from argus_core.head import Head
from argus_core.tasks import Task
from argus_core.testing.backbones import form as backbone_form
from argus_core.testing.backbones import passes as backbone_passes
from argus_core.testing.backbones.subject import BackboneSubject
from argus_core.testing.data import form as data_form
from argus_core.testing.data import truth as data_truth
from argus_core.testing.data.subject import DataSubject
from argus_core.testing.heads import cost, form, graphs, passes, pyramid, training
from argus_core.testing.heads.subject import Subject
from argus_core.testing.kit.engine import Kit, Options, Reasons
from argus_core.testing.tasks import (
    form as task_form,
)
from argus_core.testing.tasks import (
    metric as task_metric,
)
from argus_core.testing.tasks import (
    result as task_result,
)
from argus_core.testing.tasks import (
    truth as task_truth,
)
from argus_core.testing.tasks.subject import TaskSubject

if TYPE_CHECKING:
    from argus_core.backbones import Backbone


S = TypeVar("S")
Case = Callable[..., None]
DataSource = str | DataSet | Callable[[], DataSet]
"""A data spec, an open data set, or a function that opens one."""


def _table(checks: Iterable[Callable[[S], None]]) -> Mapping[str, Callable[[S], None]]:
    return MappingProxyType({check.__name__: check for check in checks})


HEAD_CHECKS: Mapping[str, Callable[[Subject], None]] = _table(
    (
        form.options,
        form.needs,
        passes.any_size,
        passes.reads_every_cell,
        passes.features_untouched,
        passes.items_independent,
        passes.padding,
        passes.cached_is_live,
        passes.company,
        passes.device_agnostic,
        pyramid.pyramid,
        training.loss,
        training.gradients,
        training.learns,
        training.bfloat16,
        cost.many_objects,
        graphs.exports,
        graphs.compiles,
        form.deterministic,
        form.state_round_trip,
        form.global_state,
        form.import_hygiene,
    )
)
"""Every check of a head by name; its docstring says what is promised."""
TASK_CHECKS: Mapping[str, Callable[[TaskSubject], None]] = _table(
    (
        task_form.name,
        task_form.fields,
        task_form.small,
        task_form.example,
        task_form.learnable,
        task_truth.example_truth,
        task_truth.target,
        task_truth.nothing,
        task_truth.fault,
        task_truth.summary,
        task_truth.check,
        task_result.to_image,
        task_result.merge,
        task_result.result,
        task_metric.metric_best,
        task_metric.metric_order,
        task_metric.metric_merge,
        task_metric.metric_duplicates,
        task_metric.metric_empty,
        task_metric.metric_protocol,
    )
)
"""Every check of a task by name."""
BACKBONE_CHECKS: Mapping[str, Callable[[BackboneSubject], None]] = _table(
    (
        backbone_form.options,
        backbone_form.states,
        backbone_form.frozen,
        backbone_form.weights_hash,
        backbone_form.global_state,
        backbone_passes.info,
        backbone_passes.float32,
        backbone_passes.deterministic,
        backbone_passes.items_independent,
        backbone_passes.padding,
        backbone_passes.sizes,
        backbone_passes.needs,
        backbone_passes.encode,
    )
)
"""Every check of a backbone by name."""
DATA_CHECKS: Mapping[str, Callable[[DataSubject], None]] = _table(
    (
        data_form.splits,
        data_form.keys,
        data_form.tasks,
        data_form.images,
        data_form.digests,
        data_form.disjoint,
        data_form.reopened,
        data_form.bounds,
        data_truth.samples,
        data_truth.truths,
        data_truth.targets,
        data_truth.annotation_digest,
        data_truth.faults,
        data_form.global_state,
    )
)
"""Every check of a data set by name."""
HEAD_KIT = Kit("head", HEAD_CHECKS, Subject.of)
TASK_KIT = Kit("task", TASK_CHECKS, TaskSubject.of)
BACKBONE_KIT = Kit("backbone", BACKBONE_CHECKS, BackboneSubject.of)
DATA_KIT = Kit("data", DATA_CHECKS, DataSubject.of)
KITS: Mapping[str, Kit[Any]] = MappingProxyType({kit.kind: kit for kit in (HEAD_KIT, TASK_KIT, BACKBONE_KIT, DATA_KIT)})


def head_suite(
    *heads: str | type[Head],
    options: Options | None = None,
    expected_failures: Reasons | None = None,
    marks: Mapping[str, Any] | None = None,
) -> Case:
    """A parametrised pytest function with one case per head and check: ``test_head = head_suite("detect.fcos")``.

    ``expected_failures`` maps a check to the reason why it must fail: a check that then passes is a failure.
    ``options`` are given to every head; ``marks`` maps a check to the pytest mark of its cases.
    """
    return HEAD_KIT.suite(heads, options, expected_failures, marks)


def task_suite(*tasks: str | type[Task] | Task, expected_failures: Reasons | None = None) -> Case:
    """As ``head_suite``, of tasks: a registered name or a class stands for its ``small()`` instance."""
    return TASK_KIT.suite(tasks, None, expected_failures)


def backbone_suite(
    *backbones: str | Callable[..., Backbone],
    options: Options | None = None,
    expected_failures: Reasons | None = None,
) -> Case:
    """As ``head_suite``, of backbones: names as ``load_backbone`` takes them, or factories; ``options`` go to them."""
    return BACKBONE_KIT.suite(backbones, options, expected_failures)


def data_suite(*data: DataSource, expected_failures: Reasons | None = None) -> Case:
    """As ``head_suite``, of data sets: a data spec, an open data set, or a function that opens one."""
    return DATA_KIT.suite(data, None, expected_failures)


def check_head(
    head: str | type[Head], options: Options | None = None, expected_failures: Reasons | None = None
) -> dict[str, str]:
    """Run every check on a registered name or a class: check name to why it failed, or to an empty text."""
    return _verdicts(HEAD_KIT, head, options, expected_failures)


def check_task(task: str | type[Task] | Task, expected_failures: Reasons | None = None) -> dict[str, str]:
    """As ``check_head``, of a task."""
    return _verdicts(TASK_KIT, task, None, expected_failures)


def check_backbone(
    backbone: str | Callable[..., Backbone], options: Options | None = None, expected_failures: Reasons | None = None
) -> dict[str, str]:
    """As ``check_head``, of a backbone."""
    return _verdicts(BACKBONE_KIT, backbone, options, expected_failures)


def check_data(data: DataSource, expected_failures: Reasons | None = None) -> dict[str, str]:
    """As ``check_head``, of a data set."""
    return _verdicts(DATA_KIT, data, None, expected_failures)


def _verdicts(kit: Kit[Any], target: Any, options: Options | None, expected: Reasons | None) -> dict[str, str]:
    return {one.check: one.reason for one in kit.outcomes(target, options, expected)}
