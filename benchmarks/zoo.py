"""Every detection head's milliseconds and peak memory at 640 pixels, beside torchvision's FCOS head."""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile
from torchvision.models.detection.fcos import FCOSHead

from argus_core import HEADS, Detect, build_head
from argus_core.head import Head
from argus_core.model.macs import count_macs
from argus_core.tokens import FeatureInfo, Features, Tokens
from timing import seconds

SIDE, CLASSES = 640, tuple(f"class {n}" for n in range(80))
INFO = FeatureInfo.vit(768)


class Peer(nn.Module):
    """torchvision's head (towers of four, 256 channels) on the five levels of a pyramid."""

    def __init__(self) -> None:
        super().__init__()
        self.head = FCOSHead(256, 1, len(CLASSES), 4)
        self.maps = [torch.randn(1, 256, SIDE // s, SIDE // s) for s in (8, 16, 32, 64, 128)]

    def forward(self) -> dict[str, Tensor]:
        """Logits, distances and centre-ness."""
        out: dict[str, Tensor] = self.head(self.maps)
        return out


def runs() -> Iterator[tuple[str, nn.Module, Callable[[], object]]]:
    """Name, module and forward pass of every installed detector."""
    task = Detect(classes=CLASSES)
    generator = torch.Generator().manual_seed(0)
    for entry in HEADS.entries():
        if entry.name.startswith("detect."):
            head: Head = build_head(entry.name, INFO, task).eval()
            layers = head.needs.resolve(INFO).layers
            maps = {layer: torch.randn(1, 768, SIDE // 16, SIDE // 16, generator=generator) for layer in layers}
            prefix = {layer: torch.randn(1, 5, 768, generator=generator) for layer in layers}
            tokens = Tokens(maps, prefix, torch.tensor([[SIDE, SIDE]]), (SIDE, SIDE), INFO)
            features: Features = tokens.features(head.needs)
            yield entry.name, head, lambda head=head, features=features: head(features)  # type: ignore[misc]


def peak_bytes(work: Callable[[], object]) -> int:
    """The peak of the bytes in tensors that ``work`` makes."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        work()
    current = peak = 0
    for event in sorted(profiler.profiler.kineto_results.events(), key=lambda e: e.start_ns()):  # type: ignore[union-attr]
        if event.name() == "[memory]":
            current += event.nbytes()
            peak = max(peak, current)
    return peak


@torch.no_grad()
def main() -> None:
    """Print a Markdown table; the peer is timed beside each head."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    peer = Peer().eval()
    print(f"torchvision FCOSHead: peak {peak_bytes(peer) / 2**20:.0f} MiB")
    print("| head | parameters | GMACs | ms | of torchvision's head | peak MiB |\n|---|---:|---:|---:|---:|---:|")
    for name, head, work in runs():
        _, macs = count_macs(work)
        peer(), work()
        pairs = [(seconds(work), seconds(peer)) for _ in range(options.rounds)]
        own, ratio = statistics.median(a for a, _ in pairs), statistics.median(a / b for a, b in pairs)
        size = sum(p.numel() for p in head.parameters())
        peak = peak_bytes(work) / 2**20
        print(f"| {name} | {size:,} | {macs / 1e9:.2f} | {own * 1e3:.0f} | {ratio:.2f} | {peak:.0f} |", flush=True)


if __name__ == "__main__":
    main()
