"""Descriptors matched in image pixels, whatever the canvas; the task's checks; the head without parameters."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
import torch

from argus_core.canvas import Canvas
from argus_core.errors import ArgusError
from argus_core.model.composition import run_head
from argus_core.saving.build import build_head
from argus_core.saving.checkpoint import load_head, save_head
from argus_core.tasks.correspond import Correspond, Described, DescriptorMaps, Matches, Search
from argus_core.tokens import FeatureInfo
from match_help import described, smooth

TASK = Correspond()
INFO = FeatureInfo.vit(channels=32)


def points(count, size, margin, seed=0):
    """(N, 2) x, y image pixels, away from the border."""
    height, width = size
    span = np.array([width - 2 * margin, height - 2 * margin])
    return margin + np.random.default_rng(seed).random((count, 2)) * span


@pytest.mark.parametrize("fit", ["letterbox", "stretch", "crop"])
@pytest.mark.parametrize("size", [(200, 250), (250, 200), (97, 411), (160, 160)])
def test_an_image_matched_with_itself_gives_its_own_points(fit, size):
    place = Canvas(192, 224, fit=fit).place(*size)
    one = described(smooth((12, 14)), place)
    asked = points(60, size, 0.06 * max(size))
    found = one.match(one, asked)
    canvas = place.points_to_canvas(asked)
    shown = ((canvas >= 0) & (canvas <= place.extent[::-1])).all(axis=1)
    inside = ((canvas > 8) & (canvas < np.array(place.extent[::-1]) - 8)).all(axis=1)
    assert fit == "crop" or shown.all()
    distance = np.linalg.norm(found.points - asked, axis=1) * min(place.scale)
    assert distance[inside].max() < 1 and inside.sum() > 10
    assert np.isnan(found.points).any(axis=1).tolist() == np.isnan(found.scores).tolist() == (~shown).tolist()
    assert found.points.dtype == found.scores.dtype == np.float64 and found.mutual is None


def test_two_images_of_other_sizes_and_fits_agree_on_what_they_show():
    """A grid read twice as two canvases: stretched, and letterboxed with padding that would match best."""
    maps = smooth((12, 12), noise=0.1)
    wide, tall = Canvas(192, fit="stretch").place(96, 384), Canvas(384, 192, fit="letterbox").place(100, 100)
    padded = torch.cat([maps, maps * 5], dim=1)  # 24 x 12 cells, the lower half padding
    one, other = described(maps, wide), described(padded, tall)
    assert tall.extent == (192, 192) and other.enlarged.seen == (192, 192)
    asked = points(50, (96, 384), 20)
    found = one.match(other, asked)
    wanted = asked * [100 / 384, 100 / 96]
    assert np.abs(found.points - wanted).max() < 1.5
    back = other.match(one, wanted)
    assert np.abs(back.points - asked).max() < 5


@pytest.mark.parametrize("seed", range(3))
def test_padding_is_never_matched(seed):
    generator = torch.Generator().manual_seed(seed)
    source = torch.randn(16, 6, 8, generator=generator)
    target = source.flip(2).clone()
    place = Canvas(96, 128).place(60, 40)  # 96 x 64 of 96 x 128
    target[:, :, 4:] = source[:, :, :4]  # what the source shows lies in the target's padding only
    one, other = described(source, Canvas(96, 128, fit="stretch").place(60, 80)), described(target, place)
    found = one.match(other, points(40, (60, 80), 1, seed))
    assert ((found.points >= 0) & (found.points <= [40, 60])).all()


def test_a_mirrored_view_matches_the_mirror_image():
    maps = smooth((12, 14))
    place = Canvas(192, 224, fit="stretch").place(120, 100)
    one, other = described(maps, place), described(maps, place.mirror())
    asked = points(30, (120, 100), 8)
    found = one.match(other, asked).points
    np.testing.assert_allclose(found, np.stack([100 - asked[:, 0], asked[:, 1]], axis=1), atol=0.6)


@pytest.mark.parametrize("size", [64, 100, 512])
def test_the_size_of_the_search_is_that_of_the_longer_side(size):
    place = Canvas(100, 150).place(80, 150)  # cells of 16 overhang: 112 x 160 pixels; the image ends at row 80
    one = described(smooth((7, 10)), place, size=size)
    height, width = one.enlarged.size
    assert (height, width) == (round(112 * size / 150), round(160 * size / 150))
    seen = [sum((i + 0.5) * c / n < end for i in range(n)) for n, c, end in ((height, 112, 80), (width, 160, 150))]
    assert list(one.enlarged.seen) == seen
    asked = points(40, (80, 150), 12)
    found = one.match(one, asked)
    assert np.linalg.norm(found.points - asked, axis=1).max() < max(1.0, 150 / size)


def test_a_match_is_mutual_if_it_leads_back():
    """Two cells of the source look like one cell of the target: only one of them is what that one looks like most."""
    source, target = 0.1 * torch.eye(24)[:, :24].reshape(24, 4, 6), torch.zeros(24, 4, 6)
    target += 0.1 * torch.randn(target.shape, generator=torch.Generator().manual_seed(0))
    source[:, 0, 0], source[:, 3, 5] = torch.eye(24)[0], torch.eye(24)[0] + 0.5 * torch.eye(24)[1]
    target[:, 2, 2] = 5 * torch.eye(24)[0]
    place = Canvas(64, 96, fit="stretch").place(64, 96)
    one, other = (described(maps, place, mutual=True) for maps in (source, target))
    found = one.match(other, np.array([[8, 8], [88, 56], [500, 5]]))
    np.testing.assert_allclose(found.points[:2], [[40, 40]] * 2, atol=12)
    assert found.mutual.tolist() == [True, False, False]
    same = one.match(one, points(20, (64, 96), 10))
    assert same.mutual.all()
    assert described(source, place).match(other, np.zeros((1, 2))).mutual is None


def test_no_points_and_unplaced_descriptors():
    place = Canvas(64).place(64, 64)
    one = described(smooth((4, 4)), place, mutual=True)
    found = one.match(one, np.zeros((0, 2)))
    assert found.points.shape == (0, 2) and found.scores.shape == found.mutual.shape == (0,)
    with pytest.raises(ArgusError, match="to_image"):
        replace(one, place=None).match(one, np.zeros((1, 2)))


@pytest.mark.parametrize("options", [{}, {"layers": (3,), "norm": False, "size": 100, "refine": "softargmax"}])
def test_the_head_hands_on_the_layer_it_was_told(options, tmp_path):
    head = build_head("correspond.match", INFO, TASK, options).eval()
    assert not list(head.parameters()) and not head.state_dict() and not head.trained
    (layer,) = options.get("layers", (11,))
    tokens, targets = TASK.example(INFO, [layer, 5], (80, 112), 3, torch.Generator().manual_seed(0))
    save_head(tmp_path / "head.safetensors", head, {})
    for one in (head, load_head(tmp_path / "head.safetensors")[0]):
        found = run_head(one, tokens)
        for number, described_ in enumerate(found):
            TASK.check(described_, (80, 112))
            assert torch.equal(described_.maps, tokens.maps[layer][number])
            assert described_.extent == tuple(tokens.extent[number].tolist())
            assert described_.search.size == options.get("size", 512)
    place = Canvas(80, 112, fit="stretch").place(80, 112)
    first, third = (TASK.to_image(found[number], place) for number in (0, 2))
    there = first.match(third, targets[0].points.numpy()).points
    same_cell = np.floor(there / 16) == np.floor(targets[2].points.numpy() / 16)
    assert same_cell.all(axis=1).mean() >= 0.75  # cells that two landmarks share belong to both


def test_the_head_refuses_what_it_cannot_do():
    for options, words in (({"size": 0}, "size"), ({"refine": "best"}, "refine"), ({"layers": (12,)}, "layer")):
        with pytest.raises(ArgusError, match=words):
            build_head("correspond.match", INFO, TASK, options)


def test_check_says_what_is_wrong_with_descriptors():
    good = Described(torch.zeros(4, 3, 5), 16, (40, 80), (48, 80), Search())
    TASK.check(good, (48, 80))
    for bad, words in (
        (replace(good, maps=torch.zeros(4, 3, 4)), "maps are"),
        (replace(good, maps=torch.zeros(4, 3, 5).long()), "int64"),
        (replace(good, maps=torch.full((4, 3, 5), torch.nan)), "finite"),
        (replace(good, canvas=(48, 79)), "canvas"),
        (replace(good, extent=(49, 80)), "extent"),
    ):
        with pytest.raises(AssertionError, match=words):
            TASK.check(bad, (48, 80))


def test_decode_gives_every_image_its_own():
    maps = torch.randn(3, 4, 2, 3)
    output = DescriptorMaps(maps.bfloat16(), 16, torch.tensor([[32, 48], [20, 48], [32, 10]]), Search())
    found = TASK.decode(output, (32, 48))
    assert [one.extent for one in found] == [(32, 48), (20, 48), (32, 10)]
    assert all(one.maps.dtype == torch.float32 for one in found)


def test_the_target_is_the_source_points_on_the_canvas():
    place = Canvas(100).place(200, 400).mirror()
    target = TASK.target(Matches(np.array([[40.0, 20.0]]), np.array([[1.0, 2.0]])), place)
    assert target.points.tolist() == [[90, 5]]


def test_faults_are_told_in_words():
    inside, sizes = np.array([[3.0, 4.0], [50.0, 40.0]]), ((40, 50), (60, 70))
    good = Matches(inside, inside, (0, 0, 5, 5), "cat", sizes)
    assert TASK.fault(good, (40, 50)) == "" and TASK.fault(replace(good, sizes=None, box=None), (40, 50)) == ""
    assert TASK.fault(Matches(np.zeros((0, 2)), np.zeros((0, 2))), (40, 50)) == ""
    for bad, words in (
        (replace(good, source=inside + 1), "source point 1 at x=51, y=41"),
        (replace(good, target=inside - [3.5, 0]), "target point 0 at x=-0.5"),
        (replace(good, target=inside * 2), "60x70"),
        (replace(good, sizes=None, target=-inside), "any image"),
        (replace(good, target=inside * np.nan), "target point 0"),
        (replace(good, target=inside[:1]), r"\(1, 2\)"),
        (replace(good, box=(5, 0, 5, 5)), "box"),
        (replace(good, sizes=((50, 40), (60, 70))), "50x40"),
    ):
        assert re.search(words, TASK.fault(bad, (40, 50))), TASK.fault(bad, (40, 50))
    assert "list" in TASK.fault([], (4, 5))


def test_the_summary_counts_pairs_points_and_categories():
    two, none = np.zeros((2, 2)), np.zeros((0, 2))
    truths = [Matches(two, two, (0, 0, 1, 1), "cat"), Matches(two, two, None, "emu"), Matches(none, none, None, "cat")]
    assert TASK.summary(iter(truths)) == {
        "pairs": 3,
        "points": 4,
        "points_per_pair": [0, 2],
        "pairs_without_points": 1,
        "pairs_without_box": 2,
        "pairs_per_category": {"cat": 2, "emu": 1},
    }
    assert TASK.summary([])["points_per_pair"] == [0, 0]


def test_layers_of_a_pyramid_count_alike_at_one_stride():
    pyramid = FeatureInfo((8, 12, 16, 24), (4, 8, 16, 32), prefix=1)
    tokens, _ = TASK.example(pyramid, [1, 2, 3], (64, 96), 2, torch.Generator().manual_seed(0))
    for options, stride in (({}, 16), ({"stride": 8}, 8)):
        head = build_head("correspond.match", pyramid, TASK, options).eval()
        assert head.needs.layers == (1, 2, 3)
        maps = head(tokens.features(head.needs)).maps
        assert maps.shape == (2, 52, 64 // stride, 96 // stride)
        shares = [part.square().sum(dim=1).mean() for part in maps.split([12, 16, 24], dim=1)]
        torch.testing.assert_close(shares[0], shares[1])
        torch.testing.assert_close(shares[1], shares[2])
