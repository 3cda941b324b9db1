"""The hooks that plugins implement: their signatures, loading plugins, and calls. Only here is pluggy imported."""

from __future__ import annotations

import contextlib
import copy
import inspect
import os
import reprlib
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pluggy

from argus_core.data import DataSet, Layout
from argus_core.errors import ArgusError, unknown
from argus_core.registry import Entry
from argus_core.registry.distributions import OWN
from argus_core.registry.loading import debugging, describe_error
from argus_core.registry.registry import PLUGINS

__all__ = ["Hooks", "Opener", "Plugins", "hookimpl", "load_plugins"]


PROJECT = "argus"
hookimpl = pluggy.HookimplMarker(PROJECT)
_hookspec = pluggy.HookspecMarker(PROJECT)
Opener = Callable[..., DataSet]
"""Opens a data set: ``opener(path, **options)``; ``path`` is what follows ``name:`` in a data spec."""
_SHORT = reprlib.Repr()
_SHORT.maxother = _SHORT.maxstring = 60


class Hooks:
    """Every hook a plugin may implement, with its exact signature."""

    @_hookspec
    def argus_datasets(self) -> Mapping[str, Opener]:  # type: ignore[empty-body]
        """Offer data-set openers by the name that starts a data spec, as in ``coco:PATH``."""

    @_hookspec
    def argus_layouts(self) -> Mapping[str, Layout]:  # type: ignore[empty-body]
        """Say how the files of data sets look, so that a bare path is opened; keys are data specs without the path."""

    @_hookspec
    def arena_started(self, run: Path, config: Mapping[str, Any]) -> None:
        """A training run begins or resumes; ``config`` is the resolved configuration."""

    @_hookspec
    def arena_logged(self, run: Path, record: Mapping[str, Any]) -> None:
        """A line was added to the run's ``log.jsonl``: a training step, or an evaluation of one head."""

    @_hookspec
    def arena_finished(self, run: Path, results: Mapping[str, Mapping[str, Any]]) -> None:
        """A run ended; ``results`` holds the result row of each head."""


_PARAMETERS = {
    name: tuple(inspect.signature(hook).parameters)[1:] for name, hook in vars(Hooks).items() if name[0] != "_"
}
"""All hooks in their documented order, and the names of their parameters."""


@dataclass
class Plugins:
    """The loaded plugins, and why others could not be loaded."""

    manager: pluggy.PluginManager
    loaded: list[Entry] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    owners: dict[str, str] = field(default_factory=dict)
    """Which plugin opens a data set, by its name; filled by ``datasets``."""

    @property
    def hook(self) -> pluggy.HookRelay:
        """Call a hook on every plugin: ``plugins.hook.arena_started(run=..., config=...)``."""
        return self.manager.hook

    def tell(self, event: str, **values: Any) -> None:
        """Call an event's hook on every plugin, each with its own copy of the values.

        A plugin that raises, or calls sys.exit, is reported and dropped, and stops nothing; with ARGUS_DEBUG=1 it
        raises.
        """
        for plugin in self._implementations(event):
            try:
                _call(event, plugin, copy.deepcopy(values))
            except (Exception, SystemExit) as error:
                if debugging():
                    raise
                self.manager.unregister(plugin.plugin)
                self.failed[plugin.plugin_name] = f"dropped, because {event} raised {describe_error(error)}"
                print(f"warning: plugin {plugin.plugin_name}: {self.failed[plugin.plugin_name]}", file=sys.stderr)

    def datasets(self) -> dict[str, Opener]:
        """All data-set openers by name; of two plugins that offer one name the first is used, the other reported."""
        openers: dict[str, Opener] = {}
        for plugin in self._implementations("argus_datasets"):
            for name, opener in self._offer("argus_datasets", plugin, callable, "functions that open data").items():
                if name in openers and self.owners[name] != plugin.plugin_name:
                    self.failed[f"data set {name!r}"] = (
                        f"offered by two plugins: that of {self.owners[name]} is used, "
                        f"that of {plugin.plugin_name} is not"
                    )
                    continue
                openers[name] = opener
                self.owners[name] = plugin.plugin_name
        return openers

    def layouts(self) -> dict[str, Layout]:
        """How the files of data sets look, by data spec without the path, as far as their own plugin says."""
        if not self.owners:
            self.datasets()
        layouts: dict[str, Layout] = {}
        for plugin in self._implementations("argus_layouts"):
            for spec, layout in self._offer("argus_layouts", plugin, _is_layout, "argus_core.data.Layout").items():
                name = spec.partition(",")[0]
                if self.owners.get(name) == plugin.plugin_name:
                    layouts[spec] = layout
                else:
                    self.failed[f"layout {spec!r}"] = f"{plugin.plugin_name} offers no data set {name!r}"
        return layouts

    def hooks_of(self, entry: Entry) -> list[str]:
        """The hooks that a loaded plugin implements, in their documented order."""
        markers = _markers(self.manager, self.manager.get_plugin(str(entry)))
        names = {options.get("specname") or name for name, options in markers.items()}
        return [name for name in _PARAMETERS if name in names]

    def unmarked(self, entry: Entry) -> list[str]:
        """Functions of a loaded plugin that have the name of a hook but no marker, so that they are never called."""
        plugin = self.manager.get_plugin(str(entry))
        names = [name for name in dir(plugin) if name in _PARAMETERS and name not in _markers(self.manager, plugin)]
        return [name for name in names if inspect.isroutine(getattr(plugin, name))]

    def _implementations(self, hook: str) -> list[pluggy.HookImpl]:
        implementations = getattr(self.hook, hook).get_hookimpls()
        return sorted(implementations, key=lambda plugin: (not plugin.tryfirst, plugin.trylast))

    def _offer(self, hook: str, plugin: pluggy.HookImpl, fits: Callable[[Any], bool], what: str) -> Mapping[str, Any]:
        """The mapping that a plugin offers, whose values are ``what``; empty, with the reason noted, if it is none."""
        # Plugins are called one by one, so that one that raises is reported and does not affect the others.
        try:
            with contextlib.redirect_stdout(sys.stderr):
                offer = _call(hook, plugin, {})
        except (Exception, SystemExit) as error:
            if debugging():
                raise
            self.failed[plugin.plugin_name] = f"{hook} raised {describe_error(error)}"
            return {}
        if isinstance(offer, Mapping) and all(isinstance(key, str) and fits(value) for key, value in offer.items()):
            return offer
        self.failed[plugin.plugin_name] = f"{hook} returned {reprlib.repr(offer)}; return a mapping of names to {what}"
        return {}


def _is_layout(value: Any) -> bool:
    return isinstance(value, Layout)


def load_plugins(load: Callable[[Entry], Any] = Entry.load) -> Plugins:
    """Import every plugin, Argus' own first; one that is broken is reported and does not affect the others."""
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(Hooks)
    plugins = Plugins(manager)
    for entry in sorted(PLUGINS.entries(), key=lambda entry: entry.distribution != OWN):
        _load(plugins, entry, load)
    return plugins


def _load(plugins: Plugins, entry: Entry, load: Callable[[Entry], Any]) -> None:
    key, manager = str(entry), plugins.manager
    try:
        plugin = load(entry)
        if manager.is_registered(plugin):
            raise ArgusError(f"is the same object as {manager.get_name(plugin)}; declare it once")
        _check(plugin, _markers(manager, plugin))
        manager.register(plugin, name=key)
    except (Exception, SystemExit) as error:
        if debugging():
            raise
        is_ours = isinstance(error, ArgusError)
        plugins.failed[key] = str(error).removeprefix(f"{key} ") if is_ours else describe_error(error)
        return
    plugins.loaded.append(entry)


def _markers(manager: pluggy.PluginManager, plugin: Any) -> dict[str, Mapping[str, Any]]:
    """The functions of a plugin that are marked with ``hookimpl``, and the options of their markers."""
    options = {name: manager.parse_hookimpl_opts(plugin, name) for name in dir(plugin)}
    return {name: marker for name, marker in options.items() if marker is not None}


def _check(plugin: Any, markers: Mapping[str, Mapping[str, Any]]) -> None:
    """Raise ArgusError with every fault of a plugin's marked functions."""
    if isinstance(plugin, type) and markers:
        raise ArgusError(f"is the class {plugin.__name__}; name an instance of it or a module as the plugin")
    faults = [fault for name, options in markers.items() for fault in _faults(getattr(plugin, name), name, options)]
    if faults:
        raise ArgusError("; ".join(faults))


def _faults(function: Callable[..., Any], name: str, options: Mapping[str, Any]) -> Iterator[str]:
    hook = options.get("specname") or name
    if hook not in _PARAMETERS:
        if not options.get("optionalhook"):
            yield str(unknown("hook", hook, _PARAMETERS))
    elif options.get("wrapper") or options.get("hookwrapper"):
        yield f"{name} is a wrapper, which hooks of Argus cannot be; mark it with a plain @hookimpl"
    elif inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        yield f"{name} is an async function, which nobody would await; make it a plain one"
    elif inspect.isgeneratorfunction(function):
        yield f"{name} is a generator, which nobody would run; make it a plain function, without yield"
    else:
        for parameter in inspect.signature(function).parameters.values():
            star = parameter.kind in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
            if not star and parameter.default is inspect.Parameter.empty and parameter.name not in _PARAMETERS[hook]:
                yield str(unknown(f"parameter of hook {hook!r}:", parameter.name, _PARAMETERS[hook]))


def _call(hook: str, plugin: pluggy.HookImpl, values: Mapping[str, Any]) -> Any:
    """Call a plugin with those of ``values`` that it has parameters for; ARGUS_TRACE_HOOKS=1 prints the call."""
    parameters = inspect.signature(plugin.function).parameters
    if all(parameter.kind is not inspect.Parameter.VAR_KEYWORD for parameter in parameters.values()):
        values = {name: value for name, value in values.items() if name in parameters}
    if os.environ.get("ARGUS_TRACE_HOOKS") != "1":
        return plugin.function(**values)
    outcome, start = "", time.perf_counter()
    try:
        result = plugin.function(**values)
        outcome = f"returned {_SHORT.repr(result)}"
        return result
    except BaseException as error:
        outcome = f"raised {type(error).__name__}: {error}"
        raise
    finally:
        milliseconds = (time.perf_counter() - start) * 1000
        arguments = ", ".join(f"{name}={_SHORT.repr(value)}" for name, value in values.items())
        print(f"hook {hook}({arguments}) of {plugin.plugin_name} {outcome} in {milliseconds:.1f} ms", file=sys.stderr)
