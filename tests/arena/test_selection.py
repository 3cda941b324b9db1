"""Choices are made on a part of the training images, and the validation split is scored once, at the end."""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from arena_help import train_run
from argus_arena.comparison.grouping import make_groups
from argus_arena.distributed import Distributed
from argus_arena.requests import CacheRequest, make_request
from argus_arena.run.config import resolve, sized
from argus_arena.run.prepare import prepare
from argus_arena.run.selection import LEAST, select_images, selected_count
from argus_arena.run.sources import open_run_data
from argus_arena.scoring.rules import Scoring
from argus_arena.tools.cache import build_cache
from argus_arena.training import loop
from argus_arena.training.checkpoints import _better
from argus_core import register
from argus_core.cache import Cache, CacheSource
from argus_core.common.tensors import tensors_sha256
from argus_core.errors import ArgusError
from argus_core.head import Head
from argus_core.plugins.data_spec import open_data
from argus_core.plugins.hooks import load_plugins
from argus_core.protocols import find_protocol
from argus_core.recipe import Recipe
from argus_core.registry import HEADS
from argus_core.saving.checkpoint import load_head, read_tensors
from argus_core.tasks import Calibration
from argus_core.tasks.classify import Classify
from argus_core.tokens import Needs

DATA, IMAGES, VAL = "scenes:images=48,val=6,size=64", 48, 6
SELECTION = "0.34"
"""16 of the images."""
ALONE = Distributed(0, 1, torch.device("cpu"))
RATE = {"linear.lr": 1.0, "linear.sweep": []}
SMALL = {"epochs": 4, "batch": 4, "fcos.width": 16, "fcos.depth": 1}


class Keys:
    """A split of so many images, with classes of whole images or without."""

    name = "train"

    def __init__(self, keys: list[str], classes: list[int] | None = None) -> None:
        self.keys, self.classes = keys, classes
        self.tasks = {"classify": Classify(classes=("a", "b", "c"))} if classes else {}

    def key(self, index: int) -> str:
        return self.keys[index]

    def truth(self, index: int, task: str) -> int:
        assert self.classes and task == "classify"
        return self.classes[index]


def selected(split: Keys, count: int, digests: dict[str, str] | None = None) -> set[str]:
    keys, known = split.keys, digests or {}
    held = select_images(split, range(len(keys)), count, lambda index: known.get(keys[index], keys[index]))
    assert list(held) == sorted(set(held))
    return {keys[index] for index in held}


def test_the_images_depend_on_their_keys_alone():
    keys = [f"photographs/{n}.jpg" for n in range(400)]
    first = selected(Keys(keys), 40)
    assert len(first) == 40
    assert selected(Keys(random.Random(0).sample(keys, 400)), 40) == first
    later = selected(Keys([*keys, *(f"photographs/new{n}.jpg" for n in range(40))]), 44)
    assert len(later & first) >= 30  # of a later version with a tenth more


@pytest.mark.parametrize("shuffled", [False, True])
def test_every_class_keeps_its_share(shuffled):
    classes = [0] * 200 + [1] * 90 + [2] * 30 + [3]
    if shuffled:
        random.Random(1).shuffle(classes)
    held = selected(Keys([str(n) for n in range(len(classes))], classes), 32)
    counts = Counter(classes[int(key)] for key in held)
    assert sum(counts.values()) == 32 and counts[3] == 0  # the only image of a class is trained on
    for label in range(3):
        assert abs(counts[label] - 0.1 * classes.count(label)) <= 1


def test_what_shows_one_photograph_is_not_divided():
    rng = random.Random(2)
    keys = [f"{n}.rf.{rng.random()}.jpg" for n in range(120) for _ in range(rng.choice((1, 1, 3)))]
    digests = {key: f"bytes {rng.randrange(100)}" for key in rng.sample(keys, 60)}
    held = selected(Keys(keys), 30, digests)
    rest = set(keys) - held
    assert 16 <= len(held) <= 30
    assert not {key.partition(".rf.")[0] for key in held} & {key.partition(".rf.")[0] for key in rest}
    assert not {digests.get(key, key) for key in held} & {digests.get(key, key) for key in rest}


def test_photographs_of_too_many_images_leave_none_to_choose_on():
    keys = [f"{photograph}.rf.{n}" for photograph in range(4) for n in range(50)]
    assert selected(Keys(keys), 20) == set()


@pytest.mark.parametrize(
    ("images", "selection", "count"),
    [
        (292, "0.1", 29),
        (154, "0.1", 0),
        (160, "0.1", 16),
        (1_281_167, "0.1", 2_000),
        (292, "0", 0),
        (292, "val", 0),
        (17, "0.99", 16),
        (16, "0.99", 0),
    ],
)
def test_the_share_has_bounds(images, selection, count):
    assert selected_count(images, selection) == count


@pytest.mark.parametrize("wrong", ["1", "-0.1", "nan", "test"])
def test_what_is_no_share_is_refused(wrong):
    with pytest.raises(ArgusError, match=f"selection '{wrong}' is no share"):
        make_request({"heads": ("fcos",), "data": DATA, "selection": wrong})
    assert make_request({"heads": ("fcos",), "data": DATA, "selection": 0.10}).selection == "0.1"


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("selection") / "cache"
    build_cache(CacheRequest(data=DATA, out=out, backbone="tiny", canvas="64", cls=True))
    return out


def run(cache: Path, out: Path, *heads: str, selection: str = SELECTION, **more: object) -> dict:
    request = {key: more.pop(key) for key in ("eval_every", "backbone", "canvas") if key in more}
    where = {} if "backbone" in request else {"cache": str(cache)}
    kept = {key: value for key, value in SMALL.items() if "." not in key or key.split(".")[0] in heads}
    given = {"heads": heads, "data": DATA, "selection": selection, **where, **request}
    return train_run(given, {**kept, **more}, out)


def log(out: Path) -> list[dict]:
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]


def outcome(out: Path) -> tuple:
    """Logs, digests of all weights, and what rows say of scores and choice."""
    rows = {file: json.loads(file.read_text()) for file in sorted(out.glob("*/result.json"))}
    said = [
        [row[key] for key in ("metrics", "selected", "last", "contributions", "calibration")] for row in rows.values()
    ]
    files = [file for file in sorted(out.glob("*/*.safetensors")) if "contr" not in file.name]
    applied = [load_head(file)[0].calibration for file in files]
    return log(out), said, [tensors_sha256(read_tensors(file)[1]) for file in files], applied


class Read:
    """How many items were read from the caches of both splits."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.items: Counter[str] = Counter()
        read = CacheSource.read

        def counted(source, items):
            self.items[source.path.name] += len(items)
            return read(source, items)

        monkeypatch.setattr(CacheSource, "read", counted)


def test_val_is_scored_once_and_choices_are_made_on_training_images(cache, tmp_path, monkeypatch, capfd):
    read = Read(monkeypatch)
    row = run(cache, tmp_path / "run", "fcos")["fcos"]
    assert read.items["val"] == VAL + VAL + 1  # for confidences too, and one more for the cost of an image
    assert read.items["train"] == 4 * (32 + 16) + 16
    chosen = row["selected"]
    assert (chosen["split"], chosen["images"], chosen["candidates"], chosen["variant"]) == ("train", 16, 4, "live")
    lines = [line for line in log(tmp_path / "run") if "eval" in line]
    assert [(line["split"], line["images"], "reported" in line) for line in lines] == [
        *[("train", 16, False)] * 4,
        ("val", VAL, True),
    ]
    best = max(line["eval"]["AP"] for line in lines[:-1])
    assert chosen["metrics"]["AP"] == best and row["metrics"] == lines[-1]["eval"] != chosen["metrics"]
    assert row["last"] == {**row["last"], "step": 32, "split": "train", "metrics": lines[3]["eval"]}
    told = capfd.readouterr().err
    assert "recipe: 32 images (and 16 to choose on)" in told and "(live) on 16 selection images: AP" in told
    head = load_head(tmp_path / "run" / "fcos" / "best.safetensors")[0]
    assert head.record["weights"] == {key: value for key, value in chosen.items() if key != "candidates"}

    before, read.items = outcome(tmp_path / "run"), Counter()
    again = run(cache, tmp_path / "run", "fcos")["fcos"]
    assert read.items == {"val": 1} and outcome(tmp_path / "run") == before  # not scored again
    assert again["metrics"] == row["metrics"]


class Cut(BaseException):
    """A kill."""


HEADS_CUT = ("depth.linear", "classify_linear=classify.linear", "classify.knn")
SETTINGS_CUT = {"classify_linear.sweep": [1.0], "knn.batch": 4}


@pytest.fixture(scope="module")
def whole(cache, tmp_path_factory) -> tuple:
    """What an undisturbed run leaves."""
    out = tmp_path_factory.mktemp("whole") / "run"
    run(cache, out, *HEADS_CUT, **SETTINGS_CUT)
    return outcome(out)


@pytest.mark.parametrize("when", ["calibrated", "evaluate", "reported", "log_reported"])
def test_a_kill_between_training_and_the_row_changes_nothing(cache, whole, tmp_path, monkeypatch, when):

    def cut(*arguments):
        if when != "evaluate" or arguments[1].split.name == "val":
            raise Cut
        return evaluate(*arguments)

    evaluate = loop.evaluate
    monkeypatch.setattr(*((loop, when) if when == "evaluate" else (loop.Checkpoints, when)), cut)
    with pytest.raises(Cut):
        run(cache, tmp_path / "cut", *HEADS_CUT, **SETTINGS_CUT)
    monkeypatch.undo()
    assert not list((tmp_path / "cut").glob("*/result.json"))
    run(cache, tmp_path / "cut", *HEADS_CUT, **SETTINGS_CUT)
    assert outcome(tmp_path / "cut") == whole


def test_confidences_are_calibrated_on_the_images_of_the_choice(cache, tmp_path, monkeypatch, capfd):
    given, images = Calibration(2.0, 0.5), []

    def fixed(outcomes):
        images.append(len(outcomes.image.unique()))
        return given

    monkeypatch.setattr("argus_arena.scoring.calibrate.fit_calibration", fixed)
    names = ("fcos", "softmax=classify.linear", "depth.linear", "masks=segment.linear", "classify.ridge")
    settings = {"ridge.batch": 4, "softmax.lr": 1.0, "softmax.sweep": []}
    rows = run(cache, tmp_path / "run", *names, **settings)
    assert set(images) == {16} and len(images) == 3 and len(rows) == 5
    told = capfd.readouterr().err
    for name, row in rows.items():
        head = load_head(tmp_path / "run" / name / "best.safetensors")[0]
        found = row["calibration"]
        if name == "linear":
            assert found is None and head.calibration is None  # depth states no probability
            continue
        error, chosen = found["ece"], name != "ridge"
        assert found["measured"]["split"] == "val" and found["measured"]["images"] == VAL
        assert head.calibration == (given if chosen else None)
        assert found["applied"] == (given.to_dict() if chosen else None)
        assert (found["fitted"] or {}).get("split") == ("train" if chosen else None)
        assert (error["before"] != error["after"]) == chosen
        assert f"{name}: calibration error {error['before']:.3f} on val" in told
        last = tmp_path / "run" / name / "last.safetensors"
        assert not last.is_file() or load_head(last)[0].calibration is None


def test_a_head_whose_confidences_cannot_be_looked_at_is_scored_all_the_same(cache, tmp_path, monkeypatch, capfd):
    def broken(task, prediction, target, image):
        raise ValueError("no outcome")

    monkeypatch.setattr(Classify, "outcomes", broken)
    rows = run(cache, tmp_path / "run", "fcos", "classify.linear", **RATE)
    assert rows["linear"]["calibration"] is None and rows["linear"]["metrics"]["top1"] is not None
    assert rows["fcos"]["calibration"]["measured"]["images"] == VAL
    assert "linear: its confidences could not be looked at: ValueError('no outcome')" in capfd.readouterr().err


def test_a_head_beside_one_that_fails_is_calibrated_all_the_same(cache, tmp_path, monkeypatch, capfd):
    fits = []

    def fixed(outcomes):
        fits.append(outcomes)
        if len(fits) == 2:
            raise ArgusError("no fit")
        return Calibration(2.0)

    monkeypatch.setattr("argus_arena.scoring.calibrate.fit_calibration", fixed)
    names = ("fcos", "softmax=classify.linear")
    rows = run(cache, tmp_path / "run", *names, **{"softmax.lr": 1.0, "softmax.sweep": []})
    assert all(row["calibration"]["applied"] for row in rows.values())  # one by one, from raw confidences again
    assert torch.equal(fits[0].logits, fits[2].logits) and len(fits) == 4


class Turns(Head):
    """Says one class after the other, a new one every epoch of 8 steps."""

    solves = Classify
    needs = Needs(maps=False, cls=True)
    recipe = Recipe(epochs=5, batch=4)
    steps: Tensor

    def __init__(self, info, task) -> None:
        super().__init__(info, task)
        self.bias = nn.Parameter(torch.zeros(len(task.classes)))
        self.register_buffer("steps", torch.zeros((), dtype=torch.long))

    def forward(self, features):
        self.steps += self.training
        said = nn.functional.one_hot(((self.steps - 1) // 8).clamp(min=0), len(self.bias)).float()
        return (100 * said + self.bias).expand(len(features.extent), -1)


@pytest.fixture
def turns():
    register("classify.turns", Turns)
    yield
    HEADS.unregister("classify.turns")


def class_shares(images) -> list[float]:
    split, index = images
    truths = Counter(split.truth(n, "classify") for n in index)
    return [truths[label] / len(index) for label in range(5)]


def test_the_choice_is_made_by_the_selection_images_against_val(cache, tmp_path, turns):
    data, request = open_data(DATA), make_request({"heads": ("turns",), "data": DATA, "cache": str(cache)})
    held = open_run_data(request, load_plugins()).selected(SELECTION)
    on_train, on_val = class_shares((data["train"], held)), class_shares((data["val"], range(VAL)))
    chosen = on_train.index(max(on_train))
    assert on_val[chosen] < max(on_val), "both would choose the same: take other scenes"
    row = run(cache, tmp_path / "run", "turns", epochs=5)["turns"]
    assert row["selected"]["step"] == 8 * (chosen + 1)
    assert row["selected"]["metrics"]["top1"] == pytest.approx(on_train[chosen])
    assert row["metrics"]["top1"] == pytest.approx(on_val[chosen])
    old = run(cache, tmp_path / "old", "turns", selection="val", steps=40, eval_every=2 / 3)["turns"]
    assert old["selected"]["split"] == "val" and old["metrics"] == old["selected"]["metrics"]
    assert old["metrics"]["top1"] == pytest.approx(max(on_val))


def test_heads_without_a_choice_take_all_images_beside_others_too(cache, tmp_path, monkeypatch):
    read = Read(monkeypatch)
    given = {"heads": ("classify.knn",), "data": DATA, "cache": str(cache), "selection": SELECTION}
    alone = train_run(given, {"batch": 8}, tmp_path / "alone")["knn"]
    assert read.items == {"train": IMAGES, "val": VAL + VAL + 1}
    both = run(cache, tmp_path / "beside", "classify.knn", "classify.linear", **{"knn.batch": 8}, **RATE)
    assert both["linear"]["selected"]["images"] == 16
    beside = both["knn"]
    for row in (alone, beside):
        nothing = {"split": None, "images": 0, "metrics": None, "step": 0, "variant": "live", "candidates": 1}
        assert row["selected"] == nothing and row["last"] is None
    assert beside["weights_sha256"] == alone["weights_sha256"] and beside["metrics"] == alone["metrics"]
    bank = read_tensors(tmp_path / "beside" / "knn" / "best.safetensors")[1]["bank"]
    assert len(bank) == IMAGES


def test_a_head_that_is_scored_once_trains_on_all_images(cache, tmp_path):
    row = run(cache, tmp_path / "once", "classify.linear", epochs=1, **RATE)["linear"]
    assert row["steps"] == IMAGES // 4 and row["selected"]["split"] is None
    with pytest.raises(ArgusError, match=r"^once: scored once, so trained on all images, and the heads beside it"):
        run(cache, tmp_path / "mixed", "once=fcos", "several=fcos", **{"once.epochs": 1})


def test_a_comparison_puts_them_into_groups_of_their_own(cache):
    heads = ("once=classify.linear", "several=classify.linear", "other=classify.linear", "classify.knn")
    settings = {"batch": 4, "sweep": [], "once.epochs": 1, "several.epochs": 2, "other.epochs": 2, "knn.batch": 4}
    given = {"heads": heads, "data": DATA, "cache": str(cache), "settings": settings}
    for selection, groups in ((SELECTION, (("once",), ("several", "other", "knn"))), ("0", (tuple("oson"),))):
        request = make_request({**given, "selection": selection})
        data = open_run_data(request, load_plugins())
        found = make_groups(sized(resolve(request), data.images), data, ALONE, 1.0)
        assert not found.left_out and len(found.groups) == len(groups)
        assert selection == "0" or found.groups == groups


@pytest.mark.parametrize("ema", [0.0, 0.9])
def test_at_0_all_images_are_trained_on_and_the_last_weights_are_scored(cache, tmp_path, ema):
    stages = [{"epochs": 1, "lr": 1e-3}]
    row = run(cache, tmp_path / "run", "depth.linear", selection="0", ema=ema, stages=stages)["linear"]
    assert row["steps"] == 4 * IMAGES // 4 and row["last"] is None
    assert row["selected"]["step"] == row["steps"] and row["selected"]["variant"] == ("ema" if ema else "live")
    assert [line["split"] for line in log(tmp_path / "run") if "eval" in line] == ["val"]
    best, last = (read_tensors(tmp_path / "run" / "linear" / f"{one}.safetensors")[1] for one in ("best", "last"))
    assert all(best[key].equal(last[key]) for key in best) != bool(ema)


def test_too_few_images_are_told_and_nothing_is_chosen(cache, tmp_path, capfd):
    row = run(cache, tmp_path / "run", "classify.linear", selection="0.1")["linear"]
    told = capfd.readouterr().err
    assert (
        f"selection: --selection 0.1 of 48 images is fewer than {LEAST}, too few to choose on: heads train on all "
        "images, and the last weights are scored, and of the rates of linear only one is trained\n"
    ) in told
    assert row["selected"]["split"] is None and row["recipe"]["sweep"] == [] and row["steps"] == IMAGES
    with pytest.raises(ArgusError, match=r"sweep of rates, and --selection 0\.1 of 48 training images leaves none"):
        run(cache, tmp_path / "sweep", "classify.linear", selection="0.1", sweep=[1.0])


@pytest.mark.parametrize("higher", [True, False])
def test_of_equal_scores_the_later_weights_are_the_best(higher):
    metric = Classify(classes=("a", "b")).metric()
    metric.higher_is_better = higher
    best = {"step": 20, "metrics": {metric.primary: 0.375}}
    assert _better(0.375, best, metric, 40)
    assert not _better(0.375, best, metric, 20)  # another variant of the same step
    assert _better(0.375 + (0.01 if higher else -0.01), best, metric, 20)
    assert not _better(0.375 - (0.01 if higher else -0.01), best, metric, 40)


def test_too_few_photographs_are_told(cache, tmp_path, capfd, monkeypatch):
    monkeypatch.setattr("argus_arena.run.sources.select_images", lambda *_: ())
    assert run(cache, tmp_path / "run", "depth.linear", epochs=2)["linear"]["selected"]["split"] is None
    assert "selection: the 48 images are of too few photographs to divide them: heads train" in capfd.readouterr().err


def test_the_late_checkpoint_sweep_scores_the_last_third(cache, tmp_path):
    late = {"evaluations": 11, "evaluate_from": 2 / 3, "ema": 0.9}
    row = run(cache, tmp_path / "run", "depth.linear", epochs=6, **late)["linear"]
    lines = [line for line in log(tmp_path / "run") if line.get("split") == "train"]
    assert len({line["step"] for line in lines}) == 11 and row["selected"]["candidates"] == len(lines) == 22
    assert min(line["step"] for line in lines) == 32 and max(line["step"] for line in lines) == row["steps"] == 48
    best = min(lines, key=lambda line: line["eval"]["abs_rel"])
    assert row["selected"]["metrics"] == best["eval"] and row["selected"]["step"] >= 32


def test_live_tokens_choose_on_the_same_images(cache, tmp_path):
    run(cache, tmp_path / "cached", "depth.linear", epochs=2)
    row = run(cache, tmp_path / "live", "depth.linear", epochs=2, backbone="tiny", canvas="64")["linear"]
    assert row["selected"]["split"] == "train" and row["selected"]["images"] == 16
    one, other = (json.loads((tmp_path / name / "run.json").read_text())["identity"] for name in ("cached", "live"))
    assert one["selection images"] == other["selection images"] is not None
    with pytest.raises(ArgusError, match=r"holds a run with another request\.selection"):
        run(cache, tmp_path / "cached", "depth.linear", epochs=2, selection="0.4")


def test_a_cache_without_a_protocols_views_is_chosen_on_with_those_it_has(cache):
    source = CacheSource(Cache.open(cache / "train"))
    scoring = Scoring(source, open_data(DATA)["train"], {}, find_protocol("nyu-416-1"), frozenset((3, 4)))
    assert scoring.passes(3) == [(3, "id")] and [images for _, images in scoring.samples("depth")] == [(3,), (4,)]


def test_what_is_learned_and_what_is_chosen_on_share_no_image(cache):
    request = make_request({"heads": ("fcos",), "data": DATA, "cache": str(cache), "selection": SELECTION})
    data = open_run_data(request, load_plugins())
    for seed in (0, 1):
        other = request.model_copy(update={"seed": seed})
        ready = prepare(sized(resolve(other), data.images), data, ALONE)
        assert ready.selection is not None and ready.selection.images == set(data.selected(SELECTION))
        assert sorted({*ready.training.order.images, *ready.selection.images}) == list(range(IMAGES))
