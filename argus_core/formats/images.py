"""The images beside files of labels: links to files, and pictures of whatever is no file."""

from __future__ import annotations

import shutil
from pathlib import Path

from PIL import Image

from argus_core.common.files import write_atomic
from argus_core.common.out_folder import OutFolder
from argus_core.formats.writer import Record

QUALITY = 95
"""Of JPEG files of frames and of images from the web."""


def place_image(folder: OutFolder, record: Record, *parts: str) -> Path:
    """The image of a record below ``parts`` of a folder.

    A link to its file, or a copy where links cannot be made; a JPEG file of a frame, an array or an image from an
    address.
    """
    if record.file is None:
        path = folder.file(*parts, f"{record.place}.jpg")
        write_atomic(path, lambda to: Image.fromarray(record.image).save(to, format="JPEG", quality=QUALITY))
        return path
    source = record.file.resolve()
    path = folder.file(*parts, f"{record.place}{record.file.suffix}")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    try:
        path.symlink_to(source)
    except OSError:  # on Windows links take a privilege, and some file systems have none
        write_atomic(path, lambda to: shutil.copyfile(source, to))
    return path
