"""Events and offers broadcast to every plugin. The only module that imports pluggy."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pluggy

from argus_core.data import DataSet
from argus_core.registry import Entry, iter_plugins

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

    @property
    def hook(self) -> Any:
        """Call a hook on every plugin: ``plugins.hook.arena_started(run=..., config=...)``."""
        return self.manager.hook

    def tell(self, event: str, **values: Any) -> None:
        """Call an event's hook on every plugin; one that raises is reported, dropped, and stops nothing."""
        for plugin in getattr(self.hook, event).get_hookimpls():
            try:
                plugin.function(**{name: values[name] for name in plugin.argnames})
            except Exception as error:
                self.manager.unregister(plugin.plugin)
                self.failed[plugin.plugin_name] = f"{event} failed: {type(error).__name__}: {error}"
                print(f"warning: plugin {plugin.plugin_name} was dropped: {event} failed: {error}", file=sys.stderr)

    def datasets(self) -> dict[str, Opener]:
        """All data-set openers by name; of two with one name the first plugin's stands and the other is reported."""
        openers: dict[str, Opener] = {}
        for plugin in self.hook.argus_datasets.get_hookimpls():
            for name, opener in self._offered(plugin).items():
                if name in openers:
                    self.failed[f"data set {name!r}"] = "offered by two plugins; the first one is used"
                openers.setdefault(name, opener)
        return openers

    def _offered(self, plugin: pluggy.HookImpl) -> Mapping[str, Opener]:
        # Called one by one, so that a plugin that raises here is reported and takes no other with it.
        try:
            offered: Mapping[str, Opener] = plugin.function()  # type: ignore[assignment]
            return dict(offered)
        except Exception as error:
            self.failed[plugin.plugin_name] = f"argus_datasets failed: {type(error).__name__}: {error}"
            return {}


def load_plugins() -> Plugins:
    """Import every plugin by itself, so that a broken one is reported and harms no other."""
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(Hooks)
    plugins = Plugins(manager)
    for entry in iter_plugins():
        _load(plugins, entry)
    return plugins


def _load(plugins: Plugins, entry: Entry) -> None:
    key = str(entry)
    try:
        plugins.manager.register(entry.load(), name=key)
        plugins.manager.check_pending()
    except (Exception, SystemExit) as error:
        if os.environ.get("ARGUS_DEBUG") == "1":
            raise
        if plugins.manager.has_plugin(key):
            plugins.manager.unregister(name=key)
        plugins.failed[key] = str(error)
        return
    plugins.loaded.append(entry)
