"""What strangers send: every bad request gets an error in JSON that says what is wrong, and never a 500."""

from __future__ import annotations

import io
import json
import warnings
from base64 import b64encode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from argus_core import load_backbone
from bundle_help import make_argus
from serve_help import client_of, photo, png_that_says

PHOTO = photo(50, 90)
CODED = b64encode(PHOTO).decode()
FORM = {"Content-Type": "multipart/form-data; boundary=b"}
AS_JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    argus = make_argus(load_backbone("tiny"), tmp_path_factory.mktemp("text"), ("softmax", "masks", "boxes", "match"))
    with client_of(argus, max_bytes=200_000, max_pixels=300_000, max_side=2000, max_images=3) as client:
        yield client


def refused(answer, status, *words):
    """The error is JSON, of this status, and says these words; it tells nothing of the machine."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    error = answer.json()["error"]
    assert all(word in error for word in words), error
    assert "Traceback" not in error and "/work" not in error and ".py" not in error
    return True


def part(name, content, kind="application/octet-stream", filename='; filename="a.png"'):
    """A part of a form."""
    head = f'--b\r\nContent-Disposition: form-data; name="{name}"{filename}\r\nContent-Type: {kind}\r\n\r\n'
    return head.encode() + content + b"\r\n"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # of a form that ends in a file
@pytest.mark.parametrize(
    ("status", "body", "headers"),
    [
        (400, b"", {}),
        (415, b"this is no image", {}),
        (415, b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n", {}),
        (415, b"<svg xmlns='http://www.w3.org/2000/svg'/>", {"Content-Type": "image/svg+xml"}),
        (422, PHOTO[:300], {}),
        (422, photo(50, 90, kind="JPEG")[:-400], {}),
        (413, png_that_says(60000, 60000), {}),
        (413, png_that_says(2**31 - 1, 2**31 - 1), {}),
        (413, png_that_says(10_000, 20), {}),
        (413, png_that_says(600, 600), {}),
        (415, png_that_says(0, 10), {}),
        (415, PHOTO, {"Content-Type": "text/plain"}),
        (415, PHOTO, {"Content-Type": "video/mp4"}),
        (400, b"", FORM),
        (400, b"--b--\r\n", FORM),
        (400, PHOTO, FORM),
        (400, part("image", PHOTO)[:-30], FORM),
        (400, PHOTO, {"Content-Type": "multipart/form-data"}),
        (400, part("top_k", b"3", filename="") + b"--b--\r\n", FORM),
        (413, b"".join(part("image", PHOTO) for _ in range(4)) + b"--b--\r\n", FORM),
        (400, b"", AS_JSON),
        (400, b"{", AS_JSON),
        (400, b"[]", AS_JSON),
        (400, b"null", AS_JSON),
        (400, b"[" * 100_000, AS_JSON),
        (400, b'{"images":' * 10_000, AS_JSON),
        (400, b"{}", AS_JSON),
        (400, b'{"image": 3}', AS_JSON),
        (400, b'{"image": "@@@"}', AS_JSON),
        (400, '{"image": "\u00e4\u00f6"}'.encode(), AS_JSON),
        (400, b'{"image": "\xff"}', AS_JSON),
        (400, b'{"image": ""}', AS_JSON),
        (400, b'{"images": []}', AS_JSON),
        (400, b'{"images": [{}]}', AS_JSON),
        (400, json.dumps({"image": CODED, "url": "http://a"}).encode(), AS_JSON),
        (400, json.dumps({"image": CODED, "images": [{"image": CODED}]}).encode(), AS_JSON),
        (413, json.dumps({"images": [{"image": CODED}] * 4}).encode(), AS_JSON),
        (403, b'{"url": "http://example.com/a.png"}', AS_JSON),
        (422, json.dumps({"image": CODED, "top_k": 10**400}).encode(), AS_JSON),
        (422, json.dumps({"image": CODED, "top_k": float("nan")}).encode(), AS_JSON),
        (422, json.dumps({"image": CODED, "top_k": [[[]]]}).encode(), AS_JSON),
        (422, json.dumps({"image": CODED, "__class__": 1}).encode(), AS_JSON),
        (422, json.dumps({"image": CODED, "head": [None]}).encode(), AS_JSON),
    ],
)
def test_a_bad_body_is_refused(client, status, body, headers):
    refused(client.post("/classify", content=body, headers=headers), status)


@pytest.mark.parametrize(
    ("path", "word"),
    [
        ("/detect?threshold=2", "threshold"),
        ("/detect?threshold=-0.1", "threshold"),
        ("/detect?threshold=nan", "threshold"),
        ("/detect?threshold=inf", "threshold"),
        ("/detect?threshold=", "threshold"),
        ("/detect?threshold=0.1&threshold=0.2", "threshold"),
        ("/detect?treshold=0.5", "treshold"),
        ("/detect?head=masks", "masks"),
        ("/detect?head=%00", "called"),
        ("/detect?embeddings=perhaps", "embeddings"),
        ("/classify?top_k=0", "top_k"),
        ("/classify?top_k=1e99", "top_k"),
        ("/classify?top_k=99999999999999999999999", "top_k"),
        ("/classify?format=svg", "format"),
        ("/perceive?tasks=dept", "dept"),
        ("/perceive?tasks=match", "/correspond"),
        ("/perceive?tasks=" + "a," * 300, "tasks"),
        ("/perceive?maps=map", "maps"),
        ("/correspond", "points"),
        ("/correspond?points=1", "points"),
        ("/correspond?points=1,nan", "points"),
        ("/correspond?points=1,2", "two images"),
        ("/embed?boxes=1,2,3", "boxes"),
        ("/embed?boxes=5,5,1,1", "ends before it begins"),
        ("/embed?boxes=1,2,inf,4", "boxes"),
    ],
)
def test_a_bad_parameter_is_named(client, path, word):
    refused(client.post(path, content=PHOTO), 422, word)


@pytest.mark.parametrize("tasks", [[None], [["masks"]], [{}], 3, [3.5], {"masks": 1}, [[]], True])
def test_names_that_are_none_are_refused(client, tasks):
    refused(client.post("/perceive", json={"image": CODED, "tasks": tasks}), 422, "tasks")


@pytest.mark.parametrize(
    "points", [None, [None], [["1"]], [[1, 2], 3], [[[1, 2]]], "1,2,3", "a,b", [], {}, [[1, None]]]
)
def test_points_that_are_none_are_refused(client, points):
    sent = {"images": [{"image": CODED}] * 2, "points": points}
    refused(client.post("/correspond", json=sent), 422, "points")


def test_a_picture_of_several_images_is_refused(client):
    refused(client.post("/classify?format=png", files=[("image", PHOTO)] * 2), 400, "one image")


def test_an_answer_that_nobody_can_give_is_refused(client):
    refused(client.post("/classify", content=PHOTO, headers={"Accept": "application/xml"}), 406, "application/json")


def test_points_outside_the_image_are_refused(client):
    files = [("image", PHOTO), ("image", PHOTO)]
    refused(client.post("/correspond?points=91,2", files=files), 422, "outside", "90x50")
    refused(client.post("/correspond?points=1,2", files=[("image", PHOTO), ("image", b"bad")]), 415, "image 2")
    refused(client.post("/correspond?points=1,2&head=masks", files=files), 422, "masks")


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_other_methods_are_refused(client, method):
    assert refused(client.request(method, "/classify"), 405, method)


def test_a_body_that_is_too_large_is_refused_before_it_is_read(client):
    read = []

    def endless():
        for _ in range(400):
            read.append(1)
            yield bytes(2000)

    refused(client.post("/classify", content=endless()), 413, "0.2 MB")
    answer = client.post("/classify", content=b"", headers={"Content-Length": "999999999999"})
    refused(answer, 413, "0.2 MB")
    assert answer.headers["connection"] == "close"


def test_images_of_odd_sizes_are_answered(client):
    for height, width in ((1, 1), (1, 1999), (1999, 1), (2, 3)):
        assert client.post("/perceive", content=photo(height, width)).status_code == 200


def test_one_frame_of_many_is_read(client):
    file = io.BytesIO()
    frames = [Image.new("RGB", (20, 30), color) for color in ("red", "green", "blue")]
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:])
    assert client.post("/classify", content=file.getvalue()).status_code == 200


def test_pillow_does_not_warn_of_what_is_refused(client):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        refused(client.post("/classify", content=png_that_says(10_000, 10_000)), 413)


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
NAMES = (
    st.sampled_from(["tasks", "threshold", "top_k", "embeddings", "maps", "format", "head", "points", "boxes"]) | TEXTS
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)
PATHS = st.sampled_from(["/perceive", "/classify", "/segment", "/detect", "/correspond", "/embed"])


@settings(max_examples=150, deadline=None)
@given(PATHS, st.dictionaries(NAMES, VALUES, max_size=4), st.dictionaries(NAMES, TEXTS, max_size=3))
def test_no_parameters_break_the_server(client, path, fields, query):
    body = json.dumps({**fields, "image": CODED} if "image" not in fields else fields).encode()
    answer = client.post(path, content=body, headers=AS_JSON, params=query)
    assert answer.status_code == 200 or refused(answer, answer.status_code)
    assert answer.status_code < 500


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=400), st.sampled_from(["", "image/png", "application/json", FORM["Content-Type"], "x/y"]))
def test_no_body_breaks_the_server(client, body, kind):
    answer = client.post("/classify", content=body, headers={"Content-Type": kind})
    assert 400 <= answer.status_code < 500 and answer.json()["error"]


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_no_damaged_image_breaks_the_server(client, data):
    kind = data.draw(st.sampled_from(["PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF", "PPM"]))
    body = bytearray(photo(20, 30, kind=kind))
    for _ in range(data.draw(st.integers(1, 8))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    answer = client.post("/classify", content=bytes(body[: data.draw(st.integers(1, len(body)))]))
    assert answer.status_code == 200 or refused(answer, answer.status_code)
    assert answer.status_code < 500
