"""Whether a head belongs to a backbone: the shape of the tokens it was built for, and the weights that made them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from argus_core.errors import ArgusError
from argus_core.head import Head
from argus_core.tokens import FeatureInfo, Needs

if TYPE_CHECKING:
    from argus_core.backbones import Backbone


def check_fit(name: str, head: Head, backbone: Backbone, strict: bool = True) -> None:
    """Raise ArgusError for a head that was built for other tokens, or trained on other weights.

    Without ``strict`` only the channels of the layers that the head reads must be those of the backbone.
    """
    wanted, given = _read(name, head, head.info), _read(name, head, backbone.info)
    if wanted != given:
        raise ArgusError(
            f"head {name!r} reads {_shown(wanted)} channels of layers {_shown(head.needs.layers)}, backbone "
            f"{backbone.name!r} has {_shown(given)} there; train it on this backbone, or load the one it was built for"
        )
    fault = (_shape_fault(head.info, backbone) or _weights_fault(head, backbone)) if strict else ""
    if fault:
        raise ArgusError(
            f"head {name!r} was {fault}; train it on this backbone, load the other one, "
            "or let it pass as it is with strict=False"
        )


def _weights_fault(head: Head, backbone: Backbone) -> str:
    held = head.backbone_sha256
    if held is None or held in (backbone.weights_sha256, backbone.rounded_from):
        return ""
    return (
        f"trained on tokens of backbone weights {held[:12]} (sha256), "
        f"backbone {backbone.name!r} has {backbone.weights_sha256[:12]}"
    )


def _shape_fault(info: FeatureInfo, backbone: Backbone) -> str:
    """The first field in which the announced tokens differ."""
    pairs = {
        "channels": (_shown(info.channels), _shown(backbone.info.channels)),
        "strides": (_shown(info.strides), _shown(backbone.info.strides)),
        "prefix": (str(info.prefix), str(backbone.info.prefix)),
    }
    for field, (wanted, given) in pairs.items():
        if wanted != given:
            return f"built for tokens with {field} {wanted}, backbone {backbone.name!r} gives {given}"
    return ""


def _read(name: str, head: Head, info: FeatureInfo) -> tuple[int, ...]:
    """The channels that a head finds in its layers."""
    needs: Needs = head.needs
    try:
        return tuple(info.channels[layer] for layer in needs.resolve(info).layers)
    except ArgusError as error:
        raise ArgusError(f"head {name!r}: {error}") from error


def _shown(values: Sequence[int]) -> str:
    """Values of layers, as ``12 x 192`` where they are alike."""
    alike = len(set(values)) == 1 and len(values) > 1
    return f"{len(values)} x {values[0]}" if alike else ", ".join(map(str, values))
