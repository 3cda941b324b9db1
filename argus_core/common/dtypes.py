"""Number formats of cached tokens, by name; torch is not imported."""

from __future__ import annotations

import re
from typing import NamedTuple

from argus_core.errors import ArgusError, unknown

DTYPES = ("fp32", "fp16", "bf16", "int8", "int4")
"""The formats that need nothing but the tokens."""
EXAMPLES = ("pca-64", "pca-64-int8")
_COMPONENTS = re.compile(r"pca-([1-9]\d{0,5})(-int8)?")


class NumberFormat(NamedTuple):
    """How numbers are stored, one of ``DTYPES``, and of how many principal components they are; None: of channels."""

    numbers: str
    components: int | None = None

    def width(self, channels: int) -> int:
        """How many numbers are stored of a token; layers with fewer channels than components keep as many."""
        return channels if self.components is None else min(self.components, channels)


def known_dtype(text: str) -> str:
    """The name itself, for fields of requests; raises ArgusError as ``parse_dtype`` does."""
    parse_dtype(text)
    return text


def parse_dtype(text: str) -> NumberFormat:
    """The format that a name such as ``int4`` or ``pca-64-int8`` stands for; raises ArgusError for any other text."""
    if text in DTYPES:
        return NumberFormat(text)
    if found := _COMPONENTS.fullmatch(text):
        return NumberFormat("int8" if found[2] else "fp16", int(found[1]))
    if text.startswith("pca"):
        raise ArgusError(f"cache dtype {text!r} is not pca-K or pca-K-int8 with K components; give such as pca-64")
    raise unknown("cache dtype", text, (*DTYPES, *EXAMPLES))
