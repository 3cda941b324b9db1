"""The cost of a head: multiply-accumulates and milliseconds per image, memory while it trains."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from argus_core.head import Head
from argus_core.model.composition import run_head
from argus_core.model.macs import count_macs
from argus_core.tokens import Tokens

ROUNDS = 5
STATE = 5
"""Copies of a trained parameter in memory: itself, gradient, two moments of AdamW, and an average."""


@torch.no_grad()
def image_cost(head: Head, tokens: Tokens) -> dict[str, Any]:
    """``macs`` of forward and decode for these ``tokens`` of one image, and the median ``milliseconds``."""
    head.eval()
    _, macs = count_macs(lambda: run_head(head, tokens))
    return {"macs": macs, "milliseconds": round(statistics.median(_laps(head, tokens)), 3)}


@dataclass(frozen=True)
class Memory:
    """Bytes that a head takes while it trains: ``held`` all the time, ``step`` during its own steps."""

    held: int
    step: int


def training_memory(head: Head, tokens: Tokens, targets: Sequence[Any]) -> Memory:
    """Bytes of parameters with their copies, and of what one training step saves for its gradients."""
    held = sum(t.numel() * t.element_size() for t in (*head.parameters(), *head.buffers()))
    if not head.trained:
        return Memory(held, 0)
    sizes: dict[int, int] = {}

    def record(saved: Tensor) -> Tensor:
        storage = saved.untyped_storage()
        sizes[storage.data_ptr()] = storage.nbytes()
        return saved

    features = tokens.features(head.needs)
    with torch.autograd.graph.saved_tensors_hooks(record, lambda saved: saved):
        total = torch.stack([*head.train().loss(head(features), targets).values()]).sum()
    total.backward()
    head.zero_grad(set_to_none=True)
    return Memory(held * STATE, sum(sizes.values()))


def _laps(head: Head, tokens: Tokens) -> list[float]:
    laps = []
    for _ in range(ROUNDS):
        _wait(tokens)
        start = time.perf_counter()
        run_head(head, tokens)
        _wait(tokens)
        laps.append(1e3 * (time.perf_counter() - start))
    return laps


def _wait(tokens: Tokens) -> None:
    if tokens.extent.is_cuda:
        torch.cuda.synchronize(tokens.extent.device)
