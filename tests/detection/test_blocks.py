"""The blocks that detectors share: towers, pyramids, cosine scores, the code of places."""

import math

import pytest
import torch
from torch import nn
from torchvision.models.detection.fcos import FCOSHead

from argus_core.detection import (
    ConvGN,
    CosineClassifier,
    DenseTowers,
    DepthwiseResidual,
    group_norm,
    prediction,
    sine_code,
)
from argus_core.detection.cosine import pc_init
from argus_core.errors import ArgusError
from argus_core.nn.class_text import stand_in


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def randomise(module):
    with torch.no_grad():
        for p in module.parameters():
            p.copy_(torch.randn_like(p) / max(1, p[0].numel()) ** 0.5 + (0.5 if p.ndim < 2 else 0))
    return module


def test_fcos_towers_are_torchvisions_head():
    """The same weights give the same logits and distances, with ReLU in place of GELU."""
    towers = DenseTowers(256, prediction(256, 80, 3), (8,) * 5, convs=4, kernel=3)
    ours, theirs = (sum(p.numel() for p in m.parameters()) for m in (towers, FCOSHead(256, 1, 80, 4)))
    assert ours - 5 == theirs == 4_920_661
    theirs = randomise(FCOSHead(32, 1, 3, 2))
    ours = DenseTowers(32, prediction(32, 3, 3), (8, 16), convs=2, kernel=3)
    for tower in (ours.cls_tower, ours.box_tower):
        for block in tower:
            block[1], block[2] = nn.GroupNorm(32, 32), nn.ReLU()
    pairs = {
        "cls_tower": "classification_head.conv",
        "classifier": "classification_head.cls_logits",
        "box_tower": "regression_head.conv",
        "reg": "regression_head.bbox_reg",
        "ctr": "regression_head.bbox_ctrness",
    }
    for mine, other in pairs.items():
        values = list(theirs.get_submodule(other).parameters())
        nn.utils.vector_to_parameters(nn.utils.parameters_to_vector(values), ours.get_submodule(mine).parameters())
    x = torch.randn(2, 32, 5, 7)
    wanted = theirs([x])
    level = ours([x, x])[1]
    got = {"cls_logits": level.cls, "bbox_regression": (level.ltrb / 16).log(), "bbox_ctrness": level.quality}
    for name, value in got.items():
        value = value.relu() if name == "bbox_regression" else value
        bounded = wanted[name].clamp(max=8) if name == "bbox_regression" else wanted[name]
        torch.testing.assert_close(value.flatten(2).transpose(1, 2), bounded, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("channels", [2, 32, 37, 48, 96, 128, 160, 192, 320, 768, 832, 1280])
def test_groups_divide_every_width_and_serve_a_single_cell(channels):
    norm = group_norm(channels)
    assert channels % norm.num_groups == 0 and norm.num_groups <= 32
    assert norm.num_groups == 32 or channels % 32 or channels < 128
    assert norm(torch.randn(1, channels, 1, 1)).isfinite().all()


def test_towers_are_one_for_all_levels_and_scales_are_not():
    strides = (8, 16, 32)
    towers = randomise(DenseTowers(16, prediction(16, 3), strides, convs=1, residuals=1))
    towers.reg.weight.data *= 0.1  # clear of the bounds that distances are held in
    levels = [torch.randn(1, 16, n, n + 1) for n in (4, 3, 2)]
    order = [2, 0, 1]
    plain, permuted = towers(levels), towers([levels[i] for i in order])
    for place, source in enumerate(order):
        assert torch.equal(permuted[place].cls, plain[source].cls)
        assert torch.equal(permuted[place].quality, plain[source].quality)
        torch.testing.assert_close(
            (permuted[place].ltrb / strides[place]).log() / towers.scales[place],
            (plain[source].ltrb / strides[source]).log() / towers.scales[source],
            atol=1e-4,
            rtol=1e-4,
        )
    with torch.no_grad():
        towers.scales[1] *= 2
    changed = towers(levels)
    assert [torch.equal(a.ltrb, b.ltrb) for a, b in zip(plain, changed, strict=True)] == [True, False, True]
    torch.testing.assert_close(changed[1].ltrb / 16, (plain[1].ltrb / 16) ** 2, rtol=1e-4, atol=1e-5)


def test_blocks_start_as_promised():
    x = torch.randn(1, 16, 5, 4)
    assert torch.equal(DepthwiseResidual(16)(x), x)
    scores = prediction(16, 3, 3, prior=0.01)(torch.zeros(1, 16, 2, 2)).sigmoid()
    torch.testing.assert_close(scores, torch.full_like(scores, 0.01))
    assert ConvGN(16, 8, stride=2)(x).shape == (1, 8, 3, 2)


@pytest.mark.parametrize(("classes", "width"), [(20, 48), (48, 48), (60, 48)])
def test_pc_init_is_an_isometry_onto_the_principal_directions(classes, width):
    vectors = nn.functional.normalize(torch.randn(classes, 96) + 1, dim=1)
    weight = pc_init(vectors, width)
    torch.testing.assert_close(weight.T @ weight, torch.eye(width), atol=1e-5, rtol=0)
    u, s, v = torch.linalg.svd(vectors.double(), full_matrices=False)
    kept = min(classes, width)
    top = (u[:, :kept] * s[:kept] @ v[:kept]).float()  # the best approximation of rank ``width``
    torch.testing.assert_close(vectors @ weight @ weight.T, top, atol=1e-5, rtol=0)
    classifier = CosineClassifier(width, vectors).eval()
    with torch.no_grad():
        classifier.cls_project.weight.copy_(weight)
        x = torch.randn(1, width, 3, 3)
        wanted = torch.einsum("kd,dw,bwij->bkij", top, weight, x)
        assert torch.equal(classifier(x).argmax(1), wanted.argmax(1))


def test_cosine_scores():
    vectors = stand_in(6, 24)
    classifier = CosineClassifier(16, 3 * vectors)  # the length of a class vector means nothing
    with torch.no_grad():
        classifier.cls_project.weight.normal_()
        classifier.cls_bias.normal_()
    x = torch.randn(2, 16, 4, 5)
    project = torch.einsum("dw,bwij->bdij", classifier.cls_project.weight, x)
    cos = nn.functional.cosine_similarity(project[:, None], vectors[None, :, :, None, None], dim=2)
    wanted = 10 * cos + classifier.cls_bias[:, None, None]
    torch.testing.assert_close(classifier.train()(x), wanted, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(classifier.eval()(x), wanted, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(classifier(100 * x), wanted, atol=1e-4, rtol=1e-4)
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(classifier(x), wanted, atol=1e-5, rtol=1e-5)
    assert "vectors" in classifier.state_dict() and "vectors" not in dict(classifier.named_parameters())
    assert classifier.train()(torch.zeros(1, 16, 1, 1)).isfinite().all()
    with torch.no_grad():
        classifier.logit_scale.fill_(9)
    assert (classifier(x) - classifier.cls_bias[:, None, None]).abs().max() <= 100


def test_new_class_vectors_leave_the_other_scores_alone():
    few, many = CosineClassifier(16, stand_in(6, 24)[:5]), CosineClassifier(16, stand_in(6, 24))
    with torch.no_grad():
        many.cls_project.weight.copy_(few.cls_project.weight)
    x = torch.randn(1, 16, 3, 3)
    torch.testing.assert_close(many(x)[:, :5], few(x))


def test_sine_code_is_a_code_of_the_place_on_the_canvas():
    code = sine_code((40, 30), 16, (640, 480), 64)
    assert code.shape == (64, 40, 30) and code.abs().max() <= 1
    y, wave = (7 + 0.5) * 16 / 640, 0.25 * 64 ** (3 / 15)
    assert code[3, 7, 11].item() == pytest.approx(math.sin(2 * math.pi * wave * y), abs=1e-5)
    assert torch.pdist(code.flatten(1).T).min() > 0.1
    torch.testing.assert_close(code, sine_code((40, 30), 32, (1280, 960), 64), atol=1e-4, rtol=0)
    centres = nn.functional.avg_pool2d(code[None, :1], 2)[0]
    torch.testing.assert_close(sine_code((20, 15), 32, (640, 480), 64)[:1], centres, atol=1e-3, rtol=0)
    with pytest.raises(ArgusError, match="multiple of 4"):
        sine_code((2, 2), 16, (32, 32), 6)
