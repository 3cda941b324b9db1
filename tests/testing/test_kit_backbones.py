"""The conformance kit of backbones: good ones pass, and every promise has a backbone that breaks it and is caught."""

from __future__ import annotations

import itertools

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from argus_core.backbones import Backbone
from argus_core.backbones.timm_models import build, wrap
from argus_core.errors import ArgusError
from argus_core.testing import BACKBONE_CHECKS, backbone_suite, check_backbone
from argus_core.testing.backbones import BackboneSubject
from argus_core.testing.suite import BACKBONE_KIT
from argus_core.tokens import FeatureInfo
from backbone_help import randomise, timm_file

INFO = FeatureInfo((8, 16), (4, 8))
HALF = (0.5, 0.5, 0.5)


class Net(nn.Module):
    """Two convolutions with fixed weights."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Conv2d(3, 8, 4, 4), nn.Conv2d(8, 16, 2, 2)])
        generator = torch.Generator().manual_seed(0)
        for parameter in self.parameters():
            parameter.data = torch.randn(parameter.shape, generator=generator) / 4

    def forward_intermediates(self, x, indices, intermediates_only=True):
        layers = []
        for layer in self.layers:
            x = self.between(layer(x), indices)
            layers.append(x)
        return [layers[index] for index in indices]

    def between(self, x, indices):
        return x.tanh()


class Sharp(Net):
    def between(self, x, indices):
        return x.tanh() / len(indices)


class Drops(Net):
    def between(self, x, indices):
        return F.dropout(x.tanh(), 0.1, training=True)


class Mixes(Net):
    def between(self, x, indices):
        return x - x.mean(0)


class Overflows(Net):
    def between(self, x, indices):
        return x / 0


class Constant(Net):
    def between(self, x, indices):
        return torch.ones_like(x)


def good(model=Net, cls=Backbone, info=INFO, mean=HALF, std=HALF, license="apache-2.0", *, name: str = "toy"):
    """A backbone around two convolutions."""
    with torch.random.fork_rng(devices=[]):
        return cls(model(), info, name=name, mean=mean, std=std, license=license)


def convnext() -> Backbone:
    """A ConvNeXt of timm with random weights, the same at every call."""
    return wrap(randomise(build("test_convnext")), "convnext")


test_good_backbones = backbone_suite(good, "tiny", convnext)
test_options = backbone_suite(good, options={"name": "other"})


def test_a_timm_name_with_a_file_passes(tmp_path):
    weights = timm_file(tmp_path / "resnet.safetensors", "test_resnet")
    faults = check_backbone("timm:test_resnet", {"weights": str(weights), "mean": list(HALF)})
    assert faults == dict.fromkeys(BACKBONE_CHECKS, "")


_COUNT = itertools.count()


def renames_itself():
    return good(name=f"toy {next(_COUNT)}")


def no_backbone():
    return Net()


def mean_of_bytes():
    return good(mean=(123.7, 116.3, 103.5))


def std_of_nothing():
    return good(std=(0.5, 0.5, 0.0))


def no_terms():
    return good(license="")


def half_an_info():
    return good(info=FeatureInfo((8, 16), (4,)))


class Awake(Backbone):
    def train(self, mode=True):
        return nn.Module.train(self, mode)


def wakes():
    return good(cls=Awake)


def trains():
    backbone = good()
    next(backbone.parameters()).requires_grad_()
    return backbone


class WithGradients(Backbone):
    forward = Backbone.forward.__wrapped__


def gives_gradients():
    backbone = good(cls=WithGradients)
    backbone.requires_grad_()
    return backbone


def random_weights():
    backbone = Net()
    backbone.layers[0].weight.data = torch.rand(8, 3, 4, 4)
    return good(lambda: backbone)


def late_weights():
    backbone = good()
    backbone.model.layers[0].weight.data.mul_(2)
    return backbone


def seeds():
    torch.manual_seed(0)
    return good()


def sets_threads():
    torch.set_num_threads(torch.get_num_threads() + 1)
    return good()


def other_channels():
    return good(info=FeatureInfo((8, 17), (4, 8)))


def more_prefix_tokens():
    return good(info=FeatureInfo((8, 16), (4, 8), prefix=5))


def overflows():
    return good(Overflows)


def constant():
    return good(Constant)


def drops():
    return good(Drops)


def mixes():
    return good(Mixes)


class IgnoresExtent(Backbone):
    def forward(self, images, needs, extent=None):
        return super().forward(images, needs)


def ignores_extent():
    return good(cls=IgnoresExtent)


class ReadsPadding(Backbone):
    def encode(self, canvases, extent, needs):
        images = ((canvases.float() / 255 - 0.5) / 0.5).permute(0, 3, 1, 2)
        return self(images, needs, extent)


def reads_padding():
    return good(cls=ReadsPadding)


class PadsSilently(Backbone):
    def forward(self, images, needs, extent=None):
        return super().forward(F.pad(images, (0, -images.shape[3] % 8, 0, -images.shape[2] % 8)), needs, extent)


def pads_silently():
    return good(cls=PadsSilently)


def depends_on_company():
    return good(Sharp)


class NormalisesTwice(Backbone):
    def forward(self, images, needs, extent=None):
        return super().forward((images - 0.5) / 0.5, needs, extent)

    def encode(self, canvases, extent, needs):
        images = (canvases.float() / 255).permute(0, 3, 1, 2)
        return self(images, needs, extent)


def normalises_twice():
    return good(cls=NormalisesTwice)


BROKEN = {
    "options": (renames_itself, no_backbone),
    "states": (mean_of_bytes, std_of_nothing, no_terms, half_an_info),
    "frozen": (wakes, trains, gives_gradients),
    "weights_hash": (random_weights, late_weights),
    "global_state": (seeds, sets_threads),
    "info": (other_channels, more_prefix_tokens),
    "float32": (overflows, constant),
    "deterministic": (drops, random_weights),
    "items_independent": (mixes,),
    "padding": (ignores_extent, reads_padding),
    "sizes": (pads_silently,),
    "needs": (depends_on_company,),
    "encode": (normalises_twice, reads_padding),
}
"""The check that must catch each of them."""


@pytest.mark.parametrize(
    ("check", "factory"),
    [
        pytest.param(check, factory, id=f"{check}-{factory.__name__}")
        for check, factories in BROKEN.items()
        for factory in factories
    ],
)
def test_every_broken_backbone_is_caught_by_its_check(check, factory):
    threads = torch.get_num_threads()
    assert BACKBONE_KIT.fault(check, BackboneSubject.of(factory))
    assert torch.get_num_threads() == threads


def test_every_check_has_a_backbone_that_it_catches():
    assert set(BROKEN) == set(BACKBONE_CHECKS)


def test_a_backbone_that_cannot_be_built_fails_every_check_with_the_reason():
    faults = check_backbone("tinny")
    assert set(faults) == set(BACKBONE_CHECKS) and all("did you mean 'tiny'" in fault for fault in faults.values())
    with pytest.raises(ArgusError, match="function that makes a Backbone"):
        check_backbone(3)
