"""A server under load, against the same model asked offline: nothing lost or mixed up, throughput, and memory.

    python serve.py [faults|speed|memory ...]      # by default all three

`argus serve --model lite` runs in a process of its own on a free port; its 32 clients are in this one.
"""

from __future__ import annotations

import asyncio
import io
import json
import re
import statistics
import subprocess
import sys
import time
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import httpx
import numpy as np
from PIL import Image, ImageDraw

from argus_core import Argus
from argus_core.registry.places import folder_of
from argus_core.tasks.segment import decode_labels

CLIENTS, REQUESTS, MALFORMED, HANGUPS = 32, 500, 50, 20
ROUNDS, TIMED = 3, 240
ENDURANCE, STEP = 2000, 200
SIZES = ((120, 160), (240, 320), (213, 320), (320, 240), (480, 640), (33, 400), (40, 40))
TASKS = ("classify", "segment", "depth")
JSON = {"Content-Type": "application/json"}


def photo(seed: int) -> bytes:
    """A file of an image that differs from all others: coloured rectangles, JPEG or PNG."""
    random = np.random.default_rng(seed)
    height, width = SIZES[seed % len(SIZES)]
    image = Image.new("RGB", (width, height), tuple(random.integers(0, 256, 3).tolist()))
    pen = ImageDraw.Draw(image)
    for _ in range(30):
        x, y = int(random.integers(0, width)), int(random.integers(0, height))
        corner = (x + int(random.integers(5, width // 2)), y + int(random.integers(5, height // 2)))
        pen.rectangle((x, y, *corner), fill=tuple(random.integers(0, 256, 3).tolist()))
    file = io.BytesIO()
    image.save(file, **({"format": "PNG", "compress_level": 1} if seed % 5 == 0 else {"format": "JPEG", "quality": 90}))
    return file.getvalue()


def malformed(seed: int) -> tuple[dict[str, str], bytes]:
    """Headers and body of a request that must be refused."""
    kinds: list[tuple[dict[str, str], bytes]] = [
        ({}, b""),
        ({}, b"this is no image"),
        ({}, photo(seed)[: 200 + seed % 100]),
        (JSON, b'{"image": "@@@"}'),
        (JSON, b"[" * 5000),
        (JSON, b'{"image": null, "threshold": 1e999}'),
        ({"Content-Type": "text/plain"}, b"hello"),
        ({"Content-Type": "multipart/form-data; boundary=x"}, b"--y\r\n\r\n--y--"),
        ({}, bomb()),
    ]
    return kinds[seed % len(kinds)]


def bomb() -> bytes:
    """A PNG of a few hundred bytes that says it has 60,000 x 60,000 pixels."""
    file = io.BytesIO()
    Image.new("1", (8, 8)).save(file, "PNG")
    data = bytearray(file.getvalue())
    data[16:24] = (60000).to_bytes(4, "big") * 2
    data[29:33] = zlib.crc32(bytes(data[12:29])).to_bytes(4, "big")
    return bytes(data)


@contextmanager
def server(*options: str) -> Iterator[str]:
    """The address of a server that runs meanwhile, and then must end by itself."""
    command = ["argus", "serve", "--port", "0", "--device", "cpu", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("stop"):
            break
        if found := re.match(r"page\s+(http://\S+)/", line):
            address = found[1]
    try:
        yield address
    finally:
        process.terminate()
        print(f"the server ended with {process.wait(60)}")


async def ask(client: httpx.AsyncClient, body: bytes, headers: dict[str, str] | None = None) -> httpx.Response:
    """The answer to a request; one that was turned away for want of room is sent again."""
    while True:
        answer = await client.post("/perceive", content=body, headers=headers, params={"tasks": ",".join(TASKS)})
        if answer.status_code != 503:
            return answer
        await asyncio.sleep(0.05)


async def in_turn(address: str, works: Sequence[Any], clients: int = CLIENTS) -> list[Any]:
    """What each of some works, called with a client, returns; so many clients share them."""
    waiting, answers = iter(enumerate(works)), [None] * len(works)

    async def take() -> None:
        # Without certificates, whose reading takes longer than an image.
        async with httpx.AsyncClient(base_url=address, timeout=300, verify=False) as client:
            for number, work in waiting:
                answers[number] = await work(client)

    await asyncio.gather(*(take() for _ in range(clients)))
    return answers


async def hang_up(address: str, body: bytes, wait: float) -> None:
    """Send a request, and close the connection before an answer can come."""
    host, port = address.rpartition("/")[2].split(":")
    _, writer = await asyncio.open_connection(host, int(port))
    head = f"POST /perceive HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body)
    await writer.drain()
    await asyncio.sleep(wait)
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()


def same(answer: dict[str, Any], truth: dict[str, Any]) -> bool:
    """Whether results agree: classes, 99.9 % of the mask, and depth to a centimetre and 0.1 %."""
    scores = [{entry["class_id"]: entry["score"] for entry in one["classify"]["classes"]} for one in (answer, truth)]
    masks = [decode_labels(one["segment"]) for one in (answer, truth)]
    metres = [np.array([one["depth"][key] for key in ("min", "median", "max")]) for one in (answer, truth)]
    return (
        scores[0].keys() == scores[1].keys()
        and all(abs(score - scores[1][key]) < 1e-3 for key, score in scores[0].items())
        and masks[0].shape == masks[1].shape
        and bool((masks[0] == masks[1]).mean() > 0.999)
        and bool(np.allclose(*metres, rtol=1e-3, atol=0.01))
    )


def offline(argus: Argus, photos: Sequence[bytes]) -> list[dict[str, Any]]:
    """The same answers from the model itself, in batches: files are decoded, and results made plain data."""
    answers = []
    for start in range(0, len(photos), argus.batch):
        for results in argus.answer(photos[start : start + argus.batch], TASKS):
            answers.append({name: result.to_dict() for name, result in results.items()})
            json.dumps(answers[-1])
    return answers


async def faults(address: str, argus: Argus) -> None:
    """Requests of 32 clients, some malformed, beside clients that hang up: count what is lost, wrong or mixed up."""
    photos = {seed: photo(seed) for seed in range(REQUESTS) if seed % (REQUESTS // MALFORMED)}
    works = [
        (lambda client, seed=seed: ask(client, photos[seed]))
        if seed in photos
        else (lambda client, seed=seed: ask(client, *reversed(malformed(seed // 10))))
        for seed in range(REQUESTS)
    ]
    leaving = asyncio.gather(*(hang_up(address, photo(seed), 0.02 * seed) for seed in range(HANGUPS)))
    answers = await in_turn(address, works)
    await leaving
    truth = dict(zip(photos, offline(argus, list(photos.values())), strict=True))
    counts: Counter[str] = Counter()
    for seed, answer in enumerate(answers):
        if seed in photos:
            good = answer.status_code == 200 and same(answer.json()["images"][0]["results"], truth[seed])
            counts["right" if good else f"wrong ({answer.status_code})"] += 1
        else:
            told = 400 <= answer.status_code < 500 and "error" in answer.json()
            counts["refused" if told else f"not refused ({answer.status_code})"] += 1
    print(f"{len(answers)} requests, {HANGUPS} that hung up: {dict(counts)}")


async def speed(address: str, argus: Argus) -> None:
    """The same images from 32 clients and offline, in turn: images a second, and CPU time on a machine that is busy."""
    photos = [photo(seed) for seed in range(TIMED)]
    works = [(lambda client, body=body: ask(client, body)) for body in photos]
    await in_turn(address, works[:CLIENTS])
    offline(argus, photos[:CLIENTS])
    ratios, costs = [], []
    for number in range(ROUNDS):
        start, spent = time.perf_counter(), time.process_time()
        offline(argus, photos)
        middle, alone = time.perf_counter(), time.process_time() - spent
        spent = metrics(address)["process_cpu_seconds_total"]
        await in_turn(address, works)
        end, served = time.perf_counter(), metrics(address)["process_cpu_seconds_total"] - spent
        ratios.append((middle - start) / (end - middle))
        costs.append(served / alone)
        print(
            f"round {number}: offline {TIMED / (middle - start):5.1f} images/s, served {TIMED / (end - middle):5.1f}, "
            f"ratio {ratios[-1]:.3f}; CPU {1e3 * alone / TIMED:.0f} and {1e3 * served / TIMED:.0f} ms an image"
        )
    print(f"median ratio of throughput {statistics.median(ratios):.3f} (goal >= 0.9)")
    print(f"median ratio of CPU time {statistics.median(costs):.3f}")


def metrics(address: str) -> dict[str, float]:
    """The server's metrics without labels."""
    lines = httpx.get(f"{address}/metrics").text.splitlines()
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if line[0] != "#")}


async def memory(address: str, argus: Argus) -> None:
    """The server's memory over 2,000 requests, on a small canvas so that they take minutes."""
    photos = [photo(seed) for seed in range(70)]
    works = [(lambda client, body=body: ask(client, body)) for body in photos]
    for done in range(0, ENDURANCE + 1, STEP):
        if done:
            await in_turn(address, (works * (STEP // len(works) + 1))[:STEP])
        now = metrics(address)
        resident = now["process_resident_memory_bytes"] / 2**20
        print(f"{done:5} requests: {resident:7.1f} MiB, {now['argus_backbone_passes_total']:.0f} passes")


async def run(part: str, address: str, argus: Argus) -> None:
    """One part of the benchmark."""
    await {"faults": faults, "speed": speed, "memory": memory}[part](address, argus)


def main() -> None:
    """Run the parts that are asked for, each on a server of its own."""
    argus = Argus.load(folder_of("lite"), device="cpu")
    for part in sys.argv[1:] or ["faults", "speed", "memory"]:
        with server(*(("--canvas", "160") if part == "memory" else ())) as address:
            print(f"{part}:", flush=True)
            asyncio.run(run(part, address, argus))


if __name__ == "__main__":
    main()
