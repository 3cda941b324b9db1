"""What the stages of `eupe-toy` are worth: students of one teacher, of two, through a proxy, and after several sizes.

python distill_toy.py DATA OUT --seeds 0 1 2    # trains what is missing in OUT
python distill_toy.py DATA OUT --score          # scores what is there, and prints a table

DATA holds unlabelled, imagenette160, coco256, coco_plus, nyuv2, pf_willow and weights_vit_tiny. All students see the
same stored views of the same photographs; those of one seed begin with the same weights. What was begun goes on.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from argus_arena.distill.networks import initial_backbone
from argus_arena.distill.probes import Probe
from argus_arena.distill.reading import read_recipe
from argus_arena.distill.recipe import ProbeSource
from argus_arena.distill.run import distill
from argus_arena.distributed import Distributed
from argus_arena.training.train import open_plugins
from argus_core.backbones import Backbone, load_backbone
from argus_core.common.allocator import keep_memory
from argus_core.common.files import read_json, write_json
from minute_heads import NYU

PHOTOGRAPHS = ("images:{}/unlabelled,images=.", "folder:{}/imagenette160", "coco:{}/coco256", "coco:{}/coco_plus")


@dataclass(frozen=True)
class Variant:
    """A student: the stage of eupe-toy that trains it, what is changed there, and the variant that it begins with."""

    stage: str
    teachers: tuple[str, ...]
    changes: Mapping[str, Any] = field(default_factory=dict)
    start: str = ""


FROM_VIT = {
    "stages.multi-resolution.student": "proxy",
    "stages.multi-resolution.teacher_sizes": [],
    "stages.multi-resolution.recipe.steps": 300,
}
"""The third stage alone, of a student that begins with ViT-Tiny's weights."""
VARIANTS = {
    "lite2": Variant("student", ("lite2",)),
    "vit": Variant("student", ("vit",)),
    "both": Variant("student", ("lite2", "vit")),
    "proxy": Variant("proxy", ("lite2", "vit")),
    "through-proxy": Variant("student", ("proxy",)),
    "through-proxy-sizes": Variant("multi-resolution", ("proxy",), start="through-proxy"),
    "both-sizes": Variant("multi-resolution", ("lite2", "vit"), start="both"),
    "proxy-sizes": Variant("multi-resolution", ("proxy",), {"stages.multi-resolution.recipe.steps": 600}),
    "from-vit": Variant("multi-resolution", ("lite2", "vit"), {**FROM_VIT, "teachers.vit.size": 160}),
    "from-vit-wide": Variant(
        "multi-resolution",
        ("lite2", "vit"),
        {
            **FROM_VIT,
            "stages.multi-resolution.sizes": [96, 160, 224],
            "stages.multi-resolution.recipe.lr": 3e-4,
            "teachers.vit.size": 224,
            "teachers.lite2.size": 256,
            "teachers.lite2.weight": 2.0,
        },
    ),
}


def settings(variant: Variant, seed: int, options: argparse.Namespace) -> dict[str, Any]:
    """Changes of eupe-toy for a variant."""
    (weights,) = (options.data / "weights_vit_tiny").glob("*.safetensors")
    stage = f"stages.{variant.stage}"
    crops = {} if variant.stage == "multi-resolution" else {f"{stage}.crops": options.crops}
    return {
        "seed": seed,
        "teachers.vit.weights": str(weights),
        "teachers.lite2.options.precision": options.lite2_precision,
        "networks.proxy.weights": str(weights),
        "images.store": str(store_of(variant, seed, options.out)),
        f"{stage}.teachers": list(variant.teachers),
        f"{stage}.start": "",
        **crops,
        **variant.changes,
    }


def store_of(variant: Variant, seed: int, out: Path) -> Path:
    """What is stored for a variant: one store for all seeds, but one for each of the proxies."""
    store = out / "store" / "student"
    if variant.teachers == ("proxy",):
        link(out / f"store-proxy-{seed}" / "student" / "views", store / "views")
        return out / f"store-proxy-{seed}"
    link(out / "store" / "proxy", store)  # the same views of the same teachers
    return out / "store"


def train(name: str, seed: int, options: argparse.Namespace) -> None:
    """Train a variant, unless it is done; the stage before it has its own folder of the same seed."""
    variant, folder = VARIANTS[name], options.out / f"seed-{seed}"
    photographs = tuple(spec.format(options.data) for spec in PHOTOGRAPHS)
    recipe = read_recipe("eupe-toy", photographs, settings(variant, seed, options))
    start = folder / variant.start / VARIANTS[variant.start].stage / "backbone" if variant.start else None
    if variant.teachers == ("proxy",):
        link(folder / name / "proxy", folder / "proxy" / "proxy")
    began = time.perf_counter()
    distill(recipe, folder / name, only=variant.stage, start=start, device="cpu")
    print(f"seed {seed}, {name}: {time.perf_counter() - began:.0f} s", flush=True)


def link(place: Path, target: Path) -> None:
    """Let a folder be found in another place too."""
    place.parent.mkdir(parents=True, exist_ok=True)
    target.mkdir(parents=True, exist_ok=True)
    if not place.is_symlink():
        place.symlink_to(target.resolve())


PROBES = {
    "imagenette": ProbeSource(data="folder:{}/imagenette160", images=0),
    "imagenette at 96": ProbeSource(data="folder:{}/imagenette160", images=0, size=96, heads=("classify.knn",)),
    "nyu": ProbeSource(data=NYU, images=0),
    "nyu at 320": ProbeSource(data=NYU, images=0, size=320, heads=("depth.ridge",)),
    "willow": ProbeSource(data="{}/pf_willow", split="test", images=0),
}


def found(options: argparse.Namespace) -> Iterator[tuple[str, int, Backbone]]:
    """Backbones that there are: teachers, students that never learnt, and results, with their seeds."""
    (weights,) = (options.data / "weights_vit_tiny").glob("*.safetensors")
    half: dict[str, Any] = {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}
    for seed in options.seeds:
        yield "random", seed, initial_backbone(read_recipe("eupe-toy").networks["student"], None, seed)
        for name, variant in VARIANTS.items():
            folder = options.out / f"seed-{seed}" / name / variant.stage / "backbone"
            if folder.is_dir():
                yield name, seed, load_backbone(str(folder))
    yield "teacher lite2", 0, load_backbone("lite2")
    yield "teacher vit", 0, load_backbone("timm:vit_tiny_patch16_224", weights, **half)


def score(options: argparse.Namespace) -> None:
    """Score what has no scores yet, and print all of them."""
    process, plugins = Distributed(0, 1, torch.device("cpu")), open_plugins()
    sources = {
        name: source.model_copy(update={"data": source.data.format(options.data)}) for name, source in PROBES.items()
    }
    probes = [Probe(name, source, plugins) for name, source in sources.items()]
    table: dict[str, list[dict[str, float]]] = {}
    for name, seed, backbone in found(options):
        file = options.out / "scores" / f"{name} {seed}.json"
        if not file.is_file():
            scores: dict[str, float | None] = {}
            for probe in probes:
                scores |= probe.score(backbone, process, options.out / "scores" / "tokens")
            file.parent.mkdir(exist_ok=True)
            write_json(file, scores)
        table.setdefault(name, []).append(read_json(file, ""))
        print(name, seed, {key: round(value, 3) for key, value in table[name][-1].items()}, flush=True)
    for name, rows in table.items():
        cells = [spread([row[key] for row in rows]) for key in rows[0]]
        print(f"| {name} | {len(rows)} | {' | '.join(cells)} |")


def spread(values: Sequence[float]) -> str:
    """The mean, and the deviation of several."""
    deviation = f" ± {statistics.stdev(values):.3f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.3f}{deviation}"


def main() -> None:
    """Train, or print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2])
    parser.add_argument("--only", nargs="*", default=list(VARIANTS), choices=list(VARIANTS))
    parser.add_argument("--crops", type=int, default=4)
    parser.add_argument("--lite2-precision", default="auto", help="bf16 halves the time on CPUs with matrix units")
    parser.add_argument("--score", action="store_true", help="score what was trained")
    options = parser.parse_args()
    keep_memory()  # as the command does
    if options.score:
        return score(options)
    for seed in options.seeds:
        for name in options.only:
            train(name, seed, options)


if __name__ == "__main__":
    main()
