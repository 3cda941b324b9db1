"""Any timm model with intermediate outputs as a backbone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import timm
from torch import nn

from argus_core.backbones.base import Backbone, Precision, Triple
from argus_core.backbones.hub import published_weights
from argus_core.backbones.weights import load_strict, read_tensors
from argus_core.common.license import find_license
from argus_core.errors import ArgusError, unknown
from argus_core.tokens import FeatureInfo

__all__ = ["build", "feature_info", "timm_backbone", "wrap"]


def timm_backbone(
    name: str,
    weights: str | Path | None = None,
    *,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    license: str | None = None,
    precision: Precision = "auto",
    **model_options: Any,
) -> Backbone:
    """The timm model ``name`` with the weights of a local file under timm's names, else with the published weights.

    ``mean`` and ``std`` default to those of the published weights, ``license`` to theirs, or to ``unknown`` for a local
    file. ``model_options`` such as ``pad_type="same"`` go to the network.
    """
    _check_known(name)  # before weights are looked for
    if weights is None:
        model = build(name, published_weights(name), **model_options)
    else:
        model = build(name, **model_options)
        load_strict(model, read_tensors(weights), weights, ignore=_classifiers(model))
        license = license or "unknown"
    return wrap(model, f"timm:{name}", license=license, mean=mean, std=std, precision=precision)


def build(name: str, weights: Path | None = None, **options: Any) -> nn.Module:
    """A timm network without classifier, with dynamic input size if it supports that, and published ``weights``."""
    _check_known(name)
    options = {"num_classes": 0, **options}
    if weights is not None:
        # Some models are published as JAX arrays, and older timm expects these of any file of such a model.
        overlay = {"file": str(weights), "custom_load": False}
        options |= {"pretrained": True, "pretrained_cfg_overlay": overlay}
    try:
        return _create(name, options)
    except TypeError as error:
        raise ArgusError(f"timm cannot build {name} with options {options}: {error}") from error


def wrap(
    model: nn.Module,
    name: str,
    *,
    license: str | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    precision: Precision = "auto",
) -> Backbone:
    """A backbone of a loaded timm network; other values default to those of the network's configuration."""
    config: dict[str, Any] = getattr(model, "pretrained_cfg", {})
    return Backbone(
        model,
        feature_info(model, name),
        name=name,
        mean=_triple("mean", mean or config["mean"]),
        std=_triple("std", std or config["std"]),
        license=find_license(license or config.get("license")).id,
        precision=precision,
    )


def feature_info(model: nn.Module, name: str) -> FeatureInfo:
    """Channels and strides of a timm network; raises ArgusError if it has no intermediate outputs."""
    stages = getattr(model, "feature_info", None)
    if not hasattr(model, "forward_intermediates") or not stages:
        raise ArgusError(f"{name} has no forward_intermediates in this timm, so heads cannot read it; use another")
    stages = cast(list[dict[str, int]], list(stages))
    prefix = int(getattr(model, "num_prefix_tokens", 0))
    if getattr(model, "cls_token", None) is None:
        prefix += 1  # the mean of the patches stands in for CLS
    return FeatureInfo(
        tuple(int(stage["num_chs"]) for stage in stages),
        tuple(int(stage["reduction"]) for stage in stages),
        prefix,
    )


def _check_known(name: str) -> None:
    if not timm.is_model(name):
        raise unknown("timm model", name.split(".")[0], timm.list_models())


def _create(name: str, options: dict[str, Any]) -> nn.Module:
    try:
        return timm.create_model(name, **{"dynamic_img_size": True, **options})
    except TypeError as error:
        if "'dynamic_img_size'" not in str(error):
            raise
        return timm.create_model(name, **options)


def _classifiers(model: nn.Module) -> tuple[str, ...]:
    names = getattr(model, "pretrained_cfg", {}).get("classifier") or ()
    return (names,) if isinstance(names, str) else tuple(names)


def _triple(what: str, values: Sequence[float]) -> Triple:
    if len(values) != 3:
        raise ArgusError(f"{what} needs three values, one per RGB channel, not {list(values)}")
    red, green, blue = (float(value) for value in values)
    return red, green, blue
