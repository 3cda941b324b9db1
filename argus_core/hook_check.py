"""Whether a plugin's functions are hooks that exist, told before any of them is called."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from argus_core.errors import ArgusError, unknown

Spec = Mapping[str, tuple[str, ...]]
"""Hooks and the names of their parameters."""


def check_marked(marked: Mapping[str, Mapping[str, Any]], plugin: Any, spec: Spec) -> None:
    """Raise ArgusError with every fault of a plugin's marked functions; ``marked`` holds their markers' options."""
    if isinstance(plugin, type) and marked:
        raise ArgusError(f"is the class {plugin.__name__}; name an instance of it or a module as the plugin")
    faults = [
        fault for name, options in marked.items() for fault in _faults(getattr(plugin, name), name, options, spec)
    ]
    if faults:
        raise ArgusError("; ".join(faults))


def unmarked(plugin: Any, marked: Mapping[str, Any], spec: Spec) -> list[str]:
    """Functions of a plugin that are called like a hook and lack the marker ``hookimpl``."""
    names = [name for name in dir(plugin) if name in spec and name not in marked]
    return [name for name in names if inspect.isroutine(getattr(plugin, name))]


def accepted(function: Callable[..., Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Those of ``values`` that a function has parameters for; all of them if it takes any keyword."""
    parameters = inspect.signature(function).parameters
    if any(each.kind is inspect.Parameter.VAR_KEYWORD for each in parameters.values()):
        return dict(values)
    return {name: value for name, value in values.items() if name in parameters}


def _faults(function: Callable[..., Any], name: str, options: Mapping[str, Any], spec: Spec) -> list[str]:
    hook = options.get("specname") or name
    if hook not in spec:
        return [] if options.get("optionalhook") else [str(unknown("hook", hook, spec))]
    if options.get("wrapper") or options.get("hookwrapper"):
        return [f"{name} is a wrapper, which hooks of Argus cannot be; mark it with a plain @hookimpl"]
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        return [f"{name} is an async function, which nobody would await; make it a plain one"]
    if inspect.isgeneratorfunction(function):
        return [f"{name} is a generator, which nobody would run; make it a plain function, without yield"]
    return [str(unknown(f"parameter of hook {hook!r}:", each, spec[hook])) for each in _needed(function, spec[hook])]


def _needed(function: Callable[..., Any], given: tuple[str, ...]) -> list[str]:
    star = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [
        name
        for name, each in inspect.signature(function).parameters.items()
        if name not in given and each.kind not in star and each.default is inspect.Parameter.empty
    ]
