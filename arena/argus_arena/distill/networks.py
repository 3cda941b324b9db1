"""Networks that learn, as a recipe or a checkpoint has them, and the way from one to a frozen backbone."""

from __future__ import annotations

from pathlib import Path

import torch

from argus_arena.distill.recipe import Network
from argus_arena.distill.student import Student
from argus_core.backbones import Backbone, load_backbone
from argus_core.backbones.timm_models import build, timm_backbone, wrap
from argus_core.common.architecture import Architecture, is_backbone_folder, read_architecture
from argus_core.errors import ArgusError


def initial_backbone(network: Network, start: Path | None, seed: int) -> Backbone:
    """The network at its start: the weights of ``start``, else those of the recipe, else random ones of ``seed``.

    ``start`` is a backbone folder or a file of weights. Raises ArgusError for one of another architecture.
    """
    if start is not None and is_backbone_folder(start):
        _check_same(network, read_architecture(start), start)
        return load_backbone(str(start))
    options = {**network.options, "mean": network.mean, "std": network.std}
    weights = start or network.weights
    if weights is not None or network.pretrained:
        license = network.license if weights else None
        return timm_backbone(network.model, weights, license=license, **options)
    torch.manual_seed(seed)
    model = build(network.model, **network.options)
    return wrap(model, f"timm:{network.model}", license="apache-2.0", mean=network.mean, std=network.std)


def student_of(backbone: Backbone) -> Student:
    """The network of a backbone, to be trained; the backbone itself is used up by that."""
    return Student(backbone.model.train().requires_grad_(), backbone.info, backbone.mean, backbone.std)


def backbone_of(student: Student, network: Network, license: str) -> Backbone:
    """The frozen backbone of a student; what was around it in training stays behind."""
    mean, std = student.normal
    return wrap(student.model, f"timm:{network.model}", license=license, mean=mean, std=std)


def _check_same(network: Network, found: Architecture, start: Path) -> None:
    if (found.model, found.options) != (network.model, network.options):
        raise ArgusError(
            f"{start} is {found.model} {found.options}, the recipe's network is {network.model} {network.options}; "
            "start from a checkpoint of the same network"
        )
