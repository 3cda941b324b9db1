"""A network that learns divided over processes, by torch's FSDP: for a proxy that one device has no room to train."""

from __future__ import annotations

from collections.abc import Iterator

import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor


def divide(objective: nn.Module, device: str) -> nn.Module:
    """The module, its parameters divided among all processes; each block is whole only while it computes."""
    mesh = init_device_mesh(device, (dist.get_world_size(),))
    for block in list(blocks(objective)):
        fully_shard(block, mesh=mesh)
    fully_shard(objective, mesh=mesh)
    return objective


def blocks(module: nn.Module) -> Iterator[nn.Module]:
    """The repeated parts of a network: members of lists and sequences that have no such ones within."""
    repeated = isinstance(module, nn.Sequential | nn.ModuleList)
    for child in module.children():
        inner = list(blocks(child))
        yield from inner
        if repeated and not inner and next(child.parameters(), None) is not None:
            yield child


def gathered(value: Tensor) -> Tensor:
    """A divided tensor as a whole, for which all processes must call; others as they are."""
    return value.full_tensor() if isinstance(value, DTensor) else value


def divided_like(value: Tensor, other: Tensor) -> Tensor:
    """A whole tensor, the same in all processes, divided as ``other`` is, if that is divided."""
    return distribute_tensor(value, other.device_mesh, other.placements) if isinstance(other, DTensor) else value
