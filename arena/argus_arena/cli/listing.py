"""Commands that answer from metadata: heads, backbones, plugins."""

from __future__ import annotations

from collections.abc import Sequence

import typer

from argus_core.registry import Entry


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command()(heads)
    app.command()(backbones)
    app.command()(protocols)
    app.command()(plugins)
    app.command()(check)


def heads() -> None:
    """List every installed head and who brought it."""
    from argus_core.registry import HEADS

    _show(HEADS.entries())


def backbones() -> None:
    """List every installed backbone and who brought it."""
    from argus_core.registry import BACKBONES

    _show(BACKBONES.entries())


def protocols() -> None:
    """List the published protocols that heads can be scored under, with what each is."""
    from argus_core.protocol import find_protocol
    from argus_core.registry import PROTOCOLS

    entries = PROTOCOLS.entries()
    width = max((len(entry.name) for entry in entries), default=0)
    for entry in entries:
        found = find_protocol(entry.name)
        print(f"{entry.name:<{width}}  {found.task:<10}  {found.summary}")


def plugins() -> None:
    """List plugins, what data sets they offer, and which failed to load and why; exit code 1 if one did."""
    from argus_core.hooks import load_plugins

    loaded = load_plugins()
    _show(loaded.loaded)
    print(f"data sets: {', '.join(sorted(loaded.datasets()))}")
    for name, reason in loaded.failed.items():
        print(f"FAILED {name}: {reason}")
    if loaded.failed:
        raise typer.Exit(1)


def check(name: str) -> None:
    """Run the conformance kit on a head: every promise a head makes, one line each."""
    from argus_core.testing import check_head

    faults = check_head(name)
    for check_name, reason in faults.items():
        print(f"{'FAILED ' + reason if reason else 'ok':<8} {check_name}")
    if any(faults.values()):
        raise typer.Exit(1)


def _show(entries: Sequence[Entry]) -> None:
    width = max((len(entry.name) for entry in entries), default=0)
    for entry in entries:
        print(f"{entry.name:<{width}}  {entry.value}  ({entry.distribution} {entry.version})")
