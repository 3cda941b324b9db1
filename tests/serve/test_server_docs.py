"""The documentation of the API: complete, true of the answers, and without a request to another host."""

from __future__ import annotations

import json
import re

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
