"""Tables of everything for pandas, DuckDB and Polars: ``results.parquet`` and ``images.parquet``."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from functools import singledispatch
from typing import Any

from argus_core.common.extras import need
from argus_core.common.unique import readable
from argus_core.formats.writer import Record, Writer, task_of
from argus_core.tasks import Result
from argus_core.tasks.classify import ClassResult
from argus_core.tasks.depth import DepthResult
from argus_core.tasks.detect import DetectionResult
from argus_core.tasks.segment import SegmentResult

Row = dict[str, Any]
GROUP = 4096
"""Rows that are kept in memory and written at once."""
WHERE = {
    **{"image_id": "string", "file_name": "string", "frame": "int32", "time": "double"},
    **{"head": "string", "task": "string"},
}
IMAGES = {**WHERE, "height": "int32", "width": "int32", "answers": "int32", "embedding": "floats"}
"""Columns and types of ``images.parquet``: a row per image and head, also where it found nothing."""
RESULTS = {
    **{**WHERE, "rank": "int32", "class_id": "int32", "class_name": "string", "score": "float", "margin": "float"},
    **{"box": "floats", "share": "double", "segmentation": "string"},
    **{"min": "double", "max": "double", "median": "double", "known": "double"},
    **{"track_id": "int32", "answer": "string", "embedding": "floats"},
}
"""Columns and types of ``results.parquet``: a row per object, class, mask or depth map; ``rank`` 0 is the best."""


class Parquet(Writer):
    """A row per answer and a row per image and head, with the same columns whatever the heads.

    Rows are written in groups; the files have their names once they are whole.
    """

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._tables = {name: _Table(self, name, columns) for name, columns in _TABLES.items()}

    def write(self, record: Record) -> None:
        """The rows of an image."""
        for head, result in record.results.items():
            where = {
                **{"image_id": readable(record.name), "file_name": readable(record.source)},
                **{"frame": record.frame, "time": record.time, "head": head, "task": task_of(result)},
            }
            found = list(rows(result))
            for rank, row in enumerate(found):
                self._tables["results"].add({**where, "rank": rank, **row})
            height, width = record.size
            about = {"height": height, "width": width, "answers": len(found), "embedding": result.embedding}
            self._tables["images"].add({**where, **about})

    def close(self) -> None:
        """Write what is left, and give the files their names."""
        for table in self._tables.values():
            table.close()


_TABLES: dict[str, Mapping[str, str]] = {"results": RESULTS, "images": IMAGES}


class _Table:
    """A file that grows by groups of rows."""

    def __init__(self, writer: Writer, name: str, columns: Mapping[str, str]) -> None:
        arrow, self._parquet = need("pyarrow", "parquet"), need("pyarrow.parquet", "parquet")
        kinds = {"floats": arrow.list_(arrow.float32())}
        self._schema = arrow.schema(
            [(column, kinds.get(kind) or arrow.type_for_alias(kind)) for column, kind in columns.items()]
        )
        self._folder, self._name, self._arrow = writer.folder, name, arrow
        self._rows: list[Row] = []
        self._file: Any = None

    def add(self, row: Row) -> None:
        """Add a row."""
        self._rows.append(row)
        if len(self._rows) >= GROUP:
            self._flush()

    def close(self) -> None:
        """Finish the file; there is none before the first row."""
        if self._rows or self._file is not None:
            self._flush()
            self._file.close()
            os.replace(self._unfinished, self._folder.file(f"{self._name}.parquet"))

    def _flush(self) -> None:
        if self._file is None:
            self._unfinished = self._folder.file(f".{self._name}.parquet.part")
            self._file = self._parquet.ParquetWriter(self._unfinished, self._schema, compression="zstd")
        self._file.write_table(self._arrow.Table.from_pylist(self._rows, self._schema))
        self._rows.clear()


@singledispatch
def rows(result: Result) -> Iterator[Row]:
    """The answers in a result, best first; those of a task of a stranger as one JSON text."""
    yield {"answer": json.dumps(result.to_dict())}


@rows.register
def _classes(result: ClassResult) -> Iterator[Row]:
    yield from result.entries


@rows.register
def _boxes(result: DetectionResult) -> Iterator[Row]:
    vectors = [None] * len(result) if result.embeddings is None else result.embeddings
    for entry, vector in zip(result.entries, vectors, strict=True):
        yield {**entry, "embedding": vector}


@rows.register
def _masks(result: SegmentResult) -> Iterator[Row]:
    for mask in result.to_dict()["masks"]:
        score = result.mean_confidence(mask["class_id"])
        yield {**mask, "segmentation": mask["segmentation"]["counts"], "score": score}


@rows.register
def _depth(result: DepthResult) -> Iterator[Row]:
    yield {name: value for name, value in result.to_dict().items() if name in RESULTS}
