"""What lies in an object store: its answers as entries, and folders whose content is asked for once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

_VERSIONS = ("ETag", "etag", "md5Hash", "generation", "mtime", "LastModified", "last_modified", "updated", "created")
"""What stores call a value that changes with the content, the surest first."""


class Entry(NamedTuple):
    """What lies at an address: an object of ``size`` bytes, or a folder."""

    size: int
    version: str
    folder: bool = False


FOLDER = Entry(0, "", folder=True)
Listing = dict[str, dict[str, Entry]]
"""The entries of each folder by name."""
_listings: dict[str, Listing] = {}


def entry_of(info: Mapping[str, Any]) -> Entry:
    """What a store says of an object or a folder."""
    if info["type"] == "directory":
        return FOLDER
    version = next((str(info[key]) for key in _VERSIONS if info.get(key)), "")
    return Entry(int(info["size"] or 0), version.strip('"'))


def remember(root: str, objects: Mapping[str, Mapping[str, Any]]) -> None:
    """Keep all ``objects`` below ``root``, by their names in it, until this process ends or the same root is listed."""
    listing: Listing = {root: {}} if objects else {}
    for name, info in objects.items():
        parent, _, last = name.rpartition("/")
        folder = f"{root}/{parent}" if parent else root
        _folder(listing, root, folder)[last] = entry_of(info)
    _listings[root] = listing


def listing_of(address: str) -> Listing | None:
    """The listing that an address lies in; None if there is none."""
    roots = (root for root in _listings if address == root or address.startswith(f"{root}/"))
    return next((_listings[root] for root in roots), None)


def _folder(listing: Listing, root: str, folder: str) -> dict[str, Entry]:
    """The entries of a folder, which becomes known in those above it."""
    if folder not in listing:
        parent, _, name = folder.rpartition("/")
        listing[folder] = {}
        _folder(listing, root, parent)[name] = FOLDER
    return listing[folder]
