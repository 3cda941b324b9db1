"""Names beyond the terminal's encoding, names that are no UTF-8, byte-order marks, paths of other machines."""

from __future__ import annotations

import io
import json
import os
import shutil
import sys
import unicodedata
from pathlib import Path
from zlib import crc32

import pytest
from rich.console import Console

from argus_arena.cli import main as arena_main
from argus_arena.requests import read_toml
from argus_core.cache.spec import _keys_sha256
from argus_core.common.files import read_json, write_text
from argus_core.common.folders import check_local
from argus_core.common.out_folder import OutFolder
from argus_core.common.progress import ProgressBar, working
from argus_core.data.check import check_split
from argus_core.errors import ArgusError
from argus_core.plugins.data_spec import open_data, quoted, split_spec
from argus_core.tasks.classify import Classify
from argus_core.tasks.detect import Detect
from argus_data.coco.split import open_coco
from argus_data.folders.class_folders import open_folder
from argus_data.layers.labels import read_labels
from argus_data.pairs.pair_lists import open_pairs
from coco_folders import box, image, paint, write

ODD = os.fsdecode(b"caf\xe9")
"""A name in another encoding, as Python holds it."""


class Terminal(io.TextIOWrapper):
    """A stream that can say only what its encoding has."""

    def __init__(self, encoding: str) -> None:
        super().__init__(io.BytesIO(), encoding=encoding, write_through=True)

    def said(self) -> str:
        return self.buffer.getvalue().decode(self.encoding)  # type: ignore[attr-defined]


def shown(line, encoding, monkeypatch):
    """Exit code and output of a command on a terminal of an encoding."""
    out, err = Terminal(encoding), Terminal(encoding)
    for name, stream in (("stdout", out), ("stderr", err)):
        monkeypatch.setattr(sys, name, stream)
    monkeypatch.setattr(sys, "argv", ["arena", *line])
    with pytest.raises(SystemExit) as stop:
        arena_main()
    return stop.value.code or 0, out.said() + err.said()


def class_folders(root, names, stem="é"):
    for split in ("train", "val"):
        for name in names:
            paint(root / split / name / f"{stem}.png", 20, 20, crc32(f"{split}{name}".encode(errors="replace")))
    return root


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "cp932", "utf-8"])
def test_names_beyond_the_terminal_are_escaped_and_files_are_utf8(tmp_path, monkeypatch, encoding):
    spec = f"folder:{class_folders(tmp_path / 'Straße 😀', ('Rübe 甜菜', 'corn'))}"
    code, said = shown(["data", "check", spec], encoding, monkeypatch)
    assert code == 0 and "corn: 1" in said and "no faults" in said
    assert ("Rübe 甜菜" in said) == (encoding == "utf-8") and "Traceback" not in said
    code, said = shown(["data", "check", f"{spec}-"], encoding, monkeypatch)
    assert code == 2 and "error: " in said and "no such folder" in said
    write_text(tmp_path / "board.md", "Rübe 甜菜 ±")
    assert (tmp_path / "board.md").read_bytes().decode("utf-8") == "Rübe 甜菜 ±"


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_bars_and_spinners_keep_to_the_terminal(encoding):
    screen = Terminal(encoding)  # which raises for what it does not have
    console = Console(file=screen, force_terminal=True, width=100, legacy_windows=False)
    with ProgressBar("cache train", 3, console=console) as bar:
        bar.advance(1, 30 * "a note ")
        bar._bar.refresh()
    with working("build", console=console):
        pass
    assert "cache train" in screen.said()


def test_files_whose_names_are_no_utf8_are_read_and_listed(tmp_path, monkeypatch):
    root = class_folders(tmp_path / ODD, ("a", "b"), ODD)
    data = open_data(f"folder:{root}")
    split = data["train"]
    assert split.key(0) == f"a/{ODD}.png" and split.read(0).shape == (20, 20, 3)
    assert len(_keys_sha256(split)) == 64 and len(split.annotation_digest()) == 64
    code, said = shown(["data", "check", f"folder:{root}"], "utf-8", monkeypatch)
    assert code == 0 and "no faults" in said
    for _ in range(2):
        with OutFolder(tmp_path / "out") as out:
            write_text(out.file(f"{ODD}.txt"), ODD)
    assert (tmp_path / "out" / f"{ODD}.txt").read_bytes() == b"caf\xe9"
    assert b"caf\xe9.txt" in (tmp_path / "out" / "argus-files.txt").read_bytes()


def test_classes_and_outputs_whose_names_are_no_utf8_are_refused(tmp_path):
    with pytest.raises(ArgusError, match=r"class name 'bcaf\\udce9' is not valid UTF-8; rename the class"):
        open_folder(class_folders(tmp_path / "set", ("a", f"b{ODD}")))
    with pytest.raises(ArgusError, match="is not valid UTF-8"):
        Detect(classes=("cat", "\ud800"))
    with pytest.raises(ArgusError, match=r"caf\\udce9' is not valid UTF-8"):
        check_local(tmp_path / ODD)
    assert Classify(classes=("Rübe", "甜菜", "😀")).classes[2] == "😀"


# Paths in data specs.

KNOWN = ("limit", "classes", "labels")


@pytest.mark.parametrize(
    ("rest", "path", "options"),
    [
        ("/data/a=b", "/data/a=b", {}),
        ("/data/a=b,c", "/data/a=b,c", {}),
        ("/data/#1 of 2: x,limit=5", "/data/#1 of 2: x", {"limit": 5}),
        (" a b ", " a b ", {}),
        ('"a,limit=5"', "a,limit=5", {}),
        ('"a,limit=5",limit=3', "a,limit=5", {"limit": 3}),
        ('"say ""hi"", x",limit=3', 'say "hi", x', {"limit": 3}),
        ('x,classes="a,limit=1",limit=2', "x", {"classes": "a,limit=1", "limit": 2}),
        ('x,classes=["a","b"]', "x", {"classes": ["a", "b"]}),
        ("x,classes=a,b=c", None, "unknown option of x 'b'"),
        ("x,labels=a=b.csv", "x", {"labels": "a=b.csv"}),
        ("limit=3", "", {"limit": 3}),
        ("gone,lim=3", None, "did you mean 'limit'?; if 'gone,lim=3' is a path, put it in double quotes"),
        ("there,limit=1,x", "there,limit=1,x", {}),
        ("there,limit=1", None, "is a path that is there, and limit= an option; for the path put it in double quotes"),
        ("there,other=1,limit=2", "there,other=1", {"limit": 2}),
        ("a=b,limit=2", "a=b", {"limit": 2}),
    ],
)
def test_a_path_in_a_spec_may_hold_anything(rest, path, options, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("there,other=1", "a=b") if rest != "there,limit=1,x" else (rest,):
        Path(name).mkdir()
    if rest == "there,limit=1":
        for name in ("there", rest):
            Path(name).mkdir()
    if path is None:
        with pytest.raises(ArgusError) as error:
            split_spec(rest, KNOWN, "x")
        assert options in str(error.value)
    else:
        assert split_spec(rest, KNOWN, "x") == (path, options)


@pytest.mark.parametrize(
    "name", ["a=b", "a,limit=1", "a:b", "coco:c", "#1", "two words ", 'a "b"', "ü", ODD, "a,b=c,d"]
)
def test_a_data_set_is_opened_wherever_it_lies(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(Path(name) / "train.json", [image(1)], [box(1)], folder=Path(name))
    for spec in (
        f"coco:{quoted(name)}",
        f"coco:{quoted(str(Path(name).absolute()))},limit=1",
        f"coco:{tmp_path}/{name}",
    ):
        assert len(open_data(spec)["train"]) == 1
    if not name.startswith("coco:"):
        assert len(open_data(f"./{name}")["train"]) == 1


# A byte-order mark.


def test_a_byte_order_mark_is_passed_over(tmp_path):
    mark, here = b"\xef\xbb\xbf", tmp_path / "file"
    write(tmp_path / "train.json", [image(1)], [box(1)], folder=tmp_path)
    file = tmp_path / "train.json"
    file.write_bytes(mark + file.read_bytes())
    assert len(open_coco(tmp_path)["train"]) == 1
    here.write_bytes(mark + b'{"a": 1}')
    assert read_json(here, "") == {"a": 1}
    here.write_text('{"a": 1}', encoding="utf-16")  # as PowerShell writes what is sent to a file
    assert read_json(here, "") == {"a": 1}
    here.write_bytes(mark + b"seed = 3\n")
    assert read_toml(here) == {"seed": 3}
    here.with_suffix(".csv").write_bytes(mark + b"1.png,cat\n")
    assert read_labels(here.with_suffix(".csv"), ["1.png"]) == (("cat",), (0,))


@pytest.mark.parametrize("content", ["Rübe".encode("latin-1"), b"\xff\xfe\x00"])
def test_another_encoding_is_told_with_the_file(tmp_path, content):
    for name, read in (("train.json", open_coco), ("x.csv", None), ("x.json", None)):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ArgusError, match=name):
            read(tmp_path) if read else read_labels(tmp_path / name, ["1.png"])
    with pytest.raises(ArgusError, match=r"x\.csv cannot be read as TOML"):
        read_toml(tmp_path / "x.csv")


# Paths in annotations.

SEVERAL = (1, 2, 3)


def annotated(root, name, folder="", ids=SEVERAL):
    """A COCO set whose annotations call image N ``name(N)`` while it lies in ``folder``."""
    for number in ids:
        paint(root / folder / f"{number}.png", 30, 40, number)
    write(root / "train.json", [image(n, file_name=name(n)) for n in ids], [box(n, n) for n in ids])
    return open_coco(root)["train"]


@pytest.mark.parametrize(
    ("name", "folder", "key"),
    [
        (lambda n: f"pictures\\{n}.png", "pictures", "pictures/1.png"),
        (lambda n: f"a\\b/{n}.png", "a/b", "a/b/1.png"),
        (lambda n: f"./{n}.png", "", "./1.png"),
        (lambda n: f"/srv/ann/sets/fruit/images/{n}.png", "images", "images/1.png"),
        (lambda n: f"/srv/ann/sets/fruit/{n}.png", "", "1.png"),
        (lambda n: f"C:\\Users\\Ann\\fruit\\images\\{n}.png", "images", "images/1.png"),
        (lambda n: f"file:///srv/ann/images/{n}.png", "images", "images/1.png"),
        (lambda n: f"..\\..\\label-studio\\media\\upload\\4\\{n}.png", "upload/4", "upload/4/1.png"),
        (lambda n: f"images\\1/{n}.png", "images/1", "images/1/1.png"),
    ],
)
def test_names_of_another_machine_are_found_in_the_folder(tmp_path, name, folder, key):
    split = annotated(tmp_path, name, folder)
    assert split.key(0) == key and split.read(0).shape == (30, 40, 3)
    assert not check_split(split).faults


def test_images_elsewhere_keep_their_absolute_place_and_move_without_a_change(tmp_path):
    for number in SEVERAL:
        paint(tmp_path / "store" / "deep" / f"{number}.png", 30, 40, number)
    here = tmp_path / "set"
    names = [str(tmp_path / "store" / "deep" / f"{n}.png") for n in SEVERAL]
    write(here / "train.json", [image(n, file_name=one) for n, one in zip(SEVERAL, names, strict=True)], [box(1)])
    far = open_coco(here)["train"]
    assert far.key(1) == "2.png" and far.read(1).shape == (30, 40, 3)
    shutil.move(tmp_path / "store" / "deep", tmp_path / "elsewhere")
    for file in (tmp_path / "elsewhere").iterdir():
        shutil.move(file, here / file.name)
    shutil.move(here, tmp_path / "moved")
    near = open_coco(tmp_path / "moved")["train"]
    assert [near.key(n) for n in range(3)] == [far.key(n) for n in range(3)]
    assert near.annotation_digest() == far.annotation_digest() and _keys_sha256(near) == _keys_sha256(far)
    assert near.read(1).shape == (30, 40, 3)


def test_a_backslash_that_is_really_in_a_name_stays(tmp_path):
    (tmp_path / "a\\b.png").parent.mkdir(exist_ok=True)
    paint(tmp_path / "a\\b.png", 30, 40, 1)
    split = annotated(tmp_path, lambda n: "a\\b.png", ids=(1,))
    assert split.key(0) == "a\\b.png" and split.read(0).shape == (30, 40, 3)


def test_names_that_are_nowhere_are_told_with_their_path(tmp_path):
    split = annotated(tmp_path, lambda n: f"/nowhere/{n}.jpg")
    with pytest.raises(ArgusError, match=r"/nowhere/1\.jpg"):
        split.read(0)


@pytest.mark.parametrize("name", ["\ud800.png", "a\0.png"])
def test_a_name_that_no_file_can_have_is_a_fault(tmp_path, name):
    paint(tmp_path / "1.png", 30, 40, 1)
    write(tmp_path / "train.json", [image(1), image(2, file_name=name)], [box(1), box(2, 2)])
    split = open_coco(tmp_path)["train"]
    assert len(split) == 1 and any("no file can be called" in fault.what for fault in split.faults())


def test_letters_composed_otherwise_are_the_same_name(tmp_path):
    paint(tmp_path / unicodedata.normalize("NFD", "é1.png"), 30, 40, 1)
    write(tmp_path / "train.json", [image(1, file_name="é1.png")], [box(1)])
    assert open_coco(tmp_path)["train"].read(0).shape == (30, 40, 3)


@pytest.mark.parametrize("prefix", ["", "..\\data\\", "C:\\data\\", "/srv/ann/data/"])
def test_labels_and_pairs_take_paths_of_another_machine(tmp_path, prefix):
    slash = "\\" if "\\" in prefix or not prefix else "/"
    rows = [f"{prefix}{name}{slash}1.png,{name}" for name in ("cat", "dog")]
    (tmp_path / "labels.csv").write_text("\n".join(["file,class", *rows]))
    assert read_labels(tmp_path / "labels.csv", ["cat/1.png", "dog/1.png"]) == (("cat", "dog"), (0, 1))
    images = {name: {"file": row.split(",")[0], "keypoints": [[1, 2]]} for name, row in zip("ab", rows, strict=True)}
    content = {"images": images, "pairs": [{"src": "a", "trg": "b", "split": "train"}]}
    (tmp_path / "pairs.json").write_text(json.dumps(content))
    for name in ("cat", "dog"):
        paint(tmp_path / name / "1.png", 30, 40, 1)
    split = open_pairs(tmp_path)["train"]
    assert split.read(0).shape == (30, 40, 3) and split.key(0) == "a"
