"""Small data sets of the library ``datasets`` for tests."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from packaging.version import Version
from PIL import Image

from argus_core.data.check import check_data

library = pytest.importorskip("datasets", reason="the extra datasets is not installed")
NEWER = pytest.mark.skipif(
    Version(library.__version__) < Version("5.1"), reason="the library fails on such a folder before version 5.1"
)
HEIGHT, WIDTH = 30, 40
BOXES = {"xywh": [4, 5, 10, 8], "xyxy": [4, 5, 14, 13], "cxcywh": [9, 9, 10, 8], "xyxyn": [0.1, 5 / 30, 0.35, 13 / 30]}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """A cache of the library that is not the user's."""
    monkeypatch.setattr(library.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    return tmp_path / "cache"


def encoded(seed=0, size=(HEIGHT, WIDTH), kind="PNG", **options) -> bytes:
    stream = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(stream, kind, **options)
    return stream.getvalue()


def picture(seed=0, name="", **options):
    return {"bytes": encoded(seed, **options), "path": name or None}


def plane(values, kind="PNG") -> dict:
    stream = io.BytesIO()
    Image.fromarray(values).save(stream, kind)
    return {"bytes": stream.getvalue(), "path": None}


def features(**columns):
    return library.Features({"image": library.Image(), **columns})


def saved(root: Path, columns, first=0, **splits) -> Path:
    """A folder of ``save_to_disk``; each split is a list of rows, which lack the image and get one."""
    tables = {}
    for split, rows in splits.items():
        rows = [{"image": picture(first + n), **row} for n, row in enumerate(rows)]
        first += len(rows)
        tables[split] = library.Dataset.from_dict({name: [row[name] for row in rows] for name in columns}, columns)
    library.DatasetDict(tables).save_to_disk(root)
    return root


def emptied(root: Path, split: str) -> Path:
    """The folder with a split that has no rows, as the library writes it from version 5.1 on."""
    state = json.loads((root / split / "state.json").read_text())
    (root / split / "state.json").write_text(json.dumps({**state, "_data_files": []}))
    return root


def labelled(root: Path, **splits) -> Path:
    columns = features(label=library.ClassLabel(names=["cat", "dog"]))
    return saved(root, columns, **{name: [{"label": label} for label in labels] for name, labels in splits.items()})


def objects(names=("cat", "dog"), **fields):
    category = library.ClassLabel(names=list(names)) if names else library.Value("int64")
    return {"bbox": library.List(library.List(library.Value("float64"))), "category": library.List(category), **fields}


def detected(root: Path, rows, names=("cat", "dog"), **more) -> Path:
    columns = features(objects=objects(names), **more)
    return saved(root, columns, train=[{"objects": {"bbox": boxes, "category": labels}} for boxes, labels in rows])


def told(data) -> str:
    return "\n".join(str(fault) for report in check_data(data).values() for fault in report.faults)
