"""The conformance kit: every promise of a head, task, backbone or data set, checked in seconds without a GPU."""

from __future__ import annotations

from argus_core.common.deprecation import Moved, moved
from argus_core.testing.suite import (
    BACKBONE_CHECKS,
    DATA_CHECKS,
    HEAD_CHECKS,
    TASK_CHECKS,
    backbone_suite,
    check_backbone,
    check_data,
    check_head,
    check_task,
    data_suite,
    head_suite,
    task_suite,
)

__all__ = [
    "BACKBONE_CHECKS",
    "DATA_CHECKS",
    "HEAD_CHECKS",
    "TASK_CHECKS",
    "backbone_suite",
    "check_backbone",
    "check_data",
    "check_head",
    "check_task",
    "data_suite",
    "head_suite",
    "task_suite",
]

__getattr__ = moved(__name__, {"CHECKS": Moved("HEAD_CHECKS", since="0.2", removed_in="0.4")})
