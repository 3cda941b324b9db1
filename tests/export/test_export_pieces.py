"""What exports are made of: positions for any grid, decoding in fixed sizes, matching, and the comparison itself."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from argus_core.backbones import load_backbone
from argus_core.backbones.timm_models import build
from argus_core.canvas import Placement
from argus_core.common.extras import need
from argus_core.detection import DecodeOptions, DenseOutput, Level
from argus_core.detection import suppress as eager_suppress
from argus_core.errors import ArgusError
from argus_core.export.detections import decode, suppress
from argus_core.export.graph import answers
from argus_core.export.match import Matcher, matcher
from argus_core.export.stand_ins import cubic_weights, dynamic_positions, replaced, symbolic_len
from argus_core.export.verify import Report
from argus_core.nn import neighbours
from argus_core.saving.build import build_head
from argus_core.tasks.classify import Classify
from argus_core.tasks.correspond import Correspond, Described, DescriptorMaps, Search
from argus_core.tasks.detect import Detect, Detections
from argus_core.tokens import FeatureInfo

INFO = FeatureInfo.vit(24)


def test_rotary_codes_stay_what_they_were_to_the_bit():
    rope = load_backbone("tiny").model.rope
    for grid in ((14, 14), (40, 40), (7, 31), (1, 2)):
        expected = rope._create_embed(grid)
        with dynamic_positions(rope):
            assert "_create_embed" in vars(rope)
            assert torch.equal(rope._create_embed(grid), expected)
    assert "_create_embed" not in vars(rope)


def test_other_rotary_codes_are_refused():
    rope = build("vit_small_patch16_dinov3_qkvb", embed_dim=48, num_heads=3, depth=1).rope
    rope.normalize_coords = "max"
    with dynamic_positions(rope), pytest.raises(ArgusError, match="normalize_coords='max'"):
        rope._create_embed((4, 4))


@pytest.mark.parametrize("to", [1, 2, 5, 13, 14, 15, 28, 40, 61])
def test_learned_codes_are_resampled_as_torch_does(to):
    grid = torch.randn(1, 3, 14, 14, generator=torch.Generator().manual_seed(to))
    expected = F.interpolate(grid, size=(to, to + 3), mode="bicubic", antialias=True)
    rows, columns = cubic_weights(14, to), cubic_weights(14, to + 3)
    assert torch.allclose(rows @ grid @ columns.T, expected, atol=1e-5)


def test_a_network_with_learned_codes_gives_the_same():
    torch.manual_seed(0)
    network = build("vit_tiny_patch16_224", depth=1)
    for size in ((96, 272), (224, 224), (320, 64)):
        image = torch.randn(1, 3, *size)
        with torch.no_grad():
            expected = network.forward_features(image)
            with dynamic_positions(network):
                assert torch.allclose(network.forward_features(image), expected, atol=1e-4)


def test_stand_ins_are_gone_afterwards():
    head = build_head("classify.knn", INFO, Classify.small())
    knn = sys.modules[type(head).__module__]
    with pytest.raises(KeyError), replaced({neighbours.nearest: print}), symbolic_len(head):
        assert knn.nearest is print and knn.len(torch.zeros(3)) == 3 and knn.len([1, 2]) == 2
        raise KeyError
    assert knn.nearest is neighbours.nearest and "len" not in vars(knn)


def boxes_of(generator, most, classes):
    """Random candidates (M, 4), (M,), (M,): clustered, some without area, a fifth of them below the threshold."""
    count = 1 + int(torch.randint(most, (), generator=generator))
    spread, size = (torch.rand((), generator=generator) for _ in range(2))
    corner = torch.rand(count, 2, generator=generator) * 600 * spread
    sides = torch.rand(count, 2, generator=generator) * 200 * size
    boxes = torch.cat([corner, corner + sides], dim=1).clamp(max=640)
    boxes[::17, 2:] = boxes[::17, :2]
    scores = torch.rand(count, generator=generator)
    scores[torch.rand(count, generator=generator) < 0.2] = -1
    return boxes, scores, torch.randint(classes, (count,), generator=generator)


def same(found, index, expected):
    count = int(found["count"][index])
    assert torch.equal(found["boxes"][index, :count], expected.boxes)
    assert torch.equal(found["scores"][index, :count], expected.scores)
    assert torch.equal(found["labels"][index, :count], expected.labels)
    assert not found["boxes"][index, count:].any() and not found["scores"][index, count:].any()
    assert (found["labels"][index, count:] == -1).all()


@pytest.mark.slow
@pytest.mark.parametrize("soft", [False, True])
def test_suppression_in_fixed_sizes_is_the_eager_one(soft):
    """Thousands of images: few and many candidates, one class and many."""
    generator = torch.Generator().manual_seed(int(soft))
    total = 0
    for case in range(2000):
        few = case % 50
        options = DecodeOptions(soft=soft, iou=0.3 + 0.4 * (case % 7) / 7, limit=100 if not few else 10)
        boxes, scores, labels = boxes_of(generator, 60 if few else 2500, 1 + case % 90)
        real = scores >= 0
        expected = eager_suppress(boxes[real], scores[real], labels[real], options)
        same(suppress(boxes[None], scores[None], labels[None], options), 0, expected)
        total += len(expected.scores)
    assert total > 5000


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("sizes", [(96, 160), (40, 300)])
def test_decoding_a_batch_is_decoding_each_image(soft, sizes):
    torch.manual_seed(0)
    head = build_head("detect.fcos", INFO, Detect.small(), {"width": 8, "depth": 1})
    head.decoding = DecodeOptions(soft=soft, candidates=300, limit=40)
    grids = [(-(-sizes[0] // s), -(-sizes[1] // s)) for s in head.strides]
    levels = tuple(
        Level(torch.randn(3, 3, *grid), torch.rand(3, 4, *grid) * 40, torch.randn(3, 1, *grid)) for grid in grids
    )
    extent = torch.tensor([[*sizes], [sizes[0] - 30, sizes[1]], [9, sizes[1] // 2]])
    output = DenseOutput(levels, head.strides, extent)
    actual = decode(output, head.decoding)
    for index, expected in enumerate(head.decode(output, sizes)):
        same(actual, index, expected)
    assert (actual["count"] > 0).all()


@pytest.mark.parametrize(
    ("grid", "ends"),
    [
        ((10, 14), ((160, 224), (160, 224))),
        ((10, 14), ((100, 224), (155, 31))),
        ((7, 5), ((3, 80), (112, 80))),
        ((1, 4), ((16, 64), (16, 50))),
    ],
)
def test_matching_with_sizes_as_tensors_is_the_eager_one(grid, ends):
    random = np.random.default_rng(0)
    size = (16 * grid[0], 16 * grid[1])
    maps = torch.from_numpy(random.standard_normal((2, 12, *grid), dtype=np.float32))
    first, second = (
        Described(image_maps, 16, end, size, Search(256), Placement(end, size, (1.0, 1.0)))
        for image_maps, end in zip(maps, ends, strict=True)
    )
    points = (random.random((40, 2)) * ends[0][::-1]).astype(np.float32)
    expected = first.match(second, points)
    actual = Matcher(16, 256)(*maps, torch.from_numpy(points), torch.tensor(ends))
    assert np.allclose(actual["matches"], expected.points, atol=1e-4)
    assert np.allclose(actual["scores"], expected.scores, atol=1e-6)
    if ends == (size, size):
        whole = Matcher(16, 256)(*maps, torch.from_numpy(points), torch.zeros(2, 2, dtype=torch.long))
        assert torch.equal(whole["matches"], actual["matches"])


def test_a_search_that_no_graph_does_is_refused():
    head = build_head("correspond.match", INFO, Correspond(), {"refine": "parabola"})
    output = DescriptorMaps(torch.zeros(1, 24, 4, 4), 16, torch.tensor([[64, 64]]), head.search)
    with pytest.raises(ArgusError, match=r"refine='parabola'.*build it with refine='none'"):
        matcher(head, output)


def test_an_unknown_output_is_refused():
    head = build_head("correspond.match", INFO, Correspond())
    with pytest.raises(ArgusError, match="'correspond' with list, which cannot be exported"):
        answers(head, [], (64, 64))


def test_a_difference_beyond_the_limit_names_output_and_shape():
    report = Report(limit=1e-3)
    report.compare("head_a", "1x32x64", {"depth": torch.full((2, 2), 5.0)}, {"depth": torch.full((2, 2), 5.004)})
    assert report.largest() == {"head_a": {"depth": pytest.approx(0.004, abs=1e-5)}}
    for wrong in (5.006, float("nan")):
        with pytest.raises(ArgusError, match=r"'depth' of the exported graph 'head_a' differs by .* at 1x32x64"):
            report.compare("head_a", "1x32x64", {"depth": torch.tensor([5.0])}, {"depth": torch.tensor([wrong])})
    with pytest.raises(ArgusError, match="differs by inf"):
        report.compare("head_a", "1x32x64", {"depth": torch.zeros(2)}, {"depth": torch.zeros(3)})


def test_detections_are_compared_as_sets():
    boxes = torch.tensor([[0.0, 0, 50, 50], [100, 100, 180, 190], [10, 10, 90, 30]])
    scores, labels = torch.tensor([0.9, 0.8, 0.7]), torch.tensor([0, 1, 2])
    expected = {"detections": [Detections(boxes, scores, labels)]}
    swapped = torch.tensor([1, 0, 2])
    actual = {"boxes": boxes[swapped][None], "scores": scores[swapped][None], "labels": labels[swapped][None]}
    report = Report()
    report.compare("g", "s", expected, {**actual, "count": torch.tensor([3])})
    assert report.largest()["g"] == {"boxes": 0.0, "scores": 0.0, "missed": 0.0}
    with pytest.raises(ArgusError, match=r"'missed'.* differs by 0.333"):
        report.compare("g", "s", expected, {**actual, "count": torch.tensor([2])})


def test_a_missing_library_is_answered_with_the_extra():
    with pytest.raises(ArgusError, match=r"needs no_such_library .*pip install 'argus-perception\[onnx\]'"):
        need("no_such_library.part", "onnx")


def test_matching_back_is_no_part_of_a_graph():
    info = load_backbone("tiny").info
    maps = torch.randn(2, 8, 3, 4)
    for options in ({"mutual": True}, {}):
        head = build_head("correspond.match", info, Correspond(), options)
        actual = matcher(head, DescriptorMaps(maps, 16, torch.tensor([[48, 64]] * 2), head.search))
        assert (actual.stride, actual.size) == (16, head.search.size)
