"""What the page is told about marks: heads that are solved, shown and saved, and what is refused."""

from __future__ import annotations

import base64
import gzip
import json
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from PIL import Image
from starlette.testclient import TestClient

from argus_core import Argus, load_head, open_data
from argus_core.errors import ArgusError
from argus_core.saving.record import record_lines
from argus_core.serve import taught as taught_module
from argus_core.serve.app import make_app
from argus_core.serve.look import look
from argus_core.serve.marks import MOST_CLASSES, MOST_MARKS, MOST_PHOTOS, Marks
from argus_core.serve.settings import Settings
from argus_core.tasks.detect import Detect
from page_help import png, small_argus

HEIGHT, WIDTH = 120, 160


def halves(seed: int = 0) -> np.ndarray:
    """A photograph whose left half is dark and blue, its right half light and red, with noise."""
    noise = np.random.default_rng(seed).integers(0, 40, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    noise[:, : WIDTH // 2, 2] += 60
    noise[:, WIDTH // 2 :, 0] += 200
    return noise


def two(left: int = 1, right: int = 1) -> list[dict]:
    """Points of class 0 on the left, and of class 1 on the right."""
    rows = np.linspace(20, HEIGHT - 20, max(left, right)).tolist()
    return [{"class_id": 0, "at": [30, y]} for y in rows[:left]] + [
        {"class_id": 1, "at": [WIDTH - 30, y]} for y in rows[:right]
    ]


@contextmanager
def asking(folder):
    """A client of a server that saves models in a folder, with the id of a photograph that it has sent."""
    settings = Settings(taught=folder, max_bytes=1_000_000)
    with TestClient(make_app(small_argus(), settings), base_url="http://localhost") as client:
        client.folder = folder
        client.photo = client.post("/page/images", content=png(halves())).json()["id"]
        yield client


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    with asking(tmp_path_factory.mktemp("serve") / "taught") as client:
        yield client


@pytest.fixture
def saving(tmp_path):
    with asking(tmp_path / "taught") as client:
        yield client


@pytest.fixture
def photo(client):
    return client.photo


def marks(photo: str, found: list[dict], **more) -> dict:
    return {"task": "segment", "classes": ["left", "right"], "photos": [{"id": photo, "marks": found}], **more}


def labels_of(layer: dict) -> np.ndarray:
    """The labels of a layer of masks, as the page decodes them."""
    planes = gzip.decompress(base64.b64decode(layer["planes"]))
    height, width = layer["size"]
    return np.frombuffer(planes[: 2 * height * width], "<u2").reshape(height, width)


def seen(client, marks: dict, *ids: str) -> list[dict]:
    answer = client.post("/page/teach", json={"ids": ids, "marks": marks})
    assert answer.status_code == 200, answer.text
    return answer.json()


# ---- what is shown


@pytest.mark.parametrize("found", [two(), two(3, 3), two(1, 5)])
def test_points_of_two_halves_tell_all_of_them_apart_also_on_another_photograph(client, photo, found):
    other = client.post("/page/images", content=png(halves(1)[:, ::-1])).json()["id"]
    here, there = seen(client, marks(photo, found), photo, other)
    truth = np.arange(WIDTH) >= WIDTH // 2
    assert (labels_of(here) == truth).mean() > 0.9
    assert (labels_of(there) == truth[::-1]).mean() > 0.9
    assert {entry["class_name"] for entry in here["classes"]} == {"left", "right"}


def test_marks_on_several_photographs_are_learned_together(client, photo):
    other = client.post("/page/images", content=png(halves(1)[:, ::-1])).json()["id"]
    found = [{"id": photo, "marks": two(1, 0)}, {"id": other, "marks": [{"class_id": 1, "at": [30, 60]}]}]
    [here] = seen(client, marks(photo, [], photos=found), photo)
    assert (labels_of(here) == (np.arange(WIDTH) >= WIDTH // 2)).mean() > 0.9


def test_classes_without_a_mark_are_no_classes_of_the_head(client, photo):
    [here] = seen(client, marks(photo, two(), classes=["left", "right", "nowhere"]), photo)
    assert {entry["class_name"] for entry in here["classes"]} == {"left", "right"}
    found = [{**mark, "class_id": 2 * mark["class_id"]} for mark in two()]
    [here] = seen(client, marks(photo, found, classes=["left", "nowhere", "right"]), photo)
    assert {entry["class_name"] for entry in here["classes"]} == {"left", "right"}
    assert {entry["class_id"] for entry in here["classes"]} == {0, 1}


def test_a_point_labels_what_a_click_of_a_data_set_does(tmp_path):
    """Labels that are downloaded from the page teach what they taught there."""
    points = [{"class_id": 0, "at": [0, 0]}, {"class_id": 1, "at": [100, 50]}, {"class_id": 0, "at": [106.5, 52]}]
    one = Marks.model_validate(marks("x", points))
    Image.fromarray(halves(0)).resize((320, 200)).save(tmp_path / "a.png")
    clicks = [{"image": "a.png", "x": x, "y": y, "label": "ab"[p["class_id"]]} for p in points for x, y in [p["at"]]]
    (tmp_path / "clicks.json").write_text(json.dumps({"clicks": clicks, "classes": ["a", "b"]}))
    truth = one.truth(one.photos[0], (200, 320))
    np.testing.assert_array_equal(truth, open_data(f"clicks:{tmp_path}")["all"].truth(0, "segment"))
    assert (truth == 1).any() and truth[0, 0] == 0 and truth[52, 106] == 0 and (truth == 255).mean() > 0.95


def test_boxes_are_learned_from_boxes(client, photo):
    found = [{"class_id": 0, "at": [90, 10, 150, 70]}]
    [here] = seen(client, marks(photo, found, task="detect", classes=["thing"]), photo)
    assert here["kind"] == "boxes" and {entry["class_name"] for entry in here["boxes"]} <= {"thing"}
    for entry in here["boxes"]:
        x1, y1, x2, y2 = entry["box"]
        assert 0 <= x1 < x2 <= WIDTH and 0 <= y1 < y2 <= HEIGHT


def test_a_model_that_reads_no_maps_keeps_those_that_are_learned_from():
    argus = small_argus("scene")
    needs = taught_module.needs_of(argus)
    assert {"segment", "detect"} == set(needs)
    kept = look(argus, halves(), needs["segment"])
    points = Marks.model_validate(marks("x", two()))
    head = taught_module.learn(argus, points, [kept])
    assert (labels_of(taught_module.shown(argus, head, kept)) == (np.arange(WIDTH) >= WIDTH // 2)).mean() > 0.9


def test_a_server_without_heads_that_can_be_solved_offers_none(monkeypatch):
    monkeypatch.setattr(taught_module, "SOLVED", {"detect": ("detect.fcos", Detect.small(), {})})
    with TestClient(make_app(small_argus("rooms"), Settings()), base_url="http://localhost") as other:
        offered = other.get("/page/model").json()["teach"]
        assert offered["tasks"] == [] and not offered["saves"]
        photo = other.post("/page/images", content=png(halves())).json()["id"]
        answer = other.post("/page/teach", json={"ids": [photo], "marks": marks(photo, two())})
        assert answer.status_code == 422 and "segment" in answer.json()["error"]


# ---- what is saved


def test_a_downloaded_head_answers_as_it_was_shown(client, photo, tmp_path):
    [here] = seen(client, marks(photo, two(2, 2)), photo)
    answer = client.post("/page/teach/head", json={"marks": marks(photo, two(2, 2)), "name": "halves"})
    (tmp_path / "head.safetensors").write_bytes(answer.content)
    head, record = load_head(tmp_path / "head.safetensors")
    argus = Argus(small_argus().backbone, {"halves": head})
    assert np.array_equal(argus.segment(halves()).labels, labels_of(here))
    assert record["taught"]["marks_of_classes"] == {"left": 2, "right": 2}
    assert any("4 marks, 1 images" in line for line in record_lines(record, ""))


def test_a_saved_model_answers_with_the_new_head_and_as_before_with_the_others(saving):
    [here] = seen(saving, marks(saving.photo, two()), saving.photo)
    said = saving.post("/page/teach/save", json={"marks": marks(saving.photo, two()), "name": "halves"}).json()
    assert said == {"model": "taught/halves", "task": "segment", "head": "halves"}
    argus, before = Argus.load(saving.folder / "halves"), small_argus()
    assert [*argus.heads] == [*before.heads, "halves"] and "halves" not in before.heads
    assert np.array_equal(argus.segment(halves(), head="halves").labels, labels_of(here))
    assert np.array_equal(argus.segment(halves(), head="rooms").labels, before.segment(halves()).labels)
    with TestClient(make_app(argus, Settings()), base_url="http://localhost") as again:
        heads = again.post("/page/images", content=png(halves())).json()["heads"]
        assert {head["name"] for head in heads} >= {"halves", "rooms"}
    assert [path.name for path in saving.folder.iterdir()] == ["halves"]


def test_a_model_is_never_replaced(saving):
    asked = {"marks": marks(saving.photo, two()), "name": "halves"}
    assert saving.post("/page/teach/save", json=asked).status_code == 200
    before = (saving.folder / "halves" / "model.safetensors").read_bytes()
    asked["marks"] = marks(saving.photo, two(3, 3))
    answer = saving.post("/page/teach/save", json=asked)
    assert answer.status_code == 409 and "choose another name" in answer.json()["error"]
    assert (saving.folder / "halves" / "model.safetensors").read_bytes() == before


def test_a_save_that_fails_leaves_nothing(saving, monkeypatch):
    def fail(self, folder, *rest):
        folder.mkdir(parents=True)
        (folder / "half").touch()
        raise ArgusError("the disk is full")

    monkeypatch.setattr(Argus, "save", fail)
    answer = saving.post("/page/teach/save", json={"marks": marks(saving.photo, two()), "name": "halves"})
    assert answer.status_code == 422 and "full" in answer.json()["error"]
    assert [*saving.folder.iterdir()] == []


ELSEWHERE = ("", ".", "..", "../up", "a/b", "a\\b", "/tmp/x", ".hidden", "-x", "a b", "a\n", "ä", "a" * 70, "rooms")


def test_no_name_reaches_out_of_the_folder(saving, tmp_path):
    for name in ELSEWHERE:
        answer = saving.post("/page/teach/save", json={"marks": marks(saving.photo, two()), "name": name})
        assert answer.status_code in (409, 422) and answer.json()["error"], name
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_server_without_a_folder_says_how_to_get_one(photo, client):
    with TestClient(make_app(small_argus(), Settings()), base_url="http://localhost") as other:
        answer = other.post("/page/teach/save", json={"marks": marks(photo, two()), "name": "x"})
    assert answer.status_code == 403 and "--taught FOLDER" in answer.json()["error"]


# ---- what is refused


@pytest.mark.parametrize(
    ("found", "more", "words"),
    [
        ([], {}, "nothing is marked yet"),
        (two(3, 0), {}, "mark something else as well"),
        ([{"class_id": 2, "at": [1, 1]}], {}, "there are 2"),
        ([{"class_id": 0, "at": [1]}], {}, "at least 2"),
        ([{"class_id": 0, "at": [1, 1, 5, 5]}], {}, "masks are learned from points"),
        (two(), {"task": "detect"}, "boxes from boxes"),
        ([{"class_id": 0, "at": [5, 5, 5.5, 50]}], {"task": "detect"}, "thinner"),
        ([{"class_id": 0, "at": [50, 5, 5, 50]}], {"task": "detect"}, "thinner"),
        ([*two(), {"class_id": 0, "at": [161, 5]}], {}, "161, 5 is not in the photograph of 160x120"),
        ([*two(), {"class_id": 0, "at": [5, -1]}], {}, "not in the photograph"),
        (two(), {"classes": ["left", "left"]}, "two classes are called 'left'"),
        (two(), {"classes": ["left", " left "]}, "two classes are called 'left'"),
        (two(), {"classes": ["left", "  "]}, "a class has a name"),
        (two(), {"classes": ["left", "a\nb"]}, "control characters"),
        (two(), {"classes": ["left", "x" * 61]}, "60"),
        (two(), {"classes": [f"class {n}" for n in range(MOST_CLASSES + 1)]}, str(MOST_CLASSES)),
        ([], {"classes": []}, "at least 1"),
        (two() * MOST_MARKS, {}, str(MOST_MARKS)),
        (two(), {"photos": [{"id": "x", "marks": []}] * (MOST_PHOTOS + 1)}, str(MOST_PHOTOS)),
        (two(), {"task": "depth"}, "segment"),
        (two(), {"colour": "red"}, "colour"),
    ],
)
def test_marks_that_teach_nothing_are_refused_in_words(client, photo, found, more, words):
    for path, asked in (("", {"ids": [photo]}), ("/head", {"name": "x"}), ("/save", {"name": "x"})):
        answer = client.post(f"/page/teach{path}", json={"marks": marks(photo, found, **more), **asked})
        assert answer.status_code == 422 and words in answer.json()["error"], answer.text
        assert len(answer.json()["error"]) < 500
    assert not client.folder.exists()


def test_many_marks_on_several_photographs_count_together(client, photo):
    found = [{"id": photo, "marks": two() * (MOST_MARKS // 4 + 1)}] * 2
    answer = client.post("/page/teach", json={"ids": [photo], "marks": marks(photo, [], photos=found)})
    assert answer.status_code == 422 and f"at most {MOST_MARKS}" in answer.json()["error"]


@pytest.mark.parametrize(
    "path", ["/page/teach", "/page/teach/head", "/page/teach/save", "/page/similar", "/page/components"]
)
def test_other_bodies_are_refused_in_words(client, path):
    for body in (b"", b"[]", b"{", b"null", b'{"ids": 3}', json.dumps({"ids": ["x"] * 3}).encode()):
        answer = client.post(path, content=body)
        assert answer.status_code == 422 and answer.json()["error"], body
    answer = client.post(path, content=b" " * 1_000_001)
    assert answer.status_code == 413


def test_a_photograph_that_is_gone_is_told(client, photo):
    for ids, own in (([photo], "gone"), (["gone"], photo)):
        answer = client.post("/page/teach", json={"ids": ids, "marks": marks(own, two())})
        assert answer.status_code == 404 and "send it again" in answer.json()["error"]


def test_a_token_is_asked_for(tmp_path):
    with TestClient(make_app(small_argus(), Settings(token="a" * 16)), base_url="http://localhost") as client:
        for path in ("", "/head", "/save"):
            assert client.post(f"/page/teach{path}", json={}).status_code == 401


def test_teaching_leaves_the_model_as_it_was(client, photo):
    argus = small_argus()
    before = {key: value.clone() for key, value in argus.state_dict().items()}
    seen(client, marks(photo, two()), photo)
    after = argus.state_dict()
    assert before.keys() == after.keys() and all(torch.equal(before[key], after[key]) for key in before)
