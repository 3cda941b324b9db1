"""Which training images choices are made on: of weights, of a sweep's rate, and of where a stage starts."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence

from argus_arena.requests.fields import ON_VAL
from argus_core.common.files import json_sha256
from argus_core.data import Split
from argus_core.data.split import read_truth
from argus_core.errors import ArgusError, counted
from argus_core.tasks.classify import Classify

LEAST, MOST = 16, 2_000
"""Images that choices are made on: a share of fewer is none, of more it is so many."""
EXPORTED = ".rf."
"""What Roboflow puts between the name of a photograph and the number of one of its variants."""


def selected_count(images: int, selection: str) -> int:
    """How many of so many training images choices are made on, by the field of a request."""
    if selection == ON_VAL:
        return 0
    count = min(MOST, round(float(selection) * images), images - 1)
    return count if count >= LEAST else 0


def select_images(split: Split, images: Sequence[int], count: int, digest: Callable[[int], str]) -> tuple[int, ...]:
    """At most ``count`` of some images, ascending, by the sha256 of their keys; none if they were fewer than ``LEAST``.

    Images of one photograph, as ``digest`` (of the bytes) and the key tell, stay together, and classes keep their
    shares where the split has classes of whole images.
    """
    by_class: dict[object, list[tuple[str, list[int]]]] = {}
    task = next((name for name, task in split.tasks.items() if isinstance(task, Classify)), None)
    for members in _photographs(split, images, digest):
        order = min(_order(split.key(index)) for index in members)
        by_class.setdefault(_class(split, members[0], task), []).append((order, members))
    # The n-th of a class stands at the middle of the n-th part of it, so that every start of the line is balanced.
    line = [
        ((place + 0.5) / len(own), order, members)
        for own in by_class.values()
        for place, (order, members) in enumerate(sorted(own))
    ]
    held: list[int] = []
    for _, _, members in sorted(line):
        held += members if len(held) + len(members) <= count else []
    return tuple(sorted(held)) if len(held) >= LEAST else ()


def keys_sha256(split: Split, images: Iterable[int]) -> str:
    """sha256 (hex) of the keys of some images."""
    return json_sha256([split.key(index) for index in sorted(images)])


def without_choice(head: str, images: int, selection: str) -> ArgusError:
    """The error of a head that tries several rates and has no images to choose among them."""
    return ArgusError(
        f"head {head!r} tries a sweep of rates, and --selection {selection} of {counted(images, 'training image')} "
        f"leaves none to choose on (at least {LEAST}); give a larger --selection, --selection {ON_VAL}, "
        "or --set sweep=[]"
    )


def _photographs(split: Split, images: Sequence[int], digest: Callable[[int], str]) -> list[list[int]]:
    """Images in groups that must not be divided: of the same bytes, or variants of one photograph by their names."""
    parent = {index: index for index in images}

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = index = parent[parent[index]]
        return index

    first: dict[tuple[str, str], int] = {}
    for index in images:
        key = split.key(index)
        for mark in (("bytes", digest(index)), ("name", key.partition(EXPORTED)[0])):
            parent[root(index)] = root(first.setdefault(mark, index) if mark[1] else index)
    groups: dict[int, list[int]] = {}
    for index in images:
        groups.setdefault(root(index), []).append(index)
    return list(groups.values())


def _order(key: str) -> str:
    """Another order than that of ``hold_out``, whose validation images are the first of theirs."""
    return hashlib.sha256(f"selection {key}".encode(errors="surrogateescape")).hexdigest()


def _class(split: Split, index: int, task: str | None) -> object:
    """The class of a whole image; None without one, or where it cannot be used, which is reported to who needs it."""
    try:
        return read_truth(split, index, task) if task else None
    except ArgusError:
        return None
