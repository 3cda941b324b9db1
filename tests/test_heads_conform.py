"""The built-in heads keep every promise of the conformance kit, with the options a user gets."""

from __future__ import annotations

from argus_core.testing import head_suite

test_head = head_suite("detect.fcos", "detect.split_tower", "correspond.match")
