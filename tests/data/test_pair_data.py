"""Adapters for pairs of images, on small data sets written for the purpose, and on PF-WILLOW where it is at hand."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from argus_core.data.check import check_data
from argus_core.errors import ArgusError
from argus_core.plugins.hooks import load_plugins
from argus_data.pairs.pair_lists import open_pairs
from argus_data.pairs.pf_willow import open_pf_willow
from argus_data.pairs.spair import open_spair

WILLOW = Path(__file__).resolve().parents[3] / "shared/data/pf_willow"


def paint(path, size=(30, 40), seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng([seed, *size, *map(ord, str(path.name))]).integers(0, 255, (*size, 3), np.uint8)
    Image.fromarray(pixels).save(path)


IMAGES = {
    "a": {
        "file": "img/a.png",
        "height": 30,
        "width": 40,
        "category": "cat",
        "bbox": [1, 2, 30, 20],
        "keypoints": [[1, 2], None, [40, 30]],
    },
    "b": {"file": "img/b.png", "height": 60, "width": 20, "category": "emu", "keypoints": [[3.5, 4], [5, 6], [7, 8]]},
    "c": {"file": "img/c.png"},
}
PAIRS = [
    {"src": "b", "trg": "a", "split": "train"},
    {"src": "a", "trg": "c", "split": "test", "src_points": [[9, 9], [2, 1]], "trg_points": [[8, 8], [1000, 3]]},
    {"src": "a", "trg": "b", "split": "train"},
]


def write(root, images=IMAGES, pairs=PAIRS, **changes):
    for entry in images.values():
        paint(root / entry["file"], (entry.get("height", 25), entry.get("width", 35)))
    (root / "pairs.json").write_text(json.dumps({"images": images, "pairs": pairs, **changes}))
    return root


def with_image(**changes):
    return {**IMAGES, "a": {**IMAGES["a"], **changes}}


def test_pairs_json_gives_splits_images_and_points(tmp_path):
    splits = open_pairs(write(tmp_path))
    assert list(splits) == ["train", "test"] and splits["train"].name == "train"
    train, test = splits.values()
    assert [train.key(i) for i in range(len(train))] == ["b", "a"]  # as the pairs name them
    assert train.samples("correspond") == ((0, 1), (1, 0)) and test.samples("correspond") == ((0, 1),)
    assert train.read(1).shape == (30, 40, 3) and train.size(1) == (30, 40) and test.size(1) is None
    first, second = (train.truth(number, "correspond") for number in range(2))
    assert first.source.tolist() == [[3.5, 4], [7, 8]] and first.target.tolist() == [[1, 2], [40, 30]]
    assert first.box == (1, 2, 30, 20) and first.category == "cat" and first.sizes == ((60, 20), (30, 40))
    assert first.source.dtype == np.float64
    assert second.target.tolist() == [[3.5, 4], [7, 8]] and second.box is None and second.category == "emu"
    own = test.truth(0, "correspond")
    assert own.source.tolist() == [[9, 9], [2, 1]] and own.target.tolist() == [[8, 8], [1000, 3]]
    assert own.sizes is None
    reports = check_data(splits)
    assert not reports["train"].faults and reports["train"].summary["pairs_per_category"] == {"cat": 1, "emu": 1}
    assert [str(fault) for fault in reports["test"].faults] == ["test, image a: the same bytes as train, image a"]


def test_the_file_itself_may_be_given_and_pairs_limited(tmp_path):
    write(tmp_path)
    assert len(open_pairs(tmp_path / "pairs.json", limit=1)["train"].samples("correspond")) == 1
    with pytest.raises(ArgusError, match="limit=-1"):
        open_pairs(tmp_path, limit=-1)


@pytest.mark.parametrize(
    ("images", "pairs", "fault", "left"),
    [
        (IMAGES, [{"src": "a", "trg": "z", "split": "train"}], "no image 'z'", 3),
        (IMAGES, [{"src": "a", "trg": "c", "split": "train"}], "no trg_points.*'c' no keypoints", 3),
        (IMAGES, [{"src": "a", "trg": "b", "split": "train", "src_points": [[1, 1]]}], "no trg_points", 3),
        (
            IMAGES,
            [{"src": "a", "trg": "b", "split": "train", "src_points": [[1, 1]], "trg_points": [[1, 1], [2, 2]]}],
            "1 source points cannot correspond to 2",
            3,
        ),
        (with_image(keypoints=[[1, 1]]), [], "points cannot correspond", 1),
        (with_image(keypoints=[[1, 1], [2, 30.5], [4, 4]]), [], "image a: point 1 at x=2, y=30.5 .* 40x30", 3),
        (
            IMAGES,
            [{"src": "b", "trg": "a", "split": "train", "src_points": [[1, -1]], "trg_points": [[1, 1]]}],
            "pair 3 .*src_points: point 0 at x=1, y=-1",
            4,
        ),
        (with_image(bbox=[5, 5, 5, 9]), [], r"bbox \[5.0, 5.0, 5.0, 9.0\]", 3),
    ],
)
def test_faults_are_told_once_and_left_out(tmp_path, images, pairs, fault, left):
    splits = open_pairs(write(tmp_path, images, [*PAIRS, *pairs]))
    faults = [one for split in splits.values() for one in split.faults()]
    assert len({str(one) for one in faults}) == len(faults) and all(one.dropped for one in faults)
    assert any(re.search(fault, str(one)) for one in faults), faults
    assert sum(len(split.samples("correspond")) for split in splits.values()) == left
    for split in splits.values():
        for number in range(len(split.samples("correspond"))):
            truth = split.truth(number, "correspond")
            assert not truth.sizes or not split.tasks["correspond"].fault(truth, truth.sizes[0])


def test_entries_that_lack_a_field_are_named(tmp_path):
    bad = [{"src": "a", "trg": "b"}, {"src": "a", "split": "train"}, 5]
    write(tmp_path, pairs=[*PAIRS, *bad])
    with pytest.raises(
        ArgusError, match="3, split: it is missing; pair 4, trg: it is missing; pair 5: it is no"
    ) as told:
        open_pairs(tmp_path)
    assert "_Pair" not in str(told.value) and "pairs.json" in str(told.value)
    write(tmp_path, pairs=[*PAIRS, *7 * [{"src": "a", "trg": "b"}]])
    with pytest.raises(ArgusError, match=r"pair 7, split: it is missing; 7 in all$"):
        open_pairs(tmp_path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "cannot be read as JSON"),
        ('{"images": {}}', "pairs: it is missing"),
        ('{"images": {"a": {}}, "pairs": []}', "image a, file: it is missing"),
        ('{"images": {}, "pairs": []}', "lists no pairs"),
        ('{"images": {"a": {"file": "a", "keypoints": [[1, NaN]]}}, "pairs": [{}]}', "image a, keypoints"),
        ('{"images": {"a": {"file": "a", "keypoints": [[1, 2, 3]]}}, "pairs": [{}]}', "image a, keypoints"),
    ],
)
def test_a_file_that_is_none_of_pairs_is_refused(tmp_path, text, words):
    (tmp_path / "pairs.json").write_text(text)
    with pytest.raises(ArgusError, match=words):
        open_pairs(tmp_path)


def test_what_is_not_there_is_told(tmp_path):
    for opener, words in ((open_pairs, "pairs.json"), (open_pf_willow, "test_pairs_pf.csv"), (open_spair, "Layout")):
        with pytest.raises(ArgusError, match=words):
            opener(tmp_path)


def test_the_digest_depends_on_everything_that_scores(tmp_path):
    def digest(name, **changes):
        return open_pairs(write(tmp_path / name, **changes))["train"].annotation_digest()

    base = digest("base")
    assert digest("again") == base
    assert digest("moved", pairs=[PAIRS[1], PAIRS[0], PAIRS[2]]) == base  # the other split's pairs do not count
    changed = [
        digest("order", pairs=PAIRS[::-1]),
        digest("point", images=with_image(keypoints=[[1, 2.5], None, [40, 30]])),
        digest("box", images=with_image(bbox=[1, 2, 30, 21])),
        digest("category", images=with_image(category="dog")),
        digest("fewer", pairs=PAIRS[:2]),
    ]
    assert len({base, *changed}) == 6


def willow_points(seed):
    return np.random.default_rng(seed).uniform(1, 29, (10, 2)).round(2)


def test_pf_willow_by_its_list(tmp_path):
    names = ["PF-dataset/car(G)/one.png", "PF-dataset/car(G)/two.png", "PF-dataset/duck(S)/one.png"]
    for name in names:
        paint(tmp_path / name.removeprefix("PF-dataset/"))
    header = ",".join(["imageA", "imageB", *(f"{axis}{i}" for axis in ("XA", "YA", "XB", "YB") for i in range(10))])
    rows = [
        ",".join([a, b, *(str(value) for seed in (i, j) for value in willow_points(seed).T.ravel())])
        for (a, i), (b, j) in (((names[0], 0), (names[1], 1)), ((names[1], 1), (names[0], 0)), ((names[2], 2),) * 2)
    ]
    (tmp_path / "test_pairs_pf.csv").write_text("\n".join([header, *rows]))
    split = open_pf_willow(tmp_path)["test"]
    assert [split.key(i) for i in range(3)] == ["car(G)/one.png", "car(G)/two.png", "duck(S)/one.png"]
    assert split.samples("correspond") == ((0, 1), (1, 0), (2, 2))
    truth = split.truth(0, "correspond")
    np.testing.assert_array_equal(truth.source, willow_points(0))
    np.testing.assert_array_equal(truth.target, willow_points(1))
    low, high = truth.target.min(axis=0), truth.target.max(axis=0)
    assert truth.box == (*low, *high) and truth.category == "car(G)" and split.read(2).shape == (30, 40, 3)
    assert len(open_pf_willow(tmp_path, limit=2)["test"].samples("correspond")) == 2
    joined = [";".join(map(str, axis)) for seed in (0, 1) for axis in willow_points(seed).T]
    (tmp_path / "test_pairs_pf.csv").write_text("imageA,imageB,XA,YA,XB,YB\n" + ",".join([*names[:2], *joined]))
    np.testing.assert_array_equal(open_pf_willow(tmp_path)["test"].truth(0, "correspond").target, willow_points(1))
    (tmp_path / "test_pairs_pf.csv").write_text(header + "\n" + rows[0] + "\n" + rows[1].rpartition(",")[0])
    with pytest.raises(ArgusError, match="line 3"):
        open_pf_willow(tmp_path)


def test_pf_willow_as_published(tmp_path):
    for seed, name in enumerate(("duck(S)/x", "car(G)/one", "car(G)/two", "car(G)/three")):
        paint(tmp_path / f"{name}.png")
        savemat(tmp_path / f"{name}.mat", {"pts_coord": np.vstack([willow_points(seed).T + 1, np.zeros((1, 10))])})
    split = open_pf_willow(tmp_path)["test"]
    keys = [tuple(split.key(i) for i in pair) for pair in split.samples("correspond")]
    assert len(keys) == 6 and set(keys) == {(a, b) for a, b in keys if a != b and a.startswith("car(G)")}
    truth = split.truth(keys.index(("car(G)/two.png", "car(G)/one.png")), "correspond")
    np.testing.assert_allclose(truth.source, willow_points(2))
    np.testing.assert_allclose(truth.target, willow_points(1))
    savemat(tmp_path / "car(G)/two.mat", {"pts_coord": np.ones((2, 9))})
    with pytest.raises(ArgusError, match="9"):
        open_pf_willow(tmp_path)
    (tmp_path / "car(G)/two.mat").write_text("broken")
    with pytest.raises(ArgusError, match=r"two\.mat"):
        open_pf_willow(tmp_path)


def test_pf_willow_leaves_out_pairs_across_its_splits_unless_asked(tmp_path):
    write(tmp_path, pairs=[*PAIRS, {"src": "b", "trg": "a", "split": "cross"}])
    assert list(open_pf_willow(tmp_path)) == ["train", "test"]
    assert list(open_pf_willow(tmp_path, cross=True)) == ["train", "test", "cross"]


SPAIR = {
    "src_kps": [[1, 2], [3, 4], [39, 29]],
    "trg_kps": [[5, 6], [7, 8], [9, 10]],
    "src_imsize": [40, 30, 3],
    "trg_imsize": [20, 60, 3],
    "src_bndbox": [0, 0, 9, 9],
    "trg_bndbox": [2, 3, 18, 50],
    "category": "cat",
}


def spair(root, lines=("000001-2008_a-2008_b:cat", "000002-2008_b-2008_a:cat"), **changes):
    paint(root / "JPEGImages/cat/2008_a.jpg", (30, 40))
    paint(root / "JPEGImages/cat/2008_b.jpg", (60, 20))
    for short in ("trn", "test"):
        (root / "Layout/large").mkdir(parents=True, exist_ok=True)
        (root / f"Layout/large/{short}.txt").write_text("\n".join(lines) + "\n")
        (root / "PairAnnotation" / short).mkdir(parents=True, exist_ok=True)
        for line in lines:
            (root / f"PairAnnotation/{short}/{line}.json").write_text(json.dumps({**SPAIR, **changes}))
    return root


def test_spair(tmp_path):
    splits = open_spair(spair(tmp_path))
    assert list(splits) == ["train", "test"]
    split = splits["test"]
    assert [split.key(i) for i in range(2)] == ["cat/2008_a.jpg", "cat/2008_b.jpg"]
    assert split.samples("correspond") == ((0, 1), (1, 0)) and split.read(1).shape == (60, 20, 3)
    truth = split.truth(0, "correspond")
    assert truth.source.tolist() == SPAIR["src_kps"] and truth.target.tolist() == SPAIR["trg_kps"]
    assert truth.box == (2, 3, 18, 50) and truth.sizes == ((30, 40), (60, 20)) and truth.category == "cat"
    assert split.annotation_digest() == splits["train"].annotation_digest() and not split.faults()
    other = open_spair(spair(tmp_path / "other", trg_bndbox=[2, 3, 18, 51]), limit=1)["test"]
    assert other.annotation_digest() != split.annotation_digest() and len(other.samples("correspond")) == 1
    with pytest.raises(ArgusError, match="Layout/small"):
        open_spair(tmp_path, layout="small")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"src_kps": [[1, 2]]}, "1 source points cannot correspond to 3"),
        ({"trg_kps": [[1], [2], [3]]}, "no annotation of a pair"),
        ({"trg_bndbox": None}, "no annotation of a pair"),
        ({"src_imsize": [4]}, "no annotation of a pair"),
    ],
)
def test_a_broken_annotation_of_spair_is_told_when_it_is_read(tmp_path, changes, words):
    split = open_spair(spair(tmp_path, **changes))["test"]
    with pytest.raises(ArgusError, match=words):
        split.truth(1, "correspond")
    report = check_data({"test": split})["test"]
    assert len(report.faults) == 2 and "2008_b" in str(report.faults[1])


def test_a_broken_list_or_a_missing_annotation_of_spair(tmp_path):
    root = spair(tmp_path)
    (root / "PairAnnotation/test/000001-2008_a-2008_b:cat.json").unlink()
    with pytest.raises(ArgusError, match="000001"):
        open_spair(root)["test"].truth(0, "correspond")
    for line in ("000001-2008_a:cat", "nonsense"):
        (root / "Layout/large/test.txt").write_text(line)
        with pytest.raises(ArgusError, match=line):
            open_spair(root)
    (root / "Layout/large/test.txt").write_text("\n")
    with pytest.raises(ArgusError, match="no pairs"):
        open_spair(root)


def test_the_adapters_are_offered_by_name():
    offered = load_plugins().datasets()
    assert offered["pairs"] is open_pairs and offered["pf_willow"] is open_pf_willow and offered["spair"] is open_spair


@pytest.mark.skipif(not WILLOW.is_dir(), reason="PF-WILLOW is not at hand")
def test_the_real_pf_willow():
    splits = open_pf_willow(WILLOW, cross=True)
    assert {name: len(split.samples("correspond")) for name, split in splits.items()} == {
        "train": 300,
        "test": 120,
        "cross": 480,
    }
    assert not any(split.faults() for split in splits.values())
    for split in splits.values():
        for number, (source, target) in enumerate(split.samples("correspond")):
            truth = split.truth(number, "correspond")
            assert truth.source.shape == (10, 2) and not split.tasks["correspond"].fault(truth, split.size(source))
            low, high = truth.target.min(axis=0), truth.target.max(axis=0)
            assert truth.box == pytest.approx((*low, *high)) and split.key(target).startswith(truth.category)
