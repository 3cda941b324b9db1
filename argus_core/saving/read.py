"""Loading an Argus: everything is built by registered name, and no code of the folder is run."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor

from argus_core.backbones import Backbone, load_backbone
from argus_core.common.tensors import tensors_sha256
from argus_core.errors import ArgusError
from argus_core.head import Head
from argus_core.model import Composition
from argus_core.registry import BACKBONES
from argus_core.saving.checkpoint import check_code, load_state, read_tensors, rebuild_head
from argus_core.saving.config import (
    CONFIG,
    FILES,
    HEADS_ONLY,
    BackboneEntry,
    BundleConfig,
    HeadEntry,
    file_of,
    read_config,
)
from argus_core.saving.origin import NotInstalled, check_api, check_installed, differs, trained_on
from argus_core.saving.runs import set_decoding
from argus_core.saving.source import Source, find_source

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
    tells why. ``revision`` picks a version of a hub repository, as ``OWNER/NAME@REVISION`` does; a folder here of the
    same name wins. Raises ArgusError for files that do not fit together.
    """
    found = find_source(source, revision)
    config = read_config(found.folder, str(found))
    check_api(config.api_version, str(found))
    file = _file(config, variant, found)
    check_installed(BACKBONES, config.backbone.name.partition(":")[0], config.backbone.origin, str(found))
    missing = {name: reason for name, entry in config.heads.items() if (reason := _missing(entry))}
    if missing and not allow_missing:
        raise ArgusError(_needed(found, missing))
    path = found.file(file)  # now, because nobody wants to wait for weights that cannot be used
    try:
        argus = _build(kind, config, path, missing)
    except ArgusError as error:
        raise ArgusError(f"{error}{found.advice()}") from error
    argus.missing = missing
    return argus.eval() if device is None else argus.eval().to(device)


def _file(config: BundleConfig, variant: str | None, source: Source) -> str:
    """The weights file of a variant; of None the first that there is, for a bundle may have been saved with others."""
    wanted = file_of(variant)
    has = {name: file for name, file in FILES.items() if file in config.files}
    if wanted in has.values():
        return wanted
    if variant is None and has:
        return next(iter(has.values()))
    raise ArgusError(f"{source} was not saved with variant {variant!r}; it has {', '.join(map(str, has)) or 'none'}")


def _build(kind: type[A], config: BundleConfig, path: Path, missing: Collection[str]) -> A:
    argus = kind(_backbone(config, path), canvas=config.canvas)
    states = _read_heads(path)
    _check_names(config, states, path)
    for name, entry in config.heads.items():
        if name not in missing:
            head = _head(name, entry, config.backbone, states.get(name, {}), path)
            argus.add(name, head, strict=False)  # whether they fit was decided when the Argus was put together
    return argus


def _backbone(config: BundleConfig, path: Path) -> Backbone:
    """The network by name with the folder's tensors; its preprocessing and terms are those that were saved."""
    entry, expected = config.backbone, config.files[path.name]
    only_heads = path.name == FILES[HEADS_ONLY]
    backbone = load_backbone(entry.name, None if only_heads else path, **entry.options)
    sha256 = backbone.weights_sha256
    if only_heads and sha256 != expected:
        raise ArgusError(
            f"the heads in {path.parent} were trained on {entry.name} weights {entry.weights_sha256[:12]}, those here "
            f"are {sha256[:12]}; install the weights that the heads were trained on"
        )
    if sha256 != expected:
        raise ArgusError(
            f"the backbone in {path} has sha256 {sha256[:12]}, config.json says {expected[:12]}: "
            "the files are damaged or of different models; fetch or save both again"
        )
    _check_info(entry, backbone, path)
    if path.name == FILES[None] and sha256 != entry.weights_sha256:
        raise ArgusError(f"config.json beside {path} describes two backbones in one file; fetch or save both again")
    if sha256 != entry.weights_sha256:
        backbone.rounded_from = entry.weights_sha256
    backbone.mean, backbone.std, backbone.license = entry.mean, entry.std, entry.license
    return backbone


def _check_info(entry: BackboneEntry, backbone: Backbone, path: Path) -> None:
    if backbone.info != entry.info:
        raise ArgusError(
            f"backbone {entry.name!r} gives {backbone.info} here, {path.parent} was saved with {entry.info}; "
            "install the timm it was saved with"
        )


def _read_heads(path: Path) -> dict[str, dict[str, Tensor]]:
    """The heads' tensors by head; raises ArgusError for a damaged file and for tensors of nothing."""
    heads: dict[str, dict[str, Tensor]] = {}
    for key, value in read_tensors(path, skip="backbone.")[1].items():
        owner, name, inner = (*key.split(".", 2), "", "")[:3]
        if owner != "heads" or not inner:
            raise ArgusError(f"{path} holds {key}, of neither backbone nor head; fetch or save it again")
        heads.setdefault(name, {})[inner] = value
    return heads


def _check_names(config: BundleConfig, states: Mapping[str, object], path: Path) -> None:
    """Raise ArgusError for a head without canvas, and for tensors of a head that config.json does not have."""
    for name, entry in config.heads.items():
        if config.canvas is None and entry.canvas is None:
            raise ArgusError(
                f"head {name!r} in {path.parent} was saved without the canvas that it sees; write one into its entry "
                f'in {CONFIG}, such as "canvas": {{"height": 320, "width": 320}}, and load again'
            )
    strays = states.keys() - config.heads.keys()
    if strays:
        raise ArgusError(f"{path} holds tensors of {sorted(strays)}, heads that config.json does not have")


def _missing(entry: HeadEntry) -> str | None:
    """Why a head cannot be built here: its class, or that of its task, cannot be imported."""
    try:
        check_code(entry.head, entry.task, entry.origin, entry.origin)
    except NotInstalled as error:
        return f"{entry.head} of {entry.distribution} {entry.version}".rstrip() + f": {error}"
    return None


def _needed(source: Source, missing: Mapping[str, str]) -> str:
    listed = "; ".join(f"{name!r} is {reason}" for name, reason in missing.items())
    return (
        f"{source} holds heads that cannot be built here: {listed}. Follow this advice, or leave these heads out "
        "with allow_missing=True (--allow-missing)"
    )


def _head(name: str, entry: HeadEntry, backbone: BackboneEntry, state: Mapping[str, Tensor], path: Path) -> Head:
    try:
        head = rebuild_head(entry.head, entry.options, entry.task, entry.info or backbone.info)
        load_state(head, state, f"{path}, heads.{name},")
    except ArgusError as error:
        other = differs(entry.origin)
        advice = f" It was {other}: install that, or train it again" if other else ""
        raise ArgusError(f"head {name!r}: {error}{advice}") from error
    if tensors_sha256(state) != entry.weights_sha256:
        raise ArgusError(f"head {name!r} in {path} is not the one that config.json describes; fetch or save both again")
    if entry.decoding is not None:
        set_decoding(head, entry.decoding)
    head.canvas, head.record, head.calibration = entry.canvas, entry.record, entry.calibration
    head.backbone_sha256 = trained_on(entry.record) or backbone.weights_sha256
    return head.eval()
