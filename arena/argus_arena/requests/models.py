"""A model per command, whose fields are its options, with their help."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator
from typer import Option

from argus_arena.requests.fields import (
    AcceptFaults,
    Backbone,
    BackboneOptions,
    Data,
    Device,
    DType,
    Engine,
    EngineOptions,
    Integers,
    Metric,
    Names,
    Overlap,
    Pairs,
    PassBatch,
    Protocol,
    RequireLicense,
    Selection,
    TileSize,
    Weights,
    option,
)
from argus_core.canvas import Fit, Interpolation
from argus_core.cli.early import (
    check_backbone,
    check_fit,
    check_heads,
    check_interpolation,
    check_out,
    check_path,
    check_protocol,
    check_run,
    check_size,
    check_tiles,
    check_which,
    checked_data,
    one_of,
)
from argus_core.common.part import parse_part
from argus_core.common.places import place


class Request(BaseModel):
    """The base of all requests: frozen, without unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", coerce_numbers_to_str=True)  # canvas = 640 in a file

    @field_validator("*")
    @classmethod
    def _placed(cls, value: Any) -> Any:
        return place(value) if isinstance(value, Path) else value


class RunRequest(Request):
    """``arena train``."""

    heads: Annotated[tuple[str, ...], option(check_heads, "--head")] = Field(
        min_length=1, description="registered head such as depth.linear, FILE.py:CLASS, or NAME=HEAD; repeatable"
    )
    data: Data
    cache: Annotated[Path | None, option(check_path)] = Field(
        default=None, description="folder written by `arena cache`"
    )
    backbone: Annotated[str | None, option(check_backbone)] = Field(
        default=None, description="train on live tokens of this backbone"
    )
    weights: Weights = None
    backbone_options: BackboneOptions = Field(default_factory=dict)
    canvas: Annotated[str | None, option(check_size)] = Field(
        default=None, description="SIZE or HEIGHTxWIDTH in pixels, for live tokens; default: the protocol's, or 640"
    )
    fit: Annotated[Fit, option(check_fit)] = Field(
        default="letterbox", description="letterbox, stretch or crop, for live tokens"
    )
    tiles: TileSize = None
    overlap: Overlap = None
    views: Names = Field(
        default=(), description="views to train on, such as id,hflip; default: all that the cache holds"
    )
    recipe: Annotated[Literal["auto", "card"], option(one_of("recipe", ("auto", "card")))] = Field(
        default="auto", description="auto: suited to the size of the data; card: as published"
    )
    init: Literal["ridge"] | None = Field(
        default=None, description="ridge: start linear heads from a closed-form solution; as --set init=ridge"
    )
    train_split: str = Field(default="train", description="split that is trained on")
    val_split: str = Field(default="val", description="split that is scored")
    selection: Selection = "0.1"
    seed: int = Field(default=0, description="seed of initial weights, order and noise")
    device: Device = None
    workers: int = Field(default=0, ge=0, description="processes that read batches ahead; 0: a thread")
    eval_every: float = Field(default=0.0, ge=0, description="epochs between evaluations; 0 picks about ten in all")
    eval_batch: int = Field(default=8, ge=1, description="images per backbone pass while scoring")
    metric: Metric = Field(default_factory=dict)
    protocol: Protocol = None
    require_license: RequireLicense = None
    accept_faults: AcceptFaults = False
    save_every: int = Field(default=0, ge=0, description="steps between saved states; 0 saves once an epoch")
    new_device: bool = Field(
        default=False, description="go on with a run that another type of device or precision began"
    )
    settings: Annotated[Pairs, Option("--set")] = Field(
        default_factory=dict, description="recipe field or head option; HEAD.KEY=VALUE for one head"
    )


class Comparison(Request):
    """The options of ``arena compare`` that ``arena train`` does not have."""

    out: Annotated[Path, option(check_out)] = Field(description="folder of the comparison; the same command resumes it")
    seeds: int = Field(default=1, ge=1, description="trainings of every head, with seeds 0, 1, ...")
    memory: float | None = Field(
        default=None, ge=0.001, description="GiB for heads side by side; default: half of what is free"
    )
    task: str = Field(default="", description="which task, where the data has several")
    engine: Engine = "local"
    engine_options: EngineOptions = Field(default_factory=dict)


class CacheRequest(Request):
    """``arena cache``."""

    data: Data
    out: Annotated[Path, option(check_out)] = Field(description="folder to write; the same command resumes it")
    backbone: Backbone = "eupe_vitb16"
    weights: Weights = None
    backbone_options: BackboneOptions = Field(default_factory=dict)
    canvas: Annotated[str, option(check_size)] = Field(
        default="640", description="SIZE or HEIGHTxWIDTH of the backbone's input in pixels"
    )
    fit: Annotated[Fit, option(check_fit)] = Field(default="letterbox", description="letterbox, stretch or crop")
    interpolation: Annotated[Interpolation, option(check_interpolation)] = Field(
        default="bilinear", description="bilinear, bicubic or nearest"
    )
    short: int = Field(default=0, description="with fit crop: short side in pixels before the crop")
    tiles: TileSize = None
    overlap: Overlap = None
    protocol: Annotated[str | None, option(check_protocol)] = Field(
        default=None, description="take canvas and views from a published protocol, for all splits"
    )
    layers: Integers = Field(default=(-1,), description="blocks to store, such as 2,5,8,11; -1 is the last")
    cls: bool = Field(default=False, description="also store the CLS token")
    maps: Annotated[bool, Option("--maps/--no-maps")] = Field(default=True, description="store the patch tokens")
    views: Names = Field(default=("id",), description="true passes of the training split: id or id,hflip")
    dtype: DType = "fp16"
    splits: Names = Field(default=("train", "val"), description="splits to cache")
    batch: int | None = Field(
        default=None, ge=1, description="images per backbone pass; default: 8, on a GPU 32, or as the cache was begun"
    )
    device: Device = None
    compile: bool = Field(default=False, description="run the backbone through torch.compile")
    skip_bad: bool = Field(default=False, description="leave out unreadable images and list them")
    accept_faults: AcceptFaults = False
    require_license: RequireLicense = None
    part: Annotated[str | None, option(parse_part)] = Field(
        default=None,
        description="share of the shards to begin with, such as 2/8; default: SLURM_ARRAY_TASK_ID, or RANK, if set",
    )
    parts: int | None = Field(default=None, ge=1, description="workers of an engine that share the work")
    engine: Engine = "local"
    engine_options: EngineOptions = Field(default_factory=dict)


class EvalRequest(Request):
    """``arena eval``."""

    run: Annotated[Path, option(check_run)] = Field(description="run folder, or one head's folder inside it")
    data: Annotated[str | None, Option(callback=checked_data)] = Field(default=None, description="other than the run's")
    split: str = Field(default="val", description="split that is scored")
    which: Annotated[str, option(check_which, "--weights-of")] = Field(default="best", description="best or last")
    protocol: Protocol = None
    tiles: Annotated[str | None, option(check_tiles)] = Field(
        default=None, description="large images by tiles of SIZE px of the image; auto: of as many as the canvas has"
    )
    overlap: Overlap = None
    settings: Annotated[Pairs, Option("--set")] = Field(default_factory=dict, description="decoding, e.g. soft=true")
    metric: Metric = Field(default_factory=dict)
    weights: Weights = Field(default=None, description="backbone weights, if they moved")
    device: Device = None
    batch: PassBatch = 8
    accept_faults: AcceptFaults = False
