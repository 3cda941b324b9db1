"""The feature cache: what is read is what the backbone gave, and what does not fit is refused by name."""

from __future__ import annotations

import gc
import os
import pickle
import shutil
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from argus_core.backbones.live import LiveSource
from argus_core.cache import Cache, CacheSource, CacheSpec, estimate, fingerprint, info, verify, write_cache
from argus_core.cache.shard import Scratch
from argus_core.cache.writer import batch_size
from argus_core.canvas import Canvas
from argus_core.errors import ArgusError
from argus_core.tokens import Needs
from cache_fakes import LAYERS, SPEC, FakeBackbone, FakeSplit

ITEMS = [(4, "id"), (0, "hflip"), (10, "id"), (4, "hflip"), (7, "id")]


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def write(path, split=None, spec=SPEC, backbone=None, **options):
    options = {"batch": 2, "shard_bytes": 30_000, **options}
    split = FakeSplit() if split is None else split
    write_cache(path, backbone or FakeBackbone(), split, spec, **options)
    return Cache.open(path)


def live(spec=SPEC, split=None, backbone=None):
    return LiveSource(backbone or FakeBackbone(), split or FakeSplit(), spec.canvas, spec.needs, spec.views)


def assert_same(a, b):
    assert torch.equal(a.extent, b.extent) and a.size == b.size and a.info == b.info
    for left, right in ((a.maps, b.maps), (a.prefix, b.prefix)):
        assert left.keys() == right.keys()
        for layer in left:
            assert left[layer].dtype == right[layer].dtype
            # Of the tokens before the patches a cache holds the first alone.
            same = right[layer] if left is a.maps else right[layer][:, :1]
            assert torch.equal(left[layer], same), layer


@pytest.fixture(scope="module")
def cached(tmp_path_factory):
    """One float16 cache of several shards, not to be changed."""
    return write(tmp_path_factory.mktemp("cache") / "c")


@pytest.mark.parametrize("fit", ["letterbox", "stretch", "crop"])
def test_fp32_cache_equals_live_bit_for_bit(tmp_path, fit):
    spec = replace(SPEC, dtype="fp32", canvas=Canvas(64, 48, fit))
    source, direct = CacheSource(write(tmp_path, spec=spec)), live(spec)
    assert len(source) == len(direct) == 11
    for first in range(0, 11, 2):
        items = [(i, view) for i in range(first, min(first + 2, 11)) for view in spec.views]
        tokens, expected = source.read(items).tokens, direct.read(items).tokens
        assert_same(tokens, expected)
        for layer in LAYERS:
            assert tokens.maps[layer].is_contiguous(memory_format=torch.channels_last)
        needs = Needs(LAYERS, cls=True)
        for a, b in zip(tokens.features(needs).maps, expected.features(needs).maps, strict=True):
            assert torch.equal(a, b)
        assert source.read(items).placements == list(direct.read(items).placements)


@pytest.mark.parametrize(("dtype", "relative"), [("fp16", 2**-11), ("bf16", 2**-8), ("int8", None)])
def test_error_of_each_number_format_is_bounded(tmp_path, dtype, relative):
    tokens = CacheSource(write(tmp_path, spec=replace(SPEC, dtype=dtype))).read(ITEMS).tokens
    exact = live().read(ITEMS).tokens
    pairs = [(tokens.maps[n].float().movedim(1, -1), exact.maps[n].movedim(1, -1)) for n in LAYERS]
    pairs += [(tokens.prefix[n].float(), exact.prefix[n][:, :1]) for n in LAYERS]
    worst = 0.0
    for got, true in pairs:
        bound = true.abs().amax(-1, keepdim=True) / 254 if relative is None else true.abs() * relative
        assert ((got - true).abs() <= bound * 1.001 + 2**-24).all()
        worst = max(worst, float((got - true).abs().max()))
    assert worst > 0  # it is not float32 by mistake


def test_only_cells_with_image_are_stored(cached):
    tensors = [load_file(file) for file in sorted(cached.path.glob("shards/*.safetensors"))]
    assert len(tensors) == len(cached.manifest.shards) > 1
    extents = [extent_of(i) for i in range(11)]
    for layer, stride in ((1, 8), (3, 16)):
        cells = sum(-(-h // stride) * -(-w // stride) for h, w in extents) * 2
        assert sum(len(t[f"maps.{layer}"]) for t in tensors) == cells < 11 * 2 * (64 // stride) ** 2


def extent_of(index):
    return SPEC.canvas.place(*FakeSplit().read(index).shape[:2]).extent


def test_estimate_is_the_size_of_the_stored_tensors(tmp_path):
    for dtype in ("fp16", "int8"):
        spec = replace(SPEC, dtype=dtype)
        write(tmp_path / dtype, spec=spec)
        tensors = [t for f in (tmp_path / dtype).rglob("0*.safetensors") for t in load_file(f).values()]
        assert estimate(FakeSplit(), FakeBackbone().info, spec) == sum(t.nbytes for t in tensors)


def test_a_view_is_a_true_pass_over_the_mirrored_image(cached):
    class Mirrored(FakeSplit):
        def read(self, index):
            return super().read(index)[:, ::-1].copy()

    mirrored = live(split=Mirrored()).read([(i, "id") for i in range(11)]).tokens
    tokens = CacheSource(cached).read([(i, "hflip") for i in range(11)]).tokens
    for layer in LAYERS:
        assert torch.allclose(tokens.maps[layer].float(), mirrored.maps[layer], rtol=1e-3, atol=1e-4)
        upright = live().read([(i, "id") for i in range(11)]).tokens.maps[layer]
        assert not torch.allclose(tokens.maps[layer].float(), upright)


@pytest.mark.parametrize("needs", [Needs((2,)), Needs((0, -1), maps=False, cls=True), Needs((-1,), cls=True)])
def test_any_set_of_taps(tmp_path, needs):
    spec = CacheSpec(Canvas(64), needs, dtype="fp32")
    tokens = CacheSource(write(tmp_path, spec=spec)).read([(2, "id"), (3, "id")]).tokens
    assert_same(tokens, live(spec).read([(2, "id"), (3, "id")]).tokens)


@pytest.mark.parametrize("dtype", ["fp16", "int8"])
def test_positional_reads_give_what_the_map_gives(tmp_path, dtype):
    cache = write(tmp_path, spec=replace(SPEC, dtype=dtype))
    mapped, positional = (CacheSource(cache, positional=choice) for choice in (False, True))
    assert CacheSource(cache).positional is False
    for items in (ITEMS, ITEMS[:1], [(i, "id") for i in range(11)]):
        assert_same(positional.read(items).tokens, mapped.read(items).tokens)


def test_reuse_overwrites_the_last_batch_with_the_right_next_one(cached):
    fresh, reusing = CacheSource(cached), CacheSource(cached, reuse=True)
    first = reusing.read(ITEMS).tokens
    kept = fresh.read(ITEMS).tokens
    assert_same(first, kept)
    for items in ([(9, "id"), (1, "id")], ITEMS[::-1], ITEMS * 2):
        assert_same(reusing.read(items).tokens, fresh.read(items).tokens)
    again = reusing.read(ITEMS).tokens
    assert reusing.read(ITEMS[::-1]).tokens.maps[1].data_ptr() == again.maps[1].data_ptr()
    assert_same(fresh.read(ITEMS).tokens, kept)


# In a process of its own: forking one that runs the threads of other tests' libraries can end or hang it.
@pytest.mark.slow
@pytest.mark.parametrize("positional", [False, True])
def test_data_loader_workers(cached, positional, tmp_path, python):
    source = CacheSource(cached, reuse=True, positional=positional)
    source.read(ITEMS)  # opened before the fork
    content = pickle.dumps(source)
    assert_same(pickle.loads(content).read(ITEMS).tokens, CacheSource(cached).read(ITEMS).tokens)
    (tmp_path / "source").write_bytes(content)
    done = python("-c", WORKERS, str(tmp_path / "source"))
    assert done.returncode == 0, done.stderr
    for index in range(len(source)):
        read = torch.load(tmp_path / f"{index}.pt", weights_only=True)
        tokens = CacheSource(cached).read([(index, "id"), (index, "hflip")]).tokens
        assert all(torch.equal(read[str(layer)], tokens.maps[layer]) for layer in tokens.maps)


WORKERS = """
import pathlib, pickle, sys
import torch
from torch.utils.data import DataLoader

class Batches:
    def __init__(self, source):
        self.source = source

    def __len__(self):
        return len(self.source)

    def __getitem__(self, index):
        return self.source.read([(index, "id"), (index, "hflip")]).tokens

file = pathlib.Path(sys.argv[1])
source = pickle.loads(file.read_bytes())
source.read([(0, "id")])  # opened before the fork
loader = DataLoader(Batches(source), batch_size=None, num_workers=2, multiprocessing_context="fork")
for index, tokens in enumerate(list(loader)):  # all held at once: a reused buffer would show
    torch.save({str(layer): x for layer, x in tokens.maps.items()}, file.with_name(f"{index}.pt"))
"""


def test_order_is_a_shuffle_that_stays_near(cached):
    source, step = CacheSource(cached), cached.manifest.layout["shard_images"]
    orders = [source.order(torch.Generator().manual_seed(seed), window=1) for seed in range(5)]
    assert all(sorted(order) == list(range(11)) for order in orders) and orders[0] != orders[1]
    assert (
        sum(a // step != b // step for a, b in zip(orders[0], orders[0][1:], strict=False))
        == len(cached.manifest.shards) - 1
    )


def changed(**attributes):
    backbone = FakeBackbone()
    for name, value in attributes.items():
        setattr(backbone, name, value)
    return backbone


class Renamed(FakeSplit):
    def key(self, index):
        return super().key(index) + ("b" if index == 5 else "")


PLAIN = CacheSpec(Canvas(64), Needs(LAYERS))
CHANGES = {
    "backbone": {"backbone": changed(name="other")},
    "weights": {"backbone": changed(weights_sha256="other")},
    "precision": {"backbone": changed(precision="auto")},
    "norm": {"backbone": changed(norm=replace(FakeBackbone().norm, eps=1e-6))},
    "mean": {"backbone": changed(mean=(0.4, 0.5, 0.61))},
    "std": {"backbone": changed(std=(0.2, 0.25, 0.31))},
    "height": {"spec": replace(PLAIN, canvas=Canvas(80, 64))},
    "width": {"spec": replace(PLAIN, canvas=Canvas(64, 80))},
    "fit": {"spec": replace(PLAIN, canvas=Canvas(64, fit="crop"))},
    "interpolation": {"spec": replace(PLAIN, canvas=Canvas(64, interpolation="bicubic"))},
    "layers": {"spec": replace(PLAIN, needs=Needs((0, 3)))},
    "cls": {"spec": replace(PLAIN, needs=Needs(LAYERS, cls=True))},
    "views": {"spec": replace(PLAIN, views=("id", "hflip"))},
    "dtype": {"spec": replace(PLAIN, dtype="bf16")},
    "images": {"split": FakeSplit(12)},
    "keys": {"split": Renamed()},
}


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return write(tmp_path_factory.mktemp("cache") / "plain", spec=PLAIN)


@pytest.mark.parametrize("field", CHANGES)
def test_a_change_of_one_field_is_refused_by_its_name(plain, field):
    parts = {"backbone": FakeBackbone(), "split": FakeSplit(), "spec": PLAIN, **CHANGES[field]}
    same = fingerprint(FakeBackbone(), FakeSplit(), PLAIN)
    expect = fingerprint(**parts)
    assert next(name for name in same if same[name] != expect[name]) == field
    Cache.open(plain.path, same)
    with pytest.raises(ArgusError, match=rf"its {field} is .*, this run's is .*make {field} agree"):
        Cache.open(plain.path, expect)
    with pytest.raises(ArgusError, match=rf"its {field} is "):
        write(plain.path, **parts)


def test_a_change_of_format_batch_or_field_name_is_refused(plain, monkeypatch):
    with pytest.raises(ArgusError, match="its batch is 2, this run's is 3"):
        write(plain.path, spec=PLAIN, batch=3)
    with pytest.raises(ArgusError, match="unknown fingerprint field 'weigths'; did you mean 'weights'"):
        Cache.open(plain.path, {"weigths": ""})
    monkeypatch.setattr("argus_core.cache.manifest.READABLE", (4, 5))
    with pytest.raises(ArgusError, match=r"is of format 3, this version of Argus reads 4 and 5; use the version"):
        Cache.open(plain.path)


def test_a_begun_cache_keeps_its_batch_on_any_device(plain, tmp_path):
    cpu, gpu = torch.device("cpu"), torch.device("cuda")
    assert batch_size([plain.path], cpu) == batch_size([tmp_path, plain.path], gpu) == 2
    assert batch_size([tmp_path], cpu) < batch_size([tmp_path], gpu)


def test_a_cache_with_more_taps_and_views_serves_a_run_that_wants_fewer(cached):
    spec = CacheSpec(Canvas(64), Needs((-1,)))
    Cache.open(cached.path, fingerprint(FakeBackbone(), FakeSplit(), spec))


def test_changed_image_bytes_are_found_and_named(cached):
    cached.check_images(FakeSplit())
    cached.check_images(FakeSplit(restamped=[3]))  # copied, but the same bytes
    for damage in ({"edits": {3: 1}}, {"bad": [3]}):
        with pytest.raises(ArgusError, match="'image-003' has changed since"):
            cached.check_images(FakeSplit(**damage))
        with pytest.raises(ArgusError, match="'image-003' has changed since"):
            write(cached.path, FakeSplit(**damage))
    with pytest.raises(ArgusError, match="its images is 11, this run's is 10"):
        cached.check_images(FakeSplit(10))
    with pytest.raises(ArgusError, match=r"'image-005'.*'image-005b'"):
        cached.check_images(Renamed())


def test_the_id_covers_image_bytes(cached, tmp_path):
    assert write(tmp_path / "same").id == cached.id
    assert write(tmp_path / "other", FakeSplit(edits={3: 1})).id != cached.id


def test_an_unreadable_image_stops_the_run_and_can_be_skipped(tmp_path):
    split = FakeSplit(bad=[0, 8])
    with pytest.raises(ArgusError, match=r"somewhere/image-000\.jpg: truncated"):
        write(tmp_path, split)
    spec = replace(SPEC, dtype="fp32")
    cache = write(tmp_path / "skip", split, spec, skip_bad=True)
    assert cache.skipped == {i: f"somewhere/image-00{i}.jpg: truncated" for i in (0, 8)}
    assert info(cache.path)["skipped"] == {f"image-00{i}": f"somewhere/image-00{i}.jpg: truncated" for i in (0, 8)}
    source = CacheSource(cache)
    rest = [i for i in range(11) if i not in (0, 8)]
    assert sorted(source.order(torch.Generator())) == rest
    for index in rest:
        tokens, expected = (s.read([(index, "hflip")]).tokens for s in (source, live(spec)))
        assert torch.allclose(tokens.maps[3], expected.maps[3], atol=1e-5)
    for ask in (source.read, lambda items: source.placement(items[0])):
        with pytest.raises(ArgusError, match="image 8 was skipped"):
            ask([(8, "id")])


def test_a_shard_of_skipped_images_alone(tmp_path):
    cache = write(tmp_path, FakeSplit(bad=[0, 1, 2]), skip_bad=True, batch=1, shard_bytes=1)
    assert len(cache.manifest.shards) == 11 and verify(tmp_path) == []
    assert len(CacheSource(cache).read([(3, "id")]).tokens) == 1


def test_values_that_do_not_fit_are_named(tmp_path):
    with pytest.raises(ArgusError, match=r"image 'image-00\d', layer 1: a value of .* does not fit fp16; .*bf16"):
        write(tmp_path / "a", backbone=FakeBackbone(gain=1e6))
    write(tmp_path / "b", backbone=FakeBackbone(gain=1e6), spec=replace(SPEC, dtype="bf16"))

    class Broken(FakeBackbone):
        def encode(self, canvases, extent, needs, tiles=None):
            tokens = super().encode(canvases, extent, needs)
            if torch.equal(extent[2], torch.tensor(extent_of(5))):  # third pass of images 4 and 5
                tokens.maps[3][2, 1, 0, 0] = torch.nan
            return tokens

    for dtype in ("fp32", "int8"):
        with pytest.raises(ArgusError, match="NaN or infinity for image 'image-005' at layer 3"):
            write(tmp_path / dtype, backbone=Broken(), spec=replace(SPEC, dtype=dtype))


def test_a_disk_too_small_is_refused_with_both_numbers(tmp_path, monkeypatch):
    needed = estimate(FakeSplit(), FakeBackbone().info, SPEC)
    usage = shutil.disk_usage(tmp_path)
    for free, fits in ((needed * 1.14, False), (needed * 1.16, True)):
        monkeypatch.setattr(shutil, "disk_usage", lambda path, free=free: usage._replace(free=int(free)))
        if fits:
            write(tmp_path)
        else:
            with pytest.raises(ArgusError, match=r"has 0\.00 GB free; about 0\.00 GB are needed"):
                write(tmp_path)
            assert not list(tmp_path.rglob("0*"))


def test_progress_and_info(tmp_path):
    seen = []
    cache = write(tmp_path, report=lambda *numbers: seen.append(numbers))
    assert [done for done, *_ in seen] == [2, 4, 6, 8, 10, 11]
    assert all(total == 11 and rate > 0 for _, total, rate, _ in seen) and seen[-1][3] == 0
    described = info(tmp_path)
    assert described["shards_done"] == described["shards"] == len(cache.manifest.shards)
    assert described["images_done"] == 11 and described["license"]["id"] == "apache-2.0"
    assert described["bytes"] == sum(f.stat().st_size for f in tmp_path.rglob("0*.safetensors"))


def test_wrong_questions_get_answers(cached, tmp_path):
    source = CacheSource(cached)
    with pytest.raises(ArgusError, match="unknown cached view 'flip'"):
        source.read([(0, "flip")])
    with pytest.raises(IndexError):
        source.read([(11, "id")])
    with pytest.raises(ArgusError, match=r"lack the maps of layers \[0\]"):
        source.read(ITEMS).tokens.features(Needs((0,)))
    with pytest.raises(ArgusError, match="is this an Argus feature cache"):
        Cache.open(tmp_path)
    for broken in ({"dtype": "fp8"}, {"views": ()}, {"views": ("id", "id")}, {"views": ("vflip",)}):
        with pytest.raises(ArgusError):
            replace(SPEC, **broken)
    with pytest.raises(ArgusError, match="no images"):
        write(tmp_path / "none", FakeSplit(0))


def blocks():
    """Bytes of all scratch memory in this process."""
    gc.collect()
    return sum(block.nbytes for one in gc.get_objects() if type(one) is Scratch for block in one._blocks.values())


def test_positional_reads_take_the_memory_of_one_shard_however_many_there_are(tmp_path):
    cache = write(tmp_path, FakeSplit(40), batch=1, shard_bytes=1)
    before, source = blocks(), CacheSource(cache, reuse=True, positional=True)
    for index in range(40):
        source.read([(index, "id")])
    largest = sum(
        tensor.nbytes for tensor in load_file(max(tmp_path.rglob("0*.safetensors"), key=os.path.getsize)).values()
    )
    assert len(cache.manifest.shards) == 40 and 0 < blocks() - before <= largest


CLS = replace(SPEC, needs=Needs(LAYERS, maps=False, cls=True))


def test_of_the_tokens_before_the_patches_only_cls_is_stored(tmp_path):
    write(tmp_path, spec=CLS)
    tensors = [load_file(file) for file in sorted(tmp_path.glob("shards/*.safetensors"))]
    assert FakeBackbone().info.prefix == 2  # that is what the backbone gives
    assert sum(one["prefix.1"].nbytes for one in tensors) == 11 * 2 * 12 * 2  # images, views, channels, bytes
    assert estimate(FakeSplit(), FakeBackbone().info, CLS) == sum(t.nbytes for one in tensors for t in one.values())


def test_a_cache_of_the_format_before_is_read_and_finished(tmp_path, monkeypatch):
    monkeypatch.setattr("argus_core.cache.writer.FORMAT", 2)
    cache = write(tmp_path, spec=CLS, shard_bytes=300)
    assert cache.manifest.fingerprint["format"] == 2 and len(cache.manifest.shards) > 2
    whole = {file: file.read_bytes() for file in tmp_path.rglob("*.*")}
    monkeypatch.undo()
    for file in sorted(whole)[-2:]:
        file.unlink()
    again = write(tmp_path, spec=CLS, shard_bytes=300)
    assert {file: file.read_bytes() for file in tmp_path.rglob("*.*")} == whole
    Cache.open(tmp_path, fingerprint(FakeBackbone(), FakeSplit(), CLS))
    tokens, newer = (CacheSource(one).read(ITEMS).tokens for one in (again, write(tmp_path / "new", spec=CLS)))
    assert tokens.prefix[3].shape == (5, 2, 20) and newer.prefix[3].shape == (5, 1, 20)
    assert torch.equal(tokens.prefix[3][:, :1], newer.prefix[3])


def test_only_what_is_needed_is_read(cached):
    source = CacheSource(cached, needs=Needs((-1,), maps=False, cls=True))
    tokens, whole = source.read(ITEMS).tokens, CacheSource(cached).read(ITEMS).tokens
    assert not tokens.maps and list(tokens.prefix) == [3] and torch.equal(tokens.prefix[3], whole.prefix[3])
    with pytest.raises(ArgusError, match=r"its layers is \[1, 3\]"):
        CacheSource(cached, needs=Needs((0,)))
