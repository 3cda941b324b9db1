"""``arena cache --plan``: its bytes are those that are written, it leaves nothing, and says what to do."""

from __future__ import annotations

import json
import re
import shlex

import pytest
from PIL import Image
from safetensors.torch import load_file

from argus_arena.requests import CacheRequest
from argus_arena.requests.command import command_line
from argus_arena.tools import cache_rates
from argus_arena.tools.cache_forecast import Forecast, Machine, Work, recommend
from argus_arena.tools.cache_rates import DiskRates, DtypeSeconds, PassSeconds
from argus_core.cache import CacheSpec
from argus_core.canvas import Canvas
from argus_core.tokens import Needs
from cache_fakes import FakeBackbone, FakeSplit

SPEC = "scenes:images=12,val=5,size=64"
CACHE = f"cache --data {SPEC} --backbone tiny --canvas 64x96 --layers 3,11 --cls --views id,hflip --batch 4"


@pytest.fixture(autouse=True)
def quickly(monkeypatch):
    monkeypatch.setattr(cache_rates, "SECONDS", 0.05)
    monkeypatch.setattr(cache_rates, "READ_SECONDS", 0.005)
    monkeypatch.setattr("argus_arena.tools.cache_plan.FILE_BYTES", 1 << 20)


def tree(path):
    return {str(file.relative_to(path)): file.read_bytes() for file in path.rglob("*") if file.is_file()}


def written(folder):
    """Bytes of all stored tensors of a folder of caches."""
    shards = [*folder.glob("*/shards/*.safetensors"), *folder.glob("*/basis.*.safetensors")]
    return sum(tensor.nbytes for file in shards for tensor in load_file(file).values())


def plan(arena, out, *more):
    code, said, err = arena(f"{CACHE} --out {out} --plan --json {' '.join(more)}")
    assert code == 0, err
    return json.loads(said)


def test_the_bytes_of_a_plan_are_those_that_are_then_written(arena, tmp_path):
    forecasts = plan(arena, tmp_path / "c", "--dtype", "pca-20")["forecasts"]
    assert [each["dtype"] for each in forecasts] == ["pca-20", "fp16", "int8", "int4", "pca-48-int8"]
    assert not list(tmp_path.iterdir())
    for each in forecasts:
        out = tmp_path / each["dtype"]
        assert arena(f"{CACHE} --out {out} --dtype {each['dtype']}")[0] == 0
        assert written(out) == each["bytes"] and each["bytes_per_image"] == each["bytes"] / 17
        assert each["cache_seconds"] > 0 and each["epoch_seconds"] > 0


def test_a_plan_says_what_to_type_and_that_works(arena, tmp_path):
    code, said, err = arena(f"{CACHE} --out {tmp_path / 'c'} --plan")
    assert code == 0, err
    assert "12 images of train, 5 images of val on 64x96 letterbox" in said and "a file of 1.05 MB" in said
    assert len(re.findall(r"^ ?(?:fp16|int8|int4|pca-48-int8) .* (?:memory|the disk|nothing here) *$", said, re.M)) == 4
    assert re.search(r"a pass of tiny on cpu: [\d.]+ m?s live, [\d.]+ m?s in caching", said)
    (told,) = [line for line in said.splitlines() if line.startswith("next: ") or "no cache: " in line]
    if told.startswith("next: "):  # on a machine that happens to stall, it may find that reading does not pay
        words = shlex.split(told.removeprefix("next: "))
        assert words[:2] == ["arena", "cache"] and arena(shlex.join(words[1:]))[0] == 0
        assert (tmp_path / "c/val/index.json").is_file()


def test_a_plan_leaves_an_existing_cache_as_it_is(arena, tmp_path):
    assert arena(f"{CACHE} --out {tmp_path}")[0] == 0
    before = tree(tmp_path)
    plan(arena, tmp_path)
    assert tree(tmp_path) == before and not [file for file in tmp_path.iterdir() if file.name.startswith(".")]


def test_nothing_is_left_of_a_plan_that_fails(arena, tmp_path, monkeypatch):
    def broken(*_):
        raise OSError("the disk is gone")

    monkeypatch.setattr("argus_arena.tools.cache_plan.measure_passes", broken)
    assert arena(f"{CACHE} --out {tmp_path / 'c'} --plan")[0] != 0
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("--dtype pca-641", "pca-641: the layers 3,11 have at most"),
        ("--dtype pca-0", "is not pca-K or pca-K-int8"),
        ("--engine slurm", "leave out --engine"),
        ("--canvas 60", "does not divide into 16 px cells"),
        ("--layers 99", "layer 99 does not exist"),
    ],
)
def test_what_cannot_be_cached_is_told(arena, tmp_path, more, said):
    code, _, err = arena(f"{CACHE} --out {tmp_path / 'c'} --plan {more}")
    assert code == 2 and said in err and not list(tmp_path.iterdir())


def test_an_address_another_folder_and_json_alone_are_refused(arena, tmp_path):
    code, _, err = arena(f"{CACHE} --out memory://bucket/c --plan")
    assert code == 2 and "memory://bucket/c is an address, and a plan measures a disk of this machine" in err
    (tmp_path / "mine.txt").touch()
    code, _, err = arena(f"{CACHE} --out {tmp_path} --plan")
    assert code == 2 and "is not empty and holds no caches" in err and (tmp_path / "mine.txt").exists()
    code, _, err = arena(f"{CACHE} --out {tmp_path / 'c'} --json")
    assert code == 2 and "--json is for --plan" in err
    code, _, err = arena(f"{CACHE} --out {tmp_path / 'c'} --plan --seal")
    assert code == 2 and "give one of them" in err


@pytest.fixture
def photographs(tmp_path):
    """A folder of images in which one in three cannot be read."""
    for number in range(9):
        folder = tmp_path / f"set/{'train' if number < 6 else 'val'}/{'ab'[number % 2]}"
        folder.mkdir(parents=True, exist_ok=True)
        if number % 3:
            Image.new("RGB", (40 + number, 32), (number, 90, 30)).save(folder / f"{number}.png")
        else:
            (folder / f"{number}.png").write_bytes(b"\x89PNG\r\n\x1a\n but no more")
    return tmp_path / "set"


def test_unreadable_images_stop_a_plan_or_are_left_out(arena, tmp_path, photographs):
    command = f"cache --data folder:{photographs} --backbone tiny --canvas 64 --plan --out {tmp_path / 'c'}"
    code, _, err = arena(f"{command} --accept-faults")
    assert code == 2 and ".png" in err
    code, said, err = arena(f"{command} --accept-faults --skip-bad --json")
    assert code == 0, err
    assert json.loads(said)["images"] == {"train": 6, "val": 3}
    for file in photographs.glob("*/*/*.png"):
        file.write_bytes(b"no image")
    code, _, err = arena(f"{command} --accept-faults --skip-bad")
    assert code == 2 and "none of the 6 images that were tried of train can be read" in err
    assert [entry.name for entry in tmp_path.iterdir()] == ["set"]


def test_a_split_without_images_is_told(arena, tmp_path):
    (tmp_path / "set/train/a").mkdir(parents=True)
    code, _, err = arena(f"cache --data folder:{tmp_path / 'set'} --backbone tiny --plan --out {tmp_path / 'c'}")
    assert code == 2 and "set" in err and not (tmp_path / "c").exists()


def forecast(dtype, **changes):
    values = {"bytes": 10, "bytes_per_image": 1.0, "fits_disk": True, "fits_memory": True}
    return Forecast(dtype, **{**values, "cache_seconds": 9.0, "epoch_seconds": 1.0, "break_even": 2, **changes})


def test_the_first_that_pays_and_fits_is_recommended():
    assert recommend([forecast("fp16"), forecast("int8")])[0] == "fp16"
    large = forecast("fp16", fits_memory=False)
    assert recommend([large, forecast("int8")]) == (
        "int8",
        "the first of these that fits into memory; it pays from epoch 2 on",
    )
    huge = forecast("fp16", fits_memory=False, fits_disk=False)
    assert recommend([huge, forecast("int8", fits_memory=False)])[0] == "int8"
    assert recommend([huge])[0] is None and "none of these fits onto the disk" in recommend([huge])[1]
    slow = forecast("fp16", break_even=None)
    assert recommend([slow])[0] is None and "reading is no faster here" in recommend([slow])[1]


def test_seconds_are_those_of_passes_of_the_sample_and_of_the_disk():
    info = FakeBackbone().info
    spec = CacheSpec(Canvas(64), Needs((1, 3)), ("id", "hflip"))
    work = Work([FakeSplit(11), FakeSplit(4)], [spec, CacheSpec(Canvas(64), Needs((1, 3)))], info)
    assert work.passes == 26 and work.dtypes == ["fp16", "int8", "int4", "pca-10-int8"]
    disk, passes = DiskRates(1, 1e9, 2e9, False), PassSeconds(live=3.0, cached=2.0, images=8)
    own = DtypeSeconds(encode=0.5, read=0.25, fit=0.125, solve=7.0)
    machine = Machine(disk, passes, 10**9, 10**9)
    plain, components = (machine.forecast(work, dtype, own) for dtype in ("fp16", "pca-10-int8"))
    assert plain.cache_seconds == 26 * 2.5 and components.cache_seconds == 26 * 2.5 + 11 * 2.125 + 7
    assert plain.epoch_seconds == 11 * 0.25 and plain.break_even == 3  # 65 s against 33 s an epoch
    assert plain.fits_memory and plain.fits_disk
    slow = Machine(DiskRates(1, 10.0, 20.0, False), passes, plain.bytes, plain.bytes - 1).forecast(work, "fp16", own)
    assert slow.cache_seconds == plain.bytes / 10 and not slow.fits_memory and not slow.fits_disk
    assert slow.epoch_seconds == pytest.approx(11 * 0.25 + 11 * plain.bytes / 26 / 20)


def test_a_request_is_the_command_that_makes_it(tmp_path):
    request = CacheRequest(
        data="scenes:images=4",
        out=tmp_path / "a b",
        layers=(2, -1),
        maps=False,
        cls=True,
        dtype="pca-8",
        backbone_options={"mean": [0.5, 0.5, 0.5]},
    )
    words = shlex.split(command_line("arena cache", request))
    assert words[:2] == ["arena", "cache"] and words[words.index("--out") + 1] == str(tmp_path / "a b")
    assert (
        words[words.index("--layers") + 1] == "2,-1" and words[words.index("--backbone-set") + 1] == "mean=0.5,0.5,0.5"
    )
    assert "--no-maps" in words and "--cls" in words and "--canvas" not in words and "--views" not in words
