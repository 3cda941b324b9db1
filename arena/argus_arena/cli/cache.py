"""Commands about data and tokens on disk: cache, cache info, cache verify, data check."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from argus_arena.cli import options
from argus_arena.cli.options import BackboneSet, Fit, RequireLicense, Weights
from argus_core.cli.app import Device
from argus_core.cli.early import (
    check_data,
    check_dtype,
    check_interpolation,
    check_out,
    check_path,
    check_protocol,
    checked,
)
from argus_core.common.options import parse_size

CacheFolder = Annotated[Path, typer.Argument(callback=checked(check_path))]
cache = typer.Typer(help="Store a frozen backbone's tokens.", invoke_without_command=True, no_args_is_help=True)
data = typer.Typer(help="Look at data sets.", no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.add_typer(cache, name="cache")
    app.add_typer(data, name="data")


@cache.callback()
def build(
    context: typer.Context,
    data: Annotated[
        str | None,
        typer.Option(
            "--data",
            callback=checked(check_data),
            help="data spec, such as coco:PATH, folder:PATH or images:PATH,masks=DIR",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", callback=checked(check_out), help="folder to write; the same command resumes it"),
    ] = None,
    backbone: options.Backbone = "eupe_vitb16",
    weights: Weights = None,
    backbone_set: BackboneSet = None,
    canvas: options.CanvasSize = "640",
    fit: Fit = "letterbox",
    interpolation: Annotated[
        str,
        typer.Option("--interpolation", callback=checked(check_interpolation), help="bilinear, bicubic or nearest"),
    ] = "bilinear",
    short: Annotated[int, typer.Option("--short", help="with fit crop: short side in pixels before the crop")] = 0,
    protocol: Annotated[
        str | None,
        typer.Option(
            "--protocol",
            callback=checked(check_protocol),
            help="take canvas and views from a published protocol, for all splits",
        ),
    ] = None,
    layers: Annotated[str, typer.Option("--layers", help="blocks to store, such as 2,5,8,11; -1 is the last")] = "-1",
    cls: Annotated[bool, typer.Option("--cls", help="also store the CLS token")] = False,
    maps: Annotated[bool, typer.Option(help="store the patch tokens")] = True,
    views: Annotated[str, typer.Option("--views", help="true passes of the training split: id or id,hflip")] = "id",
    dtype: Annotated[
        str, typer.Option("--dtype", callback=checked(check_dtype), help="fp16, bf16, fp32 or int8")
    ] = "fp16",
    splits: Annotated[str, typer.Option("--splits")] = "train,val",
    batch: Annotated[int, typer.Option("--batch", min=1, help="images per backbone pass")] = 8,
    device: Device = None,
    compile: Annotated[bool, typer.Option("--compile", help="run the backbone through torch.compile")] = False,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="leave out unreadable images and list them")] = False,
    accept_faults: options.AcceptFaults = False,
    require_license: RequireLicense = None,
) -> None:
    """Run the backbone once over a data set and store its tokens; killed runs resume."""
    if context.invoked_subcommand is not None:
        return
    if data is None or out is None:
        raise typer.BadParameter("--data and --out are needed")
    from argus_arena.tools.cache import CacheRequest, build_cache

    build_cache(
        CacheRequest(
            data=data,
            out=out,
            backbone=backbone,
            weights=weights,
            backbone_options=options.pairs(backbone_set),
            canvas=parse_size(canvas),
            fit=fit,
            interpolation=interpolation,
            short=short,
            protocol=protocol,
            layers=options.integers(layers),
            cls=cls,
            maps=maps,
            views=options.names(views),
            dtype=dtype,
            splits=options.names(splits),
            batch=batch,
            device=device,
            compile=compile,
            skip_bad=skip_bad,
            accept_faults=accept_faults,
            require_license=require_license,
        )
    )


@cache.command()
def info(folder: CacheFolder) -> None:
    """Print what a cache holds and what it was made from."""
    from argus_arena.tools.cache import cache_info

    print(json.dumps(cache_info(folder), indent=2))


@cache.command()
def verify(folder: CacheFolder) -> None:
    """Check every byte of a cache against its checksums; exit code 1 if one differs."""
    from argus_arena.tools.cache import verify_cache

    faults = verify_cache(folder)
    for fault in faults:
        print(fault)
    if faults:
        raise typer.Exit(1)
    print(f"{folder}: every checksum holds")


@data.command()
def check(spec: Annotated[str, typer.Argument(callback=checked(check_data))]) -> None:
    """Report what is wrong with a data set, in words, and count what it holds; exit code 1 if anything is."""
    from argus_arena.tools.cache import check_data

    if check_data(spec):
        raise typer.Exit(1)
