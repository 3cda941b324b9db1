"""Many data sets: found by folder and name, compared one by one, with a mean only over all of them."""

from __future__ import annotations

import json
import shutil

import pytest

import coco_folders
from argus_arena.comparison.domain import Domain
from argus_arena.comparison.domains import RF20_VL, Domains, as_csv, compare_domains
from argus_arena.engines.cells import Outcome
from argus_arena.requests import CacheRequest, Comparison, RunRequest
from argus_core.errors import ArgusError


def domain(folder, seed):
    """A tiny set in the layout of RF100-VL: one folder per split."""
    for number, split in enumerate(("train", "valid")):
        images = [coco_folders.image(k, id=k) for k in range(1, 5)]
        boxes = [coco_folders.box(k, image_id=k, bbox=(4 + seed + number, 5, 20, 18)) for k in range(1, 5)]
        coco_folders.write(folder / split / "_annotations.coco.json", images, boxes, folder=folder / split)
    return folder


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    root = tmp_path_factory.mktemp("rf")
    for seed, name in enumerate(("actions-zz1-fsod", "gwhd2021", "wb-prova-stq")):
        domain(root / name, seed)
    return root


def compare(library, out, *expected, data=()):
    tokens = CacheRequest(data="scenes:", out=out, backbone="tiny", canvas="32x48", batch=4, device="cpu")
    settings = {"batch": 4, "epochs": 1, "width": 16, "a.depth": 1, "b.depth": 2}
    run = RunRequest(heads=("a=fcos", "b=fcos"), data="", device="cpu", settings=settings)
    return compare_domains(
        Domains.find([str(library), *data], expected), run, tokens, Comparison(out=out, task="detect")
    )


def test_domains_are_found_by_name_and_by_the_beginning_of_it(library):
    assert list(Domains.find([str(library)], ()).specs) == ["actions-zz1-fsod", "gwhd2021", "wb-prova-stq"]
    assert len(RF20_VL) == len(set(RF20_VL)) == 20
    specs = Domains.find([str(library)], ["rf20-vl"]).specs
    assert list(specs) == RF20_VL and sum(spec is not None for spec in specs.values()) == 3
    assert specs["actions"] == str(library / "actions-zz1-fsod")
    assert Domains.find(["x=coco:a,b=1"], ()).specs == {"x": "coco:a,b=1"}


def test_wrong_lists_are_refused(library, tmp_path):
    with pytest.raises(ArgusError, match="is there twice"):
        Domains.find([str(library), "gwhd2021=coco:x"], ())
    with pytest.raises(ArgusError, match="no domain in"):
        Domains.find([str(tmp_path)], ())
    with pytest.raises(ArgusError, match="none of dentalai is among the domains actions-zz1-fsod, gwhd2021"):
        Domains.find([str(library)], ["dentalai"])
    with pytest.raises(ArgusError, match="neither a folder nor NAME=SPEC"):
        Domains.find([str(tmp_path / "gone")], ())
    (tmp_path / "wb-prova-a").mkdir()
    (tmp_path / "wb-prova-b").mkdir()
    with pytest.raises(ArgusError, match="may be any of wb-prova-a, wb-prova-b"):
        Domains.find([str(tmp_path)], ["wb-prova"])


def course(out, spec="scenes:"):
    tokens = CacheRequest(data="scenes:", out=out, backbone="tiny", parts=2)
    run = RunRequest(heads=("fcos",), data="")
    return Domain("pets", spec, run, tokens, Comparison(out=out, task="detect"))


def test_a_comparison_begins_when_all_parts_of_its_cache_are_there(tmp_path):
    domain = course(tmp_path)
    first, second = domain.begin()
    assert [first.name, second.name] == ["pets/cache 1/2", "pets/cache 2/2"]
    assert domain.after(second, Outcome()) == ([], "pets/cache 2/2")
    (plan,), _ = domain.after(first, Outcome())
    assert plan.name == "pets/plan" and plan.arguments[0].cache == tmp_path / "caches" / "pets"
    assert domain.after(plan, Outcome(failure="no head"))[0] == []
    assert domain.failure == "no head" and domain.standings is None


@pytest.mark.parametrize("last", [Outcome(), Outcome(failure="gone too", lost=True)])
def test_a_comparison_does_not_begin_where_a_part_is_missing(tmp_path, last):
    domain = course(tmp_path)
    first, second = domain.begin()
    domain.after(first, Outcome(failure="the disk is full"))
    assert domain.after(second, last)[0] == [] and domain.failure in ("the disk is full", "gone too")
    gone = course(tmp_path, None)
    assert gone.begin() == [] and gone.failure == "there is no such data set"


@pytest.mark.slow
def test_every_domain_is_scored_and_the_mean_needs_all(library, tmp_path, capsys):
    out = tmp_path / "out"
    summary = compare(library, out, "actions", "gwhd2021")
    assert {"a", "b"} <= {row["head"] for row in summary["heads"]} and summary["missing"] == {}
    for row in summary["heads"]:
        assert row["mean"] == pytest.approx(sum(row["domains"].values()) / 2)
    assert json.loads((out / "domains.json").read_text()) == summary
    assert (out / "domains.csv").read_text() == as_csv(summary)
    weights = {path: path.read_bytes() for path in out.rglob("last.safetensors")}
    again = compare(library, out, "actions", "gwhd2021", "wildfire-smoke")
    assert all(path.read_bytes() == held for path, held in weights.items())
    assert again["missing"] == {"wildfire-smoke": "there is no such data set"}
    assert [row["mean"] for row in again["heads"]] == [None] * len(again["heads"])
    assert again["heads"][0]["domains"]["gwhd2021"] is not None
    assert "it is left empty" in capsys.readouterr().out


@pytest.mark.slow
def test_a_domain_that_fails_stops_no_other_and_one_that_vanished_is_missed(library, tmp_path):
    rotten = tmp_path / "rotten"
    shutil.copytree(library / "gwhd2021", rotten)
    (rotten / "train/_annotations.coco.json").write_text("{")
    summary = compare(
        library / "..",
        tmp_path / "out",
        "good",
        "rotten",
        data=(f"good=coco:{library / 'gwhd2021'}", f"rotten=coco:{rotten}"),
    )
    assert list(summary["missing"]) == ["rotten"] and "_annotations.coco.json" in summary["missing"]["rotten"]
    assert all(row["domains"]["good"] is not None and row["mean"] is None for row in summary["heads"])
    later = compare(library, tmp_path / "out", "gwhd2021")
    assert later["domains"][:2] == ["good", "rotten"] and set(later["missing"]) == {"good", "rotten"}
