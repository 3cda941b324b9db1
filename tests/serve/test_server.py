"""The routes: the answers of the model itself, however an image is sent and an answer is asked for."""

from __future__ import annotations

import io
import json
from base64 import b64decode, b64encode
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from argus_core import Canvas, load_backbone
from argus_core.tasks.segment import decode_labels
from bundle_help import make_argus
from serve_help import client_of, photo

PHOTO = photo(50, 90)
PIXELS = np.asarray(Image.open(io.BytesIO(PHOTO)))


@pytest.fixture(scope="module")
def argus(tmp_path_factory):
    return make_argus(load_backbone("tiny"), tmp_path_factory.mktemp("text"))


@pytest.fixture(scope="module")
def client(argus):
    with client_of(argus, max_images=20) as client:
        yield client


def results(answer):
    """The results of the only image of an answer."""
    assert answer.status_code == 200, answer.text
    (image,) = answer.json()["images"]
    assert image["size"] == [50, 90]
    return image["results"]


def close(answer, truth):
    """Whether two JSON values are the same up to rounding."""
    if isinstance(truth, dict):
        return answer.keys() == truth.keys() and all(close(answer[key], value) for key, value in truth.items())
    if isinstance(truth, list):
        return len(answer) == len(truth) and all(map(close, answer, truth))
    return answer == (pytest.approx(truth, abs=1e-3) if isinstance(truth, float) else truth)


def test_perceive_gives_what_the_model_gives(argus, client):
    answer = results(client.post("/perceive", content=PHOTO))
    truth = argus.perceive(PIXELS).to_dict()
    del truth["timings_ms"]
    assert close(answer, json.loads(json.dumps(truth)))


@pytest.mark.parametrize("task", ["classify", "segment", "depth", "detect"])
def test_each_task_has_a_route(argus, client, task):
    truth = getattr(argus, task)(PIXELS).to_dict()
    answer = results(client.post(f"/{task}", content=PHOTO))
    assert close(answer, {argus.find(task): json.loads(json.dumps(truth))})


def test_only_tasks_of_the_model_have_a_route(tmp_path):
    with client_of(make_argus(load_backbone("tiny"), tmp_path, ("masks",))) as client:
        paths = client.get("/openapi.json").json()["paths"]
        assert {*paths} == {"/perceive", "/segment", "/embed", "/health", "/metrics"}
        answer = client.post("/depth", content=PHOTO)
        assert answer.status_code == 404 and "/docs" in answer.json()["error"]


def test_a_model_that_only_compares_has_no_perceive(tmp_path):
    with client_of(make_argus(load_backbone("tiny"), tmp_path, ("match",))) as client:
        assert client.post("/perceive", content=PHOTO).status_code == 404


@pytest.mark.parametrize(
    "sent",
    [
        {"content": PHOTO},
        {"content": PHOTO, "headers": {"Content-Type": "image/png"}},
        {"content": PHOTO, "headers": {"Content-Type": "application/x-www-form-urlencoded"}},
        {"files": {"image": ("a.png", PHOTO)}},
        {"files": {"any": ("a.png", PHOTO, "text/plain")}},
        {"json": {"image": b64encode(PHOTO).decode()}},
        {"json": {"image": "data:image/png;base64," + b64encode(PHOTO).decode()}},
        {"json": {"images": [{"image": b64encode(PHOTO).decode(), "file_name": "a.png"}]}},
    ],
    ids=["raw", "typed", "curl", "form", "other-form", "base64", "data-url", "list"],
)
def test_an_image_may_be_sent_in_any_way(client, sent):
    assert results(client.post("/classify", **sent)) == results(client.post("/classify", content=PHOTO))


@pytest.mark.parametrize("how", ["query", "form", "json"])
def test_parameters_may_come_in_the_address_a_form_or_json(client, how):
    values = {"tasks": ["boxes", "softmax"], "threshold": 0, "top_k": 1}
    if how == "query":
        answer = client.post("/perceive?tasks=boxes,softmax&threshold=0&top_k=1", content=PHOTO)
    elif how == "form":
        answer = client.post("/perceive", files={"image": PHOTO}, data={**values, "tasks": "boxes,softmax"})
    else:
        answer = client.post("/perceive", json={"image": b64encode(PHOTO).decode(), **values})
    found = results(answer)
    assert [*found] == ["boxes", "softmax"]
    assert len(found["softmax"]["classes"]) == 1 and len(found["boxes"]["detections"]) > 0


def test_several_images_keep_their_order_and_names(argus, client):
    files = [("image", (f"{seed}.png", photo(40 + seed, 60, seed))) for seed in range(12)]
    answer = client.post("/classify", files=files).json()["images"]
    assert [entry["file_name"] for entry in answer] == [f"{seed}.png" for seed in range(12)]
    assert [entry["size"] for entry in answer] == [[40 + seed, 60] for seed in range(12)]
    truth = [result.to_dict() for result in argus.classify([io.BytesIO(data) for _, (_, data) in files])]
    assert all(close(entry["results"]["softmax"], one) for entry, one in zip(answer, truth, strict=True))


def test_a_bad_image_among_several_has_an_error_of_its_own(client):
    files = [("image", ("good.png", PHOTO)), ("image", ("bad.png", b"nonsense"))]
    good, bad = client.post("/classify", files=files).json()["images"]
    assert good["results"] and "no image" in bad["error"] and "results" not in bad
    assert client.post("/classify", files=files[1:]).status_code == 415


def test_clients_at_once_get_their_own_answers(argus, client):
    seeds = range(24)
    routes = ["/classify", "/segment", "/detect?threshold=0.2", "/perceive?tasks=metres"]
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(client.post, routes[seed % 4], content=photo(30 + seed, 50, seed)) for seed in seeds]
        answers = [one.result().json()["images"][0] for one in asked]
    for seed, answer in zip(seeds, answers, strict=True):
        task = ["classify", "segment", "detect", "depth"][seed % 4]
        options = {"score_thresh": 0.2} if task == "detect" else {}
        truth = getattr(argus, task)(io.BytesIO(photo(30 + seed, 50, seed)), **options).to_dict()
        ((_, result),) = answer["results"].items()
        assert close(result, json.loads(json.dumps(truth))), (seed, task)


def test_masks_and_depth_come_as_their_maps(argus, client):
    mask = Image.open(io.BytesIO(client.post("/segment?format=map", content=PHOTO).content))
    assert mask.mode == "P" and (np.asarray(mask) == argus.segment(PIXELS).labels).all()
    depth = Image.open(io.BytesIO(client.post("/depth?format=map", content=PHOTO).content))
    assert np.allclose(np.asarray(depth), 1000 * argus.depth(PIXELS).metres, atol=2)


def test_maps_come_in_json_too(argus, client):
    found = results(client.post("/perceive?tasks=segment,depth&maps=true", content=PHOTO))
    for answer in found.values():
        kind, _, text = answer["file"].partition(",")
        assert kind == "data:image/png;base64" and Image.open(io.BytesIO(b64decode(text))).size == (90, 50)
    mask = Image.open(io.BytesIO(b64decode(found["masks"]["file"].partition(",")[2])))
    assert (np.asarray(mask) == decode_labels(found["masks"])).all()


@pytest.mark.parametrize(
    ("query", "accept", "kind"),
    [
        ("", "*/*", "application/json"),
        ("", "image/png", "image/png"),
        ("", "text/html, image/jpeg;q=0.9, */*", "image/jpeg"),
        ("", "application/json, image/png", "application/json"),
        ("?format=png", "application/json", "image/png"),
        ("?format=jpeg", "", "image/jpeg"),
    ],
)
def test_answers_come_in_the_format_that_is_asked_for(client, query, accept, kind):
    answer = client.post(f"/perceive{query}", content=PHOTO, headers={"Accept": accept})
    assert answer.headers["content-type"] == kind
    if kind.startswith("image"):
        assert Image.open(io.BytesIO(answer.content)).get_format_mimetype() == kind


def test_a_picture_is_that_of_the_result(argus, client):
    answer = client.post("/segment?format=png", content=PHOTO)
    assert (np.asarray(Image.open(io.BytesIO(answer.content))) == argus.segment(PIXELS).draw()).all()


def test_embeddings_are_those_of_the_model(argus, client):
    answer = client.post("/detect?threshold=0&embeddings=true", content=PHOTO).json()["images"][0]
    truth = argus.detect(PIXELS, score_thresh=0, embeddings=True)
    assert np.allclose(answer["embedding"], truth.embedding, atol=1e-3)
    assert np.allclose(
        [one["embedding"] for one in answer["results"]["boxes"]["detections"]], truth.embeddings, atol=1e-3
    )


def test_vectors_of_images_and_of_boxes(argus, client):
    boxes = [[1, 2, 30, 40], [0, 0, 90, 50]]
    whole = client.post("/embed", files=[("image", PHOTO), ("image", b"bad"), ("image", photo(20, 30))]).json()[
        "images"
    ]
    truth = argus.embed([PIXELS, np.asarray(Image.open(io.BytesIO(photo(20, 30))))])
    assert np.allclose([whole[0]["embedding"], whole[2]["embedding"]], truth, atol=1e-3) and whole[1]["error"]
    for answer in (
        client.post("/embed?boxes=1,2,30,40&boxes=0,0,90,50", content=PHOTO),
        client.post("/embed", json={"image": b64encode(PHOTO).decode(), "boxes": boxes}),
    ):
        assert np.allclose(answer.json()["images"][0]["embeddings"], argus.embed(PIXELS, boxes), atol=1e-3)


def test_points_are_found_in_a_second_image(argus, client):
    other = photo(70, 60, 1)
    truth = argus.correspond(PIXELS, io.BytesIO(other), [[10, 20], [80, 5.5]]).to_dict()
    files = [("image", PHOTO), ("image", other)]
    answers = [
        client.post("/correspond?points=10,20&points=80,5.5", files=files),
        client.post("/correspond", files=files, data={"points": "10,20 80,5.5"}),
        client.post(
            "/correspond",
            json={
                "images": [{"image": b64encode(data).decode()} for data in (PHOTO, other)],
                "points": [[10, 20], [80, 5.5]],
            },
        ),
    ]
    for answer in answers:
        assert answer.status_code == 200, answer.text
        assert answer.json()["sizes"] == [[50, 90], [70, 60]]
        assert close(answer.json()["matches"], json.loads(json.dumps(truth["matches"])))
    assert client.post("/correspond?points=1,2&format=png", files=files).headers["content-type"] == "image/png"


def test_exif_turns_the_image(argus, client):
    image = Image.fromarray(PIXELS)
    exif = image.getexif()
    exif[0x0112] = 6
    file = io.BytesIO()
    image.save(file, "PNG", exif=exif)
    assert client.post("/classify", content=file.getvalue()).json()["images"][0]["size"] == [90, 50]


def test_health_says_what_is_served(argus, client):
    answer = client.get("/health").json()
    assert answer["ready"] is True and answer["model"] == "tiny" and answer["backbone"] == "tiny"
    assert answer["heads"] == {name: argus.head(name).task.name for name in argus.heads}


def test_one_canvas_is_one_pass_for_requests_that_wait(argus, tmp_path):
    shared = make_argus(load_backbone("tiny"), tmp_path, ("softmax", "masks", "boxes"))
    shared.canvas = Canvas(96)
    with client_of(shared, batch=6, wait=5) as client, ThreadPoolExecutor(6) as pool:
        asked = [
            pool.submit(client.post, route, content=PHOTO)
            for route in ("/classify", "/segment", "/detect", "/perceive", "/perceive", "/classify")
        ]
        assert all(one.result().status_code == 200 for one in asked)
        text = client.get("/metrics").text
    assert "argus_backbone_passes_total 1.0" in text
    assert 'argus_pass_images_bucket{le="4.0"} 0.0' in text and 'argus_pass_images_bucket{le="8.0"} 1.0' in text


def test_metrics_count_requests_by_route_and_status(argus):
    with client_of(argus) as client:
        client.post("/classify", content=PHOTO)
        client.post("/classify", content=b"bad")
        client.get("/wp-login.php")
        client.get("/nothing-like-this")
        lines = client.get("/metrics").text.splitlines()
    assert 'argus_requests_total{route="/classify",status="200"} 1.0' in lines
    assert 'argus_requests_total{route="/classify",status="415"} 1.0' in lines
    assert 'argus_requests_total{route="other",status="404"} 2.0' in lines
    assert 'argus_rejected_total{reason="type"} 1.0' in lines
    assert any(line.startswith("process_resident_memory_bytes ") for line in lines)
    assert "argus_queue_length 0.0" in lines and "argus_requests_active 0.0" in lines
