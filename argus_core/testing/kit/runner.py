"""One runner behind every suite: a table of checks, run as pytest cases, as a dictionary or by ``arena check``."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from argus_core.errors import ArgusError, unknown
from argus_core.registry.loading import describe_error, home_of
from argus_core.testing.kit.isolation import contained

if TYPE_CHECKING:
    import pytest

S = TypeVar("S")
Options = Mapping[str, Any]
Reasons = Mapping[str, str]


@dataclass(frozen=True)
class Outcome:
    """The outcome of one check: why it does not hold (``fault``), and why that was expected (``expected``)."""

    check: str
    promise: str
    fault: str
    expected: str
    seconds: float

    @property
    def result(self) -> str:
        """``ok``, ``FAILED``, ``expected failure`` or ``unexpected pass``."""
        if self.expected:
            return "expected failure" if self.fault else "unexpected pass"
        return "FAILED" if self.fault else "ok"

    @property
    def reason(self) -> str:
        """Why this counts as a failure; empty if it does not."""
        if self.expected and not self.fault:
            return f"it was expected to fail ({self.expected}) and holds: take the expectation out"
        return "" if self.expected else self.fault


@dataclass(frozen=True)
class Kit(Generic[S]):
    """The checks of one kind of object; ``subject`` prepares a target and its options for them.

    A check takes the subject and raises, mostly AssertionError, if its docstring does not hold.
    """

    kind: str
    checks: Mapping[str, Callable[[S], None]]
    subject: Callable[[Any, Options], S]

    def run(self, check: str, subject: S) -> None:
        """Run one check, which raises if it does not hold; torch's settings are put back."""
        with contained():
            self._get(check)(subject)

    def fault(self, check: str, subject: S) -> str:
        """Why one check does not hold; empty if it does."""
        try:
            self.run(check, subject)
        except (Exception, SystemExit) as error:
            if isinstance(error, AssertionError | ArgusError):
                return str(error) or type(error).__name__
            return describe_error(error, home_of(getattr(subject, "cls", type(subject))))
        return ""

    def outcomes(
        self,
        target: Any,
        options: Options | None = None,
        expected_failures: Reasons | None = None,
        only: Sequence[str] = (),
    ) -> Iterator[Outcome]:
        """Run the checks named in ``only``, by default all, one after the other."""
        expected = self._expected(expected_failures)
        promises = {name: promise(self._get(name)) for name in only or self.checks}
        subject = self.subject(target, options or {})
        for name, text in promises.items():
            start = time.perf_counter()
            fault = self.fault(name, subject)
            yield Outcome(name, text, fault, expected.get(name, ""), time.perf_counter() - start)

    def reasons(self, target: Any, options: Options | None = None, expected: Reasons | None = None) -> dict[str, str]:
        """Check name to why it failed, or to an empty text."""
        return {outcome.check: outcome.reason for outcome in self.outcomes(target, options, expected)}

    def suite(
        self,
        targets: Sequence[Any],
        options: Options | None = None,
        expected_failures: Reasons | None = None,
        marks: Mapping[str, pytest.MarkDecorator] | None = None,
    ) -> Callable[..., None]:
        """A pytest function with a case per target and check; the cases of a target share its subject."""
        import pytest

        xfails = {
            check: pytest.mark.xfail(reason=reason, strict=True)
            for check, reason in self._expected(expected_failures).items()
        }
        cases = [
            pytest.param(
                index,
                check,
                id=f"{label(target)}-{check}",
                marks=[table[check] for table in (marks or {}, xfails) if check in table],
            )
            for index, target in enumerate(targets)
            for check in self.checks
        ]
        subject = cache(lambda index: self.subject(targets[index], options or {}))

        @pytest.mark.parametrize(("target", "check"), cases)
        def test_kit(target: int, check: str) -> None:
            self.run(check, subject(target))

        return test_kit

    def _expected(self, expected_failures: Reasons | None) -> Reasons:
        """Expected failures; raises ArgusError for a check that does not exist and for one without a reason."""
        for name, reason in (expected_failures or {}).items():
            self._get(name)
            if not reason.strip():
                raise ArgusError(f"check {name!r} is expected to fail without a reason; give one")
        return expected_failures or {}

    def _get(self, check: str) -> Callable[[S], None]:
        if check not in self.checks:
            raise unknown("check", check, self.checks)
        return self.checks[check]


def promise(check: Callable[..., Any]) -> str:
    """The first line of a check's docstring."""
    return (check.__doc__ or "").strip().partition("\n")[0]


def label(target: Any) -> str:
    """The name of a target in the ids of pytest cases."""
    if isinstance(target, str):
        return target
    return str(getattr(target, "__name__", None) or getattr(target, "name", None) or type(target).__name__)
