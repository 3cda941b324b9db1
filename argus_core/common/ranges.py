"""Parts of objects in stores: from the cache on this machine, or asked for many at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from argus_core.common.range_cache import range_cache
from argus_core.common.stores import file_system, patiently


class Range(NamedTuple):
    """Bytes ``start`` to ``end`` of one version of the object at an address."""

    address: str
    version: str
    start: int
    end: int

    @property
    def name(self) -> str:
        """What it is called in the cache."""
        return f"{self.address}\n{self.version}\n{self.start}-{self.end}"


def read_ranges(wanted: Sequence[Range]) -> list[bytes]:
    """The content of ranges in one store, in their order; those not kept on this machine are asked for together."""
    kept = range_cache()
    contents = {item: b"" for item in wanted if item.start == item.end}  # of which no range can be asked
    contents |= {item: found for item in wanted if (found := kept.get(item.name)) is not None}
    missing = [item for item in dict.fromkeys(wanted) if item not in contents]
    if missing:
        patiently(missing[0].address, lambda: _request(missing, contents))
    for item in missing:
        kept.put(item.name, contents[item])
    return [contents[item] for item in wanted]


def _request(wanted: Sequence[Range], contents: dict[Range, bytes]) -> None:
    """Add what is not yet in ``contents``; raises one of the errors if a part failed."""
    left = [item for item in wanted if item not in contents]
    store = file_system(left[0].address.partition(":")[0])
    keys = [store._strip_protocol(item.address) for item in left]
    answers = store.cat_ranges(keys, [item.start for item in left], [item.end for item in left], on_error="return")
    errors = []
    for item, answer in zip(left, answers, strict=True):
        if isinstance(answer, Exception):
            errors.append(answer)
        elif len(answer) != item.end - item.start:
            errors.append(OSError(f"{len(answer)} of {item.end - item.start} bytes came"))
        else:
            contents[item] = answer
    if errors:
        raise errors[0]
