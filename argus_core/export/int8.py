"""A backbone in int8 for OpenVINO: calibrated on images of the user, and checked on others."""

from __future__ import annotations

import math
import platform
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from argus_core.backbones.base import encode_rendered
from argus_core.common.device import cpu_flags
from argus_core.common.extras import need
from argus_core.errors import ArgusError
from argus_core.export.agreement import agreement
from argus_core.export.openvino import OpenVINONetwork, as_eager, encoder, quiet
from argus_core.image import ImageSource, list_images, read_image
from argus_core.model import Composition
from argus_core.model.composition import run_passes
from argus_core.tokens import PlacedTokens

Images = str | Path | Sequence[ImageSource]
"""A folder of images, or a list of them."""
EACH = 32
"""Images that int8 is calibrated on, and as many others that it is checked on, at most."""
LEAST = 4
COSINE = 0.9
"""The least mean cosine between tokens in int8 and in float32."""
AGREEMENT = 0.9
"""The least share of a head's answers that int8 may leave as they are, see ``agreement``."""
FLAGS = {"x86_64": ("avx512_vnni", "avx_vnni", "amx_int8"), "aarch64": ("asimddp", "i8mm")}
"""Flags of CPUs with products of int8, as the Linux kernel calls them."""
GIVE = "give a few dozen like those that it will see: images=FOLDER or a list, `argus export --int8 FOLDER`"


@dataclass(frozen=True)
class Drift:
    """What int8 changes: mean cosines of tokens by layer, and the share of every head's answers that stays."""

    images: int
    cosines: dict[int, float]
    agreement: dict[str, float]

    def __str__(self) -> str:
        tokens = ", ".join(f"layer {layer} {cosine:.4f}" for layer, cosine in self.cosines.items())
        heads = ", ".join(f"{name} {100 * share:.1f} %" for name, share in self.agreement.items())
        return f"int8 against float32 on {self.images} other images: cosines {tokens}; same answers {heads}"

    def check(self) -> None:
        """Raise ArgusError if tokens or answers are too far off."""
        bad = [f"layer {layer} (cosine {value:.3f})" for layer, value in self.cosines.items() if not value >= COSINE]
        bad += [f"{name} ({100 * value:.1f} %)" for name, value in self.agreement.items() if value < AGREEMENT]
        if bad:
            raise ArgusError(
                f"int8 changes this model too much: {', '.join(bad)}; allowed are cosines of {COSINE} and "
                f"{100 * AGREEMENT:.0f} % of the answers. Calibrate on more images like those it will see, or use bf16"
            )

    def to_dict(self) -> dict[str, Any]:
        """The fields, for a record."""
        return asdict(self)


def quantize(argus: Composition, images: Images | None, graph: Any = None) -> tuple[Any, Drift]:
    """The ``encoder`` of an Argus in int8, made of ``graph`` if there is one, and how far it is off.

    Half of the images, at most ``EACH``, calibrate it, and others check it. Raises ArgusError for a CPU without
    products of int8, for too few images, and for a graph that changes the answers too much.
    """
    calibrating, checking = check_request(images)
    nncf = need("nncf", "openvino")
    if graph is None:
        with as_eager(argus.backbone):
            graph = encoder(argus.backbone, argus.needs)
    attends = {op.get_type_name() for op in graph.get_ops()} & {"ScaledDotProductAttention", "Softmax"}
    inputs = [each for image in calibrating for each in _canvases(argus, image)]
    with quiet():
        int8 = nncf.quantize(
            graph,
            nncf.Dataset(inputs),
            preset=nncf.QuantizationPreset.MIXED,
            subset_size=len(inputs),
            model_type=nncf.ModelType.TRANSFORMER if attends else None,
        )
    drift = measure(argus, OpenVINONetwork(argus.backbone, "int8", int8), checking)
    drift.check()
    return int8, drift


def check_request(images: Images | None) -> tuple[list[ImageSource], list[ImageSource]]:
    """The ``halves`` of some images; raises ArgusError for what forbids int8 before anything is computed."""
    check_cpu()
    return halves(images)


def check_cpu() -> None:
    """Raise ArgusError with the missing flags if this CPU has no products of int8; only Linux tells."""
    flags = FLAGS.get(platform.machine())
    known = cpu_flags()
    if flags and known and not known & {*flags}:
        raise ArgusError(f"this CPU has none of the flags {', '.join(flags)}, so int8 gains nothing: use fp32")


def halves(images: Images | None) -> tuple[list[ImageSource], list[ImageSource]]:
    """Images to calibrate on and others to check on, evenly spaced so that both hold all kinds."""
    if images is None:
        raise ArgusError(f"int8 is calibrated on images of yours; {GIVE}")
    if isinstance(images, str | Path) and not Path(images).is_dir():
        raise ArgusError(f"there is no folder {images} of images to calibrate int8 on; {GIVE}")
    sources = [*list_images(images).paths] if isinstance(images, str | Path) else [*images]
    if len(sources) < 2 * LEAST:
        raise ArgusError(f"{len(sources)} images are too few to calibrate int8 and to check it; {GIVE}")
    count = min(len(sources) // 2 * 2, 2 * EACH)
    chosen = [sources[number * len(sources) // count] for number in range(count)]
    return chosen[::2], chosen[1::2]


def _canvases(argus: Composition, source: ImageSource) -> Iterator[list[Any]]:
    """An image on the canvas of each pass, as a graph takes it."""
    image = read_image(source)
    for canvas in dict.fromkeys(group.canvas for group in argus.passes()):
        rendered, place = canvas.render(image)
        yield [np.ascontiguousarray(rendered.transpose(2, 0, 1)[None]), np.array([place.extent])]


@torch.no_grad()
def measure(argus: Composition, network: OpenVINONetwork, images: Sequence[ImageSource]) -> Drift:
    """What an Argus with another ``network`` answers, against itself in PyTorch."""
    cosines: dict[int, list[float]] = {}
    shares: dict[str, list[float]] = {name: [] for name in argus.heads}
    for source in images:
        image = read_image(source)
        for group in argus.passes():
            seen = []
            for other in (None, network):
                with as_eager(argus.backbone, other):
                    seen.append(encode_rendered(argus.backbone, [group.canvas.render(image)], group.needs))
            for layer, cosine in _cosines(*seen):
                cosines.setdefault(layer, []).append(cosine)
            heads = {name: argus.head(name) for name in group.heads}
            exact, actual = (run_passes(heads, [([0], placed)])[0] for placed in seen)
            for name in heads:
                shares[name].append(agreement(exact[name], actual[name]))
    return Drift(
        len(images),
        {layer: _mean(values) for layer, values in sorted(cosines.items())},
        {name: _mean(values) for name, values in shares.items() if any(value == value for value in values)},
    )


def _cosines(exact: PlacedTokens, actual: PlacedTokens) -> Iterator[tuple[int, float]]:
    """Layers, and the mean cosine of their tokens; cells in padding are zero and do not count."""
    for kind in ("maps", "prefix"):
        for layer, values in getattr(exact.tokens, kind).items():
            others = getattr(actual.tokens, kind)[layer]
            axis = 1 if kind == "maps" else 2
            real = values.abs().amax(axis) > 0
            yield layer, float(torch.cosine_similarity(values, others, dim=axis)[real].mean())


def _mean(values: Sequence[float]) -> float:
    """The mean of those that are numbers."""
    real = [value for value in values if not math.isnan(value)]
    return sum(real) / len(real) if real else math.nan
