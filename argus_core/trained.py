"""Trained heads as files: those of a run, the backbone they were trained on, and an Argus of several runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from argus_core.argus import Argus
from argus_core.backbones import Backbone, load_backbone
from argus_core.canvas import Canvas
from argus_core.checkpoint import load_head
from argus_core.errors import ArgusError, unknown
from argus_core.head import Head


def load_run(path: Path, which: str = "best") -> tuple[dict[str, Head], dict[str, Any]]:
    """The heads of a run folder, or of one head's folder or file in it, and the record they share."""
    if which not in ("best", "last"):
        raise ArgusError(f"weights {which!r} are not one of best, last")
    if path.is_file():
        files = [path]
    else:
        files = [path / f"{which}.safetensors"] if (path / f"{which}.safetensors").exists() else []
        files = files or sorted(path.glob(f"*/{which}.safetensors"))
    if not files:
        raise ArgusError(f"{path} holds no {which}.safetensors; give a run folder or one head's folder inside it")
    loaded = {file.resolve().parent.name: load_head(file) for file in files}
    record = next(iter(loaded.values()))[1]
    return {name: head for name, (head, _) in loaded.items()}, record


def assemble(
    paths: Sequence[Path], which: str = "best", weights: Path | None = None, device: str | None = None
) -> Argus:
    """An Argus of the heads of several runs (or head folders or files), each on the canvas it was trained on.

    Heads are called as in their runs; of two with one name the later gets its task in front. Raises ArgusError for
    heads that were trained on different backbones.
    """
    if len({path.resolve() for path in paths}) < len(paths):
        raise ArgusError(f"a run is named twice: {', '.join(map(str, paths))}")
    loaded = [load_run(path, which) for path in paths]
    records = [record for _, record in loaded]
    first = records[0]["tokens"]["backbone"]
    for path, record in zip(paths, records, strict=True):
        other = record["tokens"]["backbone"]
        for field in ("name", "sha256", "options"):  # options such as mean decide what the network sees
            if other[field] != first[field]:
                raise ArgusError(
                    f"{path} was trained on a backbone with {field} {other[field]}, {paths[0]} with {first[field]}; "
                    "one Argus has one backbone"
                )
    argus = Argus(backbone_of(records[0], weights, device))
    for heads, _ in loaded:
        for name, head in heads.items():
            argus.add(name if name not in argus.heads else f"{head.task.name}_{name}", head)
    return argus


def backbone_of(record: Mapping[str, Any], weights: Path | None, device: str | None) -> Backbone:
    """The backbone a record names; other weights than the heads were trained on are refused."""
    made = record["tokens"]["backbone"]
    backbone = load_backbone(made["name"], weights or made["weights"], device=device, **made["options"])
    if backbone.weights_sha256 != made["sha256"]:
        raise ArgusError(
            f"the heads were trained on {made['name']} weights {made['sha256'][:12]}, these are "
            f"{backbone.weights_sha256[:12]}; point --weights to the file used for training"
        )
    return backbone


def canvas_of(record: Mapping[str, Any]) -> Canvas:
    """The canvas the heads were trained on."""
    return Canvas(**record["tokens"]["canvas"])


def set_decoding(head: Head, settings: Mapping[str, Any]) -> None:
    """Change how a head's output becomes predictions, such as ``soft=true`` for soft suppression."""
    decoding = getattr(head, "decoding", None)
    if decoding is None:
        raise ArgusError(f"head {head.name!r} has no decoding options")
    known = {field.name for field in fields(decoding)}
    for key in settings:
        if key not in known:
            raise unknown("decoding option", key, known)
    try:
        head.decoding = TypeAdapter(type(decoding)).validate_python({**asdict(decoding), **settings})
    except ValidationError as error:
        lines = [f"{'.'.join(map(str, e['loc']))} = {e['input']!r}: {e['msg']}" for e in error.errors()]
        raise ArgusError("decoding option " + "; ".join(lines)) from error
