"""Trained heads as files: those of a run, the backbone they were trained on, and an Argus of several runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import torch
from pydantic import ConfigDict, create_model

from argus_core.backbones import Backbone, load_backbone
from argus_core.canvas import Canvas
from argus_core.common.options import check_options
from argus_core.errors import ArgusError
from argus_core.head import Head
from argus_core.model import Composition
from argus_core.registry.places import WEIGHTS, head_files
from argus_core.saving.checkpoint import load_head
from argus_core.saving.origin import NotInstalled

A = TypeVar("A", bound=Composition)
Record = dict[str, Any]
Loaded = dict[str, tuple[Head, Record]]


def load_run(path: Path, which: str = "best", missing: dict[str, str] | None = None) -> tuple[dict[str, Head], Record]:
    """The heads of a run folder, or of one head's folder or file in it, and the record they share.

    Heads whose code is not installed raise NotInstalled. If ``missing`` is given and other heads are left, they are
    put into it instead, with what to install.
    """
    loaded, absent = _load_heads(path, which)
    if absent and (missing is None or not loaded):
        raise next(iter(absent.values()))
    if missing is not None:
        missing |= {name: str(error) for name, error in absent.items()}
    return {name: head for name, (head, _) in loaded.items()}, _first_record(loaded)


def assemble(
    kind: type[A],
    paths: Sequence[Path],
    which: str = "best",
    weights: str | Path | None = None,
    device: torch.device | str | None = None,
    allow_missing: bool = False,
) -> A:
    """The heads of several runs, head folders or files as a ``kind`` of Argus, each on its training canvas.

    Heads keep the names of their runs; of two with one name the later gets its task in front. With ``allow_missing``
    heads whose code is not installed are left out, unless none is left: ``Argus.missing`` tells what to install.
    Raises ArgusError for heads that were trained on different backbones.
    """
    if len({path.resolve() for path in paths}) < len(paths):
        raise ArgusError(f"a run is named twice: {', '.join(map(str, paths))}")
    runs: dict[Path, Loaded] = {}
    absent: dict[str, NotInstalled] = {}
    for path in paths:
        loaded, errors = _load_heads(path, which)
        absent |= {name if len(paths) == 1 else f"{path}: {name}": error for name, error in errors.items()}
        if loaded:
            runs[path] = loaded
    if absent and not (allow_missing and runs):
        raise next(iter(absent.values()))
    argus = kind(backbone_of(_shared_record(runs), weights, device))
    argus.missing = {name: str(error) for name, error in absent.items()}
    for loaded in runs.values():
        for name, (head, _) in loaded.items():
            argus.add(name if name not in argus.heads else f"{head.task.name}_{name}", head)
    return argus


def _load_heads(path: Path, which: str) -> tuple[Loaded, dict[str, NotInstalled]]:
    """The heads at ``path`` with their records, and the errors of those whose code is not installed."""
    loaded: Loaded = {}
    absent: dict[str, NotInstalled] = {}
    for file in head_files(path, which):
        name = file.stem if file.stem not in WEIGHTS else file.resolve().parent.name
        try:
            loaded[name] = load_head(file)
        except NotInstalled as error:
            absent[name] = error
    return loaded, absent


def _first_record(loaded: Loaded) -> Record:
    return next(iter(loaded.values()))[1]


def _shared_record(runs: Mapping[Path, Loaded]) -> Record:
    """The first run's record; raises ArgusError for runs on different backbones."""
    records = {path: _first_record(loaded) for path, loaded in runs.items()}
    first = next(iter(records))
    expected = _tokens(records[first], f"{first}: its head")["backbone"]
    for path, record in records.items():
        backbone = _tokens(record, f"{path}: its head")["backbone"]
        for field in ("name", "sha256", "options"):  # options such as mean decide what the network sees
            if backbone[field] != expected[field]:
                raise ArgusError(
                    f"{path} was trained on a backbone with {field} {backbone[field]}, {first} with {expected[field]}; "
                    "one Argus has one backbone"
                )
    return records[first]


def backbone_of(
    record: Mapping[str, Any], weights: str | Path | None = None, device: torch.device | str | None = None
) -> Backbone:
    """The backbone a record names; other weights than the heads were trained on are refused."""
    entry = _tokens(record)["backbone"]
    backbone = load_backbone(entry["name"], weights or entry["weights"], device=device, **entry["options"])
    if backbone.weights_sha256 != entry["sha256"]:
        raise ArgusError(
            f"the heads were trained on {entry['name']} weights {entry['sha256'][:12]}, these are "
            f"{backbone.weights_sha256[:12]}; point --weights to the file used for training"
        )
    return backbone


def canvas_of(record: Mapping[str, Any]) -> Canvas:
    """The canvas the heads were trained on."""
    return Canvas(**_tokens(record)["canvas"])


def _tokens(record: Mapping[str, Any], owner: str = "the head") -> Mapping[str, Any]:
    """The entry of a head's record about its tokens; raises ArgusError for a record without one."""
    tokens = record.get("tokens")
    if not isinstance(tokens, Mapping) or not {"backbone", "canvas"} <= tokens.keys():
        raise ArgusError(
            f"{owner} was saved without a record of backbone and canvas, so its input is unknown; "
            "put it together in Python: Argus(backbone, {'mine': load_head(FILE)[0]}, canvas)"
        )
    return tokens


def set_decoding(head: Head, settings: Mapping[str, Any]) -> None:
    """Change how a head's output becomes predictions, such as ``soft=true`` for soft suppression."""
    decoding = getattr(head, "decoding", None)
    if decoding is None:
        raise ArgusError(f"head {head.name!r} has no decoding options")
    hints = get_type_hints(type(decoding))
    options: dict[str, Any] = {
        field.name: (hints[field.name], getattr(decoding, field.name)) for field in fields(decoding)
    }
    model = create_model("Decoding", __config__=ConfigDict(extra="forbid"), **options)
    head.decoding = type(decoding)(**check_options(model, settings, f"the decoding of head {head.name!r},"))
