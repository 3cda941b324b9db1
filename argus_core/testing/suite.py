"""Three doors to the same checks: a pytest case each, one dictionary, and ``arena check NAME``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from argus_core.errors import ArgusError, unknown
from argus_core.head import Head
from argus_core.testing import form, passes, training
from argus_core.testing.subject import Subject
from argus_core.testing.world import contained

CHECKS: Mapping[str, Callable[[Subject], None]] = MappingProxyType(
    {
        check.__name__: check
        for check in (
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
            training.loss,
            training.gradients,
            training.learns,
            training.bfloat16,
            form.deterministic,
            form.state_round_trip,
            form.global_state,
            form.import_hygiene,
        )
    }
)
"""Every check by name; its docstring says what is promised."""


def check_head(head: str | type[Head], options: Mapping[str, Any] | None = None) -> dict[str, str]:
    """Run every check on a registered name or a class: check name to why it failed, or to an empty text."""
    return {name: reason(name, head, options) for name in CHECKS}


def reason(check: str, head: str | type[Head], options: Mapping[str, Any] | None = None) -> str:
    """Why one check fails; empty if it passes."""
    try:
        _run(check, Subject.of(head, options))
    except Exception as error:
        kind = "" if isinstance(error, AssertionError) else f"{type(error).__name__}: "
        return f"{kind}{error}" or type(error).__name__
    return ""


def head_suite(
    *heads: str | type[Head],
    options: Mapping[str, Any] | None = None,
    expected_failures: Mapping[str, str] | None = None,
) -> Callable[..., None]:
    """A parametrised pytest function with one case per head and check: ``test_head = head_suite("detect.fcos")``.

    ``expected_failures`` maps a check to the reason why it must fail: a check that then passes is a failure.
    ``options`` are given to every head.
    """
    import pytest

    expected = dict(expected_failures or {})
    for name, why in expected.items():
        if name not in CHECKS:
            raise unknown("check", name, CHECKS)
        if not why.strip():
            raise ArgusError(f"check {name!r} is expected to fail without a reason; give one")
    cases = [
        pytest.param(
            head,
            name,
            id=f"{head if isinstance(head, str) else head.__name__}-{name}",
            marks=[pytest.mark.xfail(reason=expected[name], strict=True)] if name in expected else [],
        )
        for head in heads
        for name in CHECKS
    ]

    @pytest.mark.parametrize(("head", "check"), cases)
    def test_head(head: str | type[Head], check: str) -> None:
        _run(check, Subject.of(head, options))

    return test_head


def _run(check: str, subject: Subject) -> None:
    with contained():
        CHECKS[check](subject)
