"""Data sets in an object store are those on a disk: same keys, annotations and pixels, and nothing is asked twice."""

from __future__ import annotations

import pickle
from collections import Counter

import fsspec
import numpy as np
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from argus_core.cli.early import named_data
from argus_core.errors import ArgusError
from argus_core.plugins.data_spec import open_data
from docs_world import class_folders, coco, nyu, pairs, rooms
from mask_folders import folders
from voc_folders import annotation, picture, text, thing
from yolo_folders import LINE, NAMES, write

SCENES = "scenes:images=4,val=2,size=32x48"


def yolo(root, scenes):
    files = {"data.yaml": f"{NAMES}train: ../train/images\nval: ../valid/images\n"}  # as Roboflow writes them
    for split in ("train", "valid"):
        files |= {f"{split}/images/é{n}.png": "" for n in range(3)} | {f"{split}/labels/é{n}.txt": LINE for n in (0, 1)}
    write(root, files)


def table(root, scenes):
    folders(root)
    for split in ("train", "val"):
        (root / f"{split}.csv").write_text("file,label\n" + "".join(f"images/{split}/{n}.jpg,{n}\n" for n in "ab"))


def voc(root, scenes):
    for number in range(3):
        picture(root / "JPEGImages" / f"{number}.jpg", number)
        text(root / "Annotations" / f"{number}.xml", annotation(thing("cat"), filename=f"{number}.jpg"))


KINDS = {
    "coco": ("coco:{}", lambda root, scenes: coco(root, scenes, "RBC")),
    "classes": ("folder:{}", class_folders),
    "yolo": ("yolo:{}", yolo),
    "layers": ("images:{},masks=labels40,depth=depth,labels=labels.json,classes=classes.json", rooms),
    "nyu": ("nyu:{}", nyu),
    "csv": ("csv:{}", table),
    "voc": ("voc:{}", voc),
    "pairs": ("pairs:{}", lambda root, scenes: pairs(root)),
}


@pytest.fixture(params=KINDS)
def both(request, tmp_path, monkeypatch):
    """A data set on the disk, and in a store."""
    spec, make = KINDS[request.param]
    monkeypatch.setenv("ARGUS_CACHE_DIR", str(tmp_path / "kept"))
    make(tmp_path / "set", open_data(SCENES))
    address = f"memory://{request.param}/a set"
    MemoryFileSystem.store.clear()
    MemoryFileSystem.pseudo_dirs[:] = [""]
    fsspec.filesystem("memory").put(f"{tmp_path / 'set'}/", f"/{request.param}/a set/", recursive=True)
    return open_data(spec.format(tmp_path / "set")), spec.format(address)


def asked(monkeypatch):
    """Counts what a store is asked for from now on."""
    counts = Counter()
    for name in ("info", "ls", "find", "cat_file", "open", "exists"):
        call = getattr(MemoryFileSystem, name)

        def counted(self, *args, _name=name, _call=call, **kwargs):
            counts[_name] += 1
            return _call(self, *args, **kwargs)

        monkeypatch.setattr(MemoryFileSystem, name, counted)
    return counts


def test_a_data_set_is_the_same_in_a_store(both, monkeypatch):
    local, spec = both
    there = open_data(spec)
    assert list(there) == list(local)
    counts = asked(monkeypatch)
    for name, split in local.items():
        other = there[name]
        assert [other.key(i) for i in range(len(other))] == [split.key(i) for i in range(len(split))]
        assert list(other.tasks) == list(split.tasks)
        for index in range(len(split)):
            assert other.digest(index) == split.digest(index)
            assert other.image_size(index) == split.image_size(index)
            assert np.array_equal(other.read(index), split.read(index))
            assert other.stamp(index) == other.stamp(index) != ""
        assert other.annotation_digest() == split.annotation_digest()
        assert len(other.faults()) == len(split.faults())
    assert set(counts) <= {"cat_file"}
    before = counts["cat_file"]
    first = next(iter(there.values()))
    pickle.loads(pickle.dumps(first)).read(0)
    assert counts["cat_file"] == before  # read from this machine


def test_bare_addresses_are_recognised(both, capsys):
    _, spec = both
    name, _, rest = spec.partition(":")
    if name in ("images", "csv"):
        return
    assert named_data(rest) == f"{name}:{rest}"
    assert "taken for" in capsys.readouterr().err


def test_what_is_not_there(tmp_path):
    with pytest.raises(ArgusError, match="memory://nothing: no such folder"):
        open_data("coco:memory://nothing")
    with pytest.raises(ArgusError, match="datasets reads files of this machine"):
        open_data("hf:memory://bucket/set")
    with pytest.raises(ArgusError, match="pip install gcsfs"):
        open_data("coco:gs://bucket/set")
