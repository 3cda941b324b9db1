"""What the stages of `eupe-toy` are worth: students of one teacher, of two, through a proxy, and after several sizes.

python distill_toy.py DATA OUT --seeds 0 1 2    # trains what is missing in OUT
python distill_toy.py DATA OUT --score          # scores what is there, and prints a table

DATA holds unlabelled, imagenette160, coco256, coco_plus, nyuv2, pf_willow and weights_vit_tiny. All students see the
same stored views of the same photographs; those of one seed begin with the same weights. What was begun goes on.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from argus_arena.distill.reading import read_recipe
from argus_arena.distill.run import distill

PHOTOGRAPHS = ("images:{}/unlabelled,images=.", "folder:{}/imagenette160", "coco:{}/coco256", "coco:{}/coco_plus")


@dataclass(frozen=True)
class Variant:
    """A student: the stage of eupe-toy that trains it, what is changed there, and the variant that it begins with."""

    stage: str
    teachers: tuple[str, ...]
    changes: Mapping[str, Any] = field(default_factory=dict)
    start: str = ""


VARIANTS = {
    "lite2": Variant("student", ("lite2",)),
    "vit": Variant("student", ("vit",)),
    "both": Variant("student", ("lite2", "vit")),
    "proxy": Variant("proxy", ("lite2", "vit")),
    "through-proxy": Variant("student", ("proxy",)),
    "through-proxy-sizes": Variant("multi-resolution", ("proxy",), start="through-proxy"),
    "both-sizes": Variant("multi-resolution", ("lite2", "vit"), start="both"),
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


def main() -> None:
    """Train, or print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2])
    parser.add_argument("--only", nargs="*", default=list(VARIANTS), choices=list(VARIANTS))
    parser.add_argument("--crops", type=int, default=4)
    parser.add_argument("--lite2-precision", default="auto", help="bf16 halves the time on CPUs with matrix units")
    options = parser.parse_args()
    for seed in options.seeds:
        for name in options.only:
            train(name, seed, options)


if __name__ == "__main__":
    main()
