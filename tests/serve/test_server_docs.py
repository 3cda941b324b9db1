"""The documentation of the API: complete, true of the answers, and without a request to another host."""

from __future__ import annotations

import json
import re
import time

import pytest
from pydantic import TypeAdapter

from argus_core import load_backbone
from argus_core.serve.schema import ANSWERS, PERCEPTION, Failure, Health, Matches, Vectors
from bundle_help import make_argus
from serve_help import client_of, photo

PHOTO = photo(40, 60)


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    argus = make_argus(load_backbone("tiny"), tmp_path_factory.mktemp("text"))
    with client_of(argus) as client:
        yield client


@pytest.mark.parametrize(
    ("path", "shape", "images"),
    [
        ("/perceive?maps=true&embeddings=true&threshold=0", PERCEPTION, 1),
        ("/classify", ANSWERS["classify"], 1),
        ("/segment", ANSWERS["segment"], 2),
        ("/segment?maps=true", ANSWERS["segment"], 1),
        ("/depth?maps=true", ANSWERS["depth"], 1),
        ("/detect?threshold=0&embeddings=true", ANSWERS["detect"], 1),
        ("/correspond?points=1,2", Matches, 2),
        ("/embed", Vectors, 2),
        ("/embed?boxes=1,2,3,4", Vectors, 1),
    ],
)
def test_answers_have_the_shape_that_is_documented(client, path, shape, images):
    answer = client.post(path, files=[("image", PHOTO)] * images)
    assert answer.status_code == 200
    TypeAdapter(shape).validate_json(answer.content, strict=True)


def test_errors_and_health_have_the_shape_that_is_documented(client):
    for answer in (client.post("/classify", content=b"bad"), client.get("/nothing"), client.put("/classify")):
        TypeAdapter(Failure).validate_json(answer.content, strict=True)
    several = client.post("/classify", files=[("image", PHOTO), ("image", b"bad")])
    TypeAdapter(ANSWERS["classify"]).validate_json(several.content, strict=True)
    TypeAdapter(Health).validate_json(client.get("/health").content, strict=True)


def test_every_parameter_of_a_route_is_documented_and_accepted(client):
    paths = client.get("/openapi.json").json()["paths"]
    values = {"tasks": "depth", "threshold": "0.5", "top_k": "2", "head": None, "points": "1,2", "boxes": "1,2,3,4"}
    for path, operation in ((path, entry["post"]) for path, entry in paths.items() if "post" in entry):
        named = {entry["name"] for entry in operation["parameters"]}
        query = {name: values.get(name, "png" if name == "format" else "true") for name in named}
        files = [("image", PHOTO)] * (2 if path == "/correspond" else 1)
        query = {name: value for name, value in query.items() if value is not None}
        assert client.post(path, params=query, files=files).status_code == 200, path
        assert {*operation["requestBody"]["content"]} == {"multipart/form-data", "image/*", "application/json"}


def test_the_schema_refers_to_nothing_that_is_missing(client):
    text = client.get("/openapi.json").text
    schema = json.loads(text)
    for reference in set(re.findall(r'"\$ref": ?"#/([^"]+)"', text)):
        entry = schema
        for key in reference.split("/"):
            entry = entry[key]
    assert "HTTPValidationError" not in text


def test_a_token_is_documented_where_one_is_needed(tmp_path):
    argus = make_argus(load_backbone("tiny"), tmp_path, ("softmax",))
    with client_of(argus, token="a-token-that-nobody-guesses") as client:
        schema = client.get("/openapi.json").json()
    assert schema["components"]["securitySchemes"]["HTTPBearer"]["scheme"] == "bearer"
    assert schema["paths"]["/classify"]["post"]["security"]


def test_the_page_asks_no_other_host(client):
    page = client.get("/docs")
    sources = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(sources) == 4 and not any(":" in source or source.startswith("//") for source in sources)
    for source in sources:
        assert client.get(f"/{source}").status_code == 200
    assert client.get("/docs/../secret").status_code == client.get("/docs/redoc.standalone.js").status_code == 404
    assert (
        "<script>" not in page.text
        and "'unsafe-inline'" not in page.headers["content-security-policy"].split("style")[0]
    )


@pytest.mark.slow
def test_a_browser_shows_the_page_and_sends_from_it(browser, small_server, tmp_path):
    browser.get(f"{small_server}docs")
    browser.get_log("performance"), browser.get_log("browser")
    browser.get(f"{small_server}docs#/images/classify")
    browser.refresh()
    button = until(browser, "#operations-images-classify .try-out button")
    browser.execute_script("arguments[0].click()", button)
    (tmp_path / "photo.png").write_bytes(PHOTO)
    until(browser, "input[type=file]").send_keys(str(tmp_path / "photo.png"))
    browser.execute_script("arguments[0].click()", until(browser, "button.execute"))
    assert '"class_name"' in until(browser, ".live-responses-table .highlight-code").text
    assert [line for line in browser.get_log("browser") if line["level"] == "SEVERE"] == []
    messages = (json.loads(line["message"])["message"] for line in browser.get_log("performance"))
    asked = [one["params"]["request"]["url"] for one in messages if one["method"] == "Network.requestWillBeSent"]
    assert f"{small_server}classify" in {url.partition("?")[0] for url in asked}
    assert [url for url in asked if not url.startswith((small_server, "data:"))] == []


def until(browser, selector, seconds=20):
    """The element, once it is there."""
    end = time.monotonic() + seconds
    while not (found := browser.find_elements("css selector", selector)):
        assert time.monotonic() < end, f"no {selector}"
        time.sleep(0.05)
    return found[0]
