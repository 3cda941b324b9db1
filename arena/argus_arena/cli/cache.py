"""Commands about data and tokens on disk: cache, cache info, cache verify, data check, data audit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from argus_arena.cli.options import request_options, with_options
from argus_arena.requests import CacheRequest, make
from argus_core.cli.early import check_path, checked_data, placed
from argus_core.common.folders import check_local
from argus_core.common.places import Address

CacheFolder = Annotated[Path, typer.Argument(callback=placed(check_path))]


def check_place(path: Path) -> None:
    """A folder of this machine that is there, or an address, which is looked at when it is opened."""
    if not isinstance(path, Address):
        check_path(path)


def each_checked_data(specs: list[str] | None) -> list[str]:
    """Data specs, each checked and with the name of its data set."""
    return [spec for spec in map(checked_data, specs or ()) if spec]


Seal = Annotated[bool, typer.Option("--seal", help="check that all parts of --out are there and write its index")]
Plan = Annotated[
    bool, typer.Option("--plan", help="measure disk and backbone, and print what each --dtype takes; nothing stays")
]
AsJson = Annotated[bool, typer.Option("--json", help="with --plan: print it as JSON")]
cache = typer.Typer(help="Store a frozen backbone's tokens.", invoke_without_command=True, no_args_is_help=True)
data = typer.Typer(help="Look at data sets.", no_args_is_help=True)


@cache.callback()
@with_options(request_options(CacheRequest, optional=("data", "out")))  # `arena cache info` needs neither
def build(
    context: typer.Context, *, seal: Seal = False, plan: Plan = False, as_json: AsJson = False, **values: Any
) -> None:
    """Run the backbone once over a data set and store its tokens; killed runs resume, and several share the work."""
    if context.invoked_subcommand is not None:
        return
    if seal and plan:
        raise typer.BadParameter("--plan measures before caching, --seal is for what is cached: give one of them")
    if seal and values["out"] is not None:
        from argus_arena.tools.cache import seal_caches

        return seal_caches(values["out"])
    if values["data"] is None or values["out"] is None:
        raise typer.BadParameter("--data and --out are needed")
    request = make(CacheRequest, values, "the cache")
    if plan:
        return _plan(request, as_json)
    if as_json:
        raise typer.BadParameter("--json is for --plan")
    from argus_arena.tools.cache_cells import write_caches

    write_caches(request)


def _plan(request: CacheRequest, as_json: bool) -> None:
    from argus_arena.tools.cache_plan import plan_cache, show_plan

    planned = plan_cache(request)
    print(json.dumps(planned.to_dict(), indent=2)) if as_json else show_plan(planned)


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


@data.command()
def audit(
    caches: Annotated[
        list[Path], typer.Argument(metavar="CACHE...", callback=placed(check_place), help="folders of `arena cache`")
    ],
    spec: Annotated[
        list[str] | None,
        typer.Option(
            "--data",
            callback=each_checked_data,
            help="the data of the caches, for all or one for each; default: as the caches say",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", callback=placed(check_local), help="folder to write; default: beside the first cache"),
    ] = None,
    top: Annotated[int, typer.Option("--top", min=1, help="findings of each kind on the page")] = 100,
    task: Annotated[
        list[str] | None, typer.Option("--task", help="judge the annotations of this task alone; repeatable")
    ] = None,
    pictures: Annotated[bool, typer.Option("--pictures/--no-pictures", help="put pictures on the page")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="print what was found as JSON")] = False,
) -> None:
    """Find faults of a data set in its cached tokens: copies, doubtful annotations, outliers, what a split lacks.

    Writes a page with pictures, audit.html, and audit.json. The backbone does not run.
    """
    from argus_arena.audit.run import run_audit

    found = run_audit(caches, spec or (), out, top, task or (), pictures, quiet=as_json)
    if as_json:
        print(json.dumps(found, indent=2))
