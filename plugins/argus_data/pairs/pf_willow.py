"""PF-WILLOW (Ham 2016): 100 images of 10 kinds of objects, each with 10 keypoints."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np

from argus_core.data import Split
from argus_core.errors import ArgusError
from argus_core.image import is_hidden
from argus_data.files.images import data_root
from argus_data.pairs.pair_layer import PairPoints, PairSplit
from argus_data.pairs.pair_lists import NAME, open_pairs

LISTS = ("test_pairs_pf.csv", "test_pairs.csv")
KEYPOINTS = 10


def open_pf_willow(path: str | Path, *, cross: bool = False, limit: int = 0) -> dict[str, Split]:
    """The pairs of a PF-WILLOW folder, whichever of three forms it has.

    ``pairs.json`` is read as by the adapter ``pairs``; its split ``cross``, whose pairs join an image of ``train``
    and one of ``test``, is left out without ``cross``. The usual list ``test_pairs_pf.csv`` gives a split ``test``,
    as do the original folders of .png and .mat files: all ordered pairs of the images of a folder, 900 in all. The
    target's box is that of its keypoints. ``limit`` keeps the first pairs of every split; 0 keeps all.
    """
    root = data_root(path, limit)
    if (root / NAME).is_file():
        splits = open_pairs(root, limit=limit)
        return {name: split for name, split in splits.items() if cross or name != "cross"}
    lists = [root / name for name in LISTS if (root / name).is_file()]
    annotated = list(_listed_pairs(root, lists[0]) if lists else _folder_pairs(root))
    if not annotated:
        raise ArgusError(f"{root} holds no PF-WILLOW; looked for {', '.join((NAME, *LISTS))} and FOLDER/*.mat")
    pairs, points = zip(*annotated[: limit or None], strict=True)
    return {"test": PairSplit("test", pairs, root.joinpath, points.__getitem__)}


def _listed_pairs(root: Path, file: Path) -> Iterator[tuple[tuple[str, str], PairPoints]]:
    """Rows of two file names, then x of all keypoints and y of all keypoints of the first image, and of the second."""
    with file.open(encoding="utf-8-sig", newline="") as stream:
        rows = list(csv.reader(stream))
    for number, row in enumerate(rows[1:], start=2):
        try:
            values = np.array([cell.replace(";", ",").split(",") for cell in row[2:]], dtype=np.float64)
            source, target = values.reshape(2, 2, -1).transpose(0, 2, 1)  # (N, 2) x, y each
        except ValueError as error:
            raise ArgusError(
                f"{file}, line {number}: expected two file names and the x and y of {KEYPOINTS} points of each"
            ) from error
        names = (_key(root, row[0]), _key(root, row[1]))
        yield names, _points(source, target, names[1])


def _folder_pairs(root: Path) -> Iterator[tuple[tuple[str, str], PairPoints]]:
    """All ordered pairs of each folder's images, whose keypoints are in .mat files of their names, counted from 1."""
    files = [file for file in sorted(root.glob("*/*.mat")) if not is_hidden(file.name)]
    for folder in sorted({file.parent for file in files}):
        points = {f"{folder.name}/{file.stem}.png": _keypoints(file) - 1 for file in files if file.parent == folder}
        for source, target in permutations(points, 2):
            if len(points[source]) != len(points[target]):
                raise ArgusError(
                    f"{root}: {source} has {len(points[source])} keypoints, {target} {len(points[target])}"
                )
            yield (source, target), _points(points[source], points[target], target)


def _keypoints(file: Path) -> Any:
    """(N, 2) x, y of a .mat file."""
    from scipy.io import loadmat

    try:
        values = np.asarray(loadmat(file)["pts_coord"], dtype=np.float64)
    except Exception as error:  # scipy raises anything on a broken file
        raise ArgusError(f"{file} holds no keypoints (pts_coord): {error}") from error
    if values.ndim != 2 or len(values) < 2:
        raise ArgusError(f"{file}: pts_coord is {values.shape}, not (2, keypoints)")
    return values[:2].T


def _points(source: Any, target: Any, key: str) -> PairPoints:
    low, high = target.min(axis=0).tolist(), target.max(axis=0).tolist()
    return PairPoints(source.tolist(), target.tolist(), (*low, *high), key.split("/")[0])


def _key(root: Path, name: str) -> str:
    """The path below ``root`` of a file, which lists may give with the name of the root's folder before it."""
    return name if (root / name).is_file() else name.partition("/")[2] or name
