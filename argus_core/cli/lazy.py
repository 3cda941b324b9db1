"""Groups of commands whose modules are imported when a command is called, or when all are listed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

import typer
from typer.core import TyperCommand, TyperGroup

from argus_core.registry.loading import import_object


class Commands(Mapping[str, TyperCommand]):
    """Commands by name; each is made on its first use from what is at its place, written ``module:attribute``."""

    def __init__(self, places: Mapping[str, str]) -> None:
        self._places = places
        self._made: dict[str, TyperCommand] = {}

    def __getitem__(self, name: str) -> TyperCommand:
        place = self._places[name]
        if name not in self._made:
            self._made[name] = _make(name, import_object(place))
        return self._made[name]

    def __contains__(self, name: object) -> bool:
        return name in self._places  # without importing anything

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


class LazyGroup(TyperGroup):
    """A group with the commands at ``places``: functions, or groups of their own."""

    places: Mapping[str, str]

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = cast(Any, Commands(self.places))
        for option in self.params:
            _skip_unused(option)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of this name, or None."""
        if cmd_name not in self.commands:  # ``get`` would also hide a KeyError of the import
            return None
        return self.commands[cmd_name]

    def get_help_option(self, ctx: Any) -> Any:
        """The option ``--help``."""
        return _skip_unused(super().get_help_option(ctx))


class LazyCommand(TyperCommand):
    """A command that imports no more than its options need."""

    def get_help_option(self, ctx: Any) -> Any:
        """The option ``--help``."""
        return _skip_unused(super().get_help_option(ctx))


def _skip_unused(option: Any) -> Any:
    """The option, which now is None where it is not used: to check any value, typer imports pydantic (70 ms)."""
    process = type(option).process_value
    option.process_value = lambda context, value: process(option, context, value) if value else None
    return option


def _make(name: str, target: Any) -> TyperCommand:
    """What typer makes of a function or of an application as a command called ``name``."""
    parent = typer.Typer(add_completion=False)
    if isinstance(target, typer.Typer):
        parent.add_typer(target, name=name)
    else:
        parent.command(name, cls=LazyCommand)(target)
    return cast(TyperCommand, typer.main.get_group(parent).commands[name])
