"""Build the built-in model from runs of the arena: ``python -m argus_lite.assemble RUN/HEAD ... --out FOLDER``.

``recipes/README.md`` has the commands that train the runs.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from timm.data import ImageNetInfo

from argus_core import Argus, Canvas, Classify, Head, build_head, load_backbone, load_head, open_data
from argus_core.backbones import Backbone
from argus_core.errors import ArgusError
from argus_core.plugins.hooks import load_plugins
from argus_lite.backbones import published_tensors

BACKBONE = "lite2"
"""`lite0` answers worse: top-1 0.817 in place of 0.844, mIoU 0.436 in place of 0.450 (`recipes/README.md`)."""
TRAINED = Canvas(320)
CANVAS = Canvas(320, interpolation="bicubic")
"""Images are resized as when the classifier was trained, which is worth two points of its accuracy."""
RESEARCH = "research-data"
"""Identifier of the terms of photographs that may be used for research."""
LIMITS = {
    "classify": "one of the 1000 classes of ImageNet: things and animals, no people, few scenes",
    "segment": "indoor scenes; outdoors every pixel still gets one of the 13 indoor classes",
    "depth": "indoor scenes up to 10 m, seen by a camera like that of NYU Depth V2; outdoors it is wrong",
    "correspond": "parts of things of one kind, and views of one scene that differ little; no geometry is checked",
}
TRAINED_ON = {"classify": RESEARCH, "segment": RESEARCH, "depth": RESEARCH}
"""Terms of the photographs that heads were trained on, by task."""
NAMES = {"images": "NYU Depth V2 (cropped)", "pf_willow": "PF-WILLOW"}
"""Names of the runs' data sets, by the beginning of their specs."""

CLASSES = {"n02012849": "crane (bird)", "n03126707": "crane (machine)", "n03710721": "maillot (tank suit)"}
"""Names, by WordNet id, of classes whose first name another class has too."""


def main() -> None:
    """Write the model and print where it is."""
    parser = argparse.ArgumentParser(prog="python -m argus_lite.assemble", description=__doc__)
    parser.add_argument("heads", nargs="+", type=Path, help="RUN/HEAD of `arena train`, one for each task")
    parser.add_argument("--photographs", type=Path, required=True, help="files called WORDNET-ID_*.jpg, to be scored")
    parser.add_argument("--rooms", required=True, help="data spec whose split val scores masks and depth")
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    arguments = parser.parse_args()
    argus = assemble([load_head(folder / "best.safetensors")[0] for folder in arguments.heads])
    argus.head("classify").record["scores"] = [score_photographs(argus, arguments.photographs)]
    score_rooms(argus, arguments.rooms)
    argus.save(arguments.out, "heads")
    print(f"model: {arguments.out}")


def assemble(heads: Sequence[Head]) -> Argus:
    """The published classifier and trained heads, named after their tasks, on ``CANVAS``.

    Every record gets the limits of the head and the terms of its training data. Raises ArgusError for a head that was
    trained on another size.
    """
    backbone = load_backbone(BACKBONE)
    argus = Argus(backbone)
    for head in (published_classifier(backbone), *heads):
        task = head.task.name
        if head.canvas not in (TRAINED, CANVAS):
            raise ArgusError(f"head {task!r} was trained on {head.canvas}, the model has one pass on {CANVAS}")
        head.canvas = CANVAS
        head.record["limits"] = [LIMITS[task]]
        head.record["data"] = _with_name(head.record["data"])
        head.record["scores"] = [{**row, "data": _with_name(row["data"])} for row in head.record.get("scores", [])]
        if task in TRAINED_ON:
            head.record["data"]["license"] = TRAINED_ON[task]
        argus.add(task, head)
    return argus


def _with_name(data: Mapping[str, Any]) -> dict[str, Any]:
    """The record of a data set with its name in place of its path."""
    spec = str(data["spec"])
    return {**data, "spec": NAMES.get(spec.partition(":")[0], spec)}


def published_classifier(backbone: Backbone) -> Head:
    """The last layer of the backbone's network, with timm's names of the classes of ImageNet-1k."""
    names = ImageNetInfo()
    classes = [
        CLASSES.get(label, names.index_to_description(index).split(",")[0])
        for index, label in enumerate(names.label_names())
    ]
    head = build_head("classify.linear", backbone.info, Classify(classes=tuple(classes)), {"normalize": False})
    tensors = published_tensors(backbone.name, backbone.model.net)  # type: ignore[arg-type]
    head.load_state_dict({f"classify.{part}": tensors[f"classifier.{part}"] for part in ("weight", "bias")})
    head.canvas = CANVAS
    head.record = {"data": {"spec": "ImageNet-1k, by the authors of EfficientNet-Lite"}}
    return head.eval()


def score_photographs(argus: Argus, folder: Path) -> dict[str, Any]:
    """A row of scores in the arena's format, on photographs whose file names begin with a WordNet id."""
    labels = ImageNetInfo().label_names()
    ids = {file: re.match(r"n\d{8}", file.name) for file in sorted(folder.iterdir())}
    truth = {file: labels.index(match[0]) for file, match in ids.items() if match}
    if not truth:
        raise ArgusError(f"{folder} holds no photographs called WORDNET-ID_*, such as n01440764_tench.jpg")
    hits = torch.zeros(2)
    for file, label in truth.items():
        best = [entry["class_id"] for entry in argus.classify(file, top_k=5)]
        hits += torch.tensor([best[0] == label, label in best])
    top1, top5 = (hits / len(truth)).tolist()
    return {
        "primary": "top1",
        "metrics": {"top1": top1, "top5": top5},
        "data": {
            "spec": f"photographs of ImageNet's classes ({folder.name})",
            "val": {"split": "all", "images": len(truth)},
        },
    }


def score_rooms(argus: Argus, spec: str) -> None:
    """Score masks and depth as they are in the model, and replace the scores of their runs."""
    split = open_data(spec, load_plugins())["val"]
    for name in ("segment", "depth"):
        head = argus.head(name)
        metric = head.task.metric()
        for index in range(len(split)):
            tokens, (place,) = argus.tokens([split.read(index)], CANVAS, head.needs)
            with torch.no_grad():
                (prediction,) = argus.run_heads(tokens, [name])[name]
            metric.update(split.key(index), head.task.to_image(prediction, place), split.truth(index, name))
        head.record["scores"][0]["metrics"] = metric.compute()


if __name__ == "__main__":
    main()
