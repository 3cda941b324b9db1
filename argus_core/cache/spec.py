"""What a cache stores, and the fields that must match before it is reused."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from argus_core.backbones.base import Backbone
from argus_core.canvas import Canvas
from argus_core.common.dtypes import parse_dtype
from argus_core.common.files import json_sha256
from argus_core.data import Split
from argus_core.errors import ArgusError, unknown
from argus_core.tokens import FeatureInfo, FinalNorm, Needs
from argus_core.tokens.source import VIEWS

FORMAT = 3
"""Version of the layout on disk and of the geometry it relies on."""
READABLE = (2, 3)
"""Versions that can be read and finished; 2 stored all tokens before the patches, 3 CLS alone."""
DType: TypeAlias = str
"""Number format of stored tokens, such as ``int8`` or ``pca-64``; see ``common.dtypes``."""


@dataclass(frozen=True)
class CacheSpec:
    """What to store of every image: which layers, of which views, on which canvas, in which number format.

    Number formats are those of ``cache.codec``; with ``pca-K`` the numbers are coefficients of K principal components
    of each layer. Each view is a backbone pass of its own over the (mirrored) image.
    """

    canvas: Canvas
    needs: Needs = Needs()
    views: tuple[str, ...] = ("id",)
    dtype: DType = "fp16"

    def __post_init__(self) -> None:
        parse_dtype(self.dtype)
        for view in self.views:
            if view not in VIEWS:
                raise unknown("view", view, VIEWS)
        if not self.views or len(set(self.views)) < len(self.views):
            raise ArgusError(f"views {','.join(self.views)!r} must name at least one view and none twice")
        if not (self.needs.maps or self.needs.cls) or not self.needs.layers:
            raise ArgusError("there is nothing to cache: ask for at least one layer, of its maps or its CLS")

    def resolve(self, info: FeatureInfo) -> CacheSpec:
        """The same with layers counted from the first and each named once.

        Raises ArgusError for more components than any of the layers has channels.
        """
        needs = self.needs.resolve(info)
        components, most = parse_dtype(self.dtype).components, max(info.channels[layer] for layer in needs.layers)
        if components and components > most:
            raise ArgusError(
                f"cache dtype {self.dtype}: the layers {','.join(map(str, needs.layers))} have at most {most} "
                "channels; give that many components or fewer, or cache as fp16 or int8"
            )
        needs = Needs(tuple(sorted(set(needs.layers))), maps=needs.maps, cls=needs.cls)
        return CacheSpec(self.canvas, needs, self.views, self.dtype)


def fingerprint(backbone: Backbone, split: Split, spec: CacheSpec) -> dict[str, Any]:
    """The fields that must match for two runs to share a cache; image bytes are compared separately."""
    spec = spec.resolve(backbone.info)
    return {
        "format": FORMAT,
        "backbone": backbone.name,
        "weights": backbone.weights_sha256,
        "precision": backbone.precision,
        "norm": norm_sha256(backbone.norm),
        "mean": list(backbone.mean),
        "std": list(backbone.std),
        **spec.canvas.to_dict(),
        "layers": list(spec.needs.layers),
        "maps": spec.needs.maps,
        "cls": spec.needs.cls,
        "views": list(spec.views),
        "dtype": spec.dtype,
        "images": len(split),
        "keys": _keys_sha256(split),
    }


class CacheMismatch(ArgusError):
    """A cache, or what is stored like one, was made for something else: ``field`` is ``cached``, and not ``wanted``."""

    def __init__(self, path: Path, field: str, cached: object, wanted: object, remedy: str) -> None:
        super().__init__(
            f"the cache {path} does not fit: its {field} is {cached!r}, this run's is {wanted!r}; {remedy}"
        )
        self.path, self.field, self.cached, self.wanted = path, field, cached, wanted


def check_matches(path: Path, cached: Mapping[str, Any], wanted: Mapping[str, Any], exact: bool = False) -> None:
    """Raise CacheMismatch for the first field of ``wanted`` that does not match the cache.

    Unless ``exact``, a cache may hold more layers and views than wanted. A fingerprint names tiles only if its canvas
    has some, so that caches without tiles are as they always were.
    """
    cached = {"tiles": None, **cached}
    wanted = {"tiles": None, **wanted} if "height" in wanted else wanted
    for field, value in wanted.items():
        if field not in cached:
            raise unknown("fingerprint field", field, cached)
        if not _matches(field, cached[field], value, exact):
            remedy = f"make {field} agree, or cache again in another directory"
            if field == "layers":
                remedy += f" with --layers {','.join(map(str, value))}"
            raise CacheMismatch(path, field, cached[field], value, remedy)


def norm_sha256(norm: FinalNorm | None) -> str:
    """sha256 (hex) of a final norm's values; empty without a norm."""
    if norm is None:
        return ""
    return json_sha256([norm.weight.tolist(), norm.bias.tolist(), norm.eps, list(norm.layers)])


def _matches(field: str, cached: Any, wanted: Any, exact: bool) -> bool:
    if not exact and field == "format":
        return cached in READABLE
    if not exact and field in ("layers", "views"):
        return set(wanted) <= set(cached)
    if not exact and field in ("maps", "cls"):
        return bool(cached or not wanted)
    return bool(cached == wanted)


def _keys_sha256(split: Split) -> str:
    digest = hashlib.sha256()
    for index in range(len(split)):
        digest.update(split.key(index).encode(errors="surrogateescape") + b"\0")
    return digest.hexdigest()
