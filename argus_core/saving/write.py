"""Saving an Argus: its tensors as ``backbone.KEY`` and ``heads.NAME.KEY``, everything else in config.json."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, is_dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from argus_core.backbones.weights import rope_periods
from argus_core.common.files import write_json
from argus_core.common.folders import check_local
from argus_core.common.places import place
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
    file_of,
    is_bundle,
    portable,
    read_config,
)
from argus_core.saving.origin import origin_of
from argus_core.tokens import FeatureInfo
from argus_core.version import API_VERSION

if TYPE_CHECKING:
    from argus_core.backbones import Backbone
    from argus_core.model import Composition

State = dict[str, Tensor]


def save(
    argus: Composition,
    folder: str | Path,
    variant: str | None = None,
    per_head: bool = False,
    extra: Mapping[str, Any] | None = None,
) -> None:
    """Write the weights file of a variant and config.json, which then knows all variants saved of this Argus.

    ``bf16_backbone`` stores the backbone, and nothing else, in bfloat16. ``heads`` stores the heads alone, in float16;
    the backbone's weights must be installed under its name where they are loaded. ``per_head`` also writes every head
    as ``heads/NAME.safetensors``, as ``load_head`` reads them. ``extra`` are values of other libraries for config.json.
    Raises ArgusError for parts that could not be built again by name.
    """
    folder, file = place(folder), file_of(variant)
    check_folder(folder, file)
    if lost := _lost(argus, folder):  # the folder may hold the only copy of the missing heads
        raise ArgusError(
            f"{', '.join(lost)} could not be loaded and would be lost from {folder}; save to another folder"
        )
    state = _backbone_state(argus.backbone)
    stored = _rounded(state) if variant == "bf16_backbone" else state
    heads = {name: dict(argus.head(name).state_dict()) for name in argus.heads}
    if variant == HEADS_ONLY:
        heads = {name: _halved(head) for name, head in heads.items()}
    # The backbone that will be loaded: the stored tensors, in the types of its own.
    sha256 = tensors_sha256({key: value.to(state[key].dtype) for key, value in stored.items()})
    config = _config(argus, {file: sha256}, heads)
    tensors = {f"heads.{name}.{key}": value for name, head in heads.items() for key, value in head.items()}
    if variant != HEADS_ONLY:
        tensors |= {f"backbone.{key}": value for key, value in stored.items()}
    merged = _with_other_files(config, folder)
    write_tensors(folder / file, tensors, {"format": "pt"})
    for name in argus.heads if per_head else ():
        _write_head(folder / "heads" / f"{name}.safetensors", argus.head(name), config.heads[name])
    write_json(folder / CONFIG, {**(extra or {}), KEY: merged.model_dump(mode="json")})


def check_folder(folder: Path, *files: str) -> None:
    """Raise ArgusError rather than write over files of a folder that holds no saved Argus."""
    check_local(folder)
    present = [name for name in (CONFIG, *files) if (folder / name).exists()]
    if present and not is_bundle(folder):
        raise ArgusError(f"{folder} holds {' and '.join(present)}, and no saved Argus; save to another folder")


def _lost(argus: Composition, folder: Path) -> list[str]:
    """The heads that a folder has, and this Argus was loaded without."""
    if not argus.missing or not (folder / CONFIG).exists():
        return []
    return [name for name in argus.missing if name in read_config(folder).heads]


def _backbone_state(backbone: Backbone) -> State:
    """Every tensor that shapes the output; raises ArgusError if they are not those that were loaded."""
    state = {**backbone.model.state_dict(), **rope_periods(backbone.model)}
    plain = all(type(value) is Tensor for value in state.values())
    if not plain or tensors_sha256(state) != backbone.weights_sha256:
        raise ArgusError(
            f"the weights of backbone {backbone.name!r} are not those it was loaded with, as after quantising or "
            "half(); save the Argus before that"
        )
    return state


def _rounded(state: State) -> State:
    """A backbone's floating-point tensors in bfloat16; RoPE periods stay as they are, for they shape every position."""
    return {
        key: value.bfloat16() if value.is_floating_point() and not key.endswith("periods") else value
        for key, value in state.items()
    }


def _halved(state: State) -> State:
    """A head's floating-point tensors in float16; raises ArgusError for numbers that it cannot hold."""
    halved = {key: value.half() if value.is_floating_point() else value for key, value in state.items()}
    large = [key for key, value in halved.items() if value.is_floating_point() and not value.isfinite().all()]
    if large:
        raise ArgusError(f"{', '.join(large)} hold numbers beyond 65504, which float16 cannot; save another variant")
    return halved


def _write_head(path: Path, head: Head, entry: HeadEntry) -> None:
    """One head alone; canvas and terms are added to its record where it does not have them."""
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
    return BackboneEntry(
        name=backbone.name,
        options=_options(f"backbone {backbone.name!r}", backbone.options),
        info=backbone.info,
        mean=backbone.mean,
        std=backbone.std,
        license=backbone.license,
        weights_sha256=backbone.weights_sha256,
        origin=origin_of(BACKBONES, BACKBONES.find(backbone.name.partition(":")[0]).name),
    )


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
        calibration=head.calibration,
    )


def _options(owner: str, options: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return {key: portable(value) for key, value in options.items()}
    except ArgusError as error:
        raise ArgusError(f"options of {owner}: {error}") from error


def _with_other_files(config: BundleConfig, folder: Path) -> BundleConfig:
    """Keep the files of other variants that a configuration in the folder lists, if it is of the same Argus."""
    with suppress(ArgusError):
        present = read_config(folder)
        if present.model_copy(update={"files": config.files}) == config:
            return config.model_copy(update={"files": {**present.files, **config.files}})
    return config
