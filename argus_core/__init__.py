"""Argus: perception from one frozen vision backbone. Names are imported on first use; ``import argus_core`` is free."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from argus_core.version import API_VERSION

if TYPE_CHECKING:
    from argus_core.argus import Argus as Argus
    from argus_core.backbones import Backbone as Backbone
    from argus_core.backbones import load_backbone as load_backbone
    from argus_core.canvas import Canvas as Canvas
    from argus_core.canvas import Placement as Placement
    from argus_core.data import DataSet as DataSet
    from argus_core.data import Split as Split
    from argus_core.detection import DenseHead as DenseHead
    from argus_core.errors import ArgusError as ArgusError
    from argus_core.errors import Fault as Fault
    from argus_core.head import Head as Head
    from argus_core.image import read_image as read_image
    from argus_core.plugins.data_spec import open_data as open_data
    from argus_core.plugins.hooks import hookimpl as hookimpl
    from argus_core.plugins.register import register as register
    from argus_core.protocols import Protocol as Protocol
    from argus_core.recipe import Recipe as Recipe
    from argus_core.registry import BACKBONES as BACKBONES
    from argus_core.registry import HEADS as HEADS
    from argus_core.registry import PROTOCOLS as PROTOCOLS
    from argus_core.registry import TASKS as TASKS
    from argus_core.saving.build import build_head as build_head
    from argus_core.saving.checkpoint import load_head as load_head
    from argus_core.saving.checkpoint import save_head as save_head
    from argus_core.tasks import Metric as Metric
    from argus_core.tasks import Result as Result
    from argus_core.tasks import Task as Task
    from argus_core.tasks.classify import Classify as Classify
    from argus_core.tasks.correspond import Correspond as Correspond
    from argus_core.tasks.depth import Depth as Depth
    from argus_core.tasks.detect import Detect as Detect
    from argus_core.tasks.segment import Segment as Segment
    from argus_core.tokens import FeatureInfo as FeatureInfo
    from argus_core.tokens import Features as Features
    from argus_core.tokens import Needs as Needs
    from argus_core.tokens import Tokens as Tokens

    __version__: str

__api_version__ = API_VERSION
"""The version of the contract with plugins, MAJOR.MINOR: docs/versions.md says what may change when."""

_HOMES = {
    "argus": ("Argus",),
    "backbones": ("Backbone", "load_backbone"),
    "canvas": ("Canvas", "Placement"),
    "data": ("DataSet", "Fault", "Split"),
    "detection": ("DenseHead",),
    "errors": ("ArgusError",),
    "head": ("Head",),
    "image": ("read_image",),
    "plugins.data_spec": ("open_data",),
    "plugins.hooks": ("hookimpl",),
    "plugins.register": ("register",),
    "protocols": ("Protocol",),
    "recipe": ("Recipe",),
    "registry": ("BACKBONES", "HEADS", "PROTOCOLS", "TASKS"),
    "saving.build": ("build_head",),
    "saving.checkpoint": ("load_head", "save_head"),
    "tasks": ("Metric", "Result", "Task"),
    "tasks.classify": ("Classify",),
    "tasks.correspond": ("Correspond",),
    "tasks.depth": ("Depth",),
    "tasks.detect": ("Detect",),
    "tasks.segment": ("Segment",),
    "tokens": ("FeatureInfo", "Features", "Needs", "Tokens"),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [*_HOME, "__api_version__", "__version__"]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        value: Any = version("argus-perception")
    elif name in _HOME:
        value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
