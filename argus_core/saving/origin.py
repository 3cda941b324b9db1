"""The package that provides a registered name: kept in saved files, so that another machine can say what to install."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from argus_core.errors import ArgusError
from argus_core.plugins.files import source_of
from argus_core.registry import Registry
from argus_core.version import API_VERSION

BY_HAND = "registered by hand"
FILE = "file "
Origin = Mapping[str, str]
"""``distribution`` and ``version``; for a file its ``sha256``, for what was registered by hand its ``value``."""


class NotInstalled(ArgusError):
    """The code of something saved is not here, or cannot be imported; the text says what to install."""


def check_api(written: str, where: str) -> None:
    """Raise ArgusError for a file written under a later contract, of another first number, than this Argus has."""
    major = written.partition(".")[0]
    if major.isdecimal() and int(major) > int(API_VERSION.partition(".")[0]):
        raise ArgusError(
            f"{where} was written under version {written} of the contract with plugins, here is "
            f"{API_VERSION}; pip install --upgrade argus-perception"
        )


def origin_of(registry: Registry, name: str) -> dict[str, str]:
    """The origin of the object with a full name; empty for a name that is not registered."""
    entry = next((entry for entry in registry.entries() if entry.name == name), None)
    if entry is None:
        return {}
    origin = {"distribution": entry.distribution, "version": entry.version}
    source = None if entry.target is None else source_of(entry.target)
    if source:
        origin["sha256"] = source[1]
    elif entry.distribution == BY_HAND:
        origin["value"] = entry.value
    return origin


def check_installed(registry: Registry, name: str, origin: Origin, where: str = "") -> None:
    """Raise NotInstalled unless the object with this name, which something saved needs, can be imported."""
    try:
        registry.load(name)
    except ArgusError as error:
        known = name in {entry.name for entry in (*registry.entries(), *registry.disabled())}
        reason = str(error) if known else f"{registry.kind} {name!r} is not installed here"
        advice = f"; {remedy(name, origin)}" if not known or differs(origin) else ""
        raise NotInstalled(f"{where}: {reason}{advice}" if where else f"{reason}{advice}") from error


def remedy(name: str, origin: Origin) -> str:
    """How to install or register the object with this name."""
    distribution, release = origin.get("distribution", ""), origin.get("version", "")
    if not distribution:
        return f"install the package that has it, or add --plugin FILE.py (argus_core.register({name!r}, ...))"
    if distribution.startswith(FILE):
        spec = distribution.removeprefix(FILE)
        return (
            f"it comes from the file {spec}: add --plugin {spec}, with the path of that file, in front of the command "
            f"(in Python: argus_core.register({name!r}, {spec.rpartition(':')[2]}))"
        )
    if distribution == BY_HAND:
        value = origin.get("value", "").rpartition(":")[2] or "OBJECT"
        return (
            f"it was registered by hand: call argus_core.register({name!r}, {value}), "
            f"or add --plugin FILE.py:{value} in front of the command"
        )
    if not differs(origin):
        return f"{distribution} {release}, which had it, is installed without it; install it anew"
    return f"pip install {distribution}=={release}"


def differs(origin: Origin) -> str:
    """How the installed package differs from the one something was saved with; empty if it does not, or is unknown."""
    distribution, release = origin.get("distribution", ""), origin.get("version", "")
    try:
        here = version(distribution) if distribution and release else release
    except (PackageNotFoundError, ValueError):
        here = ""
    return "" if here == release else f"saved with {distribution} {release}, here is {here or 'none'}"


def trained_on(record: Mapping[str, Any]) -> str | None:
    """The sha256 of the backbone that a head was trained on, by its record."""
    sha256: str | None = ((record.get("tokens") or {}).get("backbone") or {}).get("sha256")
    return sha256
