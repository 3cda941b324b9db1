"""What a gigabyte buys: bytes an image and scores of solved heads on tokens that are stored in each number format.

python codecs.py DATA OUT [--draw cache-size.svg]    # DATA holds imagenette160, nyuv2 and bccd

The backbone runs once for each data set, into a float32 cache; caches of the other formats are written of its tokens.
A seed is another random half of the training images, on which the head is solved; scores are those of the whole
validation split. Components are those of the cache, fitted on 256 training images whatever the seed. Rows are appended
to OUT/codecs.jsonl as they come, and those that are there are not computed again.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open

from argus_core.cache import Cache, CacheSource, write_cache
from argus_core.cache.estimate import spread
from argus_core.cache.fit import SAMPLE_IMAGES
from argus_core.common.dtypes import parse_dtype
from argus_core.tokens import Needs, Tokens
from curves import Line, Panel, draw
from minute_heads import HIGHER, LITE0, NYU, Bench, DataSet, Place

BATCH = 8
CLS = ("--canvas", "160", "--no-maps", "--cls", "--dtype", "fp32")
SETS = (
    DataSet("imagenette", "folder:{}/imagenette160", CLS, ("classify.knn", "classify.ridge")),
    DataSet("nyu", NYU, ("--canvas", "224x288", "--dtype", "fp32"), ("segment.ridge", "depth.ridge")),
    DataSet("bccd", "coco:{}/bccd", ("--canvas", "256x320", "--dtype", "fp32"), ("detect.closed_form",)),
)
METRICS = {"classify": "top1", "segment": "mIoU", "depth": "abs_rel", "detect": "AP50"}
NUMBERS = ("fp32", "fp16", "int8", "int4")
COMPONENTS = (8, 16, 32, 64, 128, 256)


class Replay:
    """Stands in for a backbone: gives the tokens that it gave before, in the order in which caching asks for them."""

    def __init__(self, cache: Cache, fits: bool) -> None:
        fields = cache.manifest.fingerprint
        self.source, self._fits = CacheSource(cache), fits
        self.info, self.norm, self.device = cache.info(), cache.norm(), torch.device("cpu")
        self.name, self.weights_sha256, self.precision = fields["backbone"], fields["weights"], fields["precision"]
        self.mean, self.std, self.license = fields["mean"], fields["std"], cache.manifest.license["id"]
        self._batches = self._asked()

    def _asked(self) -> Iterator[Sequence[int]]:
        everything = range(len(self.source))
        for images in (spread(len(self.source), SAMPLE_IMAGES) if self._fits else [], everything):
            yield from (images[first : first + BATCH] for first in range(0, len(images), BATCH))

    def encode(self, canvases: torch.Tensor, extent: torch.Tensor, needs: Needs, tiles: None = None) -> Tokens:
        """The tokens of the next batch."""
        tokens = self.source.read([(index, "id") for index in next(self._batches)]).tokens
        assert torch.equal(tokens.extent, extent)
        return tokens


def stored(exact: Bench, dtype: str, folder: Path) -> Bench:
    """The same data with tokens stored in another format; components are those of training images for both splits."""
    for name, cache, split in zip(("train", "val"), exact.caches, exact.splits, strict=True):
        if not (folder / name / "index.json").is_file():
            fits = name == "train" and parse_dtype(dtype).components is not None
            backbone: Any = Replay(cache, fits)
            spec = replace(cache.manifest.spec, dtype=dtype)
            write_cache(folder / name, backbone, split, spec, batch=BATCH, share=[folder / "train"])
    return Bench(exact.spec, folder)


def formats(widest: int) -> list[str]:
    """The number formats that are compared, for layers of so many channels at most."""
    counts = [count for count in COMPONENTS if count < widest]
    return [*NUMBERS, *(f"pca-{count}-int8" for count in counts), *(f"pca-{count}" for count in counts if count == 64)]


def bytes_per_image(bench: Bench) -> float:
    """Of the stored tokens of training images; components take their place once, whatever the number of images."""
    tensors = 0
    for file in bench.folder.glob("train/shards/*.safetensors"):
        with safe_open(file, "pt") as opened:
            tensors += sum(opened.get_tensor(name).nbytes for name in opened.keys())  # noqa: SIM118
    return tensors / len(bench.train)


def reading(options: argparse.Namespace) -> Iterator[str]:
    """Lines of a Markdown table: milliseconds to read an image that is in memory, the least of five rounds."""
    caches = sorted((options.out / "stored").glob("*/*/train"), key=lambda path: (path.parts[-3], path.parts[-2]))
    yield "\n| data | dtype | an image |\n|---|---|---|"
    for path in caches:
        cache = Cache.open(path)
        source = CacheSource(cache, reuse=2)
        order = np.random.default_rng(0).permutation(len(source)).tolist()
        spec, took = cache.manifest.spec, []
        for _ in range(5):
            began = time.perf_counter()
            for first in range(0, len(order), 16):
                tokens = source.read([(index, "id") for index in order[first : first + 16]]).tokens
                tokens.features(spec.needs)  # float32, as heads read them
            took.append(time.perf_counter() - began)
        yield f"| {path.parts[-3]} | {path.parts[-2]} | {min(took) / len(order) * 1000:.3f} ms |"


def half(bench: Bench, seed: int) -> list[Place]:
    """A random half of the training images."""
    order = np.random.default_rng(seed).permutation(len(bench.train))
    return [bench.train[n] for n in order[: len(order) // 2].tolist()]


def score(bench: Bench, head: str, seed: int) -> float:
    """The score on the validation split of a head that is solved on the half of a seed."""
    model = bench.make(head)
    bench.solve(model, half(bench, seed))
    return bench.scores({"head": model}, bench.val, METRICS[model.task.name])["head"]


def measure(data: DataSet, options: argparse.Namespace, file: Path) -> None:
    """Append the rows of a data set that are missing."""
    done = {(row["data"], row["head"], row["dtype"], row["seed"]) for row in read(file)}
    exact = Bench(data.data(options.data), data.cache(options.data, options.out / "exact", LITE0))
    for dtype in formats(max(exact.caches[0].info().channels[n] for n in exact.caches[0].manifest.spec.needs.layers)):
        wanted = [(head, seed) for head in data.tasks for seed in range(options.seeds)]
        missing = [each for each in wanted if (data.name, each[0], dtype, each[1]) not in done]
        if not missing:
            continue
        bench = exact if dtype == "fp32" else stored(exact, dtype, options.out / "stored" / data.name / dtype)
        size = bytes_per_image(bench)
        for head, seed in missing:
            row = {"data": data.name, "head": head, "dtype": dtype, "seed": seed, "score": score(bench, head, seed)}
            with file.open("a") as lines:
                lines.write(json.dumps({**row, "bytes": size}) + "\n")
            print(row, flush=True)


def read(file: Path) -> list[dict[str, Any]]:
    """All rows so far."""
    return [json.loads(line) for line in file.read_text().splitlines()] if file.is_file() else []


def groups(rows: Sequence[Mapping[str, Any]]) -> dict[tuple[str, str], dict[str, list[Mapping[str, Any]]]]:
    """Rows by data set and head, and by number format."""
    found: dict[tuple[str, str], dict[str, list[Mapping[str, Any]]]] = {}
    for row in rows:
        found.setdefault((row["data"], row["head"]), {}).setdefault(row["dtype"], []).append(row)
    return found


def table(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Lines of a Markdown table: bytes, score, and the mean change of a seed's score."""
    for (data, head), by_dtype in groups(rows).items():
        metric = METRICS[head.partition(".")[0]]
        yield f"\n| {data}, {head}, {metric} | bytes an image | images in 1 GB | score | against fp32 |"
        yield "|---|---|---|---|---|"
        exact = {row["seed"]: row["score"] for row in by_dtype["fp32"]}
        for dtype, own in by_dtype.items():
            size, mean = own[0]["bytes"], statistics.mean(row["score"] for row in own)
            changes = [row["score"] - exact[row["seed"]] for row in own]
            spread_ = f" ± {statistics.stdev(changes):.4f}" if len(changes) > 1 else ""
            change = "" if dtype == "fp32" else f"{statistics.mean(changes):+.4f}{spread_}"
            yield f"| {dtype} | {size:,.0f} | {1e9 / size:,.0f} | {mean:.4f} | {change} |"


def panels(rows: Sequence[Mapping[str, Any]]) -> list[Panel]:
    """A panel for each data set and head: scores by bytes."""
    drawn = []
    for (data, head), by_dtype in groups(rows).items():
        components = [name for name in by_dtype if name.startswith("pca") and name.endswith("int8")]
        lines = {"fp16 to int4": ["fp16", "int8", "int4"], "components": components}
        metric = METRICS[head.partition(".")[0]]
        arrow = "" if HIGHER[metric] else ", lower is better"
        values = [
            Line(line, {round(by_dtype[n][0]["bytes"]): [row["score"] for row in by_dtype[n]] for n in names})
            for line, names in lines.items()
        ]
        drawn.append(Panel(f"{data}, {head}", metric + arrow, "bytes an image", values))
    return drawn


def main() -> None:
    """Measure what is missing, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--only", nargs="*", default=[each.name for each in SETS])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--draw", type=Path, help="SVG file to write")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    file = options.out / "codecs.jsonl"
    for data in SETS:
        if data.name in options.only:
            measure(data, options, file)
    print("\n".join(table(read(file))))
    print("\n".join(reading(options)))
    if options.draw:
        options.draw.write_text(draw(panels(read(file))), encoding="utf-8")


if __name__ == "__main__":
    main()
