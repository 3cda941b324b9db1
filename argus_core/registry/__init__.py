"""Registered names and their objects: entry points of installed distributions, loaded when used."""

from argus_core.registry.distributions import Entry
from argus_core.registry.registry import BACKBONES, HEADS, PROTOCOLS, TASKS, Registry

__all__ = [
    "BACKBONES",
    "HEADS",
    "PROTOCOLS",
    "TASKS",
    "Entry",
    "Registry",
]
