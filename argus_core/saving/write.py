"""Saving an Argus."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, is_dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from argus_core.common.files import write_json
from argus_core.common.folders import check_local as local_only
from argus_core.common.tensors import tensors_sha256, write_tensors
from argus_core.errors import ArgusError
from argus_core.head import Head
from argus_core.registry import BACKBONES, HEADS
from argus_core.saving.build import head_class, task_to_dict
from argus_core.saving.checkpoint import save_head
from argus_core.saving.config import (
    CONFIG,
    FORMAT,
    HEADS_ONLY,
    KEY,
    BackboneEntry,
    BundleConfig,
    HeadEntry,
    check_local,
    file_of,
    is_bundle,
    read_config,
)
from argus_core.saving.origin import origin_of
from argus_core.saving.tensors import State, backbone_state, flatten, halved, portable, restored_sha256, rounded
from argus_core.tokens import FeatureInfo
from argus_core.version import API_VERSION

if TYPE_CHECKING:
    from argus_core.backbones import Backbone
    from argus_core.model import Composition


def save(
    argus: Composition,
    folder: str | Path,
    variant: str | None = None,
    per_head: bool = False,
    beside: dict[str, Any] | None = None,
) -> None:
    """Write the weights file of a variant and config.json, which then knows all variants saved of this Argus.

    ``bf16_backbone`` stores the backbone, and nothing else, in bfloat16. ``heads`` stores the heads alone, in float16;
    whoever loads them must have the backbone's weights under its name. ``per_head`` also writes every head as
    ``heads/NAME.safetensors``, as ``load_head`` reads them. ``beside`` are values for other libraries. Raises
    ArgusError for parts that could not be built again by name.
    """
    folder, file = Path(folder), file_of(variant)
    check_ground(folder, file)
    _check_complete(argus, folder)
    state = backbone_state(argus.backbone)
    stored = rounded(state) if variant == "bf16_backbone" else state
    whole = {name: dict(argus.head(name).state_dict()) for name in argus.heads}
    heads = {name: halved(one) for name, one in whole.items()} if variant == HEADS_ONLY else whole
    made = _config(argus, {file: restored_sha256(stored, state)}, heads)
    config = _with_other_files(made, folder)
    write_tensors(folder / file, flatten({} if variant == HEADS_ONLY else stored, heads), {"format": "pt"})
    if per_head:
        for name in argus.heads:
            write_head(folder / "heads" / f"{name}.safetensors", argus.head(name), made.heads[name])
    write_json(folder / CONFIG, {**(beside or {}), KEY: config.model_dump(mode="json")})


def check_ground(folder: Path, *files: str) -> None:
    """Raise ArgusError for an address, and rather than write over files of a folder that holds no saved Argus."""
    local_only(folder)
    there = [name for name in (CONFIG, *files) if (folder / name).exists()]
    if there and not is_bundle(folder):
        raise ArgusError(f"{folder} holds {' and '.join(there)}, and no saved Argus; save to another folder")


def _check_complete(argus: Composition, folder: Path) -> None:
    """Raise ArgusError rather than lose the heads that could not be loaded, where they may be the only copy."""
    if argus.missing and (folder / CONFIG).exists():
        raise ArgusError(
            f"{', '.join(argus.missing)} could not be loaded and would be lost from {folder}; save to another folder"
        )


def write_head(path: Path, head: Head, entry: HeadEntry) -> None:
    """One head alone; its record gets the canvas and the terms, where it did not have them."""
    canvas = {"canvas": entry.canvas.to_dict()} if entry.canvas else {}
    tokens = {**canvas, **(entry.record.get("tokens") or {})}
    save_head(path, head, {"license": {"id": entry.license}, **entry.record, "tokens": tokens})


def _config(argus: Composition, files: dict[str, str], heads: Mapping[str, State]) -> BundleConfig:
    licenses = argus.licenses()
    return BundleConfig(
        format=FORMAT,
        version=version("argus-perception"),
        api_version=API_VERSION,
        canvas=argus.canvas,
        backbone=_backbone(argus.backbone),
        heads={
            name: _head(name, argus.head(name), heads[name], licenses[f"head {name}"].id, argus.backbone.info)
            for name in argus.heads
        },
        licenses=licenses.to_dict(),
        files=files,
    )


def _backbone(backbone: Backbone) -> BackboneEntry:
    registered = BACKBONES.find(backbone.name.partition(":")[0]).name
    entry = BackboneEntry(
        name=backbone.name,
        options=_options(f"backbone {backbone.name!r}", backbone.options),
        info=backbone.info,
        mean=backbone.mean,
        std=backbone.std,
        license=backbone.license,
        weights_sha256=backbone.weights_sha256,
        origin=origin_of(BACKBONES, registered),
    )
    check_local(entry)
    return entry


def _head(name: str, head: Head, state: State, license: str, info: FeatureInfo) -> HeadEntry:
    if not re.fullmatch(r"[\w-]+", name):
        raise ArgusError(f"head {name!r} cannot be saved under this name; use letters, digits, _ and -")
    if not head.name or head_class(head.name) is not type(head):
        raise ArgusError(
            f"head {name!r} ({type(head).__name__}) could not be built again: register its class "
            "and make it with build_head(NAME, ...)"
        )
    entry, decoding = HEADS.find(head.name), getattr(head, "decoding", None)
    changed = is_dataclass(decoding) and decoding != getattr(type(head), "decoding", None)
    return HeadEntry(
        head=entry.name,
        distribution=entry.distribution,
        version=entry.version,
        options=_options(f"head {name!r}", head.restore_options(head.options)),
        task=task_to_dict(head.task),
        canvas=head.canvas,
        decoding=asdict(decoding) if changed and is_dataclass(decoding) else None,  # type: ignore[arg-type]
        parameters=sum(p.numel() for p in head.parameters()),
        license=license,
        weights_sha256=tensors_sha256(state),
        record=portable(head.record),
        info=None if head.info == info else head.info,
    )


def _options(what: str, options: dict[str, Any]) -> dict[str, Any]:
    try:
        return {key: portable(value) for key, value in options.items()}
    except ArgusError as error:
        raise ArgusError(f"options of {what}: {error}") from error


def _with_other_files(made: BundleConfig, folder: Path) -> BundleConfig:
    """Keep what a configuration in the folder says of other variants, if it is of the same Argus."""
    with suppress(ArgusError):
        held = read_config(folder)
        if held.model_copy(update={"files": made.files}) == made:
            return made.model_copy(update={"files": {**held.files, **made.files}})
    return made
