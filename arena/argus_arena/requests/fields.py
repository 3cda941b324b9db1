"""Values of options as texts, and the fields that several requests have. Torch is not imported."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field
from typer import Option

from argus_core.cli.early import (
    Check,
    check_backbone,
    check_device,
    check_dtype,
    check_license,
    check_protocol,
    check_size,
    checked_data,
    named_data,
    one_of,
    placed,
)
from argus_core.common.dtypes import known_dtype
from argus_core.common.options import parse_pairs
from argus_core.errors import ArgusError

ON_VAL = "val"
"""The selection on the split that is scored."""


def names(texts: str | Sequence[str]) -> tuple[str, ...]:
    """Comma-separated names, in one text or several."""
    several = [texts] if isinstance(texts, str) else texts
    return tuple(part.strip() for text in several for part in text.split(",") if part.strip())


def integers(values: str | Sequence[Any]) -> tuple[int, ...]:
    """Comma-separated whole numbers, in one text or several, or the numbers themselves."""
    texts = ",".join([values] if isinstance(values, str) else map(str, values))
    try:
        return tuple(map(int, names(texts)))
    except ValueError as error:
        raise ArgusError(f"{texts!r} are not whole numbers, such as 2,5,8,11") from error


def selection(value: str) -> str:
    """A share of images, at most nine tenths of them, written in one way, or ``val``."""
    if value == ON_VAL:
        return value
    try:
        share = float(value)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 0.9:
        raise ArgusError(
            f"selection {value!r} is no share of the training images such as 0.1, at most 0.9, nor 0, nor {ON_VAL}"
        )
    return f"{share:g}"


def option(check: Check, *names: str) -> Any:
    """An option whose values are checked while the command line is read; addresses of paths become places."""
    return Option(*names, callback=placed(check))


Names = Annotated[tuple[str, ...], BeforeValidator(names)]
Integers = Annotated[tuple[int, ...], BeforeValidator(integers)]
Pairs = Annotated[dict[str, Any], BeforeValidator(parse_pairs)]

# Fields that several requests have.
Data = Annotated[
    str,
    Option(callback=checked_data),
    AfterValidator(named_data),
    Field(description="data set: a path, or a spec such as yolo:PATH or images:PATH,masks=DIR"),
]
Backbone = Annotated[str, option(check_backbone), Field(description="registered backbone")]
Weights = Annotated[Path | None, Field(description="weights file of the backbone")]
BackboneOptions = Annotated[Pairs, Option("--backbone-set"), Field(description="option of the backbone, e.g. mean=0.5")]
Selection = Annotated[
    str,
    option(selection),
    AfterValidator(selection),
    Field(
        description="share of the training images that choices are made on; "
        "0: none, the last weights are scored; val: the split that is scored"
    ),
]
DType = Annotated[
    str,
    option(check_dtype),
    AfterValidator(known_dtype),
    Field(description="fp16, bf16, fp32, int8, int4; or pca-K, such as pca-64: K principal components, fitted first"),
]
Device = Annotated[
    str | None,
    option(check_device),
    Field(description="cpu, cuda, cuda:1; default: a GPU where there is one"),
]
Metric = Annotated[Pairs, Field(description="option of the scoring, e.g. backend=faster")]
Protocol = Annotated[
    str | None,
    option(check_protocol),
    Field(description="score under a published protocol; `arena protocols` lists them"),
]
RequireLicense = Annotated[
    str | None,
    option(check_license),
    Field(description="permissive: refuse weights under any other terms"),
]
AcceptFaults = Annotated[bool, Field(description="go on with data whose faults would make the result wrong")]
TileSize = Annotated[
    str | None, option(check_size), Field(description="encode a larger canvas by tiles of SIZE or HEIGHTxWIDTH px")
]
Overlap = Annotated[
    float | None, Field(ge=0, lt=1, description="share of a tile's side that neighbours have in common; default: 0.2")
]
PassBatch = Annotated[int, Field(ge=1, description="images per backbone pass")]
Engine = Annotated[
    Literal["local", "ray", "slurm"],
    option(one_of("engine", ("local", "ray", "slurm"))),
    Field(description="what does the work: local, or workers of ray or slurm"),
]
EngineOptions = Annotated[Pairs, Option("--engine-set"), Field(description="option of the engine, e.g. gpus=1")]
