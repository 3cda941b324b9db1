"""What a step sees: views that parameters describe, sizes that are drawn apart, teachers in their own terms."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from distill_help import small_recipe

from argus_arena.distill.augment import View, draw_view, render_view
from argus_arena.distill.plan import Plan, StepPlan
from argus_arena.distill.reading import bundled_recipes, read_recipe
from argus_arena.distill.recipe import Augmentation, Stage, TeacherSource
from argus_arena.distill.teachers import NEEDS, Seen, Teacher, answers_of
from argus_core import load_backbone
from argus_core.backbones.timm_models import build, wrap
from argus_core.errors import ArgusError

SIZE = (50, 70)


def picture() -> np.ndarray:
    rng = np.random.default_rng(4)
    coarse = torch.from_numpy(rng.uniform(0, 255, (1, 3, 5, 7)))
    smooth = F.interpolate(coarse, SIZE, mode="bicubic").clamp(0, 255)
    return smooth[0].permute(1, 2, 0).byte().numpy()


def views(**changes: object) -> list[View]:
    rng = np.random.default_rng(5)
    return [draw_view(Augmentation(**changes), SIZE, rng) for _ in range(300)]


def test_parameters_of_views_keep_to_the_recipe():
    drawn = views(flip_p=0.25)
    for view in drawn:
        top, left, rows, columns = view.crop
        assert 0 <= top <= top + rows <= SIZE[0] and 0 <= left <= left + columns <= SIZE[1]
        assert 0.28 < rows * columns / (SIZE[0] * SIZE[1]) <= 1 and 0.7 < columns / rows < 1.45
        assert abs(view.hue) <= 0.1 and abs(view.brightness - 1) <= 0.4 and abs(view.saturation - 1) <= 0.2
    assert 0.15 < np.mean([view.flip for view in drawn]) < 0.35
    assert 0.4 < np.mean([view.blur > 0 for view in drawn]) < 0.6
    assert len({view.crop for view in drawn}) > 200
    still = {"flip_p": 0, "colour_p": 0, "blur_p": 0, "solarize_p": 0}
    assert {View(view.crop) for view in views(**still)} == set(views(**still))


def test_a_strip_of_an_image_has_a_crop_too():
    _, _, rows, columns = draw_view(Augmentation(), (3, 500), np.random.default_rng(0)).crop
    assert rows <= 3 and columns <= 500 and rows > 0 and columns > 0


def test_a_view_shows_the_same_at_any_size():
    image = picture()
    for view in views(blur_p=1.0, solarize_p=0)[:20]:
        large, small = (render_view(image, view, size) for size in (96, 48))
        assert large.shape == (3, 96, 96) and large.dtype == torch.uint8
        halved = F.interpolate(large[None].float(), (48, 48), mode="area")[0]
        assert (halved - small).abs().mean() < 3
    plain = View((0, 0, *SIZE))
    flipped = render_view(image, View((0, 0, *SIZE), flip=True), 48)
    assert flipped.equal(render_view(image, plain, 48).flip(2))
    assert render_view(image, View((0, 0, *SIZE), solarize=0), 48).equal(255 - render_view(image, plain, 48))


STAGE = Stage(name="multi", student="s", teachers=("a", "b"), sizes=(32, 48, 64), teacher_sizes=(32, 48, 64))


def test_sizes_of_student_and_teachers_are_drawn_independently():
    plan = Plan(STAGE, {}, seed=3)
    drawn = [plan.at(step) for step in range(1800)]
    for pair in (
        Counter((each.student, each.teachers["a"]) for each in drawn),
        Counter((each.teachers["a"], each.teachers["b"]) for each in drawn),
    ):
        assert len(pair) == 9 and min(pair.values()) > 140 and max(pair.values()) < 260  # 200 each
    assert plan.at(7) == Plan(STAGE, {}, seed=3).at(7)
    assert [Plan(STAGE, {}, seed=4).at(step) for step in range(20)] != drawn[:20]


def test_a_teacher_is_left_out_as_often_as_asked_and_never_all():
    plan = Plan(STAGE.model_copy(update={"drop": 0.5, "teacher_sizes": ()}), {"a": 16, "b": 48}, seed=0)
    drawn = [plan.at(step) for step in range(2000)]
    sets = Counter(frozenset(each.teachers) for each in drawn)
    # Both at a quarter of the steps; where both would be left out, one of them stays.
    assert 400 < sets[frozenset("ab")] < 600 and 600 < sets[frozenset("a")] < 900 and frozenset() not in sets
    assert {each.teachers.get("a", 16) for each in drawn} == {16}
    assert plan.whole(3).sizes == (16, *sorted({48, plan.whole(3).student} - {16}))


def teacher(mean: float, std: float, **source: object) -> Teacher:
    torch.manual_seed(0)
    network = build("vit_tiny_patch16_dinov3_qkvb", embed_dim=32, num_heads=1, depth=1)
    with torch.no_grad():
        for parameter in network.parameters():  # layer scales of 1e-5 would hide the pixels from CLS
            parameter.copy_(torch.randn_like(parameter) * 0.3)
    backbone = wrap(network, "t", license="mit", mean=[mean] * 3, std=[std] * 3)
    return Teacher("t", TeacherSource(backbone="t", size=32, **source), backbone)


def test_each_teacher_normalises_pixels_as_it_was_trained():
    images = torch.randint(256, (2, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    answers = []
    for mean, std in ((0.5, 0.5), (0.2, 0.9)):
        here = teacher(mean, std)
        expected = here.backbone((images / 255 - mean) / std, NEEDS).features(NEEDS)
        answer = here.answer(Seen({32: images}, {}), 32, 0)
        torch.testing.assert_close(answer.cls, expected.cls[0])
        torch.testing.assert_close(answer.patches, expected.map)
        answers.append(answer.cls)
    assert not torch.allclose(*answers, atol=1e-2)


def test_a_teacher_whose_answer_is_not_finite_is_named():
    sound, broken = teacher(0.5, 0.5), teacher(0.5, 0.5)
    next(broken.backbone.model.parameters()).data.fill_(float("nan"))
    seen = Seen({32: torch.zeros(3, 3, 32, 32, dtype=torch.uint8)}, {})
    with pytest.raises(ArgusError, match=r"teacher t \(t\) gave values that are not finite on 3 of 3 images at step 8"):
        answers_of({"sound": sound, "broken": broken}, seen, StepPlan(32, {"sound": 32, "broken": 32}), 8)


def test_a_teacher_without_class_token_is_told():
    conv = build("convnext_atto", depths=(1, 1, 1, 1), dims=(8, 8, 16, 16))
    backbone = wrap(conv, "timm:convnext_atto", license="mit")
    (note,) = Teacher("dense", TeacherSource(backbone="x", size=32), backbone).notes
    assert "no class token" in note and "teachers.dense.cls = false" in note
    assert not Teacher("dense", TeacherSource(backbone="x", size=32, cls=False), backbone).notes
    assert not Teacher("vit", TeacherSource(backbone="tiny", size=32), load_backbone("tiny")).notes


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"stages__multi__start": "proxi"}, "stages.multi: unknown stage before it 'proxi'"),
        ({"stages__proxy__teachers": ["lite9"]}, "unknown teacher 'lite9'"),
        ({"teachers__wide__backbone": ""}, "either a backbone or the result of a stage"),
        ({"teachers__wide__size": 0}, r"teachers\.wide\.size"),
        ({"comparison__normalize": "phis"}, "meanstd"),
        ({"stages__nine__recipe__lr": 1.0}, "unknown stage 'nine'"),
        ({"stages__proxy__recipe__stages": [{"epochs": 1, "lr": 1}]}, "further stages of the distillation"),
    ],
)
def test_a_wrong_recipe_is_told_in_words(tmp_path, settings, message):
    with pytest.raises(ArgusError, match=message):
        small_recipe(tmp_path, **settings)


def test_the_packages_recipes_can_be_read_and_others_are_unknown():
    assert set(bundled_recipes()) == {"eupe", "eupe-mini", "eupe-toy"}
    for name in bundled_recipes():
        assert [stage.name for stage in read_recipe(name).stages] == ["proxy", "student", "multi-resolution"]
    with pytest.raises(ArgusError, match="did you mean 'eupe-toy'"):
        read_recipe("eupe-toi")
