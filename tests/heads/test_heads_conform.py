"""The built-in heads keep every promise of the conformance kit, with the options a user gets."""

from __future__ import annotations

from argus_core.testing import head_suite
from kit_marks import SLOW_GRAPHS

test_head = head_suite("detect.fcos", "correspond.match")
test_tower = head_suite("detect.split_tower", marks=SLOW_GRAPHS)
