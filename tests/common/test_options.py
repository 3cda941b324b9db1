"""Options: what a constructor's signature promises, and how wrong values are answered."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pytest

from argus_core.common.options import check_options, options_model, parse_value
from argus_core.detection import LightHead
from argus_core.errors import ArgusError
from argus_core.recipe import Recipe
from argus_core.saving.build import make_head
from argus_core.tasks.detect import Detect
from argus_core.tokens import FeatureInfo

if TYPE_CHECKING:
    from argus_core.canvas import Canvas


class Example:
    def __init__(
        self,
        info: Canvas,
        *,
        width: int = 8,
        mode: Literal["slow", "fast"] = "slow",
        layers: tuple[int, ...] = (-1,),
        text: Path | None = None,
        rate: float = 0.5,
    ) -> None: ...


def checked(**values):
    return check_options(options_model(Example), values, "head 'example'")


def test_only_keywords_are_options_and_all_are_given_back():
    assert checked() == {"width": 8, "mode": "slow", "layers": (-1,), "text": None, "rate": 0.5}
    assert checked(layers=[2, 5], text="a/b", rate=1) == checked(layers=(2, 5), text=Path("a/b"), rate=1.0)


def test_a_class_without_options_has_none_and_functions_work_alike():
    assert not options_model(object).model_fields
    assert list(options_model(lambda x, *, y=1: x).model_fields) == ["y"]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"widht": 3}, "unknown option of head 'example' 'widht'; did you mean 'width'"),
        ({"zzz": 3}, "known: layers, mode, rate, text, width"),
        ({"width": "wide"}, "head 'example': width = 'wide': .*integer"),
        ({"width": 1.5}, "width = 1.5"),
        ({"mode": "quick"}, "mode = 'quick': .*'slow' or 'fast'"),
        ({"layers": ["a"]}, r"layers\.0 = 'a'"),
    ],
)
def test_wrong_values_are_named(values, message):
    with pytest.raises(ArgusError, match=message):
        checked(**values)


def test_every_wrong_value_gets_a_line():
    with pytest.raises(ArgusError) as error:
        checked(width="x", rate="y")
    assert len(str(error.value).splitlines()) == 2


def test_a_type_for_checkers_only_is_refused_where_an_option_has_it():
    def build(*, canvas: Canvas = None): ...

    with pytest.raises(ArgusError, match="Canvas"):
        options_model(build)


class Light(LightHead):
    """Changes nothing, and so has no constructor of its own."""


def test_parts_that_no_text_can_give_are_no_options():
    """A subclass gives the modules of its parent; nobody else can."""
    head = make_head(Light, "detect.light", FeatureInfo.vit(24), Detect.small(), {"width": 32})
    assert head.options == {"width": 32}
    with pytest.raises(ArgusError, match="unknown option of head 'light' 'stem'; known: width"):
        check_options(options_model(Light), {"stem": "conv"}, "head 'light'")


class Part:
    """Something that only code can make."""


def test_a_part_that_must_be_given_is_refused_in_words():
    def build(*, width: int = 1, part: Part): ...

    def many(*, parts: list[Part] | None = None, width: int = 1): ...

    with pytest.raises(ArgusError, match=r"build: option part is of type .*Part.*, which no text can give.*default"):
        options_model(build)
    assert list(options_model(many).model_fields) == ["width"]


def test_a_default_of_the_wrong_type_is_no_fault_of_the_user():
    def build(*, part: Part = None, width: Literal[8, 16] = 8): ...

    assert check_options(options_model(build), {"width": 16}, "x") == {"width": 16}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("128", 128),
        ("1e-3", 1e-3),
        ("true", True),
        ("null", None),
        ("-1", -1),
        ("5,8,-1", [5, 8, -1]),
        ("[5, 8]", [5, 8]),
        ("id", "id"),
        ("id,hflip", "id,hflip"),
        ("", ""),
        ('"128"', "128"),
        ("a/b.safetensors", "a/b.safetensors"),
    ],
)
def test_command_line_values(text, value):
    assert parse_value(text) == value and type(parse_value(text)) is type(value)


def test_recipes_refuse_what_cannot_train():
    for values in ({"lr": 0}, {"epochs": -1}, {"optimizer": "adam"}, {"ema": 1.0}, {"batch": 0}):
        with pytest.raises(ArgusError, match=next(iter(values))):
            check_options(Recipe, values, "recipe")


def test_a_lone_value_is_a_list_where_one_is_wanted():
    def target(*, layers: tuple[int, ...] = (), names: list[str] = [], width: int = 1): ...  # noqa: B006

    model = options_model(target)
    assert check_options(model, {"layers": -1, "names": "a"}, "x") == {"layers": (-1,), "names": ["a"], "width": 1}
    assert parse_value("11,") == [11] and parse_value("5,11,") == [5, 11] and parse_value("a,") == "a,"
    with pytest.raises(ArgusError, match="width"):
        check_options(model, {"width": [1]}, "x")
