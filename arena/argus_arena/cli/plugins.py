"""Commands that list what is installed: heads, backbones, protocols, plugins."""

from __future__ import annotations

import json
import shutil
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from argus_core.errors import ArgusError
from argus_core.registry import BACKBONES, HEADS, PROTOCOLS, Entry

if TYPE_CHECKING:
    from argus_core.plugins.inventory import Package


def heads() -> None:
    """List every installed head and who brought it."""
    _show(HEADS.entries())


def backbones(
    folder: Annotated[Path | None, typer.Argument(help="describe the backbone in this folder instead")] = None,
) -> None:
    """List every installed backbone and who brought it, or describe one that lies in a folder."""
    if folder is None:
        _show(BACKBONES.entries())
        return
    from argus_core.common.architecture import describe_folder

    print("\n".join(describe_folder(folder)))


def protocols() -> None:
    """List the published protocols that heads can be scored under; exit code 1 if one cannot be loaded."""
    from argus_core.protocols import find_protocol

    entries = PROTOCOLS.entries()
    width = max((len(entry.name) for entry in entries), default=0)
    faults = []
    for entry in entries:
        try:
            protocol = find_protocol(entry.name)
        except ArgusError as error:
            faults.append(f"FAILED {error}")
        else:
            print(f"{entry.name:<{width}}  {protocol.task:<10}  {protocol.summary}")
    if faults:
        print(*faults, sep="\n")
        raise typer.Exit(1)


def plugins(
    load: Annotated[
        bool, typer.Option("--import/--no-import", help="import what others provide, to know what fails")
    ] = True,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """List what each installed distribution provides, then what fails and why; exit code 1 if anything does."""
    from argus_core.plugins.inventory import take_inventory

    inventory = take_inventory(load)
    if as_json:
        print(json.dumps(asdict(inventory), indent=2))
    else:
        for package in inventory.packages:
            _show_package(package)
        _show_faults("", inventory.failed, inventory.warnings)
    if not inventory.sound:
        raise typer.Exit(1)


def _show(entries: Sequence[Entry]) -> None:
    width = max((len(entry.name) for entry in entries), default=0)
    for entry in entries:
        print(f"{entry.name:<{width}}  {entry.value}  ({entry.origin})")


def _show_package(package: Package) -> None:
    print(f"{package.name} {package.version}".strip())
    for kind in ("heads", "backbones", "tasks", "protocols", "models"):
        _show_list(kind, getattr(package, kind))
    if not package.hooks:
        _show_list("plugins", package.plugins)
    else:
        print("  hooks:")
        for name, hooks in package.hooks.items():
            print(f"    {name}  {', '.join(hooks) or 'none'}")
    _show_list("data sets", package.data_sets)
    for name, why in package.disabled.items():
        print(f"  disabled: {name}, by {why}")
    _show_faults("  ", package.failed, package.warnings)


def _show_list(title: str, names: Sequence[str]) -> None:
    if names:
        width = shutil.get_terminal_size().columns
        text = f"{title}: {', '.join(names)}"
        print(textwrap.fill(text, width, initial_indent="  ", subsequent_indent="    ", break_on_hyphens=False))


def _show_faults(indent: str, failed: Mapping[str, str], warnings: Sequence[str]) -> None:
    for name, reason in failed.items():
        print(f"{indent}FAILED {name}: {reason}")
    for warning in warnings:
        print(f"{indent}warning: {warning}")
