"""The kit checks heads on another device than the CPU: here on the stand-in for one."""

from __future__ import annotations

import pytest
import torch

from argus_core.testing.heads.subject import Subject, mapped, perturb
from argus_core.testing.kit.far_device import FAR, FarDevice
from argus_core.testing.suite import HEAD_KIT
from argus_core.tokens import Features
from argus_heads.linear_depth import LinearDepth

CHECKS = ("any_size", "padding", "loss", "gradients", "bfloat16", "deterministic", "features_untouched")


class Stray(LinearDepth):
    """A head that makes a tensor on the CPU."""

    def forward(self, features: Features) -> object:
        output = super().forward(features)
        torch.zeros(3) + output.logits.flatten()[:3]
        return output


@pytest.mark.parametrize("name", ["depth.linear", "classify.prototypes"])
def test_checks_hold_on_another_device(name: str) -> None:
    with FarDevice() as far:
        subject = Subject(Subject.of(name).cls, name, device=FAR)
        assert not [fault for check in CHECKS if (fault := HEAD_KIT.fault(check, subject))]
        assert far.count > 100
        assert subject.build().task.name in name and next(iter(subject.ready()[1].maps.values())).device.type == FAR


def test_a_check_fails_where_devices_mix() -> None:
    with FarDevice():
        assert "mixes a tensor (3,) of the CPU" in HEAD_KIT.fault("any_size", Subject(Stray, "stray", device=FAR))


def linear() -> torch.nn.Linear:
    torch.manual_seed(0)
    return torch.nn.Linear(4, 3)


def test_perturbed_weights_are_those_of_the_cpu() -> None:
    near = perturb(linear(), seed=1).weight
    with FarDevice():
        far = perturb(linear().to(FAR), seed=1).weight
        assert far.device.type == FAR and torch.equal(far.detach().cpu(), near)
    assert (near != linear().weight).all() and (near != perturb(linear(), seed=2).weight).all()


def test_every_tensor_of_an_output_is_changed() -> None:
    value = {"a": [torch.ones(2), (torch.zeros(1), 3)], "b": "text"}
    changed = mapped(value, lambda tensor: tensor + 1)
    assert changed["a"][0].tolist() == [2, 2] and changed["a"][1] == (torch.ones(1), 3) and changed["b"] == "text"
