"""Every detector beyond the standard ones keeps every promise of the conformance kit, as it comes."""

from __future__ import annotations

import pytest

from argus_core.testing import head_suite
from kit_marks import ZOO_GRAPHS

pytestmark = pytest.mark.slow

test_head = head_suite(
    "detect.slim_fcos",
    "detect.hook_fcos",
    "detect.analytic_person",
    "detect.closed_form",
    "detect.adaptive_query",
    "detect.cascade_pool",
    "detect.centernet",
    "detect.compression",
    "detect.curvature",
    "detect.depth_fusion",
    "detect.feature_graph",
    "detect.mutual_attention",
    "detect.optimal_transport",
    "detect.patch_assembly",
    "detect.prototype",
    "detect.relational_corners",
    "detect.scale_classify",
    "detect.sparse_query",
    "detect.threshold_prototype",
    "detect.tropical",
    "detect.wavelet",
    marks=ZOO_GRAPHS,
)
