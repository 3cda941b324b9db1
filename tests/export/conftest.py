"""What exports leave in a process is freed before other tests run in it, and backbones that commands find."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from torch import nn

from argus_core.backbones import Backbone
from argus_core.backbones.timm_models import wrap
from argus_core.backbones.weights import load_strict, read_tensors
from argus_core.registry import BACKBONES


@pytest.fixture(scope="module", autouse=True)
def _free_graphs() -> Iterator[None]:
    """Free traced graphs and sessions of inference engines at the end of a file.

    They refer to themselves, so without this they stay until the garbage collector happens to run: in any later test,
    on any of its threads. Runs of all tests in one process have crashed there.
    """
    yield
    torch._dynamo.reset()
    gc.collect()


@pytest.fixture
def named() -> Iterator[Callable[[Callable[[], nn.Module]], Backbone]]:
    """``named(network)``: a backbone that commands find by its name, ``shallow``, in a saved model."""

    def register(network: Callable[[], nn.Module]) -> Backbone:
        def make(weights: Path | None = None, *, precision: str = "auto") -> Backbone:
            model = network()
            if weights is not None:
                load_strict(model, read_tensors(weights), weights)
            return wrap(model, "shallow", license="apache-2.0", precision=precision)

        BACKBONES.register("shallow", make)
        return make()

    yield register
    BACKBONES.unregister("shallow")
