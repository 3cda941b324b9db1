"""Images read ahead of the backbone, each rendered once per view."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from argus_core.cache.manifest import ImageRecord, attempt
from argus_core.cache.spec import CacheSpec
from argus_core.data import Split
from argus_core.errors import ArgusError


@dataclass(frozen=True)
class Passes:
    """One image's record and its canvases, one (H, W, 3) per view; none if it was skipped."""

    record: ImageRecord
    canvases: list[npt.NDArray[np.uint8]]


def load(split: Split, spec: CacheSpec, skip_bad: bool, index: int) -> Passes:
    """Read and render one image; an unreadable one raises its ArgusError, or is skipped."""
    # Taken before the pixels: a file replaced in between is then found to differ.
    key, stamp, sha256 = split.key(index), attempt(split.stamp, index), attempt(split.digest, index)
    try:
        image = split.read(index)
    except ArgusError as error:
        if not skip_bad:
            raise
        return Passes(ImageRecord(key, stamp, sha256, skipped=str(error)), [])
    rendered = [spec.canvas.render(image, mirrored=view == "hflip") for view in spec.views]
    size = (image.shape[0], image.shape[1])
    record = ImageRecord(key, stamp, sha256, size, rendered[0][1].extent)
    return Passes(record, [canvas for canvas, _ in rendered])


def load_ahead(
    read: Callable[[int], Passes], batches: Iterable[Sequence[int]], threads: int
) -> Generator[list[Passes], None, None]:
    """The passes of each batch, in order, while threads read the next one."""
    with ThreadPoolExecutor(threads) as pool:
        waiting: list[Future[Passes]] | None = None
        for batch in batches:
            coming = [pool.submit(read, index) for index in batch]
            if waiting is not None:
                yield [future.result() for future in waiting]
            waiting = coming
        if waiting is not None:
            yield [future.result() for future in waiting]


def stack(batch: Sequence[Passes], views: int) -> tuple[Tensor, Tensor, list[str]]:
    """The backbone's input: (B, H, W, 3) canvases, (B, 2) extents and the key of each, image by image."""
    canvases = [canvas for passes in batch for canvas in passes.canvases]
    records = [passes.record for passes in batch if passes.canvases for _ in range(views)]
    extent = torch.tensor([record.extent for record in records])
    return torch.from_numpy(np.stack(canvases)), extent, [record.key for record in records]
