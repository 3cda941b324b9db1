"""Masks on disk: every kind of index image, renumbering, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from argus_core.errors import ArgusError
from argus_data.layers.masks import MaskLayer, read_mask
from mask_folders import SIZE, save_mask

CLASSES = ("wall", "floor", "bed")
LABELS = np.arange(SIZE[0] * SIZE[1]).reshape(SIZE) % 3


def test_grey_palette_and_wide_masks_are_indices(tmp_path):
    save_mask(tmp_path / "grey.png", LABELS.astype(np.uint8))
    indexed = Image.new("P", SIZE[::-1])
    indexed.putpalette([200, 30, 7, 9, 255, 1, 2, 3, 250])
    indexed.putdata(LABELS.ravel().tolist())
    indexed.save(tmp_path / "palette.png")
    save_mask(tmp_path / "wide.png", LABELS.astype(np.uint16) * 300)
    for name, factor in (("grey", 1), ("palette", 1), ("wide", 300)):
        found = read_mask(tmp_path / f"{name}.png")
        assert np.array_equal(found, LABELS * factor), name


def test_a_bilevel_mask_is_zero_and_one(tmp_path):
    Image.fromarray(LABELS.astype(bool)).save(tmp_path / "bits.png")
    found = read_mask(tmp_path / "bits.png")
    assert found.dtype == np.uint8 and np.array_equal(found, LABELS > 0)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA"])
def test_colours_are_refused(tmp_path, mode):
    path = save_mask(tmp_path / "mask.png", 1, mode)
    mend = "save it with one channel" if mode == "RGB" else "convert colours"
    with pytest.raises(ArgusError, match=f"mask.png.* this image is {mode}; {mend}"):
        read_mask(path)


def test_missing_and_broken_files_are_named(tmp_path):
    (tmp_path / "broken.png").write_bytes(b"no image")
    cut = save_mask(tmp_path / "cut.png", np.random.default_rng(0).integers(0, 3, (90, 90), dtype=np.uint8))
    cut.write_bytes(cut.read_bytes()[:200])
    layer = MaskLayer([tmp_path / "none.png", tmp_path / "broken.png", cut], CLASSES)
    for sample, words in enumerate((r"none\.png: no such mask", r"broken\.png: cannot be read", r"cut\.png: cannot")):
        with pytest.raises(ArgusError, match=words):
            layer.truth(sample)
    assert [str(fault) for fault in layer.faults()] == [f"{tmp_path / 'none.png'}: no such mask"]


def test_remap_gives_every_index_its_class(tmp_path):
    values = np.array([[0, 1, 2, 3, 4, 255]], np.uint8)
    path = save_mask(tmp_path / "mask.png", values)
    layer = MaskLayer([path], CLASSES, 255, [2, 2, 0, 255, 1])
    assert layer.truth(0).tolist() == [[2, 2, 0, 255, 1, 255]]
    assert layer.truth(0).dtype == np.uint8
    negative = MaskLayer([path], CLASSES, -1, [2, 2, 0, -1, 1, *[0] * 251])
    assert negative.truth(0).tolist() == [[2, 2, 0, -1, 1, 0]]
    with pytest.raises(ArgusError, match=r"mask\.png: labels \[4\] are beyond remap, which has 4"):
        MaskLayer([path], CLASSES, 255, [0, 1, 2, 0]).truth(0)
    with pytest.raises(ArgusError, match=r"remap leads to \[3, 7\]"):
        MaskLayer([path], CLASSES, 255, [0, 3, 7, 255])


def test_an_ignored_index_within_the_table_stays_ignored(tmp_path):
    path = save_mask(tmp_path / "mask.png", np.array([[0, 3, 4]], np.uint8))
    assert MaskLayer([path], CLASSES, 3, [1, 1, 1, 1, 2]).truth(0).tolist() == [[1, 3, 2]]


def test_labels_beyond_the_classes_are_the_task_s_to_judge(tmp_path):
    layer = MaskLayer([save_mask(tmp_path / "mask.png", 7)], CLASSES)
    assert layer.task.fault(layer.truth(0), SIZE) == "label 7 (192 pixels) is neither in 0..2 nor 255"


def test_masks_are_read_once_and_given_read_only(tmp_path):
    path = save_mask(tmp_path / "mask.png", 1)
    layer = MaskLayer([path], CLASSES)
    first = layer.truth(0)
    path.unlink()
    assert layer.truth(0) is first and not first.flags.writeable


def test_the_digest_tells_other_masks_classes_and_rules(tmp_path):
    one, two = save_mask(tmp_path / "1.png", 1), save_mask(tmp_path / "2.png", 2)
    layers = [
        MaskLayer([one, two], CLASSES),
        MaskLayer([two, one], CLASSES),
        MaskLayer([one], CLASSES),
        MaskLayer([one, tmp_path / "none.png"], CLASSES),
        MaskLayer([one, two], CLASSES[::-1]),
        MaskLayer([one, two], CLASSES, 254),
        MaskLayer([one, two], CLASSES, 255, [0, 1, 2]),
    ]
    assert len({layer.digest() for layer in layers}) == len(layers)
    assert MaskLayer([one, two], list(CLASSES)).digest() == layers[0].digest()
