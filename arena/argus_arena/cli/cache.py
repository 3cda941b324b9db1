"""Commands about data and tokens on disk: cache, cache info, cache verify, data check."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from argus_arena.cli.options import request_options, with_options
from argus_arena.requests import CacheRequest, make
from argus_core.cli.early import check_path, checked_data, placed

CacheFolder = Annotated[Path, typer.Argument(callback=placed(check_path))]
Seal = Annotated[bool, typer.Option("--seal", help="check that all parts of --out are there and write its index")]
cache = typer.Typer(help="Store a frozen backbone's tokens.", invoke_without_command=True, no_args_is_help=True)
data = typer.Typer(help="Look at data sets.", no_args_is_help=True)


@cache.callback()
@with_options(request_options(CacheRequest, optional=("data", "out")))  # `arena cache info` needs neither
def build(context: typer.Context, *, seal: Seal = False, **values: Any) -> None:
    """Run the backbone once over a data set and store its tokens; killed runs resume, and several share the work."""
    if context.invoked_subcommand is not None:
        return
    if seal and values["out"] is not None:
        from argus_arena.tools.cache import seal_caches

        return seal_caches(values["out"])
    if values["data"] is None or values["out"] is None:
        raise typer.BadParameter("--data and --out are needed")
    request = make(CacheRequest, values, "the cache")
    from argus_arena.tools.cache_cells import write_caches

    write_caches(request)


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
def check(spec: Annotated[str, typer.Argument(callback=checked_data)]) -> None:
    """Report what is wrong with a data set, in words, and count what it holds; exit code 1 if anything is."""
    from argus_arena.tools.cache import check_data

    if check_data(spec):
        raise typer.Exit(1)
