"""Files of a folder: which are images, for data sets and commands alike, and what is passed over is counted."""

from __future__ import annotations

import json
import os
import unicodedata
import zlib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from argus_arena.requests import CacheRequest
from argus_arena.tools.cache import build_cache
from argus_arena.tools.cache import check_data as tell_data
from argus_core.cli.inputs import find_sources
from argus_core.errors import ArgusError
from argus_core.image import list_images, read_image
from argus_core.image.folder import Reason
from argus_data.folders.class_folders import open_folder
from argus_data.folders.image_folders import open_images
from argus_data.folders.imagenet import open_imagenet
from mask_folders import folders, save_image, save_mask

CAFE = unicodedata.normalize("NFC", "café"), unicodedata.normalize("NFD", "café")


def saved(path: Path, format: str = "JPEG", size=(8, 9)) -> Path:
    """An image of a format under any name, each with bytes of its own."""
    path.parent.mkdir(parents=True, exist_ok=True)
    seed = zlib.crc32(str(path).encode("utf-8", "surrogateescape"))
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)).save(path, format)
    return path


def names(listing):
    return [path.relative_to(listing.folder).as_posix() for path in listing.paths]


SUFFIXES = ["jfif", "JPG", "Jpeg", "jpe", "PNG", "avif", "TIF", "WebP", "jp2", "pgm", "mpo", "dib"]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_images_have_the_suffixes_that_people_give_them(tmp_path, suffix):
    saved(tmp_path / f"a.{suffix}")
    assert names(list_images(tmp_path)) == [f"a.{suffix}"]
    assert [Path(one.address).name for one in find_sources([str(tmp_path)], tmp_path / "out")] == [f"a.{suffix}"]
    assert open_images(tmp_path, images=".")["all"].key(0) == f"a.{suffix}"


FORMATS = ["JPEG", "PNG", "GIF", "WEBP", "TIFF", "PPM", "BMP", "JPEG2000", "AVIF"]


def test_files_without_a_suffix_are_known_by_their_first_bytes(tmp_path):
    known = [one for one in FORMATS if one != "AVIF" or ".avif" in Image.registered_extensions()]
    for one in known:
        saved(tmp_path / one.lower(), one)
    for name in ("frame.0001", "1.5 m"):  # what follows the point is no suffix
        saved(tmp_path / name)
    (tmp_path / "README").write_text("BMW and P3 are no images")
    (tmp_path / "empty").touch()
    listing = list_images(tmp_path)
    assert len(listing.paths) == len(known) + 2
    assert str(listing) == "2 other files (README, empty)"


HIDDEN = [".DS_Store", "._a.jpg", "Thumbs.db", "desktop.ini", ".hidden.jpg", "a.jpg~", "__MACOSX/._a.jpg"]
HIDDEN += ["@eaDir/a.jpg/SYNOPHOTO_THUMB_M.jpg", ".ipynb_checkpoints/a-checkpoint.jpg", "$RECYCLE.BIN/a.jpg"]


def test_hidden_and_system_files_and_folders_are_left_out_at_any_depth(tmp_path):
    for place in ("train/cat", "train/dog"):
        saved(tmp_path / place / "a.jpg")
        for name in HIDDEN:
            saved(tmp_path / place / "deeper" / name)
            saved(tmp_path / "train" / name)
    split = open_folder(tmp_path)["train"]
    assert [split.key(index) for index in range(len(split))] == ["cat/a.jpg", "dog/a.jpg"]
    assert split.tasks["classify"].classes == ("cat", "dog") and not split.faults()
    assert "18 hidden or system files" in split.left_out() and "12 hidden or system folders" in split.left_out()
    assert len(find_sources([str(tmp_path)], tmp_path / "out")) == 2


def test_linked_folders_are_followed_and_loops_end(tmp_path):
    saved(tmp_path / "far/cat/1.jpg")
    saved(tmp_path / "set/dog/2.jpg")
    (tmp_path / "set/cat").symlink_to(tmp_path / "far/cat")
    (tmp_path / "set/dog/again").symlink_to(tmp_path / "set")  # a loop
    (tmp_path / "set/dog/itself").symlink_to(tmp_path / "set/dog/itself")
    (tmp_path / "far/cat/back").symlink_to(tmp_path / "set/dog")
    (tmp_path / "set/a_link").symlink_to(tmp_path / "set/dog")  # before its folder by name, after it in the listing
    listing = list_images(tmp_path / "set")
    assert names(listing) == ["cat/1.jpg", "dog/2.jpg"]
    assert str(listing) == "1 other file (itself), 3 links to a folder that was read already (a_link, again, back)"


def test_a_link_to_nothing_is_an_image_that_cannot_be_read(tmp_path):
    saved(tmp_path / "cat/1.jpg")
    (tmp_path / "cat/2.jpg").symlink_to(tmp_path / "gone.jpg")
    split = open_folder(tmp_path)["all"]
    with pytest.raises(ArgusError, match=r"2\.jpg: no such file"):
        split.read(1)


def test_what_is_left_out_is_counted_and_what_could_be_wanted_is_a_fault(tmp_path, monkeypatch, capsys):
    saved(tmp_path / "cat/1.jpg")
    for name in ("cat/2.HEIC", "cat/3.dng", "cat/4.heic", "cat/5.bak", "cat/closed/6.jpg"):
        saved(tmp_path / name)
    for name in ("cat/notes.txt", "cat/clip.mp4", "labels.csv"):
        (tmp_path / name).write_text("x")
    os.mkfifo(tmp_path / "cat/pipe.jpg")
    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: scandir("/nowhere" if "closed" in str(path) else path))
    split = open_folder(tmp_path)["all"]
    assert [fault.what for fault in split.faults()] == [
        "3 images in a format that is not read (.heic, .dng); convert to JPEG or PNG",
        "1 image under an unknown suffix (.bak); rename by what it is, as .jpg or .png",
        "1 folder that cannot be opened (closed); allow reading it",
    ]
    assert all(fault.dropped for fault in split.faults())
    find_sources([str(tmp_path)], tmp_path / "out")
    (line,) = capsys.readouterr().err.splitlines()
    assert line == (
        f"passed over in {tmp_path}: 2 other files (.csv, .txt), 1 pipe or other special file (.jpg), "
        "3 images in a format that is not read (.heic, .dng), 1 image under an unknown suffix (.bak), "
        "1 folder that cannot be opened (closed)"
    )
    tell_data(f"folder:{tmp_path}")
    told = capsys.readouterr().out
    assert "passed over: 3 other files" in told and "3 images in a format that is not read" in told


def test_a_folder_without_images_says_what_is_there_instead(tmp_path):
    saved(tmp_path / "cat/1.heic")
    with pytest.raises(ArgusError, match=r"holds no images, but 1 image in a format that is not read \(\.heic\)"):
        open_folder(tmp_path)
    with pytest.raises(ArgusError, match=r"holds no images, but 1 image in a format"):
        open_images(tmp_path, images="cat")


def test_every_reason_reads_well_for_one_and_for_several(tmp_path):
    for reason in Reason:
        one, two = reason.in_words(Counter(a=1)), reason.in_words(Counter("abcde"))
        assert one.startswith("1 ") and two.startswith("5 ") and two.endswith("(a, b, c, d, ...)")


@pytest.mark.parametrize(("image", "mask"), [CAFE, CAFE[::-1]])
def test_names_are_compared_after_composing_their_letters(tmp_path, image, mask):
    save_image(tmp_path / f"images/train/{image}/{image}.jpg")
    save_mask(tmp_path / f"masks/train/{mask}/{mask}.png", 1)
    (tmp_path / "classes.json").write_text('["wall", "floor"]')
    (tmp_path / "labels.csv").write_text(f"{mask}.jpg,brown\n", encoding="utf-8")
    data = open_images(tmp_path, masks="masks", classes="classes.json", labels="labels.csv")
    assert data["train"].truth(0, "segment").max() == 1 and data["train"].truth(0, "classify") == 0
    assert data["train"].key(0) == f"{CAFE[0]}/{CAFE[0]}.jpg" and not data["train"].faults()


def test_class_folders_of_two_systems_are_one_class(tmp_path):
    for split, name in zip(("train", "val"), CAFE, strict=True):
        saved(tmp_path / split / name / "1.jpg")
        saved(tmp_path / split / "tea" / "2.jpg")
    data = open_folder(tmp_path)
    for split in data.values():
        assert split.tasks["classify"].classes == (CAFE[0], "tea") and not split.faults()
        assert [split.truth(index, "classify") for index in range(2)] == [0, 1]


def test_two_files_whose_names_look_alike_keep_keys_of_their_own(tmp_path):
    for name in CAFE:
        saved(tmp_path / f"images/{name}.jpg")
    split = open_images(tmp_path)["all"]
    assert len({split.key(0), split.key(1)}) == 2


def test_masks_of_frames_that_are_numbered_without_a_suffix(tmp_path):
    for number in (1, 2):
        saved(tmp_path / f"images/shot.{number:04d}")
        save_mask(tmp_path / f"masks/shot.{number:04d}.png", number)
    (tmp_path / "classes.json").write_text('["a", "b", "c"]')
    split = open_images(tmp_path, masks="masks", classes="classes.json")["all"]
    assert [split.truth(index, "segment").max() for index in range(2)] == [1, 2]


def test_split_folders_are_known_in_any_case(tmp_path):
    for split in ("Train", "VAL", "Testing"):
        saved(tmp_path / f"classes/{split}/n01/1.JPEG")
        folders(tmp_path, (split,))
    (tmp_path / "masks/VAL").rename(tmp_path / "masks/valid")
    assert list(open_folder(tmp_path / "classes")) == ["train", "val", "test"]
    assert list(open_images(tmp_path, masks="masks", classes="classes.json")) == ["train", "val", "test"]
    assert list(open_imagenet(tmp_path / "classes")) == ["train", "val"]
    (tmp_path / "images/train").mkdir()
    with pytest.raises(ArgusError, match=r"Train and .*train are the same split"):
        open_images(tmp_path)


def test_a_folder_around_the_data_set_is_told(tmp_path):
    saved(tmp_path / "unpacked/Train/cat/1.jpg")
    with pytest.raises(ArgusError, match=r"in which the splits lie: give .*unpacked"):
        open_folder(tmp_path)


def test_images_of_no_class_are_counted(tmp_path):
    for name in ("train/n01/1.JPEG", "val/n01/2.JPEG", "val/n02/3.JPEG", "val/other/4.JPEG"):
        saved(tmp_path / name)
    (fault,) = open_imagenet(tmp_path)["val"].faults()
    assert fault.what == "2 images outside class folders, such as n02/3.JPEG"


def test_the_case_of_suffixes_that_lie(tmp_path):
    for split, count in (("train", 10), ("val", 5)):
        for name in ("apple", "beet", "corn"):
            for number in range(count):
                suffix = {"corn": "jfif", "beet": "avif"}.get(name, "jpg") if split == "train" and number else "jpg"
                saved(tmp_path / split / name / f"{number}.{suffix}")
    data = open_folder(tmp_path)
    assert len(data["train"]) == 30 and not data["train"].faults() and not data["train"].left_out()
    assert data["train"].read(29).shape == (8, 9, 3)


def test_keys_go_with_json_whatever_the_name(tmp_path):
    try:
        saved(tmp_path / os.fsdecode(b"cat/\xff.jpg"))
    except OSError:
        pytest.skip("this file system keeps names valid")
    split = open_folder(tmp_path)["all"]
    assert split.read(0).shape == (8, 9, 3) and json.dumps(split.key(0))
    assert len(split.annotation_digest()) == 64


def test_a_photograph_in_a_format_that_is_not_read_says_what_to_do(tmp_path):
    (tmp_path / "a.HEIC").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    with pytest.raises(ArgusError, match=r"a\.HEIC: cannot be read .*; convert it to JPEG or PNG"):
        read_image(tmp_path / "a.HEIC")


def test_caching_says_what_is_passed_over(tmp_path, capsys):
    for name in ("cat", "dog"):
        saved(tmp_path / "data/train" / name / "1.jfif")
        (tmp_path / "data/train" / name / "notes.txt").touch()
    spec, out = f"folder:{tmp_path}/data", tmp_path / "cache"
    build_cache(CacheRequest(data=spec, out=out, backbone="tiny", canvas="64", splits=("train",)))
    told = "".join(capsys.readouterr())
    assert f"train: passed over 2 other files (.txt) in {tmp_path}/data/train" in told
