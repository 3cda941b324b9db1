"""The images below a folder, and the other files there: one rule for data sets and commands."""

from __future__ import annotations

import os
import re
import unicodedata
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Iterator
from enum import Enum
from pathlib import Path

from argus_core.common.places import Address, place
from argus_core.errors import counted

IMAGES = frozenset(
    {
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".pjpeg", ".pjp", ".mpo", ".jp2", ".j2k", ".jpx", ".avif", ".webp"),
        *(".png", ".apng", ".gif", ".bmp", ".dib", ".tif", ".tiff", ".tga", ".ppm", ".pgm", ".pbm", ".pnm"),
    }
)
"""Suffixes of images, in lower case; the actual format is determined by the content when a file is read."""
UNREAD = frozenset(
    {
        *(".heic", ".heif", ".hif", ".jxl", ".psd", ".svg", ".exr", ".hdr", ".dcm", ".nii"),
        *(".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".rw2", ".raf", ".raw"),
    }
)
"""Suffixes of images that cannot be read."""
SYSTEM = frozenset(
    {
        *("thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "$recycle.bin", "system volume information"),
        *("__macosx", "@eadir", "#recycle", "@recycle", "lost+found", "__pycache__"),
    }
)
"""Names, in lower case, of files and folders that operating systems and servers create."""
_FIRST_BYTES = re.compile(
    rb"\xff\xd8\xff|\x89PNG\r\n\x1a\n|GIF8[79]a|RIFF....WEBP|II\*\0|MM\0\*|P[1-6]\s+[\d#]"
    rb"|BM.{4}\0{4}.{4}[\x0c-\x7c]\0{3}|\0\0\0\x0cjP  \r\n|....ftypavi[fs]",
    re.DOTALL,
)
"""First bytes of JPEG, PNG, GIF, WebP, TIFF, PNM, BMP, JPEG 2000 and AVIF files."""
_EXAMPLES = 4
"""Names or suffixes that a message gives for each reason."""


class Reason(Enum):
    """Why something is left out: what it is, and what to do if it was left out by mistake."""

    HIDDEN = "hidden or system file", "", ""
    HIDDEN_FOLDER = "hidden or system folder", "", ""
    OTHER = "other file", "", ""
    SPECIAL = "pipe or other special file", "", ""
    AGAIN = "link", "to a folder that was read already", ""
    FORMAT = "image", "in a format that is not read", "convert to JPEG or PNG"
    SUFFIX = "image", "under an unknown suffix", "rename by what it is, as .jpg or .png"
    CLOSED = "folder", "that cannot be opened", "allow reading it"

    def __init__(self, noun: str, detail: str, remedy: str) -> None:
        self.noun, self.detail, self.remedy = noun, detail, remedy

    def in_words(self, names: Counter[str]) -> str:
        """As in ``2 other files (.txt)``."""
        by_count = sorted(names, key=lambda name: (-names[name], name))
        examples = ", ".join([*by_count[:_EXAMPLES], *(["..."] if len(by_count) > _EXAMPLES else [])])
        return " ".join(filter(None, (counted(names.total(), self.noun), self.detail, f"({examples})")))


class Listing:
    """The files of a search below ``folder``, in order of name, and those left out, by reason."""

    def __init__(self, folder: Path, paths: Iterable[Path], left_out: dict[Reason, Counter[str]]) -> None:
        self.folder, self.paths = folder, sorted(paths)
        self.left_out = {reason: left_out[reason] for reason in Reason if reason in left_out}

    def __str__(self) -> str:
        return ", ".join(reason.in_words(names) for reason, names in self.left_out.items())

    @property
    def losses(self) -> list[str]:
        """Files that may have been left out by mistake, with what to do."""
        return [
            f"{reason.in_words(names)}; {reason.remedy}" for reason, names in self.left_out.items() if reason.remedy
        ]


def list_images(folder: str | Path, suffixes: Collection[str] = IMAGES) -> Listing:
    """All files below ``folder`` with one of ``suffixes`` in any case, and images without a suffix.

    Links to folders are followed, and each folder is read once. Hidden and system files and folders are left out. A
    broken link counts as a file: reading it will report that it is missing.
    """
    return _Walk(suffixes).listing(place(folder))


def is_hidden(name: str) -> bool:
    """Whether a name is that of a hidden or system file, or a backup: .DS_Store, ._x.jpg, @eaDir, x.jpg~."""
    return name.startswith(".") or name.endswith("~") or name.lower() in SYSTEM


def suffix_of(name: str) -> str:
    """The suffix in lower case; ``frame.0001`` and ``1.5 m`` have none."""
    suffix = os.path.splitext(name)[1].lower()
    return suffix if re.fullmatch(r"\.(?=.*[a-z])\w{1,10}", suffix, re.ASCII) else ""


def composed(name: str) -> str:
    """A name in a form that can be compared across systems (Unicode NFC): macOS separates accents from letters."""
    return unicodedata.normalize("NFC", name)


class _Walk:
    def __init__(self, suffixes: Collection[str]) -> None:
        self.suffixes = frozenset(suffixes)
        self.left_out: dict[Reason, Counter[str]] = {}
        self._seen: set[tuple[int, int]] = set()
        self._images: dict[str, bool] = {}

    def listing(self, folder: Path) -> Listing:
        paths: list[Path] = []
        waiting: deque[str | Path] = deque([folder if isinstance(folder, Address) else os.fspath(folder)])
        while waiting:
            for entry in self._entries(waiting.popleft()):
                if is_hidden(entry.name):
                    reason = Reason.HIDDEN_FOLDER if _succeeds(entry.is_dir) else Reason.HIDDEN
                    self._leave_out(reason, "._*" if entry.name.startswith("._") else entry.name)
                elif _succeeds(entry.is_dir):
                    # Real folders come first, so that a file is listed by its own path and not by that of a link.
                    (waiting.append if entry.is_symlink() else waiting.appendleft)(entry.path)
                elif (why := self._reason(entry)) is None:
                    paths.append(entry.path if isinstance(entry, Address) else Path(entry.path))
                else:
                    self._leave_out(why, suffix_of(entry.name) or entry.name)
        return Listing(folder, paths, self.left_out)

    def _entries(self, folder: str | Path) -> Iterator[os.DirEntry[str] | Address]:
        if isinstance(folder, Address):
            yield from sorted(folder.iterdir())
            return
        try:
            status = os.stat(folder)
            with os.scandir(folder) as stream:
                entries = sorted(stream, key=lambda entry: entry.name)
        except OSError:
            self._leave_out(Reason.CLOSED, os.path.basename(folder))
            return
        if (status.st_dev, status.st_ino) in self._seen:
            self._leave_out(Reason.AGAIN, os.path.basename(folder))
            return
        self._seen.add((status.st_dev, status.st_ino))
        yield from entries

    def _reason(self, entry: os.DirEntry[str] | Address) -> Reason | None:
        """Why a file is left out; None if it is not."""
        suffix = suffix_of(entry.name)
        if not (_succeeds(entry.is_file) or entry.is_symlink()):
            return Reason.SPECIAL
        if suffix in self.suffixes or (not suffix and _begins_as_image(entry.path)):
            return None
        if suffix in UNREAD and self.suffixes >= IMAGES:
            return Reason.FORMAT
        if not suffix or suffix in IMAGES:
            return Reason.OTHER
        if suffix not in self._images:  # only the first file of each suffix is opened, not a million text files
            self._images[suffix] = _begins_as_image(entry.path)
        return Reason.SUFFIX if self._images[suffix] else Reason.OTHER

    def _leave_out(self, reason: Reason, name: str) -> None:
        self.left_out.setdefault(reason, Counter())[name] += 1


def _begins_as_image(path: str | Path) -> bool:
    try:
        with path.open("rb") if isinstance(path, Address) else open(path, "rb") as file:
            return _FIRST_BYTES.match(file.read(32)) is not None
    except OSError:
        return False


def _succeeds(check: Callable[[], bool]) -> bool:
    """The answer of a check of a file; False where it fails, as for a link to itself."""
    try:
        return check()
    except OSError:
        return False
