"""Eight heads trained on one read of a cache, and one after another; see ``one_read.py``."""

from __future__ import annotations

import tempfile
from pathlib import Path

from safetensors.torch import save_file

from argus_arena.requests import CacheRequest, make_request
from argus_arena.run.config import resolve
from argus_arena.tools.cache import build_cache
from gpu_parts.bench import NETWORK, Bench, network
from gpu_parts.training import quiet
from one_read import HEADS, train


def run(bench: Bench) -> None:
    """Milliseconds of a step of all heads, and the ratio; tokens of 768 channels at 320 px."""
    images, side, batch, steps = (4, 64, 2, 2) if bench.toy else (64, 320, 8, 48)
    data = f"scenes:images={images},val=2,size={side}"
    settings = {"batch": batch, "steps": steps, "width": 32}
    with tempfile.TemporaryDirectory() as folder:
        cache = write(bench, Path(folder), data, side)
        options = {"heads": HEADS, "data": data, "cache": cache, "settings": settings, "device": str(bench.device)}
        config = resolve(make_request(options))
        names = tuple(config.heads)
        if not bench.toy:
            train(config, names[:1])  # kernels are chosen in the first run
        apart = sum(train(config, (name,)) for name in names)
        together = train(config, names)
    for what, took in (("one after another", apart), ("on one read", together)):
        figures = {"ms": took / steps * 1e3, "images/s": steps * batch / took}
        bench.figure(f"a step of eight heads {what}, {side} px, batch {batch}", **figures)
    bench.figure("eight heads on one read", **{"times faster": apart / together})


def write(bench: Bench, folder: Path, data: str, side: int) -> Path:
    """A cache of a wide network's tokens, or of a narrow one's."""
    backbone, weights = "tiny", None
    if not bench.toy:
        backbone, weights = f"timm:{NETWORK}", folder / "random.safetensors"
        save_file({key: value.cpu() for key, value in network().state_dict().items()}, weights)
    request = CacheRequest(
        data=data, out=folder / "cache", backbone=backbone, weights=weights, canvas=str(side), device=str(bench.device)
    )
    with quiet():
        build_cache(request)
    return request.out
