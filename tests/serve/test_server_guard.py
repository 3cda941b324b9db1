"""Who may ask a server, what every answer carries, and what happens to requests that it cannot take."""

from __future__ import annotations

import asyncio
import time

import httpx
import pytest

from argus_core import ArgusError, load_backbone
from argus_core.serve.address import bind, check_caller_rules, is_loopback
from argus_core.serve.app import make_app
from argus_core.serve.gate import Gate
from argus_core.serve.refusal import Busy, Refusal, Stopping
from argus_core.serve.settings import Settings
from bundle_help import make_argus
from serve_help import HERE, client_of, photo

TOKEN = "a-token-that-nobody-guesses"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
PHOTO = photo(20, 30)


@pytest.fixture(scope="module")
def argus(tmp_path_factory):
    return make_argus(load_backbone("tiny"), tmp_path_factory.mktemp("text"), ("softmax", "masks"))


@pytest.fixture(scope="module")
def client(argus):
    with client_of(argus) as client:
        yield client


@pytest.fixture(scope="module")
def locked(argus):
    with client_of(argus, token=TOKEN) as client:
        yield client


@pytest.mark.parametrize("path", ["/", "/health", "/docs", "/openapi.json", "/docs/start.js"])
def test_pages_and_health_need_no_token(locked, path):
    assert locked.get(path).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": ""},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer "},
        {"Authorization": f"Bearer {TOKEN[:-1]}"},
        {"Authorization": f"Bearer {TOKEN}x"},
        {"Authorization": f"Basic {TOKEN}"},
        {"Authorization": TOKEN},
        {"Authorization": "Bearer t\u00f6ken".encode("latin-1")},
        {"X-Token": TOKEN},
    ],
)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/classify"),
        ("POST", "/perceive"),
        ("POST", "/embed"),
        ("GET", "/metrics"),
        ("GET", "/page/model"),
        ("POST", "/page/images"),
        ("POST", "/"),
        ("GET", "/nothing"),
        ("GET", "/page/static/../model"),
    ],
)
def test_all_else_needs_the_token(locked, method, path, headers):
    answer = locked.request(method, path, content=PHOTO if method == "POST" else None, headers=headers)
    assert answer.status_code == 401 and answer.headers["www-authenticate"] == "Bearer"
    assert TOKEN not in answer.text and "token" in answer.json()["error"]


def test_with_the_token_everything_is_answered(locked):
    for header in (BEARER, {"authorization": f"bearer   {TOKEN}"}):
        assert locked.post("/classify", content=PHOTO, headers=header).status_code == 200
        assert locked.get("/metrics", headers=header).status_code == 200


def test_with_a_token_other_names_and_sites_may_ask(locked):
    other = {"Host": "argus.example", "Origin": "http://elsewhere.example"}
    assert locked.post("/classify", content=PHOTO, headers={**BEARER, **other}).status_code == 200


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:8000", "127.0.0.1:80", "127.3.2.1", "[::1]:8000", "LOCALHOST"]
)
def test_this_machine_has_several_names(client, host):
    assert client.get("/health", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "10.0.0.1", "[fe80::1]:80", "", "127.0.0.1.nip.io", "0.0.0.0"]
)
def test_other_names_are_refused_since_a_page_may_rebind_its_own(client, host):
    assert client.get("/health", headers={"Host": host}).status_code == 403


def test_pages_of_other_sites_may_not_post(client):
    for origin in ("http://evil.example", "null", "http://127.0.0.1:9999", "https://127.0.0.1.evil.example"):
        answer = client.post("/classify", content=PHOTO, headers={"Origin": origin})
        assert answer.status_code == 403 and "other sites" in answer.json()["error"]
    assert client.post("/classify", content=PHOTO, headers={"Origin": HERE}).status_code == 200


def test_there_are_no_headers_for_other_sites(client):
    asked = {"Origin": HERE, "Access-Control-Request-Method": "POST"}
    for answer in (client.options("/classify", headers=asked), client.post("/classify", content=PHOTO)):
        assert not any(name.startswith("access-control") for name in answer.headers)


@pytest.mark.parametrize("path", ["/", "/health", "/docs", "/nothing", "/openapi.json"])
def test_every_answer_is_guarded(client, path):
    headers = client.get(path).headers
    assert headers["x-content-type-options"] == "nosniff" and headers["x-frame-options"] == "DENY"
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy and "http" not in policy
    assert "server" not in headers


def test_an_error_of_the_server_tells_the_client_nothing(argus, caplog, monkeypatch):
    with client_of(argus) as client:
        monkeypatch.setattr(argus, "answer_each", lambda *values: 1 / 0)
        answer = client.post("/classify", content=PHOTO)
        assert answer.status_code == 500
        assert answer.json() == {"error": "the server failed; its log says why"}
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "ZeroDivisionError" in caplog.text and "POST /classify" in caplog.text
        assert 'argus_requests_total{route="/classify",status="500"} 1.0' in client.get("/metrics").text


def slowed(argus, monkeypatch, seconds):
    """The model, which takes so long for a pass."""
    answer = argus.answer_each

    def slowly(*values):
        time.sleep(seconds)
        return answer(*values)

    monkeypatch.setattr(argus, "answer_each", slowly)


def asgi(app):
    """A client in the event loop of the application."""
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=HERE)


def served(argus, work, **settings):
    """What ``work(client, app)`` returns while the application runs in the same event loop."""

    async def main():
        app = make_app(argus, Settings(**settings))
        async with app.router.lifespan_context(app), asgi(app) as client:
            return await work(client, app)

    return asyncio.run(main())


def test_an_answer_that_takes_too_long_is_given_up(argus, monkeypatch):
    slowed(argus, monkeypatch, 0.5)

    async def work(client, app):
        return await client.post("/classify", content=PHOTO)

    answer = served(argus, work, timeout=0.1)
    assert answer.status_code == 504 and "0.1 s" in answer.json()["error"]


def test_a_body_that_takes_too_long_is_given_up(argus):
    async def drop_by_drop():
        for byte in PHOTO:
            yield bytes([byte])
            await asyncio.sleep(0.02)

    async def work(client, app):
        return await client.post("/classify", content=drop_by_drop())

    answer = served(argus, work, timeout=0.2)
    assert answer.status_code == 408 and "0.2 s" in answer.json()["error"]
    assert answer.headers["connection"] == "close"


def test_too_many_requests_are_told_to_come_again(argus, monkeypatch):
    slowed(argus, monkeypatch, 0.2)

    async def work(client, app):
        return await asyncio.gather(*(client.post("/classify", content=PHOTO) for _ in range(12)))

    answers = served(argus, work, batch=1, queue=2, wait=0)
    codes = [answer.status_code for answer in answers]
    assert set(codes) == {200, 503} and 2 <= codes.count(200) <= 3
    refused = answers[codes.index(503)]
    assert refused.headers["retry-after"] == "1" and "waiting" in refused.json()["error"]


def test_a_server_that_is_about_to_stop_finishes_and_refuses(argus, monkeypatch):
    slowed(argus, monkeypatch, 0.2)

    async def work(client, app):
        taken = asyncio.create_task(client.post("/classify", content=PHOTO))
        await asyncio.sleep(0.05)
        app.state.gate.closed = True
        refused, health = await client.post("/classify", content=PHOTO), await client.get("/health")
        return await taken, refused, health

    taken, refused, health = served(argus, work)
    assert taken.status_code == 200
    assert refused.status_code == 503 and "stop" in refused.json()["error"]
    assert health.status_code == 503 and health.json()["ready"] is False


def test_the_work_of_a_client_that_hangs_up_is_dropped(argus, monkeypatch):
    slowed(argus, monkeypatch, 0.2)
    seen = []
    answer = argus.answer_each
    monkeypatch.setattr(argus, "answer_each", lambda images, asked: seen.extend(images) or answer(images, asked))

    async def leave(app):
        gone = asyncio.Event()
        body = [{"type": "http.request", "body": PHOTO, "more_body": False}]

        async def receive():
            if body:
                return body.pop()
            await gone.wait()
            return {"type": "http.disconnect"}

        async def send(message):
            raise AssertionError("nobody is there to be answered")

        scope = {"type": "http", "method": "POST", "path": "/classify", "query_string": b"", "asgi": {"version": "3.0"}}
        headers = [(b"host", b"localhost"), (b"content-length", str(len(PHOTO)).encode())]
        task = asyncio.create_task(app({**scope, "headers": headers, "http_version": "1.1"}, receive, send))
        await asyncio.sleep(0.05)
        gone.set()
        await task

    async def work(client, app):
        first = asyncio.create_task(client.post("/classify", content=photo(10, 10)))
        await asyncio.sleep(0.05)
        await leave(app)
        return [await first, await client.post("/classify", content=photo(11, 11)), await client.get("/metrics")]

    first, last, metrics = served(argus, work, batch=1, wait=0)
    assert first.status_code == last.status_code == 200
    assert [image.shape[0] for image in seen] == [10, 11]
    assert 'argus_requests_total{route="/classify",status="499"} 1.0' in metrics.text


def test_pixels_that_are_held_are_bounded():
    async def main():
        gate, most, held = Gate(10, 100), 0, 0

        async def hold(pixels):
            nonlocal most, held
            async with gate.hold(pixels):
                held += pixels
                most = max(most, held)
                await asyncio.sleep(0.001)
                held -= pixels

        await asyncio.wait_for(asyncio.gather(*(hold(pixels) for pixels in (60, 60, 30, 100, 1, 10, 99))), 5)
        with pytest.raises(Refusal, match="fewer"):
            await hold(101)
        return most, held

    most, held = asyncio.run(main())
    assert 60 < most <= 100 and held == 0


def test_requests_that_are_in_are_bounded():
    gate = Gate(2, 1)
    with gate.enter(), gate.enter():
        with pytest.raises(Busy), gate.enter():
            pass
        gate.closed = True
        with pytest.raises(Stopping), gate.enter():
            pass
    assert gate.active == 0


@pytest.mark.parametrize(("host", "token"), [("0.0.0.0", None), ("::", None), ("192.0.2.1", None), ("", None)])
def test_others_need_a_token(host, token):
    with pytest.raises(ArgusError, match="ARGUS_TOKEN"):
        check_caller_rules(host, token)
    check_caller_rules(host, TOKEN)


@pytest.mark.parametrize(
    "token", ["", "short", "with spaces in it, but long", "t\u00f6ken-of-enough-letters", "a" * 15]
)
def test_a_token_that_is_easily_guessed_or_cannot_be_sent_is_refused(token):
    with pytest.raises(ArgusError, match="16"):
        check_caller_rules("127.0.0.1", token)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_this_machine_needs_no_token(host):
    check_caller_rules(host, None)
    assert is_loopback(host)


def test_a_port_that_is_taken_is_told():
    with bind("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(ArgusError, match=f"port {port}.*in use.*--port"):
            bind("127.0.0.1", port)


def test_a_host_that_is_not_here_is_told():
    with pytest.raises(ArgusError, match=r"192\.0\.2\.1"):
        bind("192.0.2.1", 0)
