"""Registered names and what they stand for: entry points of installed distributions, loaded when used."""

from argus_core.registry.registry import BACKBONES, HEADS, PROTOCOLS, TASKS, Entry, Registry

__all__ = [
    "BACKBONES",
    "HEADS",
    "PROTOCOLS",
    "TASKS",
    "Entry",
    "Registry",
]
