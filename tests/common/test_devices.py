"""What a GPU would be waited for, and how many operations it would be given: counted without one."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from argus_arena.distributed import Distributed
from argus_arena.run.batches import targets_to
from argus_arena.run.phases import Phase
from argus_arena.training.trial import Trial
from argus_core.backbones.tiny import tiny
from argus_core.canvas import Canvas
from argus_core.common.device import free_memory
from argus_core.detection import FCOSAssigner, grid_points
from argus_core.detection.assign import assign_batch
from argus_core.detection.geometry import positions
from argus_core.detection.postprocess import soft_nms
from argus_core.nn import computes_bf16, without_tf32
from argus_core.tasks.correspond import Described, Search
from argus_core.tasks.depth import DepthTarget
from argus_core.tasks.detect import BoxTarget
from argus_core.tasks.segment import ClassMaps, Segment
from argus_core.testing.heads.subject import Subject
from argus_core.testing.kit.far_device import FAR, FarDevice

STANDARD = {
    "detect.slim_fcos": {"width": 16},
    "detect.split_tower": {"width": 16, "text_dim": 16, "convs": 1, "residuals": 1},
    "classify.linear": {},
    "segment.linear": {},
    "segment.dpt": {"width": 16},
    "depth.linear": {},
    "depth.dpt": {"width": 16},
}
"""Heads that are no experiments, narrowed: how wide they are changes no step."""


def trained_step(name: str, options: dict[str, object]) -> list[str]:
    """Where one step of a head with its own recipe waits for the device, an average of weights included."""
    subject = Subject.of(name, options)
    head = subject.build()
    tokens, targets = subject.example(head, (64, 96), 4)
    with FarDevice() as device:
        recipe = head.recipe.model_copy(update={"ema": 0.99, "clip": 1.0})
        trial = Trial("", 1.0, head, recipe, Distributed(0, 1, torch.device(FAR)))
        trial.begin(Phase(0, 10, 1e-3, ()))
        there, aims = tokens.to(FAR).features(head.needs), [target.to(FAR) for target in targets]
        trial.step(0, there, aims)
        device.waits.clear()
        terms = trial.step(1, there, aims)
    assert all(isinstance(value, float) for value in terms.values())
    return device.waits


@pytest.mark.parametrize("name", STANDARD)
def test_a_training_step_waits_for_the_device_three_times_at_most(name: str) -> None:
    waits = trained_step(name, STANDARD[name])
    assert 1 <= len(waits) <= 3, waits


def test_waits_do_not_grow_with_images_boxes_or_crowds() -> None:
    points = grid_points([(8, 12), (4, 6)], (8, 16))
    generator = torch.Generator().manual_seed(0)
    with FarDevice() as device:
        for count in (1, 6):
            start = 40 * torch.rand(10 * count, 2, generator=generator)
            target = BoxTarget(
                torch.cat([start, start + 20], dim=1),
                torch.zeros(10 * count, dtype=torch.long),
                torch.arange(10 * count) % 3 == 0,
            ).to(FAR)
            extent = torch.tensor([[64, 80]] * count).to(FAR)
            there = grid_points([(8, 12), (4, 6)], (8, 16), torch.device(FAR))
            device.waits.clear()
            matched = assign_batch(FCOSAssigner(bounds=(0, 32, 64)), there, [target] * count, extent)
            assert len(device.waits) == 1
    assert matched.shape == (6, len(points))


def test_a_mask_with_a_known_count_is_no_wait() -> None:
    mask = torch.rand(200, generator=torch.Generator().manual_seed(0)) < 0.3
    with FarDevice() as device:
        far = mask.to(FAR)
        device.waits.clear()
        found = positions(far, int(mask.sum()))
        assert not device.waits
        assert len(far.nonzero()) and len(device.waits) == 1
    assert torch.equal(found.on_cpu, mask.nonzero()[:, 0])


def test_soft_suppression_asks_now_and_then() -> None:
    generator = torch.Generator().manual_seed(0)
    start = 300 * torch.rand(300, 2, generator=generator)
    given = torch.cat([start, start + 30], dim=1), torch.rand(300, generator=generator), torch.zeros(300).long()
    with FarDevice() as device:
        far = [one.to(FAR) for one in given]
        device.waits.clear()
        keep, scores = soft_nms(*far, 0.5, 100)
        assert len(device.waits) <= 6
    near = soft_nms(*given, 0.5, 100)
    assert torch.equal(keep.on_cpu, near[0]) and torch.equal(scores.on_cpu, near[1]) and len(scores.on_cpu) == 100


def test_150_classes_become_pixels_in_few_operations() -> None:
    task = Segment(classes=tuple(f"class {number}" for number in range(150)))
    logits = torch.randn(150, 8, 10, generator=torch.Generator().manual_seed(0))
    counts = []
    for size in ((45, 64), (90, 128)):
        place = Canvas(128, 160).place(*size)
        said = task.to_image(ClassMaps(logits, 16), place)
        with FarDevice() as device:
            far = task.to_image(ClassMaps(logits.to(FAR), 16), place)
            counts.append(device.count)
            assert len(device.waits) <= 5, device.waits
    assert counts[0] == counts[1] < 80
    assert torch.equal(far.labels, said.labels)
    torch.testing.assert_close(far.confidence, said.confidence, rtol=1e-5, atol=0)


def test_images_are_matched_where_their_descriptors_come_from() -> None:
    generator = torch.Generator().manual_seed(0)
    place = Canvas(64, 64).place(60, 64)
    points = 50 * torch.rand(9, 2, generator=generator).double().numpy()
    maps = [torch.randn(8, 4, 4, generator=generator) for _ in range(2)]

    def described(one: Tensor) -> Described:
        return Described(one, 16, (60, 64), (64, 64), Search(64, "parabola", mutual=True)).put(place)

    near = described(maps[0]).match(described(maps[1]), points)
    with FarDevice() as device:
        one, other = (described(each.to(FAR)) for each in maps)
        assert one.maps.device.type == "cpu"
        device.count = 0
        far = one.match(other, points)
        assert device.count > 50
    assert np.allclose(far.points, near.points) and np.allclose(far.scores, near.scores)
    assert near.mutual is not None and (far.mutual == near.mutual).all()


def test_targets_are_carried_in_one_copy() -> None:
    boxes = BoxTarget(torch.rand(3, 4), torch.arange(3), torch.tensor([True, False, True]))
    none = BoxTarget(torch.zeros(0, 4), torch.zeros(0, dtype=torch.long), torch.zeros(0, dtype=torch.bool))
    with FarDevice() as device:
        found = targets_to([boxes, none, boxes], torch.device(FAR))
        assert len(device.waits) == 1
    for one, held in zip(found, (boxes, none, boxes), strict=True):
        for key, value in vars(held).items():
            assert torch.equal(getattr(one, key).on_cpu, value), key
    depth = DepthTarget(torch.rand(4, 5))
    assert targets_to([depth], torch.device("cpu"))[0].depth is depth.depth


def test_a_target_that_holds_more_than_tensors_goes_by_its_own_way() -> None:
    class Odd:
        def to(self, device: torch.device) -> str:
            return f"on {device}"

    assert targets_to([Odd()], torch.device(FAR)) == ["on meta"]


def test_half_precision_is_for_gpus_that_compute_it(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def supported(including_emulation: bool = True) -> bool:
        asked.append(including_emulation)
        return including_emulation  # as a Turing GPU says

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", supported)
    assert not computes_bf16(torch.device("cuda")) and asked == [False]
    assert not computes_bf16(torch.device("cpu"))
    assert Distributed(0, 1, torch.device("cuda", 0)).precision == "fp32"
    backbone = tiny()
    monkeypatch.setattr(type(backbone), "device", torch.device("cuda"))
    assert backbone.precision == "fp32"
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: True)
    assert backbone.precision == "bf16"


@pytest.mark.filterwarnings("ignore:Please use the new API settings:UserWarning")
def test_float32_is_all_of_it_and_the_process_gets_its_switches_back() -> None:
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, cudnn.allow_tf32
    with pytest.raises(ValueError, match="stop"), without_tf32(torch.device("cuda")):
        assert not matmul.allow_tf32 and not cudnn.allow_tf32
        raise ValueError("stop")
    assert (matmul.allow_tf32, cudnn.allow_tf32) == before == (False, True)


def test_memory_that_torch_keeps_for_later_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (10, 100))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 60)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 25)
    assert free_memory(torch.device("cuda", 0)) == 45


def test_the_stand_in_refuses_what_a_gpu_refuses() -> None:
    with FarDevice() as device:
        far: Tensor = torch.ones(3, 2).to(FAR)
        with pytest.raises(AssertionError, match=r"mixes a tensor \(3, 2\) of the CPU"):
            far + torch.ones(3, 2)
        with pytest.raises(RuntimeError):
            far.numpy()
        device.waits.clear()
        assert far.sum() == 6 and far.tolist() == [[1, 1]] * 3 and len(far[far > 0]) == 6
        assert torch.tensor([1.0], device=far.device).device.type == FAR
        assert len(device.waits) == 4, device.waits
        assert (far * torch.tensor(2.0)).cpu().tolist() == [[2, 2]] * 3
