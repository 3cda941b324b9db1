"""``arena data audit`` from caches to its page: planted faults are found, whatever is there of the data."""

from __future__ import annotations

import json
import re
import shutil

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from argus_arena.audit.audit import audit
from argus_arena.audit.opened import open_caches
from argus_arena.audit.result import as_values
from argus_arena.audit.run import default_out, run_audit
from argus_arena.cli import app
from argus_arena.requests import CacheRequest
from argus_arena.tools.cache import build_cache
from argus_core.common.files import read_sealed
from argus_core.errors import ArgusError
from argus_core.plugins.data_spec import open_data
from page_browser import a_browser


def save(root, split, kind, name, pixels, **options):
    path = root / split / kind / name
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)
    return path


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Class folders of scenes, dark in one class and light in the other, with copies of them and a wrong label."""
    root = tmp_path_factory.mktemp("pictures")
    scenes = open_data("scenes:images=24,val=8,size=64x64")
    for split, held in scenes.items():
        for index in range(len(held)):
            pixels = held.read(index)
            dark = index % 2 == 0
            save(root, split, "dark" if dark else "light", f"{index}.png", pixels // 3 if dark else 255 - pixels // 3)
    train, val = scenes["train"], scenes["val"]
    save(root, "val", "light", "same.png", 255 - train.read(1) // 3)
    save(root, "val", "light", "jpeg.jpg", 255 - train.read(3) // 3, quality=60)
    save(root, "train", "dark", "mirrored.png", (train.read(4) // 3)[:, ::-1])
    save(root, "train", "dark", "wrong.png", 255 - val.read(0) // 3)
    return root


@pytest.fixture(scope="module")
def cached(pictures, tmp_path_factory):
    out = tmp_path_factory.mktemp("cached") / "tokens"
    build_cache(
        CacheRequest(data=f"folder:{pictures}", out=out, backbone="tiny", canvas="128", cls=True, accept_faults=True)
    )
    return out


@pytest.fixture(scope="module")
def audited(cached, tmp_path_factory):
    """The folder of an audit, and what it found."""
    out = tmp_path_factory.mktemp("audited") / "out"
    return out, run_audit([cached], out=out, quiet=True)


def keys(group):
    return {f"{one['split']}/{one['key']}" for one in group["images"]}


def data_of(page):
    [text] = re.findall(r'<script type="application/json" id="data">(.*?)</script', page.read_text(), re.DOTALL)
    return json.loads(text)


def test_a_cache_says_which_data_it_is_of_and_runs_do_not_repeat_it(cached, pictures):
    assert read_sealed(cached / "backbone.json")["data"] == f"folder:{pictures}"


def test_copies_across_splits_come_first_with_those_of_equal_bytes(audited):
    groups = audited[1]["copies"]["groups"]
    across = [group["across_splits"] for group in groups]
    assert across == sorted(across, reverse=True)
    same = next(group for group in groups if "val/light/same.png" in keys(group))
    assert same["kinds"] == ["same bytes"] and "train/light/1.png" in keys(same) and same["across_splits"]
    changed = next(group for group in groups if "val/light/jpeg.jpg" in keys(group))
    assert "train/light/3.png" in keys(changed) and changed["kinds"] == ["same picture"] and 0 < changed["score"] < 1
    assert "one split" in same["suggestion"] and not same["labels_differ"]


def test_a_planted_label_is_the_most_doubtful(audited):
    [task] = audited[1]["labels"]
    first = task["findings"][0]
    assert (task["task"], first["key"]) == ("classify", "dark/wrong.png")
    assert (first["kind"], first["given"], first["suggested"]) == ("label", "dark", "light")
    assert task["judged"] == {"images": 36}


def test_the_page_has_a_picture_of_each_finding_and_no_address_of_another_host(audited):
    out, values = audited
    page = out / "audit.html"
    text = page.read_text()
    found = {*re.findall(r"https?://[^\s\"'`<>)]+", text)} - {"http://www.w3.org/2000/svg"}
    assert not found and not re.search(r"<(script|link|img)[^>]+src=", text)
    data = data_of(page)
    assert data["copies"]["count"] == len(values["copies"]["groups"])
    assert all(
        one["src"].startswith("data:image/webp") for group in data["copies"]["groups"] for one in group["images"]
    )
    assert all(row["src"] for task in data["labels"] for kind in task["findings"] for row in kind["rows"])
    assert len(data["map"]["points"]) == 36 == data["map"]["images"] and all(
        point[6] for point in data["map"]["points"]
    )
    assert json.loads((out / "audit.json").read_text()) == values


def test_findings_beyond_the_top_are_counted(cached, tmp_path):
    values = run_audit([cached], out=tmp_path / "out", top=1, quiet=True, pictures=False)
    data = data_of(tmp_path / "out/audit.html")
    assert len(data["copies"]["groups"]) == 1 < data["copies"]["count"] == len(values["copies"]["groups"])
    assert data["copies"]["groups"][0]["images"][0]["src"] is None and not data["pictures"]


def test_an_audit_works_without_the_images_and_without_the_data(pictures, tmp_path):
    shutil.copytree(pictures, tmp_path / "data")
    cache = tmp_path / "tokens"
    request = CacheRequest(
        data=f"folder:{tmp_path / 'data'}", out=cache, backbone="tiny", canvas="128", accept_faults=True
    )
    build_cache(request)
    whole = run_audit([cache], out=tmp_path / "whole", quiet=True)
    for path in (tmp_path / "data").rglob("*.*"):
        path.write_bytes(b"gone")  # of the same names
    labels = run_audit([cache], out=tmp_path / "labels", quiet=True)
    assert labels["labels"] == whole["labels"] and any("has changed" in note for note in labels["notes"])
    assert data_of(tmp_path / "labels/audit.html")["unread"] > 0
    shutil.rmtree(tmp_path / "data")
    bare = run_audit([cache], out=tmp_path / "bare", quiet=True)
    assert bare["labels"] == [] and any("no labels, no pictures" in note for note in bare["notes"])
    assert [keys(group) for group in bare["copies"]["groups"]] == [keys(group) for group in whole["copies"]["groups"]]
    assert bare["outliers"] == whole["outliers"]


def test_vectors_alone_still_tell_equal_bytes_and_labels(pictures, tmp_path):
    request = CacheRequest(
        data=f"folder:{pictures}",
        out=tmp_path / "c",
        backbone="tiny",
        canvas="128",
        cls=True,
        maps=False,
        accept_faults=True,
    )
    build_cache(request)
    values = run_audit([tmp_path / "c"], out=tmp_path / "out", quiet=True)
    assert any("hold no maps" in note for note in values["notes"])
    assert any("val/light/same.png" in keys(group) for group in values["copies"]["groups"])
    assert values["copies"]["compared_by"] == "vectors" and values["labels"][0]["judged"] == {"images": 36}


def test_scenes_have_all_their_annotations_judged(tmp_path):
    spec = "scenes:images=12,val=4,size=64"
    build_cache(CacheRequest(data=spec, out=tmp_path / "c", backbone="tiny", canvas="64"))
    values = run_audit([tmp_path / "c"], out=tmp_path / "out", quiet=True)
    tasks = {task["task"]: task for task in values["labels"]}
    assert {"detect", "segment", "depth"} <= {*tasks}
    assert tasks["detect"]["judged"]["boxes"] > 12 and tasks["segment"]["judged"] == {"masks": 16}
    again = run_audit([tmp_path / "c"], out=tmp_path / "again", quiet=True, tasks=["depth"])
    assert [task["task"] for task in again["labels"]] == ["depth"]


def test_the_command_prints_a_summary_or_json_and_writes_beside_the_cache(cached, pictures, tmp_path):
    result = CliRunner().invoke(app, ["data", "audit", str(cached), "--out", str(tmp_path / "a"), "--no-pictures"])
    assert result.exit_code == 0, result.output
    assert "across splits" in result.stdout and "next 1:" in result.stdout and "dark -> light" in result.stdout
    words = ["data", "audit", str(cached), "--data", f"folder:{pictures}", "--out", str(tmp_path / "a"), "--json"]
    result = CliRunner().invoke(app, [*words, "--no-pictures"])
    assert json.loads(result.stdout)["splits"][0]["name"] == "train"
    assert default_out(cached) == cached.parent / "tokens-audit"


def test_what_cannot_be_audited_is_refused_in_words(cached, pictures, tmp_path):
    with pytest.raises(ArgusError, match="is not of these data: the cache has"):
        open_caches([cached], ["scenes:images=4,val=2,size=64"])
    with pytest.raises(ArgusError, match="2 data sets are given for 1 cache folders"):
        open_caches([cached], ["a", "b"])
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken/mine.txt").write_text("mine")
    with pytest.raises(ArgusError, match="holds no audit"):
        run_audit([cached], out=tmp_path / "taken")
    other = CacheRequest(
        data=f"folder:{pictures}", out=tmp_path / "o", backbone="tiny", canvas="96", accept_faults=True
    )
    build_cache(other)
    with pytest.raises(ArgusError, match="differ in height: 128 and 96"):
        open_caches([cached, tmp_path / "o"], [])
    with pytest.raises(ArgusError, match="nothing is annotated for depth"):
        run_audit([cached], out=tmp_path / "x", tasks=["depth"])
    with pytest.raises(ArgusError, match="unknown task whose annotations can be judged 'sgement'"):
        run_audit([cached], out=tmp_path / "x", tasks=["sgement"])


def test_one_class_and_empty_annotations_are_told(tmp_path):
    random = np.random.default_rng(0)
    for name in range(9):
        save(tmp_path / "one", "train", "only", f"{name}.png", random.integers(0, 255, (40, 40, 3), dtype=np.uint8))
    build_cache(
        CacheRequest(
            data=f"folder:{tmp_path / 'one'}",
            out=tmp_path / "c",
            backbone="tiny",
            canvas="64",
            splits=("train",),
            accept_faults=True,
        )
    )
    values = run_audit([tmp_path / "c"], out=tmp_path / "out", quiet=True)
    assert "only one class occurs" in values["labels"][0]["notes"][0] and values["labels"][0]["findings"] == []
    assert values["coverage"] == []


def test_a_browser_shows_the_page_filters_it_and_asks_for_nothing(pictures, tmp_path):
    root = tmp_path / "data"
    shutil.copytree(pictures, root)
    build_cache(
        CacheRequest(data=f"folder:{root}", out=tmp_path / "c", backbone="tiny", canvas="128", accept_faults=True)
    )
    values = run_audit([tmp_path / "c"], out=tmp_path / "out", quiet=True)
    with a_browser(tmp_path / "profile") as driver:
        driver.get((tmp_path / "out/audit.html").as_uri())
        count = "return document.querySelectorAll(arguments[0]).length"
        groups = len(values["copies"]["groups"])
        assert driver.execute_script(count, ".group") == groups
        assert driver.execute_script(count, "svg.map circle") == 36
        field = driver.find_element("css selector", "#filter")
        field.send_keys("same.png")
        assert 1 <= driver.execute_script(count, ".group") < groups
        driver.find_element("css selector", ".find button").click()
        assert driver.execute_script("return document.getElementById('zoom').open")
        faults = [line["message"] for line in driver.get_log("browser")]
        asked = [json.loads(line["message"])["message"] for line in driver.get_log("performance")]
    urls = [one["params"]["request"]["url"] for one in asked if one["method"] == "Network.requestWillBeSent"]
    assert not faults and not [url for url in urls if not url.startswith(("file:", "data:", "chrome:"))]


def test_values_are_plain_and_name_every_image(cached):
    values = as_values(audit(open_caches([cached], [])))
    json.dumps(values, allow_nan=False)
    assert {one["split"] for one in values["map"]["images"]} == {"train", "val"}
