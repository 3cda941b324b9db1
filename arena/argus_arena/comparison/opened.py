"""Data and caches that the cells of one process share."""

from __future__ import annotations

from functools import lru_cache

from argus_arena.requests import RunRequest
from argus_arena.run.sources import RunData, open_run_data
from argus_arena.training.train import open_plugins
from argus_core.plugins.hooks import Plugins


def open_once(request: RunRequest) -> tuple[RunData, Plugins]:
    """The data of a request and the plugins, opened anew only where the last call in this process named other ones."""
    same = request.model_copy(update={"heads": (), "settings": {}, "seed": 0})
    return _open(_Named(same))


def close() -> None:
    """Forget what is open, so that the next call sees what changed."""
    _open.cache_clear()


class _Named:
    """A request as a key: the same if all of its fields are."""

    def __init__(self, request: RunRequest) -> None:
        self.request = request

    def __hash__(self) -> int:
        return hash((self.request.data, self.request.cache))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Named) and self.request == other.request


@lru_cache(maxsize=1)
def _open(named: _Named) -> tuple[RunData, Plugins]:
    plugins = open_plugins()
    return open_run_data(named.request, plugins), plugins
