"""What the page is told: maps that decode to the answers, similarities, components, and what is refused."""

from __future__ import annotations

import base64
import gzip
import io
import json
import time

import numpy as np
import pytest
import torch
from PIL import Image
from starlette.testclient import TestClient

from argus_core import Argus, Canvas
from argus_core.canvas.large import Tiling
from argus_core.draw import draw_pca
from argus_core.draw.panel import resized_map
from argus_core.errors import ArgusError
from argus_core.model.flags import find_flags
from argus_core.serve import look as look_module
from argus_core.serve import page as page_module
from argus_core.serve.app import make_app
from argus_core.serve.layers import NONE, layer_of
from argus_core.serve.look import LEAST_SCORE, SIDE, look
from argus_core.serve.settings import Settings
from argus_core.serve.similar import principal, similar
from argus_core.tasks.depth import DepthResult
from argus_core.tasks.segment import SegmentResult
from page_help import CANVAS, example, png, small_argus


@pytest.fixture(scope="module")
def client():
    with TestClient(make_app(small_argus(), Settings()), base_url="http://localhost") as client:
        yield client


@pytest.fixture(scope="module")
def photos():
    return [example("coffee")[:270, :400], example("scene")[100:400, :250]]


@pytest.fixture(scope="module")
def sent(client, photos):
    return [client.post("/page/images", content=png(photo)).json() for photo in photos]


def planes(client, answer, name):
    return client.get(f"/page/images/{answer['id']}/layers/{name}").content


def depth_of(content, size):
    """Depth in steps and its deviation, as the page decodes them."""
    count = size[0] * size[1]
    rows = np.frombuffer(content[: 2 * count], "<u2").reshape(size)
    return np.cumsum(rows, axis=1, dtype=np.uint16), np.frombuffer(content[2 * count :], np.uint8).reshape(size)


# ---- layers


def test_masks_and_depth_decode_to_what_the_model_answers(client, sent, photos):
    argus, (photo, _) = small_argus(), photos
    heads = {head["name"]: head for head in sent[0]["heads"]}
    masks, metres = argus.segment(photo), argus.depth(photo)
    content, size = planes(client, sent[0], "rooms"), tuple(heads["rooms"]["size"])
    labels = np.frombuffer(content[: 2 * size[0] * size[1]], "<u2").reshape(size)
    confidence = np.frombuffer(content[2 * labels.size :], np.uint8).reshape(size)
    assert size == photo.shape[:2] and np.array_equal(labels, masks.labels)
    assert np.abs(confidence / 255 - masks.confidence).max() < 0.003
    shares = {entry["class_id"]: entry["share"] for entry in heads["rooms"]["classes"]}
    assert shares == pytest.approx(dict(masks.present()), abs=1e-5)
    steps, deviation = depth_of(planes(client, sent[0], "metres"), size)
    assert np.abs(steps * heads["metres"]["step"] - metres.metres).max() <= heads["metres"]["step"]
    assert np.abs(deviation * heads["metres"]["spread"] - metres.deviation).max() <= heads["metres"]["spread"]


def test_unknown_pixels_stay_unknown():
    metres = np.array([[0, np.nan, 0.001, 50]] * 3, np.float32)
    values, packed = layer_of(DepthResult(np.zeros((3, 4, 3), np.uint8), metres, metres))
    assert depth_of(gzip.decompress(packed), values["size"])[0][2].tolist() == [0, 0, 1, 4095]
    labels = np.array([[255, 1, 0]])
    values, packed = layer_of(
        SegmentResult(np.zeros((1, 3, 3), np.uint8), labels, np.ones((1, 3), np.float32), ("a", "b"))
    )
    assert np.frombuffer(gzip.decompress(packed)[:6], "<u2").tolist() == [NONE, 1, 0]


def test_maps_of_a_large_image_are_smaller_and_its_boxes_are_not():
    photo = np.repeat(np.repeat(example("coffee"), 5, axis=0), 5, axis=1)  # 3000 pixels wide
    argus = small_argus()
    seen = look(argus, photo)
    kinds = {layer.values["kind"]: layer for layer in seen.layers.values()}
    size = kinds["masks"].values["size"]
    assert size == kinds["depth"].values["size"] == (853, SIDE)
    labels = np.frombuffer(gzip.decompress(kinds["masks"].planes)[: 2 * size[0] * size[1]], "<u2").reshape(size)
    assert "objects below 150 px vanish where 3000x2000 px become 160x160" in seen.answer()["notes"][0]
    options = {"detect": {"score_thresh": LEAST_SCORE}}
    [full] = argus.answer([photo], ["rooms", "things"], options, tiles=None)
    assert (labels == resized_map(full["rooms"].labels, size)).mean() > 0.98
    boxes = [box["box"] for box in kinds["boxes"].values["boxes"]]
    assert boxes == [pytest.approx(box["box"], abs=0.1) for box in full["things"]]
    assert seen.nbytes < 5_000_000


def test_a_server_that_tiles_sees_the_page_by_tiles_too(photos):
    argus = Argus((small := small_argus("metres")).backbone, {"metres": small.head("metres")}, CANVAS)
    argus.tiling = Tiling(160)
    seen = look(argus, photos[0])
    assert seen.placed.placements[0].canvas_size == (272, 400) and seen.answer()["notes"] == []
    assert seen.cells(11).tokens.shape[1:] == (17, 25)


def test_boxes_classes_and_results_are_those_of_perceive(client, sent, photos):
    heads = {head["name"]: head for head in sent[1]["heads"]}
    found = small_argus().detect(photos[1], LEAST_SCORE)
    scores = [box["score"] for box in heads["things"]["boxes"]]
    assert scores == pytest.approx(found.detections.scores.tolist(), abs=1e-5) and len(scores) > 5
    assert all(box["color"].startswith("#") for box in heads["things"]["boxes"])
    results = small_argus().answer([photos[1]], ["rooms", "things"], {"detect": {"score_thresh": LEAST_SCORE}})[0]
    doubted = {flag.detection: {"by": "rooms", "seen": flag.seen} for flag in find_flags(results)}
    assert {n: box["doubted"] for n, box in enumerate(heads["things"]["boxes"]) if "doubted" in box} == doubted
    assert 0 < len(doubted) < len(scores)
    results = client.get(f"/page/images/{sent[1]['id']}/results").json()
    perceived = small_argus().perceive(photos[1]).to_dict()
    assert results["rooms"] == json.loads(json.dumps(perceived["rooms"]))
    assert set(results) == {"rooms", "metres", "things", "scene"}
    assert [one["class_id"] for one in results["scene"]["classes"]] == [
        one["class_id"] for one in perceived["scene"]["classes"]
    ]


# ---- similarities


def test_the_best_match_is_that_of_the_model_and_the_map_is_highest_there(client, sent, photos):
    point = [300.0, 100.0]
    own, other = client.post("/page/similar", json={"ids": [one["id"] for one in sent], "point": point}).json()
    match = small_argus().correspond(*photos, [point])
    assert other["best"]["point"] == pytest.approx(match.matches.points[0].tolist(), abs=1e-3)
    assert other["best"]["score"] == pytest.approx(match.matches.scores[0], abs=1e-4) and own["best"] is None
    for part, spot in ((own, point), (other, other["best"]["point"])):
        heat = np.frombuffer(base64.b64decode(part["cosines"]), np.uint8).reshape(part["rows"], part["columns"])
        x1, y1, x2, y2 = part["window"]
        column, row = ((spot[0] - x1) / (x2 - x1)) * part["columns"], ((spot[1] - y1) / (y2 - y1)) * part["rows"]
        top = np.unravel_index(heat.argmax(), heat.shape)
        assert np.hypot(top[0] + 0.5 - row, top[1] + 0.5 - column) < 6
    assert own["high"] == pytest.approx(1, abs=1e-3)


def test_without_a_head_that_matches_the_tokens_of_a_layer_do(photos):
    argus = small_argus("metres")
    looks = [look(argus, photo) for photo in photos]
    assert looks[0].by == "tokens of layer 11"
    [own] = similar(looks[:1], (30.5, 200.0))
    heat = np.frombuffer(base64.b64decode(own["cosines"]), np.uint8).reshape(own["rows"], own["columns"])
    row, column = np.unravel_index(heat.argmax(), heat.shape)
    assert (column + 0.5) / own["columns"] * 400 == pytest.approx(30.5, abs=12)
    assert (row + 0.5) / own["rows"] * 270 == pytest.approx(200, abs=12)


def test_a_canvas_that_cuts_says_so_and_places_its_window(photos):
    looks = [look(small_argus("scene", "matches", canvas=Canvas(96, fit="crop")), photo) for photo in photos]
    part = similar(looks[:1], (200.0, 135.0))[0]
    assert part["window"] == pytest.approx([65, 0, 335, 270], abs=3)
    assert principal(looks, 11)[0]["window"] == pytest.approx([65, 0, 335, 270], abs=3)
    with pytest.raises(ArgusError, match="canvas cuts"):
        similar(looks, (5.0, 5.0))


@pytest.mark.parametrize("point", [(-1.0, 3.0), (3.0, 271.0), (float("nan"), 3.0)])
def test_a_point_beside_the_image_is_refused(photos, point):
    with pytest.raises(ArgusError, match="not in the image of 400x270"):
        similar([look(small_argus("metres"), photos[0])], point)


def colors_of(part):
    return np.frombuffer(base64.b64decode(part["colors"]), np.uint8).reshape(part["rows"], part["columns"], 3)


def test_components_are_those_of_the_picture_and_shared_by_photographs(photos):
    looks = [look(small_argus("metres"), photo) for photo in (photos[0], photos[1], photos[0])]
    [alone] = principal(looks[:1], 11)
    cells = colors_of(alone)
    grid = looks[0].cells(11)
    drawn = draw_pca(grid.tokens, grid.stride, grid.extent)
    assert np.abs(cells[3, 4].astype(int) - drawn[3 * 16 + 8, 4 * 16 + 8]).max() <= 1
    first, second = principal([looks[0], looks[2]], 11)
    assert first["colors"] == second["colors"] and np.abs(colors_of(first).astype(int) - cells).max() <= 8
    first, second = principal(looks[:2], 11)
    assert np.abs(colors_of(first).astype(int) - cells).max() > 8 and second["cells"] == [133 / 16, 10.0]
    with pytest.raises(ArgusError, match="layer 3 are not kept; there are those of"):
        principal(looks, 3)


def test_of_many_cells_some_are_shown(photos, monkeypatch):
    seen = look(small_argus("metres"), photos[0])
    every = seen.cells(11)
    monkeypatch.setattr(look_module, "CELLS", 4)
    [part] = principal([seen], 11)
    assert (part["rows"], part["columns"]) == (3, 4) and part["cells"] == [160 / 48, 108 / 48]
    assert torch.equal(seen.cells(11).tokens, every.tokens[:, ::3, ::3])


# ---- kept, and refused


def test_what_took_too_long_is_there_when_it_is_asked_for_again(monkeypatch, photos):
    calls = []

    def slow(*asked):
        calls.append(1)
        time.sleep(1.5)
        return look(*asked)

    monkeypatch.setattr(page_module, "look", slow)
    with TestClient(make_app(small_argus("metres"), Settings(timeout=1)), base_url="http://localhost") as client:
        assert client.post("/page/images", content=png(photos[0])).status_code == 504
        time.sleep(1.5)
        assert client.post("/page/images", content=png(photos[0])).json()["size"] == [270, 400]
    assert calls == [1]


def test_an_image_is_looked_at_once(client, photos, monkeypatch):
    calls = []
    monkeypatch.setattr(page_module, "look", lambda *given, **named: calls.append(1) or look(*given, **named))
    photo = photos[0][:100, :100]
    ids = [client.post("/page/images", content=png(photo, format=kind)).json()["id"] for kind in ("PNG", "BMP", "PNG")]
    assert ids[0] == ids[2] != ids[1] and len(calls) == 2


def test_an_id_that_is_gone_is_a_clear_404(client, sent):
    for answer in (
        client.get("/page/images/gone/layers/rooms"),
        client.get("/page/images/gone/results"),
        client.post("/page/similar", json={"ids": [sent[0]["id"], "gone"], "point": [1, 1]}),
        client.post("/page/components", json={"ids": ["gone"], "layer": 11}),
    ):
        assert answer.status_code == 404 and "send it again" in answer.json()["error"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("similar", {"ids": [], "point": [1, 1]}),
        ("similar", {"ids": ["a", "b", "c"], "point": [1, 1]}),
        ("similar", {"ids": ["a"], "point": [1]}),
        ("similar", {"ids": ["a"], "point": ["x", 1]}),
        ("components", {"ids": ["a"], "layer": 10**40}),
        ("components", {"ids": ["a"], "layer": 1, "more": 1}),
    ],
)
def test_other_questions_are_refused_in_words(client, path, body):
    answer = client.post(f"/page/{path}", json=body)
    assert answer.status_code in (404, 422) and answer.json()["error"]


def test_bodies_that_are_no_image_are_refused(client):
    for content, status in ((b"", 400), (b"no image", 415), (png(example("cat"))[:9000], 422)):
        for path in ("images", "shown"):
            answer = client.post(f"/page/{path}", content=content)
            assert answer.status_code == status and answer.json()["error"]


def test_photographs_are_turned_upright(client, photos):
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = png(photos[0], format="JPEG", exif=exif)
    assert client.post("/page/images", content=turned).json()["size"] == [400, 270]
    shown = client.post("/page/shown", content=turned)
    assert shown.headers["content-type"] == "image/jpeg"
    assert Image.open(io.BytesIO(shown.content)).size == (270, 400)


def test_only_the_files_of_the_page_are_given_and_with_its_policy(client):
    page = client.get("/")
    assert page.status_code == 200 and '<script type="module" src="page/static/app.js">' in page.text
    for name in ("app.js", "kinds/masks.js", "style.css", "icon.svg", "examples/cat.jpg"):
        answer = client.get(f"/page/static/{name}")
        assert answer.status_code == 200, name
        assert "script-src 'self'" in answer.headers["content-security-policy"]
    assert client.get("/page/static/app.js").headers["content-type"].startswith("text/javascript")
    for name in ("../page.py", "%2e%2e/page.py", "..%2fpage.py", "nothing.js", "kinds", ""):
        assert client.get(f"/page/static/{name}").status_code == 404, name


def test_with_a_token_only_the_files_are_open():
    with TestClient(make_app(small_argus("metres"), Settings(token="geheim")), base_url="http://localhost") as client:
        assert client.get("/").status_code == client.get("/page/static/app.js").status_code == 200
        assert client.get("/page/model").status_code == 401
        assert client.post("/page/images", content=b"x").status_code == 401
        given = {"Authorization": "Bearer geheim"}
        assert client.get("/page/model", headers=given).json()["heads"] == [
            {"name": "metres", "task": "depth", "classes": None}
        ]
