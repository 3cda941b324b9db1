"""Recipes by the size of the data, cards by name, and what epochs mean."""

from __future__ import annotations

import math

import pytest
import torch

from arena_help import DATA, settings, small_cache, train_run
from argus_arena.requests import make_request
from argus_arena.run.config import resolve, sized
from argus_arena.run.phases import evaluation_steps, phases
from argus_arena.run.recipes import card_recipe, natural_batch, suited_recipe
from argus_arena.training.notices import unmet
from argus_arena.training.trial import _optimizer
from argus_core.errors import ArgusError
from argus_core.recipe import Conditions, Recipe, Stage
from argus_core.saving.build import head_class

FCOS = head_class("fcos").recipe
TOWER = head_class("split_tower").recipe
COCO = 117_266


def suited(card, images, **said):
    return suited_recipe(card, card.model_copy(update=said), said, images)


def steps(recipe, images):
    return phases(recipe, max(1, images // min(recipe.batch, images)))[-1]


def test_small_data_take_small_batches_and_enough_steps():
    recipe = suited(FCOS, 292)
    assert (recipe.batch, recipe.lr, recipe.epochs, recipe.stages) == (16, 5e-4, 34, ())
    assert steps(recipe, 292).steps == 34 * 18
    assert recipe.warmup == 0.05


def test_the_data_of_the_card_give_the_card():
    recipe = suited(FCOS, COCO)
    assert (recipe.batch, recipe.lr, recipe.epochs) == (FCOS.batch, FCOS.lr, FCOS.epochs)
    assert recipe.warmup == pytest.approx(500 / (8 * 1832))


@pytest.mark.parametrize("images", [1, 2, 7, 20, 100, 255, 256, 440, 5_000, 20_210, 99_999, COCO, 1_281_167])
@pytest.mark.parametrize(
    "name", ["fcos", "split_tower", "segment.linear", "depth.linear", "depth.dpt", "classify.linear"]
)
def test_every_size_gives_a_training_within_its_bounds(images, name):
    card = head_class(name).recipe
    recipe = suited(card, images)
    assert recipe == suited(card, images) == Recipe(**recipe.model_dump())
    total = steps(recipe, images).steps
    per_epoch = max(1, images // recipe.batch)
    assert 600 <= total <= 40_000 + per_epoch and total % per_epoch == 0
    assert recipe.batch == natural_batch(images) <= images
    shorter = max(1, card.steps / total) if card.steps else 1
    assert recipe.lr == pytest.approx(card.lr * math.sqrt(recipe.batch / card.batch * shorter), rel=5e-3)
    assert recipe.warmup >= card.warmup


def test_all_heads_want_one_batch():
    heads = ("fcos", "split_tower", "segment.linear", "depth.linear", "depth.dpt", "classify.linear")
    assert len({suited(head_class(name).recipe, 500).batch for name in heads}) == 1


def test_what_was_set_wins_and_the_rest_follows():
    recipe = suited(FCOS, 292, batch=8)
    assert (recipe.batch, recipe.lr) == (8, 3.54e-4)
    recipe = suited(FCOS, 292, epochs=2, lr=0.5)
    assert (recipe.epochs, recipe.lr, recipe.batch) == (2, 0.5, 16)
    assert suited(FCOS, 292, steps=7).steps == 7
    assert suited(FCOS, 292, warmup=0.2).warmup == 0.2
    assert suited(FCOS, 292, warmup=0.0).warmup == 0
    assert suited(TOWER, 292, stages=TOWER.stages).stages == TOWER.stages


def test_a_training_shorter_than_the_cards_goes_faster_but_never_faster_than_the_shortest():
    card = head_class("segment.linear").recipe
    assert suited(card, 184).lr == pytest.approx(1e-3 * math.sqrt(8 / 16 * 40_000 / 736), rel=5e-3)
    assert suited(card, 184, epochs=1).lr == pytest.approx(1e-3 * math.sqrt(8 / 16 * 40_000 / 600), rel=5e-3)
    assert suited(card, 184, steps=80_000, batch=16).lr == card.lr


def test_epochs_are_the_whole_training_and_stages_its_end():
    assert sum(phase.steps for phase in phases(suited(TOWER, 160, epochs=2), 20)) == 40
    staged = Recipe(epochs=5, stages=(Stage(epochs=1, lr=1e-4), Stage(epochs=0.5, lr=1e-5)))
    assert [(one.start, one.steps) for one in phases(staged, 10)] == [(0, 35), (35, 10), (45, 5)]
    with pytest.raises(ArgusError, match="the stages take 15 steps, and the whole training, whose end they are, is 10"):
        phases(staged.model_copy(update={"epochs": 1}), 10)


def test_a_cards_stages_keep_their_share_of_a_length_that_was_set():
    def card(**said):
        return card_recipe(TOWER, TOWER.model_copy(update=said), said, 160)

    assert card() == TOWER
    assert [one.steps for one in phases(card(), 7329)] == [16 * 7329, 3 * 7329]
    assert [one.steps for one in phases(card(epochs=2), 100)] == [168, 32]
    assert [one.steps for one in phases(card(steps=190), 10)] == [160, 30]
    own = (Stage(epochs=1, lr=1e-3),)
    assert card(epochs=2, stages=own).stages == own


def test_the_cards_late_evaluations_are_eleven_over_the_last_third():
    planned = phases(TOWER, 7329)
    points = sorted(evaluation_steps(planned, TOWER, 7329, 0))
    main = [point for point in points if point <= planned[0].steps]
    assert len(main) == 11 and main[0] == round(80 / 117 * 16 * 7329) and main[-1] == 16 * 7329
    assert points[11:] == [17 * 7329, 18 * 7329, 19 * 7329]


def test_evaluations_are_whole_epochs_and_ends_of_phases_by_default():
    planned = phases(Recipe(epochs=40), 5)
    assert sorted(evaluation_steps(planned, Recipe(epochs=40), 5, 0)) == list(range(20, 201, 20))
    assert sorted(evaluation_steps(planned, Recipe(), 5, 7)) == [35, 70, 105, 140, 175, 200]
    assert sorted(evaluation_steps(planned, Recipe(evaluations=4), 5, 0)) == [50, 100, 150, 200]
    assert evaluation_steps([], Recipe(), 5, 0) == frozenset()


def test_a_card_that_is_not_met_says_what_it_needs():
    tokens = {"from": "cache", "canvas": {"height": 288, "width": 384}, "views": ["id"]}
    (text,) = unmet(TOWER, {"text": None}, tokens)
    assert "canvas 768x768, here 288x384 (`arena cache --canvas 768x768`)" in text
    assert "views id,hflip, here id (`arena cache --views id,hflip`)" in text
    assert "text (`arena text" in text
    met = {"from": "live", "canvas": {"height": 768, "width": 768}, "views": ["id", "hflip"]}
    assert unmet(TOWER, {"text": "vectors.safetensors"}, met) == []
    assert unmet(suited(TOWER, 292), {"text": None}, tokens) == []


def live(*heads, **more):
    request = make_request({"heads": heads, "data": DATA, "backbone": "tiny", **more})
    return sized(resolve(request), 20)


def test_live_tokens_are_made_as_the_card_asks_unless_the_request_says_how():
    request = live("split_tower", recipe="card").request
    assert (request.canvas, request.views) == ("768x768", ("id", "hflip"))
    request = live("split_tower", recipe="card", canvas="64", views=("id",)).request
    assert (request.canvas, request.views) == ("64", ("id",))
    request = live("split_tower").request
    assert (request.canvas, request.views) == (None, ())
    with pytest.raises(ArgusError, match="fcos 640x640, split_tower 768x768; say which with --canvas"):
        live("fcos", "split_tower", recipe="card")


def test_the_card_brings_the_options_and_the_decay_of_the_published_training():
    made = live("segment.linear", recipe="card").heads["linear"]
    assert (made.options["dropout"], made.options["denominator"], made.recipe.decayed) == (0.1, "all", "all")
    assert (made.recipe.steps, made.recipe.batch, made.recipe.weight_decay) == (40_000, 16, 1e-3)
    plain = live("segment.linear").heads["linear"]
    assert (plain.options["dropout"], plain.options["denominator"], plain.recipe.decayed) == (0, "valid", "matrices")


def test_what_is_set_wins_over_the_card_and_is_told():
    request = make_request(
        {
            "heads": ("segment.linear",),
            "data": DATA,
            "backbone": "tiny",
            "recipe": "card",
            "settings": {"dropout": 0.2, "linear.decayed": "matrices"},
        }
    )
    made = sized(resolve(request), 20).heads["linear"]
    assert (made.options["dropout"], made.options["denominator"], made.recipe.decayed) == (0.2, "all", "matrices")
    tokens = {"from": "live", "canvas": {"height": 512, "width": 512}, "views": ["id"]}
    (text,) = unmet(made.recipe, made.options, tokens)
    assert "dropout 0.1, here 0.2; decayed all, here matrices" in text
    assert (
        unmet(
            live("segment.linear", recipe="card").heads["linear"].recipe, {"dropout": 0.1, "denominator": "all"}, tokens
        )
        == []
    )


def test_weight_decay_is_for_matrices_or_for_all():
    matrix, scale = torch.nn.Parameter(torch.ones(2, 2)), torch.nn.Parameter(torch.ones(2))
    for decayed, scales in (("matrices", 1.0), ("all", 1 - 0.1 * 0.5)):
        optimizer = _optimizer(Recipe(weight_decay=0.5, decayed=decayed), 0.1, [matrix, scale])
        matrix.grad, scale.grad = torch.zeros(2, 2), torch.zeros(2)
        with torch.no_grad():
            matrix.fill_(1), scale.fill_(1)
        optimizer.step()
        assert matrix[0, 0].item() == pytest.approx(1 - 0.1 * 0.5) and scale[0].item() == pytest.approx(scales)


def test_conditions_are_no_setting():
    with pytest.raises(ArgusError, match="conditions"):
        resolve(make_request({"heads": ("fcos",), "data": DATA, "settings": {"conditions": 1}}))
    assert Conditions().canvas is None


def test_a_run_says_its_recipe_records_it_and_goes_on_with_it(tmp_path, capfd, monkeypatch):
    cache, out = small_cache(tmp_path / "cache"), tmp_path / "run"
    given = {"heads": ("fcos", "split_tower"), "data": DATA, "cache": str(cache)}
    small = {
        key: value for key, value in settings("fcos", "split_tower", epochs=1).items() if key not in ("batch", "stages")
    }
    rows = train_run(given, small, out)
    told = capfd.readouterr().err
    assert "recipe: 20 images on 64x64 (letterbox) -> batch 8; --recipe card for the published one" in told
    assert "  fcos: lr 0.000354, 1 epoch (2 steps), warm-up 0 steps" in told
    assert {row["recipe"]["batch"] for row in rows.values()} == {8}
    assert {row["epochs"] for row in rows.values()} == {1}
    alone = train_run({**given, "heads": ("fcos",)}, settings("fcos", epochs=1) | {"batch": 8}, tmp_path / "alone")
    assert alone["fcos"]["weights_sha256"] == rows["fcos"]["weights_sha256"]
    assert train_run(given, small, out)["fcos"]["metrics"] == rows["fcos"]["metrics"]
    capfd.readouterr()
    card = train_run({**given, "recipe": "card"}, {**small, "batch": 4}, tmp_path / "card")
    told = capfd.readouterr().err
    assert "recipe: card, 20 images" in told and "warning: split_tower: not as the card trained: it had canvas" in told
    assert any("not as the card trained" in note for note in card["split_tower"]["notes"])


def test_another_recipe_is_answered_with_those_there_are(arena):
    code, _, message = arena("train --head fcos --data scenes: --backbone tiny --recipe crad")
    assert code == 2 and "unknown recipe 'crad'; did you mean 'card'" in message
