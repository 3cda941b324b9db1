"""Models by name or path: a built-in model, a saved Argus, a run or a head, recognised without importing torch."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from safetensors import safe_open

from argus_core.common.places import as_local, place
from argus_core.errors import ArgusError, unknown
from argus_core.registry.registry import MODELS

DEFAULT_MODEL = "lite"
"""The built-in model that is used by default."""
ALIASES = {"softmax": ("linear",), "knn": ("knn", "prototypes")}
"""Names of classification methods in published packages, and their heads here."""
WEIGHTS = ("best", "last")
"""The weights that a run keeps of each head."""
_HUB_ID = re.compile(r"([A-Za-z0-9][\w.-]*/[\w.-]+)(?:@([\w./-]+))?")


class Role(NamedTuple):
    """A head of a model: its task, and its registered name."""

    task: str
    head: str


def head_files(path: Path, which: str = "best") -> list[Path]:
    """The files of a run's heads, of one head's folder, or of one head; raises ArgusError if there are none."""
    if which not in WEIGHTS:
        raise ArgusError(f"weights {which!r} are not one of {', '.join(WEIGHTS)}")
    if path.is_file():
        return [path]
    own = path / f"{which}.safetensors"
    files = [own] if own.exists() else sorted(path.glob(f"*/{which}.safetensors"))
    if not files and (path / "config.json").exists():
        raise ArgusError(
            f"{path} is a saved model, not a run: the commands of `argus` take it as it is (--model {path}); "
            "give the runs of `arena train` that its heads were trained in"
        )
    if not files:
        raise ArgusError(f"{path} holds no {which}.safetensors; give a run folder or one head's folder inside it")
    return files


def is_run(path: Path) -> bool:
    """Whether there are heads of a training run, and no model, at ``path``."""
    if path.is_file():
        return path.suffix == ".safetensors"
    return path.is_dir() and not (path / "config.json").exists() and any(path.rglob("best.safetensors"))


def is_hub_id(text: str) -> bool:
    """Whether a text can be the OWNER/NAME of a repository of a model hub, or OWNER/NAME@REVISION."""
    return _HUB_ID.fullmatch(text) is not None


def split_revision(text: str) -> tuple[str, str | None]:
    """OWNER/NAME and the revision of a hub id, which may have none."""
    match = _HUB_ID.fullmatch(text)
    assert match is not None, text
    return match[1], match[2]


def hub_id(repository: str, revision: str | None) -> str:
    """OWNER/NAME, or OWNER/NAME@REVISION."""
    return repository if revision is None else f"{repository}@{revision}"


def check_repository(text: str) -> None:
    """Raise ArgusError unless a text is the id of a repository that could be published to."""
    if not is_hub_id(text):
        raise ArgusError(f"{text!r} is no hub id; give OWNER/NAME, with the name of your account or organisation")
    if split_revision(text)[1] is not None:
        raise ArgusError(f"{text!r} names a revision; give OWNER/NAME, and the branch with --revision")


def folder_of(model: str | None) -> Path:
    """The path of a model: a path itself, or the folder of a built-in model, by default ``DEFAULT_MODEL``."""
    path = place(model or DEFAULT_MODEL).expanduser()
    if model is not None and (path.exists() or all(entry.name != model for entry in MODELS.entries())):
        return path
    folder: Path = MODELS.load(model or DEFAULT_MODEL)()
    return folder


def check_model(text: str) -> None:
    """Raise ArgusError unless this is a model, a run, a head of a run, a built-in name, or a possible hub id."""
    path = place(text).expanduser()
    if path.is_dir() and not (path / "config.json").exists() and not is_run(path):
        raise ArgusError(
            f"{path} holds no model; give a saved Argus (a folder with config.json), a run of `arena train` "
            "(with HEAD/best.safetensors), or one head of it (with best.safetensors)"
        )
    if path.exists():
        return
    built_in = [entry.name for entry in MODELS.entries()]
    if not is_hub_id(text) and text not in built_in:
        raise ArgusError(
            f"{unknown('model', text, built_in)}. A model is a built-in name, a folder that Argus.save wrote, "
            "a run of `arena train`, or a hub id OWNER/NAME"
        )


def read_roles(path: Path) -> dict[str, Role] | None:
    """The heads of a model or run by name; None if its files do not tell."""
    try:
        if is_run(path):
            return {file.resolve().parent.name: _role(_header(file)) for file in head_files(path)}
        heads = json.loads((path / "config.json").read_text(encoding="utf-8"))["argus"]["heads"]
        return {name: _role(entry) for name, entry in heads.items()}
    except Exception:  # opening the model will report what is wrong
        return None


def find_head(heads: Mapping[str, Role], task: str, which: str | None = None, hint: str = "") -> str:
    """The name of the head for a task: the one called ``which``, or the first; ``hint`` ends the error message."""
    solving = [name for name, role in heads.items() if role.task == task]
    if not solving:
        known = sorted({role.task for role in heads.values()})
        near = difflib.get_close_matches(task, [*known, *heads], n=1)
        remedy = f"did you mean {near[0]!r}?" if near else "give a --model with such a head, or train one"
        raise ArgusError(f"no head here solves {task!r}, but {', '.join(known) or 'nothing'}; {remedy}{hint}")
    if which is None:
        return solving[0]
    accepted = (which, *ALIASES.get(which, ()))
    for name in solving:
        if name in accepted or heads[name].head.partition(".")[2] in accepted:
            return name
    raise ArgusError(f"no head for {task!r} is called {which!r}; there are {', '.join(solving)}{hint}")


def find_heads(heads: Mapping[str, Role], names: Iterable[str], hint: str = "") -> list[str]:
    """The names of heads, given by their own names or by those of tasks."""
    return list(dict.fromkeys(name if name in heads else find_head(heads, name, hint=hint) for name in names))


def check_asked(model: str | None, tasks: Sequence[str] | None, task: str | None, head: str | None) -> None:
    """Raise ArgusError for heads or tasks that a model (or the default) lacks, as far as its files tell."""
    heads = read_roles(folder_of(model))
    if heads and tasks is not None:
        find_heads(heads, tasks)
    if heads and task is not None:
        find_head(heads, task, head)


def _header(file: Path) -> Any:
    with as_local(file) as local, safe_open(local, framework="numpy") as stream:
        return json.loads(stream.metadata()["argus"])


def _role(entry: Mapping[str, Any]) -> Role:
    return Role(entry["task"]["task"], entry["head"])
