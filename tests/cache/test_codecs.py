"""Number formats of stored rows: how far they may be off, what they take, and names that mean none."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from argus_core.cache import Cache, CacheSource, CacheSpec, estimate, verify, write_cache
from argus_core.cache.codec import CODECS, GROUP
from argus_core.canvas import Canvas
from argus_core.common.dtypes import DTYPES, parse_dtype
from argus_core.errors import ArgusError
from argus_core.tokens import Needs
from cache_fakes import LAYERS, SPEC, FakeBackbone, FakeSplit

WIDTHS = (1, 2, 7, GROUP - 1, GROUP, GROUP + 1, 77, 4 * GROUP)
ITEMS = [(4, "id"), (0, "hflip"), (10, "id"), (4, "hflip"), (7, "id")]


def rows_of_many_kinds(width, count=60):
    """Normal, all of one sign, far from zero, with outliers, constant, tiny, large and zero rows."""
    random = torch.Generator().manual_seed(width)
    plain = torch.randn(8, count, width, generator=random)
    plain[1] = plain[1].relu()
    plain[2] = plain[2] * 0.01 + 300
    plain[3, :, 0] *= 1000
    plain[4] = plain[4, :, :1].expand(-1, width)
    plain[5] *= 1e-6
    plain[6] *= 5000
    plain[7] = 0
    return plain.flatten(0, 1)


def decoded(codec, stored, shape):
    out = torch.full(shape, torch.nan, dtype=codec.dtype)
    view = out.view(torch.int16) if out.dtype is torch.bfloat16 else out
    parts = {key: (part.view(torch.int16) if part.dtype is torch.bfloat16 else part) for key, part in stored.items()}
    codec.decode(view.numpy(), lambda key: parts[key].numpy().reshape(*shape[:2], *parts[key].shape[1:]))
    return out.float()


@pytest.mark.parametrize("width", WIDTHS)
def test_int4_is_off_by_half_a_step_at_most(width):
    codec, rows = CODECS["int4"], rows_of_many_kinds(width)
    stored = codec.encode(rows)
    got = decoded(codec, stored, (8, len(rows) // 8, width)).flatten(0, 1)
    step, least = (stored[part].double().repeat_interleave(GROUP, dim=1)[:, :width] for part in ("step.", "least."))
    # Half a step, and what float32 cannot tell of a number as large as these.
    assert ((got - rows).abs() <= step * 0.5 + rows.abs() * 2**-22 + 2**-30).all()
    assert (least <= rows).all() and (rows <= least + 15 * step + rows.abs() * 2**-22).all()
    groups = [rows[:, first : first + GROUP] for first in range(0, width, GROUP)]
    ranges = torch.stack([group.amax(1) - group.amin(1) for group in groups], dim=1)
    rounding = rows.abs().amax(1, keepdim=True) * 2**-9
    assert (stored["step."].float() <= (ranges + rounding) / 15 * (1 + 2**-9) + 2**-22).all()


@pytest.mark.parametrize("name", DTYPES)
@pytest.mark.parametrize("width", (1, 33, 64))
def test_what_a_row_takes_is_what_is_announced(name, width):
    codec, rows = CODECS[name], rows_of_many_kinds(width)
    stored = codec.encode(rows)
    assert tuple(stored) == codec.parts and all(len(part) == len(rows) for part in stored.values())
    assert sum(part.nbytes for part in stored.values()) == codec.row_bytes(width) * len(rows)
    assert torch.isfinite(decoded(codec, stored, (4, len(rows) // 4, width))).all()


@pytest.mark.parametrize("name", DTYPES)
def test_a_row_that_is_not_finite_can_be_told_and_alone_is_harmed(name):
    codec, rows = CODECS[name], rows_of_many_kinds(40)
    broken = rows.clone()
    broken[3, 5], broken[7, 39], broken[11] = torch.nan, torch.inf, -torch.inf
    stored, right = codec.encode(broken), codec.encode(rows)
    finite = torch.stack([part.float().view(len(rows), -1).isfinite().all(1) for part in stored.values()]).all(0)
    assert (~finite).nonzero().flatten().tolist() == [3, 7, 11]
    for part in codec.parts:
        assert torch.equal(stored[part][finite], right[part][finite])


def test_int4_holds_a_channel_of_each_half_in_a_byte():
    codec = CODECS["int4"]
    stored = codec.encode(torch.arange(5.0)[None] * 3)  # levels 0, 3.75, 7.5, ... of fifteen
    assert stored["least."].tolist() == [[0]] and stored[""].shape == (1, 3)
    assert [int(x) & 15 for x in stored[""][0]] == [0, 4, 7] and [int(x) >> 4 for x in stored[""][0]] == [11, 15, 0]


def write(path, spec=SPEC, split=None, **options):
    write_cache(path, FakeBackbone(), split or FakeSplit(), spec, **{"batch": 2, "shard_bytes": 20_000, **options})
    return Cache.open(path)


@pytest.mark.parametrize("dtype", ["int4", "pca-5", "pca-5-int8", "pca-16"])
def test_a_cache_of_each_new_format_reads_alike_by_map_by_offset_and_again(tmp_path, dtype):
    spec = replace(SPEC, dtype=dtype)
    cache = write(tmp_path / "c", spec)
    mapped, positional = (CacheSource(cache, positional=choice) for choice in (False, True))
    reused = CacheSource(cache, reuse=2)
    for items in (ITEMS, ITEMS[:1], [(i, "id") for i in range(11)], ITEMS[::-1]):
        kept = mapped.read(items).tokens
        for source in (positional, reused):
            tokens = source.read(items).tokens
            for layer in LAYERS:
                assert torch.equal(tokens.maps[layer], kept.maps[layer])
                assert torch.equal(tokens.prefix[layer], kept.prefix[layer])
    for layer, stride in zip(LAYERS, (8, 16), strict=True):  # padding is zero, image is not
        for row, extent in zip(kept.maps[layer].abs().sum(1), kept.extent.tolist(), strict=True):
            rows, cols = (-(-side // stride) for side in extent)
            assert (row[:rows, :cols] > 0).all() and (row > 0).sum() == rows * cols
    tensors = [t for f in sorted(cache.path.rglob("0*.safetensors")) for t in load_file(f).values()]
    assert estimate(FakeSplit(), FakeBackbone().info, spec) == sum(t.nbytes for t in tensors)
    assert verify(cache.path) == [] and cache.manifest.spec.dtype == dtype


@pytest.mark.parametrize("dtype", ["int4", "pca-5"])
@pytest.mark.parametrize("needs", [Needs((3,)), Needs((1,), maps=False, cls=True), Needs((1, 3), cls=True)])
def test_a_part_of_what_is_stored_is_read_as_of_the_whole(tmp_path, dtype, needs):
    cache = write(tmp_path / "c", replace(SPEC, dtype=dtype))
    whole, part = CacheSource(cache).read(ITEMS).tokens, CacheSource(cache, needs=needs).read(ITEMS).tokens
    assert set(part.maps) == (set(needs.layers) if needs.maps else set())
    assert all(torch.equal(x, whole.maps[layer]) for layer, x in part.maps.items())
    assert all(torch.equal(x, whole.prefix[layer]) for layer, x in part.prefix.items())


@pytest.mark.parametrize("dtype", ["int4", "pca-4", "pca-4-int8"])
def test_cls_alone(tmp_path, dtype):
    spec = CacheSpec(Canvas(64), Needs((1, 3), maps=False, cls=True), dtype=dtype)
    cache = write(tmp_path / "c", spec)
    tokens = CacheSource(cache).read([(i, "id") for i in range(11)]).tokens
    exact = CacheSource(write(tmp_path / "exact", replace(spec, dtype="fp32"))).read([(i, "id") for i in range(11)])
    for layer in (1, 3):
        true = exact.tokens.prefix[layer]
        assert tokens.prefix[layer].shape == true.shape and not tokens.maps
        left = (tokens.prefix[layer] - true).square().sum() / (true - true.mean(0)).square().sum()
        assert 0 < left < 0.5


def test_values_that_do_not_fit_are_named(tmp_path):
    spec = replace(SPEC, dtype="int4")
    with pytest.raises(ArgusError, match=r"image 'image-00\d', layer 1: a value of .* does not fit int4; .*bf16"):
        write_cache(tmp_path, FakeBackbone(gain=1e6), FakeSplit(), spec)


def test_names_of_number_formats():
    assert parse_dtype("pca-64") == ("fp16", 64) and parse_dtype("pca-8-int8") == ("int8", 8)
    assert parse_dtype("pca-64").width(320) == 64 and parse_dtype("pca-64").width(40) == 40
    assert [parse_dtype(name).width(40) for name in DTYPES] == [40] * len(DTYPES)
    for text in ("pca", "pca-0", "pca-", "pca--4", "pca-64-int4", "pca-6.4", "pca64", "pca-064"):
        with pytest.raises(ArgusError, match=f"cache dtype '{text}' is not pca-K or pca-K-int8 .*such as pca-64"):
            parse_dtype(text)
    with pytest.raises(ArgusError, match="unknown cache dtype 'int5'; did you mean"):
        parse_dtype("int5")
    for dtype in ("pca-21", "pca-21-int8"):
        with pytest.raises(ArgusError, match=rf"{dtype}: the layers 1,3 have at most 20 channels; give that many"):
            replace(SPEC, dtype=dtype).resolve(FakeBackbone().info)
    assert replace(SPEC, dtype="pca-20").resolve(FakeBackbone().info).dtype == "pca-20"
