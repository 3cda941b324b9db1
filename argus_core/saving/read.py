"""Loading an Argus: everything is built by registered name, and no code of the folder is run."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TypeVar

import torch

from argus_core.backbones import Backbone, load_backbone
from argus_core.common.tensors import tensors_sha256
from argus_core.errors import ArgusError
from argus_core.head import Head
from argus_core.model import Composition
from argus_core.registry import BACKBONES, HEADS, TASKS
from argus_core.saving.build import head_class, registered_head, task_from_dict
from argus_core.saving.checkpoint import load_state
from argus_core.saving.config import (
    CONFIG,
    FILES,
    HEADS_ONLY,
    BackboneEntry,
    BundleConfig,
    HeadEntry,
    check_local,
    file_of,
    find_folder,
    read_config,
)
from argus_core.saving.origin import NotInstalled, check_api, check_installed, trained_on
from argus_core.saving.runs import set_decoding
from argus_core.saving.tensors import State, read_heads

A = TypeVar("A", bound=Composition)


def load(
    kind: type[A],
    source: str | Path,
    variant: str | None = None,
    device: torch.device | str | None = None,
    allow_missing: bool = False,
    revision: str | None = None,
) -> A:
    """The Argus of class ``kind`` of a folder, a built-in name or a hub id; float32 whatever the variant.

    Heads whose package is not installed raise ArgusError, or are left out with ``allow_missing``: ``Argus.missing``
    tells why. ``revision`` picks a version of a hub repository. Raises ArgusError for whatever does not fit.
    """
    folder = find_folder(source, file_of(variant), revision)
    config = read_config(folder)
    alone = variant is None and list(config.files) == [FILES[HEADS_ONLY]]
    file = file_of(HEADS_ONLY if alone else variant)
    check_api(config.api_version, str(folder))
    if file not in config.files:
        raise ArgusError(f"{folder} was not saved with variant {variant!r}; it has {', '.join(config.files)}")
    argus = kind(_backbone(config, folder / file), canvas=config.canvas)
    states = read_heads(folder / file)
    _check_canvases(config, folder)
    missing = {name: why for name, entry in config.heads.items() if (why := _absent(entry))}
    if missing and not allow_missing:
        raise ArgusError(_needed(folder, missing))
    for name, entry in config.heads.items():
        if name not in missing:
            head = _head(name, entry, config.backbone, states.get(name, {}), folder / file)
            argus.add(name, head, strict=False)  # they fitted, or were let pass, when they were put together
    strays = states.keys() - config.heads.keys()
    if strays:
        raise ArgusError(f"{folder / file} holds tensors of {sorted(strays)}, heads that config.json does not have")
    argus.missing = missing
    return argus.eval() if device is None else argus.eval().to(device)


def _backbone(config: BundleConfig, path: Path) -> Backbone:
    """The network by name with the folder's tensors; its preprocessing and terms are those that were saved."""
    entry = config.backbone
    check_local(entry)
    check_installed(BACKBONES, entry.name.partition(":")[0], entry.origin, str(path.parent))
    alone = path.name == FILES[HEADS_ONLY]
    backbone = load_backbone(entry.name, None if alone else path, **entry.options)
    if alone and backbone.weights_sha256 != config.files[path.name]:
        raise ArgusError(
            f"the heads in {path.parent} were trained on {entry.name} weights {entry.weights_sha256[:12]}, those here "
            f"are {backbone.weights_sha256[:12]}; install the weights that the heads were trained on"
        )
    if backbone.weights_sha256 != config.files[path.name]:
        raise ArgusError(
            f"the backbone in {path} has sha256 {backbone.weights_sha256[:12]}, config.json says "
            f"{config.files[path.name][:12]}: the files are damaged or of different models; fetch or save both again"
        )
    _check_info(entry, backbone, path)
    if path.name == FILES[None] and backbone.weights_sha256 != entry.weights_sha256:
        raise ArgusError(f"config.json beside {path} tells of two backbones in one file; fetch or save both again")
    if backbone.weights_sha256 != entry.weights_sha256:
        backbone.rounded_from = entry.weights_sha256
    backbone.mean, backbone.std, backbone.license = entry.mean, entry.std, entry.license
    return backbone


def _check_info(entry: BackboneEntry, backbone: Backbone, path: Path) -> None:
    if backbone.info != entry.info:
        raise ArgusError(
            f"backbone {entry.name!r} gives {backbone.info} here, {path.parent} was saved with {entry.info}; "
            "install the timm it was saved with"
        )


def _check_canvases(config: BundleConfig, folder: Path) -> None:
    for name, entry in config.heads.items():
        if config.canvas is None and entry.canvas is None:
            raise ArgusError(
                f"head {name!r} in {folder} was saved without the canvas that it sees; write one into its entry in "
                f'{CONFIG}, such as "canvas": {{"height": 320, "width": 320}}, and load again'
            )


def _absent(entry: HeadEntry) -> str | None:
    """Why a head cannot be built here, if so: its class, or that of its task, cannot be imported."""
    origin = {"distribution": entry.distribution, "version": entry.version}
    try:
        check_installed(HEADS, entry.head, origin)
        check_installed(TASKS, str(entry.task.get("task")), origin)
    except NotInstalled as error:
        return f"{entry.head} of {entry.distribution} {entry.version}".rstrip() + f": {error}"
    return None


def _needed(folder: Path, missing: Mapping[str, str]) -> str:
    named = "; ".join(f"{name!r} is {why}" for name, why in missing.items())
    return (
        f"{folder} holds heads that cannot be built here: {named}. Do what is said, or leave these heads out "
        "with allow_missing=True (--allow-missing)"
    )


def _head(name: str, entry: HeadEntry, made: BackboneEntry, state: State, path: Path) -> Head:
    options = head_class(entry.head).restore_options(entry.options)
    try:
        head = registered_head(entry.head, entry.info or made.info, task_from_dict(entry.task), options)
        load_state(head, state, f"{path}, heads.{name},")
    except ArgusError as error:
        raise ArgusError(f"head {name!r}: {error}{_versions(entry)}") from error
    if tensors_sha256(state) != entry.weights_sha256:
        raise ArgusError(f"head {name!r} in {path} is not the one config.json tells of; fetch or save both again")
    if entry.decoding is not None:
        set_decoding(head, entry.decoding)
    head.canvas, head.record = entry.canvas, entry.record
    head.backbone_sha256 = trained_on(entry.record) or made.weights_sha256
    return head.eval()


def _versions(entry: HeadEntry) -> str:
    """What to install, if the head was saved by another version of its distribution."""
    try:
        here = version(entry.distribution)
    except PackageNotFoundError:
        here = HEADS.find(entry.head).version
    if here == entry.version:
        return ""
    return f" It was saved with {entry.distribution} {entry.version}, here is {here}: install that, or train it again"
