"""Opening data sets with the library ``datasets``: saved folders, folders of files that it reads, and hub ids."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import huggingface_hub

from argus_core.common.extras import need
from argus_core.common.offline import offline
from argus_core.errors import ArgusError

if TYPE_CHECKING:
    from datasets import Dataset

Tables = dict[str, "Dataset"]
_HUB_ID = re.compile(r"[\w.-]+(/[\w.-]+)?", re.ASCII)
_COMMIT = re.compile(r"[0-9a-f]{40}")
_CONFIGS = re.compile(r"available configs: (\[.*?\])", re.DOTALL)
_SCRIPT = re.compile(r"found (\S+\.py)")
_LONGEST = 400
"""The most characters of the library's own message that are passed on."""
_POINTER = b"version https://git-lfs"
_LOOKED = 20
"""Tables that are looked at for a reason why none can be opened."""
EXPORT = "refs/convert/parquet"
"""The revision under which the hub keeps data sets as tables, whatever code they were once loaded with."""


def load_tables(path: str | Path, config: str = "", revision: str = "") -> Tables:
    """The tables that ``path`` holds, by the library's name of their split; a table without one is called ``all``.

    A path that is there is a folder; else it is an id on the hub, which needs the network unless its data set is in the
    library's cache. No code of a data set is run. Raises ArgusError with what the library could not open, and why.
    """
    folder, library = Path(path).expanduser(), _library()
    on_hub = not folder.exists()
    _check_place(folder, str(path), on_hub, revision)
    try:
        with _calm(library):
            if on_hub:
                return _from_hub(library, str(path), config, revision)
            if is_saved(folder):
                return _from_disk(library, folder)
            return _by_name(library.load_dataset(str(folder.resolve()), config or None))
    except ArgusError:
        raise
    except Exception as error:  # the library raises errors of a dozen others
        raise _not_opened(str(path), error, on_hub) from error


def is_saved(folder: Path) -> bool:
    """Whether a folder was written by ``save_to_disk``."""
    return (folder / "dataset_dict.json").is_file() or all(
        (folder / name).is_file() for name in ("state.json", "dataset_info.json")
    )


def _by_name(found: Any) -> Tables:
    """The tables of what the library returns: one table, or a mapping of them."""
    tables = found if isinstance(found, Mapping) else {found.split or "all": found}
    return {str(name): table for name, table in tables.items()}


def _from_disk(library: ModuleType, folder: Path) -> Tables:
    """What ``save_to_disk`` wrote; the library itself does not read back what has no rows."""
    if (folder / "dataset_dict.json").is_file():
        splits = json.loads((folder / "dataset_dict.json").read_bytes())["splits"]
        return {name: next(iter(_from_disk(library, folder / name).values())) for name in splits}
    if not json.loads((folder / "state.json").read_bytes())["_data_files"]:
        return {"all": library.Dataset.from_dict({})}
    return _by_name(library.load_from_disk(str(folder)))


def _from_hub(library: ModuleType, path: str, config: str, revision: str) -> Tables:
    """What the hub has under an id; raises ArgusError if it is not the revision that was asked for."""
    commit = _commit(path, revision)
    tables = _by_name(library.load_dataset(path, config or None, revision=commit or None))
    # Where the hub fails, the library takes what is in its cache, whatever revision that is of.
    found = {Path(entry["filename"]).parent.name for table in tables.values() for entry in table.cache_files}
    if commit and found - {commit}:
        raise ArgusError(f"{path}: the hub does not give revision {commit}; the cache has {', '.join(sorted(found))}")
    return tables


def _commit(path: str, revision: str) -> str:
    """The commit on the hub that ``revision`` names; none if it is empty."""
    if not revision or _COMMIT.fullmatch(revision):
        return revision
    if huggingface_hub.constants.HF_HUB_OFFLINE:
        raise ArgusError(f"revision={revision} of {path} is looked up on the hub; offline give the commit, 40 digits")
    return str(huggingface_hub.HfApi().dataset_info(path, revision=revision).sha)


def _library() -> ModuleType:
    library = need("datasets", "datasets")
    if not hasattr(library, "load_from_disk"):
        places = ", ".join(getattr(library, "__path__", [])) or str(library.__file__)
        raise ArgusError(f"'import datasets' finds {places}, not the library; rename it, or start from another folder")
    return library


def _check_place(folder: Path, path: str, on_hub: bool, revision: str) -> None:
    if not on_hub:
        if not folder.is_dir():
            raise ArgusError(f"{folder} is a file; give the folder that holds it")
        if revision:
            raise ArgusError(f"revision={revision} is for data sets on the hub, and {folder} is a folder")
    elif not _HUB_ID.fullmatch(path):
        raise ArgusError(f"{folder}: no such folder, and no id on the hub, which is USER/NAME")


@contextmanager
def _calm(library: ModuleType) -> Iterator[None]:
    """The library without counting downloads at its publisher, without bars in a log, and offline where Argus is."""
    with ExitStack() as stack:
        stack.enter_context(_changed(library.config, "HF_UPDATE_DOWNLOAD_COUNTS", False))
        if offline():
            stack.enter_context(_changed(library.config, "HF_HUB_OFFLINE", True))
            stack.enter_context(_changed(huggingface_hub.constants, "HF_HUB_OFFLINE", True))
        if not sys.stderr.isatty() and not library.are_progress_bars_disabled():
            library.disable_progress_bars()
            stack.callback(library.enable_progress_bars)
        yield


@contextmanager
def _changed(module: ModuleType, name: str, value: Any) -> Iterator[None]:
    before = getattr(module, name)
    setattr(module, name, value)
    try:
        yield
    finally:
        setattr(module, name, before)


def _not_opened(path: str, error: Exception, on_hub: bool) -> ArgusError:
    while type(error).__name__ == "DatasetGenerationError" and isinstance(error.__cause__, Exception):
        error = error.__cause__  # this one says what happened, the other that something did
    text = " ".join(str(error).split())
    if script := _SCRIPT.search(text) if "script" in text else None:
        remedy = f"try revision={EXPORT}" if on_hub else "save its tables where you trust it, with save_to_disk"
        return ArgusError(f"{path} is loaded by a program, {script[1]}, and no code of a data set is run; {remedy}")
    if configs := _CONFIGS.search(str(error)):
        return ArgusError(f"{path} holds several data sets; add config=NAME, one of {configs[1]}")
    text = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
    if not on_hub and (pointer := _pointer(Path(path).expanduser())):
        return ArgusError(f"{pointer} is a pointer of Git LFS, not the data: fetch them with git lfs pull")
    if not on_hub:
        return ArgusError(f"{path}: the library datasets cannot open it: {type(error).__name__}: {text}")
    where = f"there is no folder {path}, and the data set of this id on the hub cannot be opened"
    if offline() or huggingface_hub.constants.HF_HUB_OFFLINE:
        name = "ARGUS_OFFLINE" if offline() else "HF_HUB_OFFLINE"
        return ArgusError(f"{where}: {name} forbids fetching it, and it is not in the library's cache")
    return ArgusError(f"{where}: {type(error).__name__}: {text}")


def _pointer(folder: Path) -> Path | None:
    """A table that ``git clone`` left without its content."""
    for file in islice((file for file in folder.rglob("*") if file.suffix in (".arrow", ".parquet")), _LOOKED):
        with file.open("rb") as stream:
            if stream.read(len(_POINTER)) == _POINTER:
                return file
    return None
