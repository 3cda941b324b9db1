"""From nothing to a trained, scored detector: procedural scenes, the tiny backbone, two heads on one read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from argus_arena.caching import CacheRequest, build_cache
from argus_arena.commands import train_run
from argus_arena.predict import above
from argus_core.argus import Argus
from argus_core.data_spec import open_data
from argus_core.draw import draw_boxes, side_by_side
from argus_core.files import write_atomic
from argus_core.hooks import load_plugins
from argus_core.tasks.detect import Detect
from argus_core.trained import backbone_of, canvas_of, load_run

FOLDER = Path("demo")
DATA = "scenes:images=384,val=48,size=192"
SIZE = 192
LAYERS = (1, 3, 6)
"""Early blocks: with seeded weights these still hold what a patch looks like."""
SETTINGS = {
    "epochs": 10,
    "batch": 16,
    "lr": 2e-3,
    "layers": list(LAYERS),
    "stages": [],
    "ema": 0.99,
    "fcos.width": 64,
    "fcos.depth": 2,
    "fcos.pyramid": "slim",
    "split_tower.width": 64,
    "split_tower.convs": 2,
    "split_tower.residuals": 2,
}


def main() -> None:
    """Cache, train, score, and draw the first validation scenes beside their truth."""
    cache, run = FOLDER / "cache", FOLDER / "run"
    build_cache(CacheRequest(DATA, cache, "tiny", canvas=(SIZE, SIZE), layers=LAYERS, views=("id", "hflip"), batch=16))
    given = {"heads": ("fcos", "split_tower"), "data": DATA, "cache": cache, "eval_every": 5}
    train_run(given, SETTINGS, None, run)
    picture = FOLDER / "predictions.png"
    draw_predictions(run, DATA, picture)
    print(f"predictions against truth: {picture}")


def draw_predictions(run: Path, data: str, out: Path, images: int = 4) -> None:
    """A picture: the first ``images`` of the validation split, truth on the left, each head beside it."""
    heads, record = load_run(run)
    argus = Argus(backbone_of(record, None, None), heads, canvas_of(record))
    split = open_data(data, load_plugins())["val"]
    task = split.tasks["detect"]
    assert isinstance(task, Detect)
    rows = []
    for index in range(min(images, len(split))):
        image = split.read(index)
        found = argus([image])
        drawn = [draw_boxes(image, above(found[name][0], 0.3), task.classes) for name in heads]
        truth = draw_boxes(image, split.truth(index, "detect"), task.classes)
        rows.append(side_by_side([truth, *drawn], ["truth", *heads]))
    write_atomic(out, lambda to: Image.fromarray(np.concatenate(rows)).save(to, format="PNG"))


if __name__ == "__main__":
    main()
