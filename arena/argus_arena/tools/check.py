"""The conformance kit on the command line: results of checks, and the cost of a head."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from argus_arena.scoring.cost import image_cost
from argus_arena.tools.check_subject import find_target
from argus_core.testing.heads.subject import Subject
from argus_core.testing.kit.runner import Outcome
from argus_core.testing.suite import KITS
from argus_core.tokens import FeatureInfo

CANVAS = (640, 640)
CHANNELS = 768
"""What the cost of a head is stated for: one image of this size, tokens as wide as a base transformer's."""
STYLES = {"ok": "green", "FAILED": "bold red", "expected failure": "yellow", "unexpected pass": "bold red"}


@dataclass(frozen=True)
class Report:
    """The outcome of every check of one object; ``cost`` of a head: parameters, multiply-accumulates, milliseconds."""

    kind: str
    name: str
    outcomes: tuple[Outcome, ...]
    cost: Mapping[str, Any]

    @property
    def passed(self) -> bool:
        """Whether every check had the expected result."""
        return not any(one.reason for one in self.outcomes)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        checks = [{**asdict(one), "result": one.result, "seconds": round(one.seconds, 3)} for one in self.outcomes]
        return {"kind": self.kind, "name": self.name, "passed": self.passed, "checks": checks, "cost": dict(self.cost)}


def make_report(
    name: str, kind: str | None, options: Mapping[str, Any], expected: Mapping[str, str], only: Sequence[str]
) -> Report:
    """Run the checks of what a name, data spec or ``FILE.py:OBJECT`` stands for; raises ArgusError if it is nothing."""
    kind, target = find_target(name, kind)
    with Console(stderr=True).status(f"checking {kind} {name}"):
        outcomes = tuple(KITS[kind].outcomes(target, options, expected, only))
        cost = head_cost(Subject.of(target, options)) if kind == "head" else {}
    return Report(kind, name, outcomes, cost)


def head_cost(subject: Subject) -> dict[str, Any]:
    """Parameters, multiply-accumulates and milliseconds of one image; why there are none, as ``unknown``."""
    try:
        subject = replace(subject, info=FeatureInfo.vit(CHANNELS))
        head = subject.perturbed()
        tokens, _ = subject.example(head, CANVAS, 1)
        return {"parameters": sum(p.numel() for p in head.parameters()), **image_cost(head, tokens)}
    except (Exception, SystemExit) as error:  # its checks have reported the same error
        return {"unknown": f"{type(error).__name__}: {error}"}


def show(report: Report, console: Console) -> None:
    """Print a table of all checks, then in full what did not go as expected, then the cost."""
    table = Table("check", "result", box=box.SIMPLE_HEAD)
    table.add_column("seconds", justify="right")
    for one in report.outcomes:
        table.add_row(one.check, f"[{STYLES[one.result]}]{one.result}[/]", f"{one.seconds:.1f}")
    console.print(table)
    for one in report.outcomes:
        if one.result != "ok":
            console.print(f"[{STYLES[one.result]}]{one.result}[/] {one.check}", highlight=False)
            for what, text in (("promise", one.promise), ("fault", one.fault), ("expected", one.expected)):
                if text:
                    console.print(f"  {what}: {text}", markup=False, highlight=False, soft_wrap=True)
    for line in _closing(report):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _closing(report: Report) -> list[str]:
    """What the head costs, and how many checks hold."""
    lines, cost = [], report.cost
    where = f"one image on {CANVAS[0]} x {CANVAS[1]} px, {CHANNELS} channels"
    if "unknown" in cost:
        lines.append(f"cost: unknown ({cost['unknown']})")
    elif cost:
        lines.append(
            f"cost: {cost['parameters']:,} parameters, {cost['macs'] / 1e9:.3f} GMACs, "
            f"{cost['milliseconds']:.1f} ms ({where})"
        )
    results = [one.result for one in report.outcomes]
    counts = ", ".join(f"{results.count(result)} {result}" for result in STYLES if result in results)
    return [*lines, f"{report.kind} {report.name}: {counts}, in {sum(one.seconds for one in report.outcomes):.1f} s"]
