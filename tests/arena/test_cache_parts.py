"""``arena cache`` by parts: what is said, what is refused, and that parts leave what one process does."""

from __future__ import annotations

import json

import pytest

SPEC = "scenes:images=24,val=4,size=64"
CACHE = f"cache --data {SPEC} --backbone tiny --canvas 64 --batch 4 --out"


def tree(path):
    return {str(file.relative_to(path)): file.read_bytes() for file in path.rglob("*") if file.is_file()}


def test_parts_say_where_they_are_from_and_end_as_one_process(arena, tmp_path, monkeypatch):
    assert arena(f"{CACHE} {tmp_path / 'one'}")[0] == 0
    code, out, err = arena(f"{CACHE} {tmp_path / 'two'} --part 2/3")
    assert code == 0 and out.startswith("part 2 of 3, from --part\n"), err
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "4")
    monkeypatch.setenv("SLURM_ARRAY_TASK_MIN", "2")
    monkeypatch.setenv("SLURM_ARRAY_TASK_COUNT", "3")
    code, out, err = arena(f"{CACHE} {tmp_path / 'two'}")
    assert code == 0 and out.startswith("part 3 of 3, from SLURM_ARRAY_TASK_ID\n"), err
    assert tree(tmp_path / "one") == tree(tmp_path / "two")
    described = json.loads(arena(f"cache info {tmp_path / 'two'}")[1])["train"]
    assert described["sealed"] and list(described["devices"].values()) == [described["shards"]]


def test_seal_checks_and_writes_the_index_of_every_split(arena, tmp_path):
    assert arena(f"{CACHE} {tmp_path}")[0] == 0
    whole = tree(tmp_path)
    for split in ("train", "val"):
        (tmp_path / split / "index.json").unlink()
    code, out, _ = arena(f"cache --seal --out {tmp_path}")
    assert code == 0 and out.count("sealed: ") == 2 and tree(tmp_path) == whole
    (tmp_path / "val/shards/00000.json").unlink()
    code, _, err = arena(f"cache --seal --out {tmp_path}")
    assert code == 2 and "val is unfinished, 0 of 1 shards (not 0); run the same caching again" in err


@pytest.mark.parametrize(("given", "said"), [("--part 4/3", "no part 4/3"), ("--part two", "is no part")])
def test_a_part_that_does_not_exist_is_refused(arena, tmp_path, given, said):
    code, _, err = arena(f"{CACHE} {tmp_path / 'c'} {given}")
    assert code == 2 and said in err and not (tmp_path / "c").exists()


def test_a_folder_that_another_process_has_just_begun_is_no_stranger(arena, tmp_path):
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / ".manifest.json.0-1-2.0.tmp").touch()
    assert arena(f"{CACHE} {tmp_path}")[0] == 0


def bases(folder):
    return {path.parent.name: path.name for path in folder.glob("*/basis.*.safetensors")}


def test_components_are_those_of_the_split_that_was_cached_first(arena, tmp_path):
    command = f"{CACHE} {tmp_path / 'both'} --dtype pca-8-int8"
    assert arena(command)[0] == 0
    found, described = bases(tmp_path / "both"), json.loads(arena(f"cache info {tmp_path / 'both'}")[1])
    assert found.keys() == {"train", "val"} and len(set(found.values())) == 1
    assert described["train"]["basis"] == described["val"]["basis"] and described["val"]["basis"]["split"] == "train"
    assert arena(f"cache verify {tmp_path / 'both'}")[0] == 0
    whole = tree(tmp_path / "both")
    assert arena(f"{CACHE} {tmp_path / 'two'} --dtype pca-8-int8 --part 2/2")[0] == 0
    assert tree(tmp_path / "two") == whole
    for split in ("val", "train"):  # validation alone works, and what comes later joins it
        assert arena(f"{CACHE} {tmp_path / 'later'} --dtype pca-8-int8 --splits {split}")[0] == 0
    found = bases(tmp_path / "later")
    assert len(set(found.values())) == 1 and set(found.values()) != set(bases(tmp_path / "both").values())


def test_a_number_format_that_does_not_exist_or_fit_is_told(arena, tmp_path):
    for given, said in (("int5", "unknown cache dtype 'int5'"), ("pca-97", "pca-97: the layers 11 have at most 96")):
        code, _, err = arena(f"{CACHE} {tmp_path / 'c'} --dtype {given}")
        assert code == 2 and said in err and not (tmp_path / "c/train").exists()
