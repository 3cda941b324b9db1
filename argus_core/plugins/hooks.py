"""Events and offers broadcast to every plugin, checked and traced. The only module that imports pluggy."""

from __future__ import annotations

import contextlib
import copy
import inspect
import os
import reprlib
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pluggy

from argus_core.data import DataSet
from argus_core.errors import ArgusError, unknown
from argus_core.registry import Entry
from argus_core.registry.distributions import OWN
from argus_core.registry.loading import debugging, told
from argus_core.registry.registry import iter_plugins

__all__ = ["Hooks", "Opener", "Plugins", "hookimpl", "load_plugins"]


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


_SHORT = reprlib.Repr()
_SHORT.maxother = _SHORT.maxstring = 60


def traced(hook: str, plugin: str, function: Callable[..., Any], values: Mapping[str, Any]) -> Any:
    """Call ``function(**values)``; with ARGUS_TRACE_HOOKS=1 tell what was called, how long it took and what came."""
    if os.environ.get("ARGUS_TRACE_HOOKS") != "1":
        return function(**values)
    outcome = ""
    start = time.perf_counter()
    try:
        result = function(**values)
        outcome = f"returned {_SHORT.repr(result)}"
        return result
    except BaseException as error:
        outcome = f"raised {type(error).__name__}: {error}"
        raise
    finally:
        took = (time.perf_counter() - start) * 1000
        given = ", ".join(f"{name}={_SHORT.repr(value)}" for name, value in values.items())
        print(f"hook {hook}({given}) of {plugin} {outcome} in {took:.1f} ms", file=sys.stderr)


PROJECT = "argus"
hookimpl = pluggy.HookimplMarker(PROJECT)
_hookspec = pluggy.HookspecMarker(PROJECT)
Opener = Callable[..., DataSet]
"""Opens a data set: ``opener(path, **options)``; ``path`` is what follows ``name:`` in a data spec."""


class Hooks:
    """Every hook a plugin may implement, with its exact signature."""

    @_hookspec
    def argus_datasets(self) -> Mapping[str, Opener]:  # type: ignore[empty-body]
        """Offer data-set openers by the name that starts a data spec, as in ``coco:PATH``."""

    @_hookspec
    def arena_started(self, run: Path, config: Mapping[str, Any]) -> None:
        """A training run begins or resumes; ``config`` is the resolved configuration."""

    @_hookspec
    def arena_logged(self, run: Path, record: Mapping[str, Any]) -> None:
        """A line was added to the run's ``log.jsonl``: a training step or an evaluation of one head."""

    @_hookspec
    def arena_finished(self, run: Path, results: Mapping[str, Mapping[str, Any]]) -> None:
        """A run ended; ``results`` holds the result row of each head."""


@dataclass
class Plugins:
    """The loaded plugins, and why others are not."""

    manager: pluggy.PluginManager
    loaded: list[Entry] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    owners: dict[str, str] = field(default_factory=dict)
    """Which plugin opens a data set, by its name; filled by ``datasets``."""

    @property
    def hook(self) -> Any:
        """Call a hook on every plugin: ``plugins.hook.arena_started(run=..., config=...)``."""
        return self.manager.hook

    def tell(self, event: str, **values: Any) -> None:
        """Call an event's hook on every plugin, each with its own copy of the values.

        One that raises, or calls sys.exit, is reported, dropped, and stops nothing; with ARGUS_DEBUG=1 it raises.
        """
        for plugin in self._answering(event):
            try:
                self._call(event, plugin, copy.deepcopy(values))
            except (Exception, SystemExit) as error:
                if debugging():
                    raise
                self.manager.unregister(plugin.plugin)
                self.failed[plugin.plugin_name] = f"dropped, because {event} raised {told(error)}"
                print(f"warning: plugin {plugin.plugin_name}: {self.failed[plugin.plugin_name]}", file=sys.stderr)

    def datasets(self) -> dict[str, Opener]:
        """All data-set openers by name; of two with one name the first plugin's stands and the other is reported."""
        openers: dict[str, Opener] = {}
        for plugin in self._answering("argus_datasets"):
            for name, opener in self._offered(plugin).items():
                if name in openers and self.owners[name] != plugin.plugin_name:
                    self.failed[f"data set {name!r}"] = (
                        f"offered by two plugins: that of {self.owners[name]} is used, "
                        f"that of {plugin.plugin_name} is not"
                    )
                    continue
                openers[name] = opener
                self.owners[name] = plugin.plugin_name
        return openers

    def hooks_of(self, entry: Entry) -> list[str]:
        """The hooks that a loaded plugin implements, in their documented order."""
        marked = _marked(self.manager, self.manager.get_plugin(str(entry)))
        names = {options.get("specname") or name for name, options in marked.items()}
        return [name for name in _spec() if name in names]

    def unmarked(self, entry: Entry) -> list[str]:
        """Functions of a loaded plugin that are called like a hook but lack the marker, so that nobody calls them."""
        plugin = self.manager.get_plugin(str(entry))
        return unmarked(plugin, _marked(self.manager, plugin), _spec())

    def _answering(self, hook: str) -> list[pluggy.HookImpl]:
        found = getattr(self.hook, hook).get_hookimpls()
        return sorted(found, key=lambda each: (not each.tryfirst, each.trylast))

    def _call(self, hook: str, plugin: pluggy.HookImpl, values: Mapping[str, Any]) -> Any:
        return traced(hook, plugin.plugin_name, plugin.function, accepted(plugin.function, values))

    def _offered(self, plugin: pluggy.HookImpl) -> Mapping[str, Opener]:
        # Called one by one, so that a plugin that raises here is reported and takes no other with it.
        try:
            with contextlib.redirect_stdout(sys.stderr):
                offered = self._call("argus_datasets", plugin, {})
        except (Exception, SystemExit) as error:
            if debugging():
                raise
            self.failed[plugin.plugin_name] = f"argus_datasets raised {told(error)}"
            return {}
        if isinstance(offered, Mapping) and all(isinstance(k, str) and callable(v) for k, v in offered.items()):
            return offered
        self.failed[plugin.plugin_name] = (
            f"argus_datasets returned {reprlib.repr(offered)}; return a mapping of names to functions that open data"
        )
        return {}


def load_plugins(load: Callable[[Entry], Any] = Entry.load) -> Plugins:
    """Import every plugin by itself, so that a broken one is reported and harms no other; Argus' own come first."""
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(Hooks)
    plugins = Plugins(manager)
    for entry in sorted(iter_plugins(), key=lambda entry: entry.distribution != OWN):
        _load(plugins, entry, load)
    return plugins


def _load(plugins: Plugins, entry: Entry, load: Callable[[Entry], Any]) -> None:
    key, manager = str(entry), plugins.manager
    try:
        plugin = load(entry)
        if manager.is_registered(plugin):
            raise ArgusError(f"is the same object as {manager.get_name(plugin)}; declare it once")
        check_marked(_marked(manager, plugin), plugin, _spec())
        manager.register(plugin, name=key)
    except (Exception, SystemExit) as error:
        if debugging():
            raise
        plugins.failed[key] = str(error).removeprefix(f"{key} ") if isinstance(error, ArgusError) else told(error)
        return
    plugins.loaded.append(entry)


def _marked(manager: pluggy.PluginManager, plugin: Any) -> dict[str, Mapping[str, Any]]:
    found = {name: manager.parse_hookimpl_opts(plugin, name) for name in dir(plugin)}
    return {name: options for name, options in found.items() if options is not None}


def _spec() -> dict[str, tuple[str, ...]]:
    hooks = {name: hook for name, hook in vars(Hooks).items() if not name.startswith("_")}
    return {name: tuple(inspect.signature(hook).parameters)[1:] for name, hook in hooks.items()}
