"""Results as files in several formats at once, image by image."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from argus_core.common.out_folder import OutFolder
from argus_core.common.unique import UniqueNames, one_line, plain_name, plain_path
from argus_core.errors import ArgusError
from argus_core.formats.coco_ids import Numbering
from argus_core.formats.table import ALWAYS, FORMATS, check_formats
from argus_core.formats.writer import Record, Writer, task_of
from argus_core.image.url import is_url
from argus_core.model import Perception
from argus_core.tasks import Result


class ResultFiles:
    """A context that writes results into a folder; ``formats`` are names in ``FORMATS``.

    The folder is new, empty, or holds results of an earlier call, which are replaced. Files of labels lie below it as
    the images lie below ``root``, by default beside each other. ``numbering`` gives the ids of COCO's files. Raises
    ArgusError for an unknown format, one whose library is missing, and a folder of something else.
    """

    def __init__(
        self,
        folder: str | Path | OutFolder,
        formats: Iterable[str] = ALWAYS,
        *,
        root: str | Path | None = None,
        numbering: Numbering = Numbering(None, {}),  # noqa: B008 -- it is frozen
    ) -> None:
        self.formats = tuple(dict.fromkeys(formats))
        check_formats(self.formats)
        self.numbering, self._root = numbering, None if root is None else Path(root).absolute()
        self.folder = folder if isinstance(folder, OutFolder) else OutFolder(Path(folder))
        self._writers: list[Writer] = [FORMATS[name].writer()(self.folder, numbering) for name in self.formats]
        self._names, self._places = UniqueNames(), UniqueNames()
        self._open, self.count = ExitStack(), 0

    def __enter__(self) -> ResultFiles:
        self._open.enter_context(self.folder)
        for writer in self._writers:
            self._open.callback(writer.close)
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        self._open.__exit__(kind, *rest)  # type: ignore[arg-type]

    def write(
        self,
        results: Result | Perception | Mapping[str, Result],
        source: str | Path | None = None,
        frame: int | None = None,
        time: float | None = None,
    ) -> None:
        """Write the results about one image: of one head, or of several by name.

        ``source`` is the path, the address or any other name of the image; its last part, without suffix, names the
        files. Names that were used before are numbered. ``frame`` is the number of the image in the video ``source``,
        ``time`` its seconds from the start of that.
        """
        by_head = _by_head(results)
        if not by_head:
            raise ArgusError("there is no result to write")
        text, end = "image" if source is None else str(source), "" if frame is None else f"-{frame:06d}"
        path = None if source is None or is_url(text) else Path(text).absolute()
        file = path if path is not None and frame is None and path.is_file() else None
        name, place = plain_name(Path(text).stem) + end, self._place(path or Path(text), file) + end
        image = next(iter(by_head.values())).image
        self.add(Record(name, place, text, image, by_head, file, frame, time))

    def add(self, record: Record) -> Record:
        """Write a record; returns it with the names it got, which are numbered where they were used before."""
        record = replace(record, name=self._names.give(record.name), place=self._places.give(record.place))
        for writer in self._writers:
            writer.write(record)
        self.count += 1
        return record

    def _place(self, path: Path, file: Path | None) -> str:
        """Where an image lies below the root, without suffix; what is no file need not have a file's name."""
        inside = Path(path.name or "image")
        if self._root is not None and path.is_relative_to(self._root):
            inside = path.relative_to(self._root)
        return plain_path(inside.with_suffix("")) if file is None else one_line(inside.with_suffix("").as_posix())


def _by_head(results: Result | Perception | Mapping[str, Result]) -> Mapping[str, Result]:
    if isinstance(results, Result):
        return {task_of(results): results}
    return results.results if isinstance(results, Perception) else results
