"""Whether a head fits a backbone: the shape of the tokens it was built for, and the weights that made them."""

from __future__ import annotations

from collections.abc import Sequence

from argus_core.backbones.base import Backbone
from argus_core.errors import ArgusError
from argus_core.head import Head
from argus_core.tokens import FeatureInfo


def check_fit(name: str, head: Head, backbone: Backbone, strict: bool = True) -> None:
    """Raise ArgusError for a head that was built for other tokens, or trained on other weights.

    Without ``strict`` only the channels of the layers that the head reads must match.
    """
    expected, actual = _channels(name, head, head.info), _channels(name, head, backbone.info)
    if expected != actual:
        raise ArgusError(
            f"head {name!r} reads {_shown(expected)} channels of layers {_shown(head.needs.layers)}, backbone "
            f"{backbone.name!r} has {_shown(actual)} there; train it on this backbone, or load the one it was built for"
        )
    fault = (_shape_fault(head.info, backbone) or _weights_fault(head, backbone)) if strict else ""
    if fault:
        raise ArgusError(
            f"head {name!r} was {fault}; train it on this backbone, load the other one, "
            "or let it pass as it is with strict=False"
        )


def _weights_fault(head: Head, backbone: Backbone) -> str:
    sha256 = head.backbone_sha256
    if sha256 is None or sha256 in (backbone.weights_sha256, backbone.rounded_from):
        return ""
    return (
        f"trained on tokens of backbone weights {sha256[:12]} (sha256), "
        f"backbone {backbone.name!r} has {backbone.weights_sha256[:12]}"
    )


def _shape_fault(info: FeatureInfo, backbone: Backbone) -> str:
    """The first field of the tokens that differs."""
    pairs = {
        "channels": (_shown(info.channels), _shown(backbone.info.channels)),
        "strides": (_shown(info.strides), _shown(backbone.info.strides)),
        "prefix": (str(info.prefix), str(backbone.info.prefix)),
    }
    for field, (expected, actual) in pairs.items():
        if expected != actual:
            return f"built for tokens with {field} {expected}, backbone {backbone.name!r} gives {actual}"
    return ""


def _channels(name: str, head: Head, info: FeatureInfo) -> tuple[int, ...]:
    """The channels of the layers that a head reads."""
    try:
        return tuple(info.channels[layer] for layer in head.needs.resolve(info).layers)
    except ArgusError as error:
        raise ArgusError(f"head {name!r}: {error}") from error


def _shown(values: Sequence[int]) -> str:
    """Values of layers, such as ``12 x 192`` if they are all the same."""
    same = len(set(values)) == 1 and len(values) > 1
    return f"{len(values)} x {values[0]}" if same else ", ".join(map(str, values))
