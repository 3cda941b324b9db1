"""Training killed at twenty random moments, resumed each time, ends as if nothing had happened."""

from __future__ import annotations

import json
import random
import time
from pathlib import Path

import pytest

from arena_help import DATA, settings, small_cache, train_run
from argus_core.common.tensors import tensors_sha256
from argus_core.saving.checkpoint import read_tensors

KILLS = 20


def train(cache: str, out: str) -> None:
    given = {"heads": ("fcos", "split_tower"), "data": DATA, "cache": cache, "save_every": 2, "selection": "val"}
    train_run(given, settings("fcos", "split_tower", epochs=3), Path(out))


def outcome(out: Path) -> tuple[dict[str, str], list[str]]:
    """The digests of all weights, and the log."""
    files = sorted(out.glob("*/*.safetensors"))
    log = (out / "log.jsonl").read_text().splitlines()
    return {str(f.relative_to(out)): tensors_sha256(read_tensors(f)[1]) for f in files}, log


@pytest.mark.slow
def test_killed_at_twenty_random_moments(forked, tmp_path):
    cache = str(small_cache(tmp_path / "cache"))
    warm = forked.Process(target=int)
    warm.start()
    warm.join()
    whole = forked.Process(target=train, args=(cache, str(tmp_path / "whole")))
    began = time.monotonic()
    whole.start()
    whole.join()
    seconds = time.monotonic() - began
    rng, kills, runs = random.Random(0), 0, 0
    while kills < KILLS:
        out, runs = tmp_path / f"killed{runs}", runs + 1
        while kills < KILLS:
            process = forked.Process(target=train, args=(cache, str(out)))
            fresh, began = not out.exists(), time.monotonic()
            process.start()
            process.join(timeout=rng.uniform(0.05, 0.7) * seconds)
            if process.exitcode == 0:
                seconds = min(seconds, time.monotonic() - began) if fresh else seconds  # a busy machine calmed down
                break
            process.kill()
            process.join()
            kills += 1
        train(cache, str(out))
        assert outcome(out) == outcome(tmp_path / "whole"), out
        results = [json.loads((f / "fcos" / "result.json").read_text())["metrics"] for f in (out, tmp_path / "whole")]
        assert results[0] == results[1]
