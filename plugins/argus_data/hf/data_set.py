"""Data sets of the library ``datasets``: saved folders, folders of tables or images, and ids on the hub."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from argus_core.common.places import Address, place
from argus_core.data import Split
from argus_core.errors import ArgusError, Fault, unknown
from argus_data.files.images import SPLITS, Layer, data_root
from argus_data.folders.image_folders import mask_classes, mask_remap, metres_per_step
from argus_data.hf.cells import Cell
from argus_data.hf.classes import label_classes, object_classes
from argus_data.hf.columns import find_columns
from argus_data.hf.library import is_saved, load_tables
from argus_data.hf.objects import box_layer, entries_of
from argus_data.hf.rows import Rows
from argus_data.hf.split import RowSplit, keys_of
from argus_data.layers.box_forms import Form
from argus_data.layers.depth_maps import DepthLayer
from argus_data.layers.labels import LabelLayer, evenly, own_labels
from argus_data.layers.masks import MaskLayer

if TYPE_CHECKING:
    from datasets import Dataset


NAMES = "id2label.json"
"""Beside a data set, the names of its classes by index, as many on the hub have it."""
METADATA = ("metadata.csv", "metadata.jsonl", "metadata.parquet")
LOOKED = 100
"""Entries of a folder that are looked at for a table."""


def open_hf(
    path: str | Path,
    *,
    config: str = "",
    revision: str = "",
    train: str = "",
    val: str = "",
    test: str = "",
    hold_out: float = 0.0,
    image: str = "",
    label: str = "",
    objects: str = "",
    mask: str = "",
    depth: str = "",
    boxes: Literal["", "xywh", "xyxy", "cxcywh", "xywhn", "xyxyn", "cxcywhn"] = "",
    classes: str = "",
    remap: str = "",
    unit: Literal["mm", "cm", "m"] = "mm",
    scale: float | str = "",
    low: float = 0.001,
    high: float = 10.0,
    limit: int = 0,
) -> dict[str, Split]:
    """The splits that the library ``datasets`` finds at ``path``: a folder, or USER/NAME on the hub.

    A folder is one of ``save_to_disk``, or one that ``load_dataset`` reads: tables such as parquet, or images with
    ``metadata.csv`` or in class folders; of these the library keeps a copy in its cache. ``config`` and ``revision``
    are its own. ``validation`` and ``dev`` are called ``val``; ``train``, ``val`` and ``test`` name other splits;
    ``hold_out`` is the share of the only split that becomes ``val``, spread evenly over its rows.

    Columns are known by their types and usual names, or named: ``image``; ``label``, a class, text or number;
    ``objects``, lists of boxes and classes; ``mask``; ``depth``. ``boxes`` is the form of boxes: left top corner and
    size unless given, two corners, center and size; with n at the end as shares of the image. ``classes``, ``remap``,
    ``unit``, ``scale``, ``low`` and ``high`` are those of ``images:``; ``classes`` also names objects and labels that
    are numbers, and is ``id2label.json`` where that is there. ``limit`` keeps the first images of every split, of
    those with labels alone as many of each class; 0 keeps all. Raises ArgusError for what cannot be opened, and for
    columns and boxes that could be something else.
    """
    if isinstance(place(path), Address):
        raise ArgusError(f"{path}: the library datasets reads files of this machine; copy it, or open it without hf:")
    root = data_root(path, limit)
    tables = load_tables(path, config, revision)
    asked = {"image": image, "label": label, "objects": objects, "mask": mask, "depth": depth}
    names = classes or (NAMES if (root / NAMES).is_file() else "")
    try:
        kept, notes = _by_split(tables, {"train": train, "val": val, "test": test})
        rows = _held_out(_rows_of(root, kept, asked), hold_out)
        next(iter(rows.values())).faults += notes
        maker = _Maker(root, rows, names, remap, metres_per_step(unit, scale), (low, high), boxes or None, limit)
        return {name: maker.split(name) for name in rows}
    except ArgusError as error:
        raise ArgusError(f"{path}: {error}") from error


def hf_layout(path: Path) -> str:
    """By what a folder is known as one of this library's, in words; empty unless it is unmistakable."""
    if is_saved(path):
        return "it was written by save_to_disk"
    folders = [folder for folder in (path, path / "data", *(path / name for name in SPLITS)) if folder.is_dir()]
    for folder in folders:
        for entry in islice(sorted(folder.iterdir()), LOOKED):
            if entry.name in METADATA or entry.suffix == ".parquet":
                return str(entry.relative_to(path))
    return ""


def _by_split(tables: Mapping[str, Dataset], asked: Mapping[str, str]) -> tuple[dict[str, Dataset], list[Fault]]:
    """The tables under our names of splits, and a fault for each that is empty."""
    aliases = {alias: name for name, known in SPLITS.items() for alias in known if not asked[name]}
    aliases |= {} if asked["val"] else {"dev": "val"}
    for name, given in asked.items():
        if given and given not in tables:
            raise ArgusError(f"{name}={given}: {unknown('split', given, tables)}")
        aliases |= {given: name} if given else {}
    found: dict[str, Dataset] = {}
    origin: dict[str, str] = {}
    for given, table in tables.items():
        name = aliases.get(given, aliases.get(given.lower(), given))
        if name in found:
            raise ArgusError(
                f"the splits {origin[name]!r} and {given!r} are both {name!r}; say {name}={given} or the other"
            )
        found[name], origin[name] = table, given
    empty = [name for name, table in found.items() if not table.num_rows]
    if len(empty) == len(found):
        raise ArgusError(f"the data set is empty: {', '.join(map(repr, origin.values())) or 'no split'} without rows")
    faults = [Fault(name, "the split has no rows", dropped=True) for name in empty]
    return {name: table for name, table in found.items() if table.num_rows}, faults


def _rows_of(root: Path, tables: Mapping[str, Dataset], asked: Mapping[str, str]) -> dict[str, Rows]:
    """The rows of every split, whose columns are those of the first one that has any to learn from."""
    errors: list[ArgusError] = []
    for table in tables.values():
        try:
            columns = find_columns(table.features, asked)
        except ArgusError as error:
            errors.append(error)
            continue
        return {
            name: Rows(name, other, columns.within(name, other.features), root, range(other.num_rows))
            for name, other in tables.items()
        }
    raise errors[0]


def _held_out(rows: dict[str, Rows], share: float) -> dict[str, Rows]:
    """The only split in two: of each run of rows the last, so that rows in order of class are shared fairly."""
    if not share:
        return rows
    if len(rows) > 1 or not 0 < share < 1:
        raise ArgusError(
            f"hold_out={share} should be a share between 0 and 1 of an only split; there are {', '.join(rows)}"
        )
    (part,) = rows.values()
    held = [row for row in part.numbers if int((row + 1) * share) > int(row * share)]
    if not 0 < len(held) < len(part.numbers):
        raise ArgusError(f"hold_out={share} of {len(part.numbers)} rows leaves a split without rows")
    others = sorted(set(part.numbers) - set(held))
    parts = {"train": others, "val": held}
    return {name: replace(part, split=name, numbers=own, faults=[], notes=[]) for name, own in parts.items()}


@dataclass(frozen=True)
class _Maker:
    """Makes the splits of one data set, whose classes are common to all of them."""

    root: Path
    rows: Mapping[str, Rows]
    names: str
    remap: str
    metres: tuple[float, float]
    range: tuple[float, float]
    form: Form | None
    limit: int

    def split(self, name: str) -> RowSplit:
        """One split: its usable rows, as many as are wanted, with a layer for each kind of annotation."""
        rows = self.rows[name]
        kept = self._kept(rows, rows.usable())
        keys = keys_of(rows.images.paths())
        chosen = [keys[row] for row in kept]
        return RowSplit(
            name,
            chosen,
            [Cell(rows.images, row) for row in kept],
            [*self._labels(rows, kept), *self._maps(rows, kept), *self._boxes(rows, kept, chosen)],
            rows.faults,
            stated=rows.stated_sizes(kept),
            left_out="; ".join(rows.notes),
        )

    def _kept(self, rows: Rows, usable: Sequence[int]) -> Sequence[int]:
        """The rows that ``limit`` leaves: the first, or of those that have a label alone as many of each class."""
        if rows.labels is None or rows.maps or rows.objects:
            return usable[: self.limit or None]
        _, index = label_classes(self.rows, self.root, self.names)
        return [usable[place] for place in evenly([index[str(rows.labels[row])] for row in usable], self.limit)]

    def _labels(self, rows: Rows, kept: Sequence[int]) -> list[Layer]:
        if rows.labels is None:
            return []
        classes, index = label_classes(self.rows, self.root, self.names)
        rows.faults += [] if rows.has_named_classes else own_labels(rows.split, len(kept), len(classes))
        return [LabelLayer(classes, [index[str(rows.labels[row])] for row in kept])]

    def _maps(self, rows: Rows, kept: Sequence[int]) -> list[Layer]:
        layers: list[Layer] = []
        for noun, column in rows.maps.items():
            cells = [Cell(column, row) for row in kept]
            if noun == "mask":
                remap = mask_remap(self.root, self.remap) if self.remap else None
                layers.append(MaskLayer(cells, *mask_classes(self.root, self.names), remap))
            else:
                low, high = self.range
                layers.append(DepthLayer(cells, self.metres[0], low=low, high=high, floats=self.metres[1]))
        return layers

    def _boxes(self, rows: Rows, kept: Sequence[int], keys: Sequence[str]) -> list[Layer]:
        fields = rows.columns.objects
        if rows.objects is None or fields is None:
            return []
        classes, labels = object_classes(self.rows, rows.split, self.root, self.names)
        entries, faults = entries_of(rows.split, {row: rows.objects[row] for row in kept}, fields, labels)
        faults += rows.objectless(kept)
        return [box_layer(rows.split, keys, rows.sizes(kept), entries, faults, classes, self.form)]
