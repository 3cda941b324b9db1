"""Who brought a registered name: kept in saved files, so that another machine can say what to install."""

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
"""``distribution`` and ``version``; of a file its ``sha256``, of what was registered by hand its ``value``."""


class NotInstalled(ArgusError):
    """The code of something saved is not here, or cannot be imported; the text says what to install."""


def check_api(written: str, where: str) -> None:
    """Raise ArgusError for what was written under a later contract, of another first number, than this Argus has."""
    first = written.partition(".")[0]
    if first.isdecimal() and int(first) > int(API_VERSION.partition(".")[0]):
        raise ArgusError(
            f"{where} was written under version {written} of the contract with plugins, here is "
            f"{API_VERSION}; pip install --upgrade argus-perception"
        )


def origin_of(registry: Registry, name: str) -> dict[str, str]:
    """Where the object of a full name comes from; empty for a name that is not registered."""
    found = next((entry for entry in registry.entries() if entry.name == name), None)
    if found is None:
        return {}
    source: Any = source_of(found.target) if found.target is not None else None
    more = {"sha256": source[1]} if source else {"value": found.value} if found.distribution == BY_HAND else {}
    return {"distribution": found.distribution, "version": found.version, **more}


def check_installed(registry: Registry, name: str, origin: Origin, where: str = "") -> None:
    """Raise NotInstalled unless the object of a name that something saved needs can be imported."""
    try:
        registry.load(name)
    except ArgusError as error:
        known = {entry.name for entry in (*registry.entries(), *registry.disabled())}
        reason = str(error) if name in known else f"{registry.kind} {name!r} is not installed here"
        advice = remedy(name, origin) if name not in known or differs(origin) else ""
        told = f"{reason}; {advice}" if advice else reason
        raise NotInstalled(f"{where}: {told}" if where else told) from error


def remedy(name: str, origin: Origin) -> str:
    """What to do to have the object of a name."""
    distribution, release = origin.get("distribution", ""), origin.get("version", "")
    value = origin.get("value", "").rpartition(":")[2] or "OBJECT"
    if not distribution:
        return f"install the package that has it, or add --plugin FILE.py (argus_core.register({name!r}, ...))"
    if distribution.startswith(FILE):
        spec = distribution.removeprefix(FILE)
        return (
            f"it comes from the file {spec}: add --plugin {spec}, with the path of that file, in front of the command "
            f"(in Python: argus_core.register({name!r}, {spec.rpartition(':')[2]}))"
        )
    if distribution == BY_HAND:
        return (
            f"it was registered by hand: call argus_core.register({name!r}, {value}), "
            f"or add --plugin FILE.py:{value} in front of the command"
        )
    if not differs(origin):
        return f"{distribution} {release}, which had it, is installed without it; install it anew"
    return f"pip install {distribution}=={release}"


def differs(origin: Origin) -> str:
    """How what is installed differs from what something was saved with; empty if it does not, or nobody knows."""
    distribution, release = origin.get("distribution", ""), origin.get("version", "")
    try:
        here = version(distribution) if distribution and release else release
    except (PackageNotFoundError, ValueError):
        here = ""
    return "" if here == release else f"saved with {distribution} {release}, here is {here or 'none'}"


def trained_on(record: Mapping[str, Any]) -> str | None:
    """The identity of the backbone that a head learned from, by its record."""
    found: str | None = ((record.get("tokens") or {}).get("backbone") or {}).get("sha256")
    return found
