"""3x3 convolutions with fewer products, against PyTorch's own: `cd benchmarks && python convolution.py`."""

from __future__ import annotations

from functools import partial

import torch
from torch.nn import Conv2d

from argus_core.common.allocator import keep_memory
from argus_core.nn.winograd import Conv3x3
from matching import peak
from timing import compare, show


@torch.no_grad()
def main() -> None:
    """Print a line a map, with the peak memory of both and how far they are apart."""
    keep_memory()  # as the commands do
    torch.manual_seed(0)
    for channels, side, goal in ((160, 40, "< 1.0"), (160, 80, "< 1.0"), (256, 80, "< 1.0"), (256, 160, "< 1.0")):
        conv, maps = Conv3x3(channels, channels), torch.randn(1, channels, side, side)
        maps = maps.to(memory_format=torch.channels_last)
        ours, plain = partial(conv, maps), partial(Conv2d.forward, conv, maps)
        memory = [peak(work) for work in (ours, plain)]
        apart = (ours() - plain()).abs().max() / plain().std()
        show(f"convolution, {channels} channels, {side}x{side}", *compare(ours, plain, rounds=15), goal)
        print(f"    {memory[0]:.0f} against {memory[1]:.0f} MiB, {apart:.1e} of the deviation apart")


if __name__ == "__main__":
    main()
