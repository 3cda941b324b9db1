"""The constraint files say what `pyproject.toml` says: its lower bounds, and a set for CI that lies within them."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

FOLDER = Path(__file__).parents[2] / "constraints"


@pytest.fixture(scope="module")
def remake():
    return runpy.run_path(str(FOLDER / "remake.py"))


def pins(name: str) -> list[Requirement]:
    return [Requirement(line) for line in (FOLDER / name).read_text(encoding="utf-8").splitlines()]


def test_the_oldest_set_is_the_declared_lower_bounds(remake):
    assert (FOLDER / "oldest.txt").read_text(encoding="utf-8") == remake["oldest"]()


def test_requirements_are_lower_bounds_alone(remake, monkeypatch):
    assert {"==", "<", "~=", "!="}.isdisjoint(
        sign.operator for one in remake["declared"]() for sign in Requirement(one).specifier
    )
    monkeypatch.setitem(remake["oldest"].__globals__, "declared", lambda: ["numpy==2.0"])
    with pytest.raises(ValueError, match=r"numpy==2\.0"):
        remake["oldest"]()


def test_the_set_of_ci_lies_within_the_declared_range_and_leaves_torch_free(remake):
    held: dict[str, list[Requirement]] = {}
    for pin in pins("ci.txt"):
        held.setdefault(canonicalize_name(pin.name), []).append(pin)
    assert not {"torch", "torchvision", "triton"} & set(held)
    assert not any(name.startswith("nvidia-") for name in held)
    for requirement in map(Requirement, remake["declared"]()):
        for pin in held.get(canonicalize_name(requirement.name), ()):
            (exact,) = pin.specifier
            assert exact.operator == "==" and requirement.specifier.contains(exact.version, prereleases=True)
    assert {"timm", "numpy", "pytest", "ruff", "mypy", "transformers"} <= set(held)
