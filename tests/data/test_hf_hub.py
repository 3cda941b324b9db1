"""Data sets on the hub, against a local stand-in: what is asked, what is kept, and what is told."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from urllib.parse import parse_qs

import pytest

from argus_core.errors import ArgusError
from argus_data.hf.data_set import open_hf
from hf_tables import cache as cache
from hf_tables import labelled, library
from hub_stub import Hub

PROGRAM = """
import json, os, sys
from argus_core.errors import ArgusError
from argus_data.hf.data_set import open_hf

for line in sys.stdin:
    path, options, offline = json.loads(line)
    os.environ["ARGUS_OFFLINE"] = offline
    try:
        data = open_hf(path, **options)
        labels = {name: [split.truth(n, "classify") for n in range(len(split))] for name, split in data.items()}
        print(json.dumps(labels))
    except ArgusError as error:
        print(json.dumps(str(error)))
"""


class DataHub(Hub):
    """The hub of models, whose pages of data sets are the same with a prefix, and the lists of their files."""

    def answer(self, request, path, body):
        if match := re.fullmatch(r"/api/datasets/(\w+/\w+)/tree/(\w+)/?(.*)", path):
            return 200, {}, self.listed(*match.groups())
        if match := re.fullmatch(r"/api/datasets/(\w+/\w+)/paths-info/(\w+)", path):
            wanted = json.loads(body)["paths"] if body[:1] == b"{" else parse_qs(body.decode())["paths"]
            return 200, {}, [entry for entry in self.listed(match[1], match[2], "") if entry["path"] in wanted]
        plain = re.sub(r"^/api/datasets/", "/api/models/", path).removeprefix("/datasets")
        return super().answer(request, plain, body)

    def listed(self, name, revision, folder):
        _, files = self.at(self.readable(None, name), revision)
        return [
            {"type": "file", "oid": "0" * 40, "size": len(content), "path": file}
            for file, content in files.items()
            if file.startswith(folder)
        ]


@pytest.fixture
def hub():
    hub = DataHub()
    yield hub
    hub.close()


def parquet(folder, labels) -> bytes:
    library.load_from_disk(labelled(folder, train=labels))["train"].to_parquet(folder / "table.parquet")
    return (folder / "table.parquet").read_bytes()


def opened(hub, home, *wanted):
    """What a fresh process, whose hub is the stand-in, gets for each of ``wanted``."""
    env = {**os.environ, "HF_ENDPOINT": hub.address, "HF_HOME": str(home), "OMP_NUM_THREADS": "1"}
    env = {key: value for key, value in env.items() if key not in ("HF_DATASETS_CACHE", "HF_HUB_OFFLINE", "HF_TOKEN")}
    lines, command = "\n".join(map(json.dumps, wanted)), [sys.executable, "-c", PROGRAM]
    done = subprocess.run(command, env=env, input=lines, capture_output=True, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.slow
def test_a_data_set_is_fetched_once_and_found_in_the_cache_offline(tmp_path, hub):
    card = b"---\nlicense: mit\n---\n"
    repo = hub.add("user/pets", {"README.md": card, "train.parquet": parquet(tmp_path / "a", [0, 1, 1])})
    first = repo.branches["main"]
    repo.branches["v2"] = repo.branches["main"]
    second = repo.commit("v2", {"train.parquet": parquet(tmp_path / "b", [1, 0])})
    hub.add("user/code", {"code.py": b"raise SystemExit(1)"})
    plain, same, newer, offline, unknown, older, nothing, script = opened(
        hub,
        tmp_path / "home",
        ("user/pets", {}, "0"),
        ("user/pets", {"revision": first}, "1"),
        ("user/pets", {"revision": "v2"}, "0"),
        ("user/pets", {"revision": second}, "1"),
        ("user/pets", {"revision": "v2"}, "1"),
        ("user/pets", {"revision": "0" * 40}, "1"),
        ("user/none", {}, "0"),
        ("user/code", {}, "0"),
    )
    assert plain == same == {"train": [0, 1, 1]} and newer == offline == {"train": [1, 0]}
    assert unknown == "revision=v2 of user/pets is looked up on the hub; offline give the commit, 40 digits"
    assert f"user/pets: the hub does not give revision {'0' * 40}; the cache has" in older
    assert "there is no folder user/none, and the data set of this id on the hub cannot be opened" in nothing
    assert "user/code is loaded by a program, code.py, and no code of a data set is run; try revision=refs/" in script
    downloads = [line for line in hub.asked if line.startswith("GET") and line.endswith(".parquet")]
    assert len(downloads) == 2 and not [line for line in hub.asked if line.endswith("pets.py") and "GET" in line]


def test_nothing_is_asked_offline(hub, monkeypatch):
    monkeypatch.setenv("ARGUS_OFFLINE", "1")
    with pytest.raises(ArgusError, match="ARGUS_OFFLINE forbids fetching it, and it is not in the library's cache"):
        open_hf("user/name")
    assert not hub.asked and library.config.HF_HUB_OFFLINE is False
