"""All writers, splits and resumed runs of a cache use the same components, whoever fits them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from argus_core.cache import Cache, verify, write_cache
from argus_core.cache import begin as beginning
from argus_core.cache import fit as fitting
from argus_core.cache.basis import bases_path
from argus_core.cache.claims import claim_path
from argus_core.cache.manifest import Manifest, is_begun
from argus_core.common.part import Part
from cache_fakes import SPEC, FakeBackbone, FakeSplit

TESTS = Path(__file__).parents[1]
PCA = replace(SPEC, dtype="pca-5")


def write(path, split=None, spec=PCA, **options):
    write_cache(path, FakeBackbone(), split or FakeSplit(), spec, **{"batch": 2, "shard_bytes": 4_000, **options})
    return Cache.open(path)


def tree(path):
    return {str(file.relative_to(path)): file.read_bytes() for file in path.rglob("*") if file.is_file()}


@pytest.fixture(scope="module")
def cached(tmp_path_factory):
    """A cache that one process wrote without interruption."""
    return write(tmp_path_factory.mktemp("pca") / "c")


class Killed(BaseException):
    """Stands in for a process that ends where it is raised."""


@pytest.mark.parametrize("moment", range(0, 26, 3))
def test_a_killed_run_is_continued_to_the_same_bytes(tmp_path, cached, moment):
    reads = [0]

    class Stopping(FakeSplit):
        def read(self, index):
            reads[0] += 1
            if reads[0] > moment * 2:  # digests read as well
                raise Killed
            return super().read(index)

    try:
        write(tmp_path, Stopping())
    except Killed:
        assert not (tmp_path / "index.json").exists()
    write(tmp_path)
    assert tree(tmp_path) == tree(cached.path)


def test_a_run_that_was_killed_while_fitting_leaves_what_the_next_one_uses(tmp_path, cached, monkeypatch):
    original = Manifest.begin

    def killed(manifest, path):
        raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(Manifest, "begin", killed)
        write(tmp_path)
    assert is_begun(tmp_path) and [file.suffix for file in tmp_path.glob("basis.*")] == [".safetensors"]
    assert original is Manifest.begin
    (tmp_path / "basis.0123456789abcdef.safetensors").write_bytes(b"of another")  # as of a slower process
    write(tmp_path)
    assert tree(tmp_path) == tree(cached.path)


def test_a_process_waits_for_the_one_that_fits_and_takes_what_it_fitted(tmp_path, cached, monkeypatch):
    claimed = claim_path(tmp_path / "shards", len(cached.manifest.shards) + 1, 0)
    claimed.parent.mkdir()
    claimed.write_text(json.dumps({"writer": "00000000-1-abcdef", "seconds": 60, "beat": 1}))
    naps = []

    def nap(seconds):
        naps.append(seconds)
        for name in (bases_path(cached.path, cached.manifest.basis["sha256"]).name, "manifest.json"):
            (tmp_path / name).write_bytes((cached.path / name).read_bytes())
        claimed.unlink()

    with monkeypatch.context() as patch:
        patch.setattr(beginning.time, "sleep", nap)
        patch.setattr(fitting, "SAMPLE_IMAGES", 3)  # it would fit others
        write(tmp_path)
    assert len(naps) == 1 and tree(tmp_path) == tree(cached.path)


PARTS = """
import os, sys
from dataclasses import replace
from pathlib import Path
from cache_fakes import SPEC, FakeBackbone, FakeSplit
from argus_core.cache import fit, write_cache
from argus_core.common.files import json_sha256
from argus_core.common.part import Part

fits = Path(sys.argv[1]) / "fits"
original = fit.Moments.__init__
def counted(self, channels):
    with fits.open("a") as file:
        file.write(f"{os.getpid()}\\n")
    original(self, channels)
fit.Moments.__init__ = counted
pids = []
for number in (1, 2, 3):
    if (pid := os.fork()) == 0:
        options = {"batch": 2, "shard_bytes": 4_000, "part": Part(number, 3)}
        write_cache(Path(sys.argv[1]) / "c", FakeBackbone(), FakeSplit(), replace(SPEC, dtype="pca-5"), **options)
        os._exit(0)
    pids.append(pid)
for pid in pids:
    assert os.waitpid(pid, 0)[1] == 0
"""


def test_parts_that_begin_together_write_the_bytes_of_one_and_one_fits(tmp_path, cached):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join([str(TESTS), *sys.path])}
    command = [sys.executable, "-c", PARTS, str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert len(set((tmp_path / "fits").read_text().split())) == 1
    assert tree(tmp_path / "c") == tree(cached.path)


def test_parts_one_after_the_other_write_the_same_bytes(tmp_path, cached):
    stopped = []

    def stop(done, total, rate, left):
        if done >= 6:
            stopped.append(done)
            raise Killed

    with pytest.raises(Killed):
        write(tmp_path, part=Part(2, 2), report=stop)
    write(tmp_path, part=Part(1, 2))
    assert stopped and tree(tmp_path) == tree(cached.path)


def test_other_splits_take_the_components_of_a_cache_of_the_same_tokens(tmp_path):
    train, val = FakeSplit(), FakeSplit(4, edits={0: 1, 2: 3})
    first = write(tmp_path / "train", train)
    own, shared = write(tmp_path / "own", val), write(tmp_path / "val", val, share=[tmp_path / "none", first.path])
    assert shared.manifest.basis == first.manifest.basis != own.manifest.basis
    assert verify(shared.path) == [] and shared.bases().keys() == first.bases().keys()
    others = write(tmp_path / "others", val, replace(PCA, dtype="pca-4"), share=[first.path])
    assert others.manifest.basis != first.manifest.basis
    fewer = replace(PCA, views=("id",))  # views may differ, as those of training and validation do
    assert write(tmp_path / "fewer", val, fewer, share=[first.path]).manifest.basis == first.manifest.basis
    bases_path(shared.path, shared.manifest.basis["sha256"]).unlink()
    write(shared.path, val, share=[first.path])  # they are not fitted on val again
    assert verify(shared.path) == []
