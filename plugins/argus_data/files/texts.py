"""Text files as people have them."""

from __future__ import annotations

import codecs
from pathlib import Path

from argus_core.errors import ArgusError

WIDE = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def read_text(path: Path) -> str:
    """The text of a file in UTF-8, or in UTF-16 with a mark, as Windows writes it; raises ArgusError for any other."""
    try:
        raw = path.read_bytes()
        return raw.decode("utf-16" if raw.startswith(WIDE) else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise ArgusError(
            f"{path}: it is not in UTF-8 ({error.reason} at byte {error.start}); save it as UTF-8"
        ) from error
    except OSError as error:
        raise ArgusError(f"{path}: cannot be read: {error.strerror or error}") from error
