"""Which heads of a comparison train side by side: as many as share a batch and fit in memory together."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass

from argus_arena.distributed import Distributed
from argus_arena.run.batches import Steps
from argus_arena.run.config import RunConfig
from argus_arena.run.prepare import PreparedRun, prepare
from argus_arena.run.sources import RunData
from argus_arena.scoring.cost import Memory, training_memory
from argus_core.common.device import free_memory
from argus_core.errors import ArgusError

SHARE = 0.5
"""Of the memory that is free: the rest is for batches, evaluation and whatever else runs."""


@dataclass(frozen=True)
class Grouping:
    """Names of heads in groups, and why others were left out."""

    groups: tuple[tuple[str, ...], ...]
    left_out: Mapping[str, str]


def make_groups(config: RunConfig, data: RunData, process: Distributed, memory: float | None) -> Grouping:
    """Try one training step of every head, and group those that can; ``memory`` is in GiB.

    A head that cannot be built or stepped on this data is left out with the reason, whatever it raises.
    """
    memories: dict[str, Memory] = {}
    reads: dict[str, Hashable] = {}
    left_out: dict[str, str] = {}
    for name in config.heads:
        try:
            run = prepare(select_heads(config, (name,)), data, process)
            memories[name], reads[name] = _probe(run, process), _reads(config, name, run, data)
        except Exception as error:
            left_out[name] = str(error) if isinstance(error, ArgusError) else f"{type(error).__name__}: {error}"
    budget = int(memory * 2**30) if memory else int(SHARE * free_memory(process.device))
    return Grouping(group(memories, reads, budget), left_out)


def group(memory: Mapping[str, Memory], reads: Mapping[str, Hashable], budget: int) -> tuple[tuple[str, ...], ...]:
    """Put heads of equal ``reads`` together, in order, while their memory and the largest step fit ``budget`` bytes.

    A head that alone exceeds it has a group to itself.
    """
    groups: list[list[str]] = []
    for read in dict.fromkeys(reads.values()):
        last: list[str] = []
        for name in (name for name in memory if reads[name] == read):
            if last and _bytes([memory[other] for other in (*last, name)]) <= budget:
                last.append(name)
            else:
                last = [name]
                groups.append(last)
    return tuple(tuple(names) for names in groups)


def select_heads(config: RunConfig, names: tuple[str, ...]) -> RunConfig:
    """The configuration of some of its heads, whose options and recipes are already settled."""
    heads = {name: config.heads[name] for name in names}
    texts = tuple(f"{name}={head.head}" for name, head in heads.items())
    settled: dict[str, object] = {"heads": texts, "settings": {}, "init": None}
    return RunConfig(request=config.request.model_copy(update=settled), heads=heads)


def _reads(config: RunConfig, name: str, run: PreparedRun, data: RunData) -> tuple[int, bool]:
    """What heads side by side must agree in: the batch, and whether they train on what others are chosen on."""
    possible = bool(data.selected(config.request.selection))
    return config.heads[name].recipe.batch, possible and run.heads[name].trained and run.selection is None


def _probe(run: PreparedRun, process: Distributed) -> Memory:
    """The memory of the only head of a run."""
    (head,) = run.heads.values()
    head = head.to(process.device)
    tokens, targets = Steps(run.training, {head.task.name: head.task}, process)[0]
    on_device = [target.to(process.device) for target in targets[head.task.name]]
    return training_memory(head, tokens.to(process.device), on_device)


def _bytes(parts: list[Memory]) -> int:
    return sum(part.held for part in parts) + max(part.step for part in parts)
