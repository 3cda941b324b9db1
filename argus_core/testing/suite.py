"""The tables of checks of heads, tasks, backbones and data sets, as pytest cases and as dictionaries."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar

from argus_core.head import Head
from argus_core.tasks import Task
from argus_core.testing import backbones, data
from argus_core.testing.backbones import BackboneSubject
from argus_core.testing.data import DataSource, DataSubject
from argus_core.testing.heads import contract, cost, graphs, passes, pyramid, solved, training
from argus_core.testing.heads.subject import Subject
from argus_core.testing.kit.runner import Kit, Options, Reasons
from argus_core.testing.tasks import definition, metric, truth
from argus_core.testing.tasks.subject import TaskSubject

if TYPE_CHECKING:
    import pytest

    from argus_core.backbones import Backbone

S = TypeVar("S")
Case = Callable[..., None]


def _table(*checks: Callable[[S], None]) -> Mapping[str, Callable[[S], None]]:
    return MappingProxyType({check.__name__: check for check in checks})


HEAD_CHECKS: Mapping[str, Callable[[Subject], None]] = _table(
    contract.options,
    contract.needs,
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
    solved.fit_parts,
    solved.fit_ignored,
    solved.fit_again,
    solved.fit_degenerate,
    cost.many_objects,
    graphs.exports,
    graphs.compiles,
    contract.deterministic,
    contract.state_round_trip,
    contract.global_state,
    contract.import_hygiene,
)
"""Every check of a head by name; its docstring says what is promised."""
TASK_CHECKS: Mapping[str, Callable[[TaskSubject], None]] = _table(
    definition.name,
    definition.fields,
    definition.small,
    definition.example,
    definition.learnable,
    truth.example_truth,
    truth.target,
    truth.nothing,
    truth.fault,
    truth.summary,
    truth.check,
    truth.to_image,
    truth.merge,
    truth.confidences,
    truth.result,
    metric.metric_best,
    metric.metric_order,
    metric.metric_merge,
    metric.metric_duplicates,
    metric.metric_contributions,
    metric.metric_empty,
    metric.metric_protocol,
)
"""Every check of a task by name."""
BACKBONE_CHECKS: Mapping[str, Callable[[BackboneSubject], None]] = _table(
    backbones.options,
    backbones.states,
    backbones.frozen,
    backbones.weights_hash,
    backbones.global_state,
    backbones.info,
    backbones.float32,
    backbones.deterministic,
    backbones.items_independent,
    backbones.padding,
    backbones.sizes,
    backbones.needs,
    backbones.encode,
)
"""Every check of a backbone by name."""
DATA_CHECKS: Mapping[str, Callable[[DataSubject], None]] = _table(
    data.splits,
    data.keys,
    data.tasks,
    data.images,
    data.digests,
    data.disjoint,
    data.reopened,
    data.bounds,
    data.samples,
    data.truths,
    data.targets,
    data.annotation_digest,
    data.faults,
    data.global_state,
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
    marks: Mapping[str, pytest.MarkDecorator] | None = None,
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
    return HEAD_KIT.reasons(head, options, expected_failures)


def check_task(task: str | type[Task] | Task, expected_failures: Reasons | None = None) -> dict[str, str]:
    """As ``check_head``, of a task."""
    return TASK_KIT.reasons(task, None, expected_failures)


def check_backbone(
    backbone: str | Callable[..., Backbone], options: Options | None = None, expected_failures: Reasons | None = None
) -> dict[str, str]:
    """As ``check_head``, of a backbone."""
    return BACKBONE_KIT.reasons(backbone, options, expected_failures)


def check_data(data: DataSource, expected_failures: Reasons | None = None) -> dict[str, str]:
    """As ``check_head``, of a data set."""
    return DATA_KIT.reasons(data, None, expected_failures)
