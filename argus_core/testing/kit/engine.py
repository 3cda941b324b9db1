"""One engine behind every suite: a table of checks, run as pytest cases, as a dictionary or by ``arena check``."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Generic, TypeVar

from argus_core.errors import ArgusError, unknown
from argus_core.registry.loading import home_of, told
from argus_core.testing.kit.isolation import contained

S = TypeVar("S")
Options = Mapping[str, Any]
Reasons = Mapping[str, str]


@dataclass(frozen=True)
class Outcome:
    """What became of one check: why it does not hold (``fault``), and why it was expected not to (``expected``)."""

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
    """The checks of one kind of object; ``subject`` makes what they are run on, of a target and its options.

    A check takes the subject and raises, mostly AssertionError, if its docstring does not hold.
    """

    kind: str
    checks: Mapping[str, Callable[[S], None]]
    subject: Callable[[Any, Options], S]

    def run(self, check: str, subject: S) -> None:
        """Run one check, which raises if it does not hold; torch's settings are put back."""
        with contained():
            self._found(check)(subject)

    def fault(self, check: str, subject: S) -> str:
        """Why one check does not hold; empty if it does."""
        try:
            self.run(check, subject)
        except (Exception, SystemExit) as error:
            if isinstance(error, AssertionError | ArgusError):
                return str(error) or type(error).__name__
            return told(error, home_of(getattr(subject, "cls", type(subject))))
        return ""

    def outcomes(
        self,
        target: Any,
        options: Options | None = None,
        expected_failures: Reasons | None = None,
        only: Sequence[str] = (),
    ) -> Iterator[Outcome]:
        """Run the checks named in ``only``, by default all, one after the other."""
        expected = self.expected(expected_failures)
        wanted = {name: self._found(name) for name in only or self.checks}
        subject = self.subject(target, options or {})
        for name, check in wanted.items():
            began = time.perf_counter()
            fault = self.fault(name, subject)
            yield Outcome(name, promise(check), fault, expected.get(name, ""), time.perf_counter() - began)

    def expected(self, expected_failures: Reasons | None) -> dict[str, str]:
        """Expected failures; raises ArgusError for a check that does not exist and for one without a reason."""
        expected = dict(expected_failures or {})
        for name, why in expected.items():
            self._found(name)
            if not why.strip():
                raise ArgusError(f"check {name!r} is expected to fail without a reason; give one")
        return expected

    def suite(
        self,
        targets: Sequence[Any],
        options: Options | None = None,
        expected_failures: Reasons | None = None,
        marks: Mapping[str, Any] | None = None,
    ) -> Callable[..., None]:
        """A pytest function with a case per target and check; the cases of a target share its subject."""
        import pytest

        expected, marks = self.expected(expected_failures), marks or {}
        own = {check: [marks[check]] if check in marks else [] for check in self.checks}
        for check, why in expected.items():
            own[check].append(pytest.mark.xfail(reason=why, strict=True))
        cases = [
            pytest.param(place, check, id=f"{label(target)}-{check}", marks=own[check])
            for place, target in enumerate(targets)
            for check in self.checks
        ]
        subject = cache(lambda place: self.subject(targets[place], options or {}))

        @pytest.mark.parametrize(("target", "check"), cases)
        def test_kit(target: int, check: str) -> None:
            self.run(check, subject(target))

        return test_kit

    def _found(self, check: str) -> Callable[[S], None]:
        if check not in self.checks:
            raise unknown("check", check, self.checks)
        return self.checks[check]


def promise(check: Callable[..., Any]) -> str:
    """What a check stands for: the first line of its docstring."""
    return (check.__doc__ or "").strip().partition("\n")[0]


def label(target: Any) -> str:
    """What a target is called in the ids of pytest cases."""
    if isinstance(target, str):
        return target
    return str(getattr(target, "__name__", None) or getattr(target, "name", None) or type(target).__name__)
