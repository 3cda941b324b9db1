"""Data specs: what is path, what is option, and what a wrong name is told."""

from __future__ import annotations

import pytest

from argus_core.errors import ArgusError
from argus_core.plugins.data_spec import open_data
from argus_data.scenes.split import open_scenes


class Opened:
    """Plugins that offer one data set, which remembers what it was opened with."""

    def __init__(self):
        self.given = None
        self.owners = {"mine": "hers"}
        self.failed = {"odd = odd_data (argus-odd 1)": "ImportError: no"}

    def datasets(self):
        def opener(path, *, classes: str = "", sizes: list[int] = [1], flag: bool = False):  # noqa: B006
            self.given = (path, classes, sizes, flag)
            return {"train": open_scenes(images=1, val=1, size=32)["train"]}

        return {"mine": opener}


@pytest.mark.parametrize(
    ("spec", "given"),
    [
        ("mine:", ("", "", [1], False)),
        ("mine:a/b", ("a/b", "", [1], False)),
        ("mine:a,b/c", ("a,b/c", "", [1], False)),
        ("mine:a,flag=true", ("a", "", [1], True)),
        ("mine:a,classes=cat,dog,flag=true", ("a", "cat,dog", [1], True)),
        ("mine:a,sizes=3,5", ("a", "", [3, 5], False)),
    ],
)
def test_a_comma_belongs_to_the_path_or_to_the_option_before_it(spec, given):
    plugins = Opened()
    open_data(spec, plugins)
    assert plugins.given == given


def test_a_wrong_name_is_answered_with_the_plugins_that_failed():
    with pytest.raises(
        ArgusError, match=r"unknown data set 'min'; did you mean 'mine'.*argus-odd 1.*see arena plugins"
    ):
        open_data("min:x", Opened())


def test_a_folder_that_is_missing_is_told_as_such(tmp_path):
    with pytest.raises(ArgusError, match="there is no file or folder"):
        open_data(f"{tmp_path}/none", Opened())
    with pytest.raises(ArgusError, match=r"there is no file or folder pets\.csv"):
        open_data("pets.csv,limit=2", Opened())
    with pytest.raises(ArgusError, match=r"unknown data set 'pets.*there is no file or folder pets either"):
        open_data("pets,limit=2", Opened())


def opening(opener):
    plugins = Opened()
    plugins.datasets = lambda: {"mine": opener}
    return plugins


@pytest.mark.parametrize("given", [None, {}, 7, {"train": [1]}, []])
def test_an_opener_that_gives_no_splits_is_named(given):
    with pytest.raises(ArgusError, match=r"data set 'mine' of hers gave .*; its opener must return splits by name"):
        open_data("mine:", opening(lambda path: given))


@pytest.mark.parametrize("error", [RuntimeError("boom"), SystemExit(0)])
def test_an_opener_that_fails_is_named(error):
    def opener(path):
        raise error

    with pytest.raises(ArgusError, match=f"data set 'mine' of hers cannot be opened: {type(error).__name__}"):
        open_data("mine:", opening(opener))


def test_faults_that_an_opener_tells_come_through():
    def opener(path):
        raise ArgusError("no labels")

    with pytest.raises(ArgusError, match=r"^no labels$"):
        open_data("mine:", opening(opener))
