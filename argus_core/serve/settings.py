"""What a server is told when it starts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

MEGA = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Limits of a server, and who may ask it.

    ``model`` is its name in answers. Without ``token`` everybody who reaches the server may ask. ``urls`` allows images
    by address. ``batch``, ``wait`` (seconds) and ``queue`` are those of ``Engine``. ``timeout`` is in seconds, for
    receiving a request and again for answering it; ``max_bytes`` is of a request, ``max_pixels`` and ``max_side`` of
    an image, and ``max_images`` of those in a request. Heads that are taught on the page are saved in ``taught``.
    """

    model: str = "lite"
    token: str | None = None
    urls: bool = False
    batch: int = 8
    wait: float = 0.005
    queue: int = 64
    timeout: float = 60.0
    max_bytes: int = 32 * MEGA
    max_pixels: int = 25 * MEGA
    max_side: int = 20_000
    max_images: int = 16
    taught: Path | None = None
