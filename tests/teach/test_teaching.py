"""A model learns from a folder: what it is told, what it then has, and how it refuses what cannot teach."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from PIL import Image

from argus_core import Argus, ArgusError, Canvas, Classify, Depth, build_head, load_backbone, open_data
from argus_core.teach.choices import head_options
from argus_core.teach.lessons import SplitLessons
from argus_core.teach.plan import TeachOptions, find_split, make_plan
from argus_core.teach.pool import vectors_of
from argus_core.teach.teach import teach
from argus_core.tokens import Needs

COLOURS = {"red": (220, 40, 30), "green": (40, 200, 60), "blue": (30, 60, 220)}


def picture(path, colour, seed):
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(-25, 25, (48, 64, 3))
    Image.fromarray(np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8)).save(path)


@pytest.fixture
def colours(tmp_path):
    """Class folders without splits: four images of each colour."""
    for name, colour in COLOURS.items():
        for number in range(4):
            picture(tmp_path / "colours" / name / f"{number}.png", colour, number)
    return tmp_path / "colours"


@pytest.fixture
def argus():
    backbone = load_backbone("tiny")
    torch.manual_seed(0)
    head = build_head("classify.linear", backbone.info, Classify(classes=("x", "y")))
    head.canvas = Canvas(64, 96)
    return Argus(backbone, {"kinds": head})


@pytest.fixture
def clicks(tmp_path):
    """Images of two colours, side by side, with two clicks in each."""
    folder = tmp_path / "halves"
    folder.mkdir()
    rows = []
    for number in range(4):
        noise = np.random.default_rng(number).integers(0, 25, (64, 96, 3))
        noise[:, :48, 0] += 200
        noise[:, 48:, 2] += 200
        Image.fromarray(noise.astype(np.uint8)).save(folder / f"{number}.png")
        rows += [f"{number}.png,{x},{y},{name}" for x, name in ((20, "left"), (75, "right")) for y in (20, 50)]
    (folder / "clicks.csv").write_text("\n".join(["image,x,y,label", *rows]))
    return folder


def test_a_folder_of_folders_becomes_a_head_that_answers_and_is_saved(argus, colours, tmp_path):
    taught = argus.teach(colours, head="classify.ridge")
    assert (taught.name, taught.head, taught.task, taught.images) == ("colours", "classify.ridge", "classify", 12)
    assert taught.shown == {"blue": 4, "green": 4, "red": 4} and not taught.notes
    assert taught.scores["metrics"]["top1"] == 1.0 and "cross-validated" in taught.scores["protocol"]
    picture(tmp_path / "new.png", COLOURS["green"], 77)
    assert argus.classify(tmp_path / "new.png", head="colours").class_name == "green"
    argus.save(tmp_path / "model")
    again = Argus.load(tmp_path / "model")
    assert again.classify(tmp_path / "new.png", head="colours").class_name == "green"
    record = again.head("colours").record
    assert record["data"]["train"]["images"] == 12 and record["taught"]["images_of_classes"] == dict(taught.shown)
    assert record["tokens"]["backbone"]["sha256"] == argus.backbone.weights_sha256
    assert again.licenses()["head colours"].id == argus.backbone.license
    assert again.head("colours").canvas == Canvas(64, 96)  # that of the head of its task
    assert "top1 1" in str(taught) and "red" in str(taught)


def test_the_default_head_is_the_floor_of_the_task(argus, colours):
    assert argus.teach(colours).head == Classify.floor


def test_clicks_become_masks(argus, clicks):
    taught = argus.teach(clicks, name="sides", head="segment.ridge")
    assert taught.shown == {"left": 4, "right": 4} and taught.scores["metrics"]["mIoU"] > 0.9
    labels = argus.segment(clicks / "0.png", head="sides").labels
    assert (labels[:, :32] == 0).mean() > 0.9 and (labels[:, 64:] == 1).mean() > 0.9


def test_a_name_is_taken_or_given_up(argus, colours):
    with pytest.raises(ArgusError, match=r"has a head 'kinds' already \(classify.linear\)"):
        argus.teach(colours, name="kinds")
    assert argus.head("kinds").name == "classify.linear"
    argus.teach(colours, name="kinds", head="classify.prototypes", replace=True)
    assert argus.head("kinds").name == "classify.prototypes" and [*argus.heads] == ["kinds"]
    for name in ("a.b", "keys", "a b", "a/b"):
        with pytest.raises(ArgusError, match="cannot name a head"):
            argus.teach(colours, name=name)


def test_the_default_name_is_one_that_a_head_can_have(argus, colours):
    for folder, name in (("keys", "my_classify"), ("my photos, 2", "my_photos_2"), ("...", "my_classify")):
        colours = colours.rename(colours.parent / folder)
        assert argus.teach(f'folder:"{colours}"', head="classify.prototypes", folds=0, replace=True).name == name


def test_a_class_of_one_image_is_told(argus, colours):
    picture(colours / "grey" / "0.png", (128, 128, 128), 0)
    taught = argus.teach(colours, head="classify.ridge")
    assert "one image alone shows grey" in taught.notes[0]
    assert taught.scores["data"]["val"]["images"] == 12
    assert taught.notes == argus.head("colours").record["notes"]


def test_one_image_of_each_class_teaches_without_a_score(argus, colours):
    for file in colours.glob("*/[123].png"):
        file.unlink()
    taught = argus.teach(colours, head="classify.ridge")
    assert taught.scores is None and "no score" in taught.notes[0]


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"task": "segment"}, "no annotations for 'segment'; it has classify"),
        ({"head": "classify.linear"}, "is trained, not solved"),
        ({"head": "segment.ridge"}, "solves segment, the data has classify"),
        ({"head": "classify.rigde"}, "unknown head"),
        ({"options": {"penalty": 3}}, "unknown option"),
        ({"split": "val"}, "no split 'val', only all"),
        ({"canvas": Canvas(30)}, "does not divide into 16 px cells; use 16 x 16 or 32 x 32"),
        ({"canvas": Canvas(5)}, "does not divide into 16 px cells; use 16 x 16$"),
    ],
)
def test_what_cannot_be_done_is_said_and_leaves_the_model_as_it_was(argus, colours, change, what):
    with pytest.raises(ArgusError, match=what):
        argus.teach(colours, **{"head": "classify.ridge", **change})
    assert [*argus.heads] == ["kinds"]


def test_data_that_cannot_teach_are_refused(argus, colours, tmp_path):
    for name in ("red", "green"):
        (colours / name).rename(tmp_path / name)
    with pytest.raises(ArgusError, match="all images show 'blue'"):
        argus.teach(f"folder:{colours}")
    picture(tmp_path / "deep" / "a" / "b" / "0.png", (1, 2, 3), 0)
    picture(tmp_path / "deep" / "c" / "d" / "0.png", (1, 2, 3), 0)
    with pytest.raises(ArgusError, match="not recognised as a data set"):
        argus.teach(tmp_path / "deep")
    (tmp_path / "none").mkdir()
    with pytest.raises(ArgusError, match="not recognised as a data set"):
        argus.teach(tmp_path / "none")
    with pytest.raises(ArgusError, match="there is no file or folder"):
        argus.teach(tmp_path / "nowhere")
    with pytest.raises(ArgusError, match="have no annotations"):
        argus.teach(f"images:{tmp_path},images=red")
    (tmp_path / "red" / "0.png").write_bytes(b"no image")
    picture(tmp_path / "two" / "green" / "0.png", (1, 200, 3), 0)
    (tmp_path / "red").rename(tmp_path / "two" / "red")
    with pytest.raises(ArgusError, match=r"images that cannot be used: 1 of 5\n.*red.0\.png"):
        argus.teach(tmp_path / "two")


def test_correspondences_have_no_head_that_is_solved(argus):
    with pytest.raises(ArgusError, match="task 'correspond' has no head that is solved"):
        argus.teach("scene_pairs:")


def test_all_heads_on_one_canvas_stay_on_it(argus, colours):
    argus.canvas = Canvas(96)
    with pytest.raises(ArgusError, match="look at 96x96"):
        argus.teach(colours, canvas=Canvas(64))
    argus.teach(colours, head="classify.ridge")
    assert argus.head("colours").canvas == Canvas(96)


def test_a_model_without_heads_can_learn(colours):
    argus = Argus(load_backbone("tiny"), canvas=Canvas(64))
    assert argus.teach(colours, head="classify.ridge").scores["metrics"]["top1"] == 1.0


def test_faults_of_the_data_are_warned_of(argus, colours):
    picture(colours / "stray.png", (1, 2, 3), 0)
    with pytest.warns(UserWarning, match="1 image outside class folders"):
        argus.teach(colours, head="classify.prototypes")


def test_tokens_beyond_the_bound_are_computed_anew_and_teach_the_same(argus, colours):
    split = open_data(f"folder:{colours}")["all"]
    task, needs, told = split.tasks["classify"], Needs(maps=False, cls=True), []

    def lessons(kept):
        progress = lambda done, total: told.append((done, total))  # noqa: E731
        return SplitLessons(argus.backbone, split, task, Canvas(64), needs, 5, progress, kept)

    one = next(iter(lessons(0))).placed.tokens
    size = sum(value.nbytes for value in (*one.maps.values(), *one.prefix.values()))
    told.clear()
    whole, part, none = lessons(1 << 30), lessons(6 * size), lessons(0)
    for each in (whole, part, none):
        first, second = ([(lesson.truth, lesson.placed.tokens.prefix) for lesson in each] for _ in range(2))
        for read in (first, second):
            assert [truth for truth, _ in read] == [0] * 4 + [1] * 4 + [2] * 4
        for (_, a), (_, b) in zip(first, second, strict=True):
            assert all(torch.allclose(a[layer], b[layer]) for layer in a)
        assert each.images_of_classes() == {"blue": 4, "green": 4, "red": 4}
    assert (whole.whole, part.whole, none.whole) == (True, False, False)
    assert told.count((12, 12)) == 1 + 2 + 2 and told.count((5, 12)) == 1 + 1 + 2  # five are kept in part


def test_where_tokens_do_not_stay_in_memory_there_is_no_score(argus, colours, monkeypatch):
    monkeypatch.setattr(SplitLessons, "whole", False)
    taught = argus.teach(colours, head="classify.ridge")
    assert taught.scores is None and "arena train" in taught.notes[0]


def test_train_is_learned_from_where_there_are_splits(argus, colours):
    (colours.parent / "parts" / "val" / "red").mkdir(parents=True)
    colours.rename(colours.parent / "parts" / "train")
    picture(colours.parent / "parts" / "val" / "red" / "0.png", COLOURS["red"], 9)
    spec, splits, split = find_split(colours.parent / "parts", None)
    assert split.name == "train" and len(split) == 12 and spec.startswith("folder:")
    assert find_split(spec, "val")[2].name == "val" and [*splits] == ["train", "val"]
    assert find_split(split, None) == ("train", {"train": split}, split)
    taught, _ = teach(argus, make_plan(spec, None, TeachOptions(head="classify.ridge")), pytest.fail)
    assert taught.name == "parts"


def test_images_that_cannot_be_used_are_all_named_at_once_or_left_out(argus, colours, monkeypatch):
    bad = [colours / "red" / "0.png", colours / "blue" / "3.png"]
    for file in bad:
        file.write_bytes(file.read_bytes()[:60])
    with monkeypatch.context() as patch, pytest.raises(ArgusError) as refused:
        patch.setattr(argus.backbone, "forward", pytest.fail)
        argus.teach(colours, head="classify.ridge")
    assert all(str(file) in str(refused.value) for file in bad) and "2 of 12" in str(refused.value)
    assert "--accept-faults" in str(refused.value) and [*argus.heads] == ["kinds"]
    with pytest.warns(UserWarning, match="left out: ") as told:
        taught = argus.teach(colours, head="classify.ridge", accept_faults=True)
    assert all(any(str(file) in str(one.message) for one in told) for file in bad)
    assert taught.shown == {"blue": 3, "green": 4, "red": 3} and taught.images == 10
    assert taught.notes == ["accepted with --accept-faults: all: images that cannot be used: 2 of 12"]
    rest = Argus(argus.backbone, canvas=Canvas(64, 96))
    for file in bad:
        file.unlink()
    rest.teach(colours, head="classify.ridge")
    one, other = (model.head("colours").state_dict() for model in (argus, rest))
    assert all(torch.equal(one[key], other[key]) for key in one)


def test_damaged_masks_count_as_images_that_cannot_be_used(argus, tmp_path):
    for number in range(24):
        picture(tmp_path / "images" / f"{number}.png", (200, 30, 30), number)
        mask = np.zeros((48, 64), dtype=np.uint8)
        mask[:, 30:] = 1
        (tmp_path / "masks").mkdir(exist_ok=True)
        Image.fromarray(mask).save(tmp_path / "masks" / f"{number}.png")
    Image.fromarray(mask[:20]).save(tmp_path / "masks" / "7.png")
    (tmp_path / "classes.json").write_text('["left", "right"]')
    spec = f"images:{tmp_path},images=images,masks=masks,classes=classes.json"
    with pytest.raises(ArgusError, match=r"images that cannot be used: 1 of 24\n.* 7"):
        argus.teach(spec, name="sides", head="segment.ridge")
    with pytest.warns(UserWarning, match="left out"):
        assert argus.teach(spec, name="sides", head="segment.ridge", accept_faults=True).images == 23


def test_many_images_that_cannot_be_used_are_counted(argus, colours):
    for number in range(30):
        (colours / "red" / f"x{number:02}.png").write_bytes(b"no image")
    with pytest.raises(ArgusError, match="30 of 42") as refused:
        argus.teach(colours)
    assert str(refused.value).count("no image") + str(refused.value).count("x") >= 20
    assert "and 10 more" in str(refused.value)


def test_embeddings_of_the_images_are_at_hand_after_a_lesson(argus, colours, monkeypatch):
    plan = make_plan(colours, None, TeachOptions(head="classify.ridge"))
    _, lessons = teach(argus, plan, pytest.fail, embedded=True)
    expected = [argus.embed(colours / plan.split.key(number)) for number in range(12)]
    monkeypatch.setattr(argus.backbone, "forward", pytest.fail)
    np.testing.assert_allclose(np.stack(vectors_of(argus, lessons)), np.stack(expected), atol=1e-5)


def test_embeddings_of_images_whose_tokens_are_gone_are_made_again(argus, colours):
    split = open_data(f"folder:{colours}")["all"]
    argus.canvas = Canvas(64, 96)
    make = lambda kept: SplitLessons(  # noqa: E731
        argus.backbone,
        split,
        split.tasks["classify"],
        argus.canvas,
        Needs(maps=False, cls=True),
        5,
        kept=kept,
        more=(-1,),
    )
    whole, none = make(1 << 30), make(0)
    assert len([*whole]) == 12 and whole.whole
    np.testing.assert_allclose(np.stack(vectors_of(argus, whole)), np.stack(vectors_of(argus, none)), atol=1e-5)


def test_the_record_can_be_written(argus, colours):
    argus.teach(colours, head="classify.ridge")
    json.dumps(argus.head("colours").record, allow_nan=False)


def test_all_classes_of_clicks_count_alike_unless_asked_otherwise():
    assert head_options("segment.ridge", "clicks:photos", {}) == {"balance": 1.0}
    assert head_options("segment.ridge", "clicks:photos", {"balance": 0.0}) == {"balance": 0.0}
    assert head_options("segment.ridge", "images:photos,masks=masks", {}) == {}


def test_a_head_of_another_task_is_not_replaced(argus, colours):
    depth = build_head("depth.linear", argus.backbone.info, Depth())
    depth.canvas = Canvas(64)
    argus.add("metres", depth)
    with pytest.raises(ArgusError, match="solves depth, the new one classify: it would be lost"):
        argus.teach(colours, name="metres", replace=True)
    assert argus.head("metres").name == "depth.linear"
