"""A detector behind a bottleneck: how few bits per token are enough to detect objects?"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from argus_core.detection import ConvGN, LightHead, light_taps
from argus_core.errors import ArgusError
from argus_core.nn import Moments, full_precision, total_over_batches
from argus_core.tasks.detect import BoxTarget, Detect
from argus_core.tokens import FeatureInfo, Features, cell_mask

REACH = 3.0
"""Deviations on either side of the mean that the quantiser covers."""


def principal_components(tokens: Moments, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Mean (C,), the ``count`` strongest directions (count, C), and the deviations (count,) along them.

    Results are float64. No other ``count`` directions leave a smaller error (Eckart & Young 1936). Raises ArgusError
    if there are no tokens.
    """
    if not tokens.count:
        raise ArgusError("principal components need tokens, and the training split gives none")
    variances, directions = torch.linalg.eigh(tokens.scatter / tokens.count)  # ascending
    strongest = directions.T.flip(0)[:count]
    # A direction and its opposite are equally good: make the largest entry positive.
    sign = strongest.gather(1, strongest.abs().argmax(dim=1, keepdim=True)).sign()
    return tokens.mean, sign * strongest, variances.flip(0)[:count].clamp(min=0).sqrt()


class Bottleneck(nn.Module):
    """A linear code of every token, quantised to ``bits`` per number with a straight-through gradient (Bengio 2013).

    Values are rounded to the middles of 2**bits equal steps within three deviations. If the ends of the range were
    values, one bit could code the extremes only.
    """

    deviations: Tensor

    def __init__(self, channels: int, code: int, bits: int | None) -> None:
        super().__init__()
        self.project = nn.Conv2d(channels, code, 1)
        nn.init.orthogonal_(self.project.weight)
        nn.init.zeros_(self.project.bias)  # type: ignore[arg-type]
        self.register_buffer("deviations", torch.ones(code))
        self.bits = bits

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) to (B, code, h, w), float32."""
        with full_precision(x.device):  # bfloat16 cannot distinguish 2**8 values
            return self.quantise(self.project(x.float()))

    def quantise(self, z: Tensor) -> Tensor:
        """The nearest of 2**bits values per channel; the gradient is 1 within the range and 0 beyond it."""
        if self.bits is None:
            return z
        reach = REACH * self.deviations[:, None, None]
        step = 2 * reach / 2**self.bits
        inside = z.clamp(-reach, reach)
        index = ((inside + reach) / step).floor().clamp(max=2**self.bits - 1)
        return inside + ((index + 0.5) * step - reach - inside).detach()

    @torch.no_grad()
    def set_principal(self, tokens: Moments) -> None:
        """Make the principal components of tokens the code."""
        mean, directions, deviations = principal_components(tokens, len(self.deviations))
        self.project.weight.copy_(directions[:, :, None, None])
        self.project.bias.copy_(-directions @ mean)  # type: ignore[union-attr]
        self.deviations.copy_(deviations.clamp(min=1e-6))  # a constant channel still needs a range


class Compression(LightHead):
    """The light head on ``code`` numbers per token of ``bits`` bits each, or unquantised with ``bits`` None.

    ``fit`` starts the code as the principal components of the training split; training then changes it, but not the
    quantised range (split computing, Matsubara 2022).
    """

    def __init__(
        self, info: FeatureInfo, task: Detect, *, width: int = 192, code: int = 32, bits: int | None = 8
    ) -> None:
        channels = light_taps(info).channels
        if not 1 <= code <= channels:
            raise ArgusError(f"code={code} is not between 1 and the {channels} channels of the features")
        if bits is not None and not 1 <= bits <= 16:
            raise ArgusError(f"bits={bits} is not between 1 and 16; leave it out (null) for no quantisation")
        bottleneck = Bottleneck(channels, code, bits)
        stem = nn.Sequential(bottleneck, ConvGN(code, width, 1, act=True))
        super().__init__(info, task, width=width, stem=stem)

    @property
    def bottleneck(self) -> Bottleneck:
        """The module that all features pass through."""
        assert isinstance(self.stem, nn.Sequential) and isinstance(self.stem[0], Bottleneck)
        return self.stem[0]

    @property
    def rate(self) -> int:
        """Bits per token."""
        return len(self.bottleneck.deviations) * (self.bottleneck.bits or 32)

    def fit(self, batches: Iterable[tuple[Features, Sequence[BoxTarget]]]) -> None:
        """Start the code as the principal components of the cells that hold image."""
        moments = total_over_batches(batches, lambda features, _: Moments.of(self._cells(features)))
        self.bottleneck.set_principal(moments)

    def notes(self) -> list[str]:
        """The number of bits per token."""
        return [f"{self.rate} bits per token, of {16 * self.taps.channels} in float16"]

    def _cells(self, features: Features) -> Tensor:
        """(n, C): the tokens of a batch that hold image."""
        x = self.taps(features)
        mask = cell_mask(features.extent, self.taps.stride, (x.shape[2], x.shape[3]))
        return x.movedim(1, -1)[mask[:, 0]]
