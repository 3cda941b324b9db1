"""Depth maps on disk, NYU Depth V2's lists, and the protocols that score it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from argus_core.data.check import check_split
from argus_core.errors import ArgusError
from argus_core.protocols import find_protocol
from argus_core.tasks.depth import Depth, DepthMaps
from argus_data.files.images import ImageFile, ImageSplit
from argus_data.folders.nyu import open_nyu
from argus_data.layers.depth_maps import DepthLayer

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data"
MILLIMETRES = np.array([[0, 1, 1000], [2500, 65535, 10]], dtype=np.uint16)


def save(path, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, values) if path.suffix == ".npy" else Image.fromarray(values).save(path)
    return path


def picture(path, seed=0):
    return save(path, np.random.default_rng(seed).integers(0, 256, (2, 3, 3), dtype=np.uint8))


@pytest.mark.parametrize("suffix", [".png", ".tif", ".tiff", ".npy"])
def test_whole_numbers_are_scaled(tmp_path, suffix):
    layer = DepthLayer([save(tmp_path / f"a{suffix}", MILLIMETRES)])
    truth = layer.truth(0)
    np.testing.assert_allclose(truth, MILLIMETRES / 1000, rtol=1e-6)
    assert truth.dtype == np.float32 and not truth.flags.writeable and layer.truth(0) is truth
    np.testing.assert_allclose(DepthLayer(layer.paths, 0.01).truth(0), MILLIMETRES / 100, rtol=1e-6)


@pytest.mark.parametrize(("suffix", "dtype"), [(".npy", "f4"), (".npy", "f8"), (".npy", "f2"), (".tif", "f4")])
def test_floats_are_metres_and_what_is_no_distance_unknown(tmp_path, suffix, dtype):
    values = np.array([[0, -1, np.nan], [np.inf, 2.5, 0.25]], dtype=dtype)
    layer = DepthLayer([save(tmp_path / f"a{suffix}", values)], scale=0.5)
    assert layer.truth(0).tolist() == [[0, 0, 0], [0, 2.5, 0.25]]
    assert layer.truth(0).dtype == np.float32


@pytest.mark.parametrize(
    ("name", "values", "said"),
    [
        ("a.png", np.zeros((2, 3), np.uint8), "8-bit L"),
        ("a.png", np.zeros((2, 3, 3), np.uint8), "8-bit RGB"),
        ("a.npy", np.zeros((2, 3, 1), np.float32), r"shape is \(2, 3, 1\)"),
        ("a.npy", np.zeros((2, 3), bool), "holds bool"),
        ("a.npy", np.zeros((2, 3), complex), "holds complex"),
        ("a.npy", np.array([[{}]], dtype=object), "cannot be read"),
    ],
)
def test_other_files_are_refused_by_name(tmp_path, name, values, said):
    path = save(tmp_path / name, values)
    with pytest.raises(ArgusError, match=f"{name}.*{said}"):
        DepthLayer([path]).truth(0)


@pytest.mark.parametrize("suffix", [".png", ".npy", ".tif"])
def test_broken_and_missing_files_are_refused_by_name(tmp_path, suffix):
    path = save(tmp_path / f"a{suffix}", MILLIMETRES)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(ArgusError, match=f"a{suffix}: cannot be read"):
        DepthLayer([path]).truth(0)
    path.unlink()
    layer = DepthLayer([path])
    with pytest.raises(ArgusError, match=f"a{suffix}: no such depth map"):
        layer.truth(0)
    assert [str(fault) for fault in layer.faults()] == [f"{path}: no such depth map"]


def test_the_digest_covers_bytes_scale_and_range(tmp_path):
    paths = [save(tmp_path / f"{n}.png", MILLIMETRES + n) for n in range(2)]
    layers = [
        DepthLayer(paths),
        DepthLayer(paths[::-1]),
        DepthLayer(paths, 0.002),
        DepthLayer(paths, high=80),
        DepthLayer(paths[:1]),
    ]
    assert len({layer.digest() for layer in layers}) == 5
    assert layers[3].task == Depth(high=80)
    before = layers[0].digest()
    assert DepthLayer(paths).digest() == before
    save(paths[0], MILLIMETRES + 7)
    assert DepthLayer(paths).digest() != before


@pytest.mark.parametrize("scale", [0, -1, float("nan"), float("inf")])
def test_a_scale_is_a_number_of_metres(scale):
    with pytest.raises(ArgusError, match="scale"):
        DepthLayer([], scale)


def test_the_check_of_a_data_set_says_what_is_wrong(tmp_path):
    sizes = {"good": (2, 3), "turned": (3, 2), "grey": (2, 3)}
    files = [ImageFile(name, picture(tmp_path / f"{name}.jpg", n)) for n, name in enumerate(sizes)]
    for name, size in sizes.items():
        save(tmp_path / f"{name}.png", np.full(size, 200, np.uint8 if name == "grey" else np.uint16))
    layer = DepthLayer([tmp_path / f"{file.key}.png" for file in files])
    report = check_split(ImageSplit("train", files, [layer]))
    said = [str(fault) for fault in report.faults]
    assert len(said) == 2 and "turned: it is 3x2" in said[0] and "8-bit" in said[1]
    report = check_split(ImageSplit("train", files[:1], [DepthLayer(layer.paths[:1], scale=10)]))
    assert "millimetres" in str(report.faults[0])


def nyu(root, train=("", ""), test=("", ""), slash="/"):
    """A data set of three training images, one of them without depth, and two test images."""
    lines = {"nyu_train.txt": [], "nyu_test.txt": []}
    for n in range(3):
        picture(root / train[0] / f"kitchen_0001/rgb_{n}.jpg", n)
        save(root / train[0] / f"kitchen_0001/sync_depth_{n}.png", MILLIMETRES + n)
        depth = "None" if n == 1 else f"{slash}{train[1]}kitchen_0001/sync_depth_{n}.png"
        lines["nyu_train.txt"].append(f"{slash}{train[1]}kitchen_0001/rgb_{n}.jpg {depth} 518.8579")
    for n in range(2):
        picture(root / test[0] / f"bathroom/rgb_{n}.jpg", 9 + n)
        save(root / test[0] / f"bathroom/sync_depth_{n}.png", MILLIMETRES + 9 + n)
        lines["nyu_test.txt"].append(f"{test[1]}bathroom/rgb_{n}.jpg {test[1]}bathroom/sync_depth_{n}.png 518.8579")
    for name, text in lines.items():
        (root / name).write_text("\n".join(text) + "\n\n")
    return root


@pytest.mark.parametrize(
    ("train", "test"),
    [
        (("", ""), ("", "")),
        (("sync", ""), ("official_splits/test", "")),
        (("sync", "sync/"), ("test", "test/")),
        (("train", ""), ("test", "")),
    ],
)
def test_nyu_is_read_in_every_layout(tmp_path, train, test):
    data = open_nyu(nyu(tmp_path, train, test))
    assert list(data) == ["train", "val"] and [len(split) for split in data.values()] == [2, 2]
    split = data["train"]
    assert split.key(1) == f"{train[1]}kitchen_0001/rgb_2.jpg" and split.read(1).shape == (2, 3, 3)
    np.testing.assert_allclose(split.truth(1, "depth"), (MILLIMETRES + 2) / 1000, rtol=1e-6)
    assert split.tasks == {"depth": Depth(low=0.001, high=10.0)}
    assert [str(fault) for fault in split.faults()] == [
        f"nyu_train.txt, line 2: {train[1]}kitchen_0001/rgb_1.jpg has no depth (left out)"
    ]
    assert not data["val"].faults()


def test_nyu_may_be_cut_short_and_lack_a_list(tmp_path):
    nyu(tmp_path)
    assert [len(split) for split in open_nyu(tmp_path, limit=1).values()] == [1, 1]
    (tmp_path / "nyu_train.txt").unlink()
    assert list(open_nyu(str(tmp_path))) == ["val"]
    (tmp_path / "nyu_test.txt").rename(tmp_path / "nyudepthv2_test_files_with_gt.txt")
    assert list(open_nyu(tmp_path)) == ["val"]


def test_broken_lists_are_refused(tmp_path):
    with pytest.raises(ArgusError, match=r"nyu_train.txt, nyudepthv2_train"):
        open_nyu(tmp_path)
    file = nyu(tmp_path) / "nyu_train.txt"
    with pytest.raises(ArgusError, match="limit=-1"):
        open_nyu(tmp_path, limit=-1)
    good = file.read_text()
    for text, said in (
        (good.replace(" ", ","), "line 1"),
        (good + good, "line 5: .* already in line 1"),
        ("a.jpg None 518\n", "no image with depth"),
        (good.replace("kitchen", "cellar"), "first image of .* is not there; looked for .*sync"),
    ):
        file.write_text(text)
        with pytest.raises(ArgusError, match=said):
            open_nyu(tmp_path)


def test_protocols_score_a_task_and_explain_themselves():
    eigen, card = (find_protocol(name) for name in ("nyu-eigen-flip-1", "nyu-416-1"))
    assert eigen.views == ("id", "hflip") and eigen.canvas.size == (480, 640) and card.canvas.size == (416, 416)
    for protocol, name in ((eigen, "depth-image-eigen-1"), (card, "depth-image-1")):
        assert protocol.task == "depth" and Depth().metric(**protocol.metric).protocol == name
        assert all(isinstance(value, str) and value for value in protocol.explain().values())
        assert any("eval mode" in note or "chosen here" in note for note in protocol.notes)


def test_averaging_mirrored_passes_is_averaging_cells_and_enlarging():
    """As the published evaluation does it, whose canvas is the image."""
    places = find_protocol("nyu-eigen-flip-1").passes.passes(480, 640)
    upright, mirrored = 1 + 8 * torch.rand(2, 30, 40, generator=torch.Generator().manual_seed(0))
    maps = [DepthMaps(cells, torch.ones_like(cells), 16) for cells in (upright, mirrored)]
    found = Depth().merge(maps, places).depth
    mean = (upright + mirrored.flip(1)) / 2
    wanted = F.interpolate(mean[None, None], (480, 640), mode="bilinear", align_corners=False)[0, 0]
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)


def test_the_small_nyu_is_sound():
    if not (SHARED / "nyuv2").is_dir():
        pytest.skip("the small data sets are not here")
    paths = sorted((SHARED / "nyuv2" / "depth" / "val").iterdir())[:5]
    layer = DepthLayer(paths)
    truths = [layer.truth(n) for n in range(5)]
    assert all(layer.task.fault(truth, (256, 336)) == "" for truth in truths)
    found = layer.task.summary(truths)
    assert found["known_share"] == 1 and 0.5 < found["depth_min_m"] < found["depth_max_m"] < 10
