"""Images from files, folders, globs, web addresses, videos, streams and webcams, one by one."""

from __future__ import annotations

import glob
import math
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path
from urllib.parse import urlsplit

import typer

from argus_core.common.progress import ProgressBar, finished
from argus_core.common.unique import UniqueNames, one_line, plain_name, plain_path
from argus_core.errors import ArgusError, several
from argus_core.image import IMAGES, Listing, list_images, read_image
from argus_core.image.array import RGB
from argus_core.image.url import is_url, media_type
from argus_core.video.read import Video
from argus_core.video.source import VIDEOS, WEBCAM, prospect

STREAMS = {".m3u8", ".mpd", ".mjpg", ".mjpeg"}


@dataclass(frozen=True)
class Frame:
    """An image, its source and names for its files; a ``fault`` instead of the image if it is unreadable.

    ``place`` is the path below the folder that was asked for, without suffix. A frame of a video has a ``number`` and
    a ``time`` in seconds, and ``film`` is the name of the video.
    """

    source: str
    name: str
    place: str
    image: RGB | None
    fault: str = ""
    film: str = ""
    number: int | None = None
    time: float | None = None


@dataclass(frozen=True)
class Source:
    """An image file, or a ``moving`` source with frames; ``fault`` if it does not exist."""

    address: str
    name: str
    place: str
    moving: bool = False
    fault: str = ""

    @property
    def renamed(self) -> bool:
        """Whether it is an image file whose place has another name than itself, since another one has that."""
        return not self.moving and "://" not in self.address and Path(self.place).name != Path(self.address).stem


def find_sources(inputs: Sequence[str], out: Path) -> list[Source]:
    """Everything that ``inputs`` name, in order, except files in ``out``; raises ArgusError if nothing is found.

    Other files of folders are counted on stderr.
    """
    sources: dict[str, Source] = {}
    listings: list[Listing] = []
    for text in inputs:
        expanded = _expand(text, out, listings)
        for source in expanded or ():
            sources.setdefault(source.address, source)
        if expanded is None:
            fault = f"there is no file or folder {text}, and nothing matches it"
            sources[text] = replace(_source(text), fault=fault)
    for listing in listings:
        if listing.left_out:
            print(f"passed over in {listing.folder}: {listing}", file=sys.stderr)
    faults = [source.fault for source in sources.values() if source.fault]
    if faults and len(faults) == len(sources):
        raise ArgusError(several(faults))
    if not sources:
        raise ArgusError(f"no images or videos in {', '.join(inputs)}; looked for {' '.join(sorted(IMAGES | VIDEOS))}")
    return _named(sources.values())


def frames(source: Source, every: int, limit: int) -> Iterator[Frame]:
    """The image of a source, or every n-th frame, at most ``limit`` of them; unreadable ones are faults."""
    if source.fault:
        yield Frame(source.address, source.name, source.place, None, source.fault)
        return
    if source.moving:
        yield from _video(source, every, limit)
        return
    try:
        yield Frame(source.address, source.name, source.place, read_image(source.address))
    except ArgusError as error:
        yield Frame(source.address, source.name, source.place, None, str(error))


class Frames:
    """The readable frames of some sources; ``faults`` says why the others could not be read."""

    def __init__(self, sources: Sequence[Source], every: int, limit: int) -> None:
        self._moving = any(source.moving for source in sources)
        self.seen, self.faults = 0, list[str]()
        counts = [_expected(source, every, limit) for source in sources]
        self._total = None if None in counts else sum(count for count in counts if count)
        self._frames = chain.from_iterable(frames(source, every, limit) for source in sources)
        self._began = time.perf_counter()

    def batches(self, size: int, title: str) -> Iterator[list[Frame]]:
        """The frames, at most ``size`` at a time, under a progress bar; raises ArgusError if there are none."""
        with ProgressBar(title, self._total, "frames" if self._moving else "images") as progress:
            while frames := list(islice(self._readable(), size)):
                yield frames
                self.seen += len(frames)
                done = self.seen + len(self.faults)
                progress.update(done, total=max(done, self._total) if self._total else None)
        if not self.seen:
            raise ArgusError(f"none of the images could be read: {several(self.faults)}")

    def _readable(self) -> Iterator[Frame]:
        for frame in self._frames:
            if frame.image is None:
                self.faults.append(frame.fault)
            else:
                yield frame

    @contextmanager
    def finishing(self, what: Callable[[], str], out: Path) -> Iterator[None]:
        """Say at the end, also after Ctrl-C, what was done with the frames, and how long it took."""
        try:
            yield
        except KeyboardInterrupt:
            finished(what(), out, time.perf_counter() - self._began)
            raise
        finished(what(), out, time.perf_counter() - self._began)

    def exit_with_faults(self) -> None:
        """Name on stderr what could not be read; ends with exit code 1 then."""
        for fault in self.faults:
            print(f"left out: {fault}", file=sys.stderr)
        if self.faults:
            raise typer.Exit(1)


def _expand(text: str, out: Path, listings: list[Listing]) -> list[Source] | None:
    """The sources that ``text`` names; None if there are none. Folders are added to ``listings``."""
    if text.startswith(WEBCAM) or "://" in text:
        return [_source(text, not is_url(text) or _moves(text))]
    path = Path(text)
    if path.is_dir():
        listings.append(listing := list_images(path, IMAGES | VIDEOS))
        return [_source(str(inside), folder=path) for inside in listing.paths if not _lies_in(inside, out)]
    if path.exists():
        return [_source(text)]
    matches = sorted(glob.glob(text, recursive=True))
    return [source for match in matches for source in _expand(match, out, listings) or ()] if matches else None


def _source(address: str, moving: bool | None = None, folder: Path | None = None) -> Source:
    """A source; unless it is said, the suffix tells whether it has frames. ``folder`` is the one that was asked for."""
    stem = _stem(address)
    above = Path(address).relative_to(folder).parent if folder else Path()
    frames = Path(address).suffix.lower() in VIDEOS if moving is None else moving
    place = plain_path(above / stem) if frames or "://" in address else one_line((above / stem).as_posix())
    return Source(address, plain_name(stem), place, frames)


def _lies_in(path: Path, folder: Path) -> bool:
    """Whether a file lies in a folder, itself or as what it links to."""
    places = (path.resolve(), path.parent.resolve() / path.name)
    return any(folder.resolve() in place.parents for place in places)


def _moves(url: str) -> bool:
    """Whether a web address is of a video; asks the server if the suffix does not tell."""
    suffix = Path(urlsplit(url).path).suffix.lower()
    if suffix in IMAGES | VIDEOS | STREAMS:
        return suffix not in IMAGES
    try:
        return media_type(url) in ("video", "audio", "multipart", "application")
    except ArgusError:
        return False  # fetching the image reports the error


def _stem(address: str) -> str:
    """The name of an address: the last part of its path, or the host."""
    if not is_url(address):
        return Path(address).stem
    parts = urlsplit(address)
    return Path(parts.path).stem or parts.netloc


def _named(sources: Iterable[Source]) -> list[Source]:
    """The sources with unique names: numbered if several share a stem."""
    names, places = UniqueNames(), UniqueNames()
    return [replace(source, name=names.give(source.name), place=places.give(source.place)) for source in sources]


def _video(source: Source, every: int, limit: int) -> Iterator[Frame]:
    video = Video(source.address)
    for yielded, frame in enumerate(video.frames(every), start=1):
        end = f"-{frame.number:06d}"
        names = source.address, source.name + end, source.place + end
        yield Frame(*names, frame.image, film=source.name, number=frame.number, time=frame.time)
        if yielded == limit:
            return
    for fault in video.faults:
        yield Frame(source.address, source.name, source.place, None, fault)


def _expected(source: Source, every: int, limit: int) -> int | None:
    """About how many images a source gives; None if nothing tells it."""
    if source.fault or not source.moving:
        return 1
    stated = prospect(source.address).frames
    if stated is None:
        return limit or None
    return min(max(1, math.ceil(stated / every)), limit or sys.maxsize)


def check_image(text: str) -> None:
    """Raise ArgusError for an image that is no address and not there."""
    if "://" not in text and not Path(text).exists():
        raise ArgusError(f"there is no file {text}")


def parse_point(text: str) -> tuple[float, float]:
    """``X,Y`` as two numbers."""
    try:
        x, y = (float(part) for part in text.split(","))
    except ValueError as error:
        raise ArgusError(f"{text!r} is not a point X,Y in pixels, such as 120,64") from error
    return x, y
