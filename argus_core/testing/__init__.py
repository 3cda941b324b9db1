"""The conformance kit: every promise a head makes, checked on random tokens without weights, data or GPU."""

from __future__ import annotations

from argus_core.testing.suite import CHECKS, check_head, head_suite

__all__ = ["CHECKS", "check_head", "head_suite"]
