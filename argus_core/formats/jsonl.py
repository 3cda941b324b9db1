"""``results.jsonl``: everything that was said about an image in one line; maps are PNG files that it names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import IO, Any

from argus_core.draw import write_depth_png, write_index_png
from argus_core.formats.writer import Record, Writer
from argus_core.model import Perception
from argus_core.tasks import Result
from argus_core.tasks.classify import ClassResult
from argus_core.tasks.depth import DepthResult
from argus_core.tasks.detect import DetectionResult
from argus_core.tasks.segment import SegmentResult


class JsonLines(Writer):
    """``{"image_id", "file_name", HEAD: answer, ..., "embedding", "flags"}`` a line; maps are ``HEAD/IMAGE.png``.

    Lines of frames also have their "frame" and "time".
    """

    _lines: IO[str] | None = None

    def write(self, record: Record) -> None:
        """A line, and a file for each map."""
        line: dict[str, Any] = {"image_id": record.name, "file_name": record.source}
        line |= {key: value for key, value in (("frame", record.frame), ("time", record.time)) if value is not None}
        for head, result in record.results.items():
            line[head] = self._entry(head, record, result)
        line |= Perception(record.results, {}, {}).whole()
        if self._lines is None:  # only now: until there is a result, those of an earlier run are kept
            self._lines = self.folder.file("results.jsonl").open("w", encoding="utf-8")
        self._lines.write(json.dumps(line) + "\n")
        self._lines.flush()

    def close(self) -> None:
        """Close the file."""
        if self._lines is not None:
            self._lines.close()

    def _entry(self, head: str, record: Record, result: Result) -> Any:
        """The head's part of the line; maps go into files of their own."""
        if isinstance(result, ClassResult | DetectionResult):
            return result.entries
        if isinstance(result, SegmentResult):
            file = self.folder.file(head, f"{record.name}.png")
            write_index_png(file, result.labels, len(result.classes), result.ignore)
            return {"file": self._inside(file), "shares": result.shares()}
        if isinstance(result, DepthResult):
            file = self.folder.file(head, f"{record.name}.png")
            write_depth_png(file, result.metres)
            return result.to_dict(self._inside(file))
        return result.to_dict()

    def _inside(self, file: Path) -> str:
        """The path of a file relative to the folder, so that the folder can be moved."""
        return file.relative_to(self.folder.out).as_posix()
