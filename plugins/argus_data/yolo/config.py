"""What describes a data set of YOLO: a YAML file, Darknet's obj.data, or a list of class names."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from argus_core.errors import ArgusError, Fault
from argus_data.files.images import SPLITS
from argus_data.files.texts import read_text

YAML = (".yaml", ".yml")
USUAL = ("data.yaml", "data.yml", "dataset.yaml", "dataset.yml")
CLASS_LISTS = ("classes.txt", "obj.names")
DARKNET = "obj.data"
PLACES = ("", "labels", "train", "train/labels", "labels/train")
"""Where a list of class names may lie."""
_HAS_NAMES = re.compile(r"^\s*names\s*:", re.MULTILINE)


@dataclass(frozen=True)
class Config:
    """The classes by their number in label files, and what is said of the splits, which may be nothing.

    ``file``, in ``folder`` or below it, says so, ``roots`` are the folders that its paths may be relative to, and
    ``keypoints`` is how many numbers follow the box of a pose.
    """

    folder: Path
    file: Path
    roots: Sequence[Path]
    names: Mapping[int, str]
    splits: Mapping[str, Sequence[str]]
    keypoints: int = 0
    faults: list[Fault] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


def find_config(path: Path) -> Config:
    """The description in, or at, ``path``; raises ArgusError, with what was looked for, if there is none."""
    if path.is_file():
        return _read(path)
    if not path.is_dir():
        raise ArgusError(f"{path}: no such folder or YAML file; give the one that holds data.yaml")
    files = yaml_files(path)
    usual = [file for name in USUAL for file in files if file.name.lower() == name] or files
    if len(usual) > 1 and usual is files:
        raise ArgusError(f"{path} holds {' and '.join(file.name for file in files)}; give one, as in yolo:{files[0]}")
    if usual:
        return _read(usual[0])
    if (path / DARKNET).is_file():
        return _read(path / DARKNET)
    file = find_class_list(path)
    if file is None:
        raise ArgusError(
            f"{path}: nothing names the classes; looked for data.yaml, dataset.yaml, another YAML file with names:, "
            f"{DARKNET}, {' and '.join(CLASS_LISTS)}; add data.yaml with a line such as names: [cat, dog], "
            f"or {CLASS_LISTS[0]} with one name a line, in the order of the numbers in the labels"
        )
    return Config(path, file, [path], _numbered(_lines(file), file), {})


def yaml_files(folder: Path) -> list[Path]:
    """The YAML files in a folder that have one of the usual names, or name classes."""
    files = [file for file in sorted(folder.iterdir()) if file.suffix.lower() in YAML and file.is_file()]
    return [file for file in files if file.name.lower() in USUAL or has_names(file)]


def has_names(file: Path) -> bool:
    """Whether a YAML file seems to name classes."""
    return _HAS_NAMES.search(file.read_bytes().decode("utf-8-sig", errors="replace")) is not None


def find_class_list(root: Path) -> Path | None:
    """The file with the names of classes; raises ArgusError for several that differ."""
    files = class_lists(root)
    others = [file for file in files if _lines(file) != _lines(files[0])]
    if others:
        raise ArgusError(f"{files[0]} and {others[0]} name different classes; keep one of them")
    return files[0] if files else None


def class_lists(root: Path) -> list[Path]:
    """All files with names of classes."""
    return [root / place / name for place in PLACES for name in CLASS_LISTS if (root / place / name).is_file()]


def _read(file: Path) -> Config:
    if file.suffix.lower() in YAML:
        return _from_yaml(file, _load_yaml(file))
    if file.suffix.lower() == ".data":
        return _from_darknet(file)
    raise ArgusError(f"{file}: YOLO data are a folder, a YAML file or {DARKNET}, and this is none of them")


def _load_yaml(file: Path) -> Mapping[str, Any]:
    import yaml

    try:
        # Everything stays a text, so that a class called no, or 1.0, is not a truth value or a number.
        content = yaml.load(read_text(file), Loader=yaml.BaseLoader)
    except yaml.YAMLError as error:
        raise ArgusError(f"{file}: cannot be read as YAML, where tabs do not count as blanks: {error}") from error
    if not isinstance(content, dict):
        raise ArgusError(f"{file}: it should hold keys such as names: and train:, not {type(content).__name__}")
    return content


def _from_yaml(file: Path, content: Mapping[str, Any]) -> Config:
    listed = find_class_list(file.parent) if "names" not in content else None
    names = _names(content.get("names") if listed is None else _lines(listed), file)
    count = str(content.get("nc") or len(names))
    if count not in (str(len(names)), str(max(names) + 1)):
        raise ArgusError(f"{file}: nc is {count}, but names has {len(names)}; correct one of them")
    splits = {split: _entries(content, words, file) for split, words in SPLITS.items()}
    base = content.get("path") or ""
    there = Path(base).expanduser()
    # The last place is where Ultralytics unpacks what it downloads.
    roots = [file.parent / base, there, file.parent, "datasets" / there] if base else [file.parent, Path()]
    gaps = sorted(set(range(max(names) + 1)) - set(names))
    what = f"names has none for {', '.join(map(str, gaps))}; the {len(names)} others are the classes"
    faults = [Fault(str(file), what)] if gaps else []
    used = {split: entries for split, entries in splits.items() if entries}
    return Config(file.parent, file, roots, names, used, _keypoints(content.get("kpt_shape"), file), faults)


def _entries(content: Mapping[str, Any], words: Sequence[str], file: Path) -> list[str]:
    """The folders and lists of a split, under the first of its names that has any."""
    entries: Any = next((value for word in words if (value := content.get(word))), [])
    listed = [entries] if isinstance(entries, str) else entries
    if not isinstance(listed, list) or not all(isinstance(entry, str) for entry in listed):
        raise ArgusError(f"{file}: {words[0]} should be a folder, a .txt file or a list of these, not {entries}")
    return listed


def _names(names: Any, file: Path) -> dict[int, str]:
    """Class names by number, from a list or a mapping."""
    if isinstance(names, list) and names and all(isinstance(name, str) for name in names):
        return _numbered(names, file)
    if names is None:
        raise ArgusError(
            f"{file} has no names: of its classes; add a line such as names: [cat, dog], or {CLASS_LISTS[0]}"
        )
    if not isinstance(names, dict) or not names:
        raise ArgusError(f"{file}: names should be a list of class names, or numbers with names, not {names!r}")
    if wrong := [key for key in names if not key.strip().isdecimal()]:
        raise ArgusError(f"{file}: names has {wrong[0]!r} for a number; write 0: NAME, 1: NAME and so on")
    if wrong := [key for key, name in names.items() if not isinstance(name, str)]:
        raise ArgusError(f"{file}: the name of class {wrong[0]} is {names[wrong[0]]}, not a text")
    return _distinct({int(key): names[key].strip() for key in sorted(names, key=int)}, file)


def _numbered(names: Sequence[str], file: Path) -> dict[int, str]:
    if not names:
        raise ArgusError(f"{file} names no class; write one name a line")
    return _distinct({number: name.strip() for number, name in enumerate(names)}, file)


def _distinct(names: dict[int, str], file: Path) -> dict[int, str]:
    seen: dict[str, int] = {}
    for number, name in names.items():
        if not name:
            raise ArgusError(f"{file}: class {number} has no name; classes need distinct names")
        if (first := seen.setdefault(name, number)) != number:
            raise ArgusError(f"{file}: classes {first} and {number} are both named {name}; classes need distinct names")
    return names


def _keypoints(shape: Any, file: Path) -> int:
    """How many numbers the key points of a pose have."""
    if not shape:
        return 0
    try:
        count, values = map(int, shape)
    except (TypeError, ValueError) as error:
        raise ArgusError(f"{file}: kpt_shape should be [points, 2 or 3], not {shape}") from error
    return count * values


def _lines(file: Path) -> list[str]:
    lines = read_text(file).splitlines()
    while lines and not lines[-1].strip():
        lines.pop()  # blank lines between names would count
    return lines


def _from_darknet(file: Path) -> Config:
    """Darknet's KEY = VALUE lines; its paths are often relative to a folder that is not there any more."""
    parts = [line.partition("=") for line in _lines(file)]
    pairs = {key.strip(): value.strip() for key, sign, value in parts if sign}
    listed = [file.parent / pairs["names"], file.parent / Path(pairs["names"]).name] if "names" in pairs else []
    names = next((path for path in listed if path.is_file()), None) or find_class_list(file.parent)
    if names is None:
        raise ArgusError(f"{file}: its list of class names, {pairs.get('names', 'names = FILE')}, is not there")
    splits = {split: [pairs[word]] for split, words in SPLITS.items() for word in words if pairs.get(word)}
    return Config(file.parent, file, [file.parent, Path()], _numbered(_lines(names), names), splits)
