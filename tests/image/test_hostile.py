"""Unusual and malformed images: each a correct result or a clear error, alone and in one batch of mixed sizes."""

from __future__ import annotations

import os
from collections import Counter

import numpy as np
import pytest
from hostile_files import every_case

from argus_core.canvas import Canvas
from argus_core.errors import ArgusError
from argus_core.image import read_image

CASES = every_case()


def test_the_cases_are_many_and_have_names_of_their_own():
    assert not [name for name, count in Counter(case.name for case in CASES).items() if count > 1]
    assert sum(case.pixels is not None for case in CASES) >= 60 and sum(bool(case.error) for case in CASES) >= 60


@pytest.mark.parametrize("case", [case for case in CASES if case.error], ids=repr)
def test_what_cannot_be_read_is_said(case, tmp_path):
    source = case.put(tmp_path)
    with pytest.raises(ArgusError, match=case.error) as caught:
        read_image(source)
    getattr(source, "close", bool)()
    said = str(caught.value)
    assert said.isprintable() and len(said) < 700 and " at 0x" not in said, said
    if isinstance(case.made, bytes):
        assert case.name in said


@pytest.mark.parametrize("case", [case for case in CASES if not case.error], ids=repr)
def test_what_can_be_read_has_the_right_pixels(case, tmp_path):
    source = case.put(tmp_path)
    if case.warns:
        with pytest.warns(case.warns, match="EXIF"):
            found = read_image(source)
    else:
        found = read_image(source)
    getattr(source, "close", bool)()
    assert type(found) is np.ndarray and found.dtype == np.uint8 and found.flags.c_contiguous and found.flags.writeable
    np.testing.assert_allclose(found.astype(int), case.pixels.astype(int), rtol=0, atol=case.atol)
    canvas, placement = Canvas(64).render(found)
    assert canvas.shape == (64, 64, 3) and placement.image_size == found.shape[:2]
    rows, columns = placement.extent
    assert rows >= 1 and columns >= 1 and not canvas[rows:].any() and not canvas[:, columns:].any()


def test_a_file_that_may_not_be_read_says_so(tmp_path):
    path = tmp_path / "private.png"
    path.write_bytes(b"secret")
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("the superuser may read every file")
    with pytest.raises(ArgusError, match=r"private\.png.*Permission denied"):
        read_image(path)


def test_an_open_file_stays_open(tmp_path):
    path = next(case for case in CASES if case.name == "tiff_lzw.tif").put(tmp_path)
    with path.open("rb") as file:
        first = read_image(file)
        assert not file.closed
        np.testing.assert_array_equal(read_image(file), first)


def test_files_and_arrays_are_read_without_torch(python, tmp_path):
    path = next(case for case in CASES if case.name == "plain.jpg").put(tmp_path)
    code = f"""
import sys
from argus_core.image import read_image
assert read_image(read_image({str(path)!r})[..., :1]).any()
assert "torch" not in sys.modules
"""
    done = python("-c", code)
    assert done.returncode == 0, done.stderr
