"""SPair-71k (Min 2019): 70,958 pairs of 1,800 images of 18 kinds of objects."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, Literal

from argus_core.common.files import read_json
from argus_core.data import Split
from argus_core.errors import ArgusError
from argus_data.files.images import data_root
from argus_data.pairs.pair_layer import PairPoints, PairSplit

SPLITS = {"train": "trn", "val": "val", "test": "test"}


def open_spair(path: str | Path, *, layout: Literal["large", "small"] = "large", limit: int = 0) -> dict[str, Split]:
    """The splits ``train``, ``val`` and ``test`` of an unpacked SPair-71k folder, as far as they are there.

    Pairs are those of Layout/``layout``, in its order; the large layout's test split of 12,234 pairs is the benchmark.
    A pair's annotation is read when it is asked for. ``limit`` keeps the first pairs of every split; 0 keeps all.
    """
    root = data_root(path, limit)
    files = {name: root / "Layout" / layout / f"{short}.txt" for name, short in SPLITS.items()}
    lists = {name: file for name, file in files.items() if file.is_file()}
    if not lists:
        raise ArgusError(f"{root} holds no SPair-71k; looked for Layout/{layout}/trn.txt, val.txt and test.txt")
    return {name: _split(root, name, file, limit) for name, file in lists.items()}


def _split(root: Path, name: str, file: Path, limit: int) -> PairSplit:
    lines = [line.strip() for line in file.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    lines = lines[:limit] if limit else lines
    if not lines:
        raise ArgusError(f"{file} lists no pairs")
    folder = root / "PairAnnotation" / SPLITS[name]
    pairs = [_names(file, line) for line in lines]
    return PairSplit(name, pairs, (root / "JPEGImages").joinpath, partial(_read, folder, lines))


def _names(file: Path, line: str) -> tuple[str, str]:
    """The keys of ``NUMBER-SOURCE-TARGET:CATEGORY``."""
    names, _, category = line.rpartition(":")
    parts = names.split("-")
    if len(parts) != 3 or not category:
        raise ArgusError(f"{file}: {line!r} is not NUMBER-SOURCE-TARGET:CATEGORY")
    return f"{category}/{parts[1]}.jpg", f"{category}/{parts[2]}.jpg"


def _read(folder: Path, lines: list[str], number: int) -> PairPoints:
    """The annotation of a pair; raises ArgusError, naming its file, for one that is missing or wrong."""
    file = folder / f"{lines[number]}.json"
    values = read_json(file, "unpack PairAnnotation again")
    try:
        points = [[(float(x), float(y)) for x, y in values[key]] for key in ("src_kps", "trg_kps")]
        sizes = [(int(values[key][1]), int(values[key][0])) for key in ("src_imsize", "trg_imsize")]
        x1, y1, x2, y2 = map(float, values["trg_bndbox"])
        category = str(values["category"])
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise ArgusError(f"{file} is no annotation of a pair: {_reason(error)}") from error
    if len(points[0]) != len(points[1]):
        raise ArgusError(f"{file}: {len(points[0])} source points cannot correspond to {len(points[1])} target points")
    return PairPoints(points[0], points[1], (x1, y1, x2, y2), category, (sizes[0], sizes[1]))


def _reason(error: Any) -> str:
    return f"it has no {error}" if isinstance(error, KeyError) else str(error)
