"""Model cards: what a saved Argus holds, what is known of it and on which terms, for readers and for the hub."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from huggingface_hub import EvalResult, ModelCardData

from argus_core.backbones.origin import base_model
from argus_core.common.license import License, Licenses
from argus_core.errors import counted
from argus_core.model.plan import Plan
from argus_core.saving.config import FILES, HEADS_ONLY, BundleConfig, HeadEntry
from argus_core.saving.origin import BY_HAND, FILE
from argus_core.saving.record import record_rows, shown_metrics

HUB_IDS = ("apache-2.0", "mit", "bsd-3-clause", "cc0-1.0", "cc-by-4.0", "cc-by-nc-4.0")
"""Identifiers of terms that the hub lists as such."""
PIPELINES = {
    "classify": "image-classification",
    "segment": "image-segmentation",
    "depth": "depth-estimation",
    "detect": "object-detection",
}
"""The hub's name of each task that it has one for."""
YOURS = "<!-- Text below this line is yours: argus push keeps it. -->"
OWN = "argus-perception"


def make_card(
    config: BundleConfig, plan: Plan, licenses: Licenses, place: str, *, transformers: bool = False, terms: str = ""
) -> str:
    """The card of a saved Argus, in Markdown, with scores from its records only.

    ``place`` is the hub id or folder that it will be loaded from, ``transformers`` says that AutoModel loads it too.
    ``terms`` is the address of the licences' text: a file beside the card, or a link.
    """
    name = place.partition("@")[0].rpartition("/")[2]
    data = _metadata(config, licenses.binding, name, transformers, terms)
    parts = [
        f"---\n{data.to_yaml()}\n---\n\n# {name}",
        _summary(config, plan),
        "## Use",
        *_use(config, place, transformers),
        "## Heads",
        _heads(config),
        "What is known of each, from the records of its training and scoring; nothing else was measured:",
        *(_known(name, entry, licenses) for name, entry in config.heads.items()),
        "## Cost",
        "Passes for an image, parameters, and multiply-accumulates of each part:",
        f"```\n{plan}\n```",
        "## Licences",
        f"Binding for the whole: {licenses.binding.name}. {licenses.binding.note}",
        f"```\n{licenses}\n```",
    ]
    links = sorted({record.link for record in licenses.values() if record.link})
    return "\n\n".join([*parts, *(f"The text of these terms: {link}" for link in links), YOURS]) + "\n"


def kept_text(card: str) -> str:
    """What somebody wrote into a card: all below the line that says so, or the text of a card without that line."""
    if YOURS in card:
        return card.partition(YOURS)[2]
    return re.sub(r"\A---\n.*?\n---\n", "\n", card, flags=re.DOTALL)


def _metadata(config: BundleConfig, binding: License, name: str, transformers: bool, terms: str) -> ModelCardData:
    listed = binding.id in HUB_IDS
    tasks = {str(entry.task["task"]) for entry in config.heads.values()}
    results = [result for name, entry in config.heads.items() for result in _results(name, entry)]
    return ModelCardData(
        license=binding.id if listed else "other",
        license_name=None if listed else _slug(binding.id),
        license_link=None if listed else terms or binding.link or None,
        library_name="transformers" if transformers else "argus",
        tags=["argus", *sorted(tasks), *(["custom_code"] if transformers else [])],
        pipeline_tag=PIPELINES.get(tasks.pop()) if len(tasks) == 1 else None,
        base_model=base_model(config.backbone.name, config.backbone.license, config.backbone.options),
        model_name=name if results else None,
        eval_results=results or None,
    )


def _results(name: str, entry: HeadEntry) -> Iterator[EvalResult]:
    """The recorded scores of a head whose data set is known."""
    scores, task = entry.record.get("scores"), str(entry.task["task"])
    for row in scores if isinstance(scores, list) else ():
        data = row.get("data") if isinstance(row, Mapping) else None
        if not isinstance(data, Mapping) or not data.get("spec"):
            continue
        part: Mapping[str, Any] = data.get("val") or {}
        for key, value in shown_metrics(row).items():
            yield EvalResult(
                task_type=PIPELINES.get(task, "other"),
                task_name=task,
                dataset_type=_slug(data["spec"]),
                dataset_name=data["spec"],
                dataset_split=part.get("split"),
                dataset_args={"images": part["images"]} if "images" in part else None,
                metric_type=_slug(key),
                metric_value=value,
                metric_name=f"{key} of {name}",
                metric_args={"protocol": row["protocol"]} if row.get("protocol") else None,
            )


def _summary(config: BundleConfig, plan: Plan) -> str:
    backbone = config.backbone
    return (
        f"One frozen backbone, `{backbone.name}` (weights {backbone.weights_sha256[:12]}), and "
        f"{counted(len(config.heads), 'head')} on its tokens. An image takes "
        f"{counted(len(plan.passes), 'backbone pass')}, {plan.macs / 1e9:.3g} GMACs."
    )


def _use(config: BundleConfig, place: str, transformers: bool) -> Iterator[str]:
    packages = {
        entry.distribution: f"{entry.distribution}=={entry.version}"
        for entry in config.heads.values()
        if entry.distribution != OWN and not _by_file(entry)
    }
    yield f"```\npip install {' '.join([OWN, *packages.values()])}\n```"
    yield (
        f'```python\nfrom argus_core import Argus\n\nargus = Argus.load("{place}")\n'
        'results = argus.perceive("photo.jpg")\nresults.save_picture("results.png")\n```'
    )
    if transformers:
        yield (
            "Or, with transformers:\n\n```python\nfrom transformers import AutoModel\n\n"
            f'model = AutoModel.from_pretrained("{place}", trust_remote_code=True)\n'
            'answers = model.perceive("photo.jpg")\n```'
        )
    for variant, file in FILES.items():
        if file in config.files and variant is not None:
            yield f"`{file}` is the variant `{variant}`{', without the backbone' if variant == HEADS_ONLY else ''}."
    if set(config.files) == {FILES[HEADS_ONLY]}:
        yield f"The weights of the backbone `{config.backbone.name}` must be installed where this is loaded."
    for name, entry in config.heads.items():
        if _by_file(entry):
            yield f"The code of head `{name}`, `{entry.head}`, is in no package: its author must give it to you."


def _by_file(entry: HeadEntry) -> bool:
    return entry.distribution == BY_HAND or entry.distribution.startswith(FILE)


def _heads(config: BundleConfig) -> str:
    rows: list[tuple[str, ...]] = [("head", "task", "kind", "classes", "parameters", "canvas"), ("---",) * 6]
    for name, entry in config.heads.items():
        canvas, classes = config.canvas or entry.canvas, entry.task.get("classes")
        shown = canvas.label if canvas else ""
        count = "" if classes is None else str(len(classes))
        rows.append((name, str(entry.task["task"]), entry.head, count, f"{entry.parameters:,}", shown))
    return "\n".join(f"| {' | '.join(map(_cell, row))} |" for row in rows)


def _known(name: str, entry: HeadEntry, licenses: Licenses) -> str:
    """What the record of a head says, as a list; a text of the record cannot become anything but text."""
    data = licenses[f"data of {name}"].name if f"data of {name}" in licenses else "not stated"
    labels = {"scores": "measured", "data": "trained on"}
    rows = record_rows(
        entry.record, f"{licenses[f'head {name}'].name}; of the training data: {data}", entry.calibration
    )
    return "\n".join([f"**{name}**", "", *(f"* {labels.get(key, key)}: {_cell(text)}" for key, text in rows)])


def _slug(text: str) -> str:
    """A text as an identifier of the hub."""
    return re.sub(r"[^\w.]+", "-", str(text)).strip("-").lower()


def _cell(text: str) -> str:
    """A text on one line, without what would end a cell of a table or begin a tag."""
    return re.sub(r"([|<`])", r"\\\1", " ".join(text.split()))
