"""Checks of what a backbone states about itself and leaves alone: options, terms, weights, process."""

from __future__ import annotations

import json
import math
import re

import torch

from argus_core.backbones.weights import rope_periods
from argus_core.common.tensors import tensors_sha256
from argus_core.testing.backbones.subject import BackboneSubject, parts
from argus_core.testing.heads.subject import all_equal
from argus_core.testing.kit.isolation import changed, snapshot


def options(subject: BackboneSubject) -> None:
    """Options survive JSON, and with them the same backbone is built again."""
    text = json.dumps(dict(subject.options), default=str)
    again, first = subject.build(json.loads(text)), subject.backbone
    for what in ("weights_sha256", "info", "name", "mean", "std", "license"):
        before, after = getattr(first, what), getattr(again, what)
        assert before == after, f"built again with options {text}, {what} is {after}, was {before}"
    if isinstance(subject.target, str):
        json.dumps(first.options, default=str)


def states(subject: BackboneSubject) -> None:
    """Name, terms of the weights, mean and standard deviation are stated and can be true."""
    backbone = subject.backbone
    assert isinstance(backbone.name, str) and backbone.name.strip(), "the backbone has no name"
    assert isinstance(backbone.license, str) and backbone.license.strip(), (
        "license must be the identifier of the weights' terms, such as apache-2.0, or 'unknown'"
    )
    for what, values in (("mean", backbone.mean), ("std", backbone.std)):
        assert len(values) == 3 and all(math.isfinite(v) for v in values), f"{what} must be three numbers: {values}"
    assert all(0 <= v <= 1 for v in backbone.mean), f"mean {backbone.mean} must be of pixels in 0..1: divide by 255"
    assert all(0 < v <= 1 for v in backbone.std), f"std {backbone.std} must be of pixels in 0..1: divide by 255"
    info = backbone.info
    assert info.depth > 0 and len(info.strides) == info.depth, (
        f"info has {info.depth} layers of channels and {len(info.strides)} of strides: state both for every layer"
    )
    assert info.prefix >= 1, f"info.prefix is {info.prefix}: a network without CLS token has the mean as its one"


def frozen(subject: BackboneSubject) -> None:
    """Nothing trains: ``train()`` is inert, no module is in training mode, no parameter or token has gradients."""
    backbone = subject.backbone
    before = parts(subject.tokens())
    backbone.train()
    awake = [name for name, module in backbone.named_modules() if module.training]
    backbone.eval()
    assert not awake, f"train() wakes {awake[:3]}: leave Backbone.train as it is and build the network in eval mode"
    wanted = [name for name, parameter in backbone.named_parameters() if parameter.requires_grad]
    assert not wanted, f"parameters {wanted[:3]} require gradients: use requires_grad_(False)"
    with torch.enable_grad():
        after = parts(subject.tokens())
    assert not any(x.requires_grad for x in after), "tokens require gradients: run the network under torch.no_grad()"
    assert all_equal(before, after), "after train() and eval() the tokens are others"


def weights_hash(subject: BackboneSubject) -> None:
    """``weights_sha256`` is that of all tensors of the network as it is, in every build."""
    first, again = subject.backbone, subject.build()
    assert re.fullmatch(r"[0-9a-f]{64}", first.weights_sha256), f"weights_sha256 {first.weights_sha256!r} is no sha256"
    assert first.weights_sha256 == again.weights_sha256, (
        "two builds have different weights: load a file, or draw random ones from a generator with a fixed seed"
    )
    live = tensors_sha256({**again.model.state_dict(), **rope_periods(again.model)})
    assert again.weights_sha256 == live, (
        "weights_sha256 is not the hash of the network's tensors: load the weights before the Backbone is made"
    )
    with torch.no_grad():
        next(again.model.parameters()).add_(1)
    moved = tensors_sha256({**again.model.state_dict(), **rope_periods(again.model)})
    assert moved != live, "another weight gives the same hash: the first parameter is not in the state_dict"


def global_state(subject: BackboneSubject) -> None:
    """Building and running a backbone changes nothing in the process, and seeds no random state."""
    states = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        before = snapshot()
        subject.build().encode(subject.canvases(1), subject.extent(1), subject.every)
        assert not changed(before), f"the backbone changed the {', '.join(changed(before))} of the process"
        states.append(torch.get_rng_state())
    assert not torch.equal(*states), "building seeds torch's global random state: use a torch.Generator of its own"
