"""Checks of a task's name and fields, and of the example tokens it makes for the checks of heads."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from itertools import product

import torch
from torch import Tensor

from argus_core.common.options import check_options
from argus_core.errors import ArgusError
from argus_core.registry import TASKS
from argus_core.saving.build import task_to_dict
from argus_core.tasks import Task
from argus_core.testing.heads.subject import INFO, Size
from argus_core.testing.kit.isolation import assert_refused
from argus_core.testing.kit.values import same, tensors
from argus_core.testing.tasks.subject import TaskSubject
from argus_core.tokens import FeatureInfo, Tokens, cell_mask

PYRAMID = FeatureInfo((16, 24, 32), (4, 8, 16), prefix=1)
"""A ConvNet's layers: other channels and strides at each."""
IMAGES, SHUFFLES = 96, 200


def name(subject: TaskSubject) -> None:
    """The name is a lower-case word under which no other task is registered; a floor is a head of this task."""
    task = subject.task
    assert re.fullmatch(r"[a-z][a-z0-9_]*", task.name), f"name {task.name!r} must be a lower-case word, such as pose"
    for entry in TASKS.entries():
        assert entry.name != task.name or entry.load() is type(task), (
            f"name {task.name!r} is registered as {entry}: choose another"
        )
    assert not task.floor or task.floor.startswith(f"{task.name}."), (
        f"floor {task.floor!r} must be a head of this task by its full name, {task.name}.NAME"
    )


def fields(subject: TaskSubject) -> None:
    """The numbers of a task survive JSON and cannot be changed; a field that it does not have is refused."""
    task, cls = subject.task, type(subject.task)
    text = json.dumps(task_to_dict(task))
    values = json.loads(text)
    assert values.pop("task") == task.name, "no field may be called 'task': that is where the name is kept"
    again = cls(**check_options(cls, values, f"task {task.name!r}"))
    assert again == task, f"fields {text} came back from JSON as {again!r}"
    assert cls.model_config.get("frozen"), "model_config must keep frozen=True: tasks are shared"
    fault = "a field that does not exist is accepted: model_config must keep extra='forbid'"
    assert_refused(lambda: cls(**{**values, "no_such_field": 1}), fault=fault, errors=(ArgusError, ValueError))


def small(subject: TaskSubject) -> None:
    """``small()`` gives an instance of the class itself, always the same."""
    cls = subject.cls
    task = cls.small()
    assert type(task) is cls, f"small() gives {type(task).__name__}, not {cls.__name__}"
    assert task == cls.small(), "small() gives another task each time"


def example(subject: TaskSubject) -> None:
    """``example`` gives well-formed tokens and a target per image, on any grid, the same for the same generator."""
    cases = product([(INFO, (2, -1)), (PYRAMID, (0, -1))], [(64, 96), (112, 48), (16, 16)], [1, 3])
    for (info, layers), canvas, images in cases:
        tokens, targets = _example(subject.task, info, layers, canvas, images)
        _check_tokens(tokens, info, layers, canvas, images)
        assert len(targets) == images, f"example gives {len(targets)} targets for {images} images"
        assert all(hasattr(target, "to") for target in targets), "targets need a method .to(device)"
    state = torch.get_rng_state()
    first, second = (_example(subject.task, INFO, (-1,), (64, 96), 4) for _ in range(2))
    assert torch.equal(state, torch.get_rng_state()), "example draws from torch's global state: use its generator"
    assert same(first, second), "example gives other tokens or targets for the same state of its generator"
    padded = (first[0].extent < torch.tensor((64, 96))).any()
    assert padded, "no image of 4 has padding: let some extents end before the canvas, so that heads meet it"


def _example(
    task: Task, info: FeatureInfo, layers: tuple[int, ...], canvas: Size, images: int
) -> tuple[Tokens, list[object]]:
    return task.example(info, layers, canvas, images, torch.Generator().manual_seed(0))


def _check_tokens(tokens: Tokens, info: FeatureInfo, layers: tuple[int, ...], canvas: Size, images: int) -> None:
    where = f"on a canvas of {canvas}"
    expected = sorted({layer % info.depth for layer in layers})
    assert tokens.size == canvas, f"tokens.size is {tokens.size} {where}"
    assert sorted(tokens.maps) == sorted(tokens.prefix) == expected, (
        f"asked for layers {expected}, got maps of {sorted(tokens.maps)}, prefixes of {sorted(tokens.prefix)}"
    )
    extent = tokens.extent
    assert extent.shape == (images, 2) and not extent.is_floating_point(), "extent must be whole numbers (B, 2)"
    assert ((extent > 0) & (extent <= torch.tensor(canvas))).all(), f"extents {extent.tolist()} leave {canvas}"
    for layer in expected:
        grid, stride, channels = info.grid(canvas, layer), info.strides[layer], info.channels[layer]
        _check_shape("map", layer, tokens.maps[layer], (images, channels, *grid), where)
        _check_shape("prefix", layer, tokens.prefix[layer], (images, max(1, info.prefix), channels), where)
        beyond = tokens.maps[layer] * ~cell_mask(extent, stride, grid)
        assert not beyond.any(), f"the map of layer {layer} is not zero in padding {where}"


def _check_shape(what: str, layer: int, value: Tensor, shape: tuple[int, ...], where: str) -> None:
    actual = tuple(value.shape)
    assert actual == shape, f"the {what} of layer {layer} is {actual}, expected {shape} {where}"
    assert value.dtype == torch.float32 and value.isfinite().all(), f"the {what} of layer {layer} is not finite float32"


def learnable(subject: TaskSubject) -> None:
    """The tokens of ``example`` tell something about its targets: images alike in one are alike in the other."""
    tokens, targets = _example(subject.task, INFO, (-1,), (32, 32), IMAGES)
    assert next(tensors(targets), None) is not None, "targets hold no tensor"
    layer = INFO.depth - 1
    cells, stride = tokens.maps[layer], INFO.strides[layer]
    # Cells that all images cover: padding alone would make tokens and targets alike.
    shared = cell_mask(tokens.extent, stride, (cells.shape[2], cells.shape[3])).all(dim=0)
    vectors = torch.cat([(cells * shared).flatten(1), tokens.prefix[layer][:, 0]], dim=1).unbind()
    fields = zip(*map(tensors, targets), strict=True)
    strength, chance = _mantel(_distances(vectors), torch.stack([_distances(field) for field in fields]).sum(dim=0))
    assert strength > chance, (
        f"distances between tokens follow those between targets by {strength:.2f}, shuffled ones by up to "
        f"{chance:.2f}: plant the targets in the tokens, or no head can be seen to learn"
    )


def _distances(values: Sequence[Tensor]) -> Tensor:
    """(N, N) distances between values of any length; of whole numbers, such as labels, how many differ."""
    rows = [value.flatten().double() for value in values]
    whole = not values[0].is_floating_point()
    padded = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=-1.0 if whole else 0.0)
    distances = torch.cdist(padded, padded, p=0.0 if whole else 2.0).nan_to_num()
    return distances / distances.mean().clamp(min=1e-12)


def _mantel(a: Tensor, b: Tensor) -> tuple[float, float]:
    """Correlation of distances (N, N) of two sets, and the largest with one of them shuffled (Mantel 1967)."""
    upper = torch.triu_indices(len(a), len(a), 1)
    generator = torch.Generator().manual_seed(0)
    orders = [torch.randperm(len(a), generator=generator) for _ in range(SHUFFLES)]
    chance = max(_correlation(a, b[order][:, order], upper) for order in orders)
    return _correlation(a, b, upper), chance


def _correlation(a: Tensor, b: Tensor, upper: Tensor) -> float:
    pairs = torch.stack([a[upper[0], upper[1]], b[upper[0], upper[1]]])
    return float(torch.corrcoef(pairs)[0, 1].nan_to_num())
