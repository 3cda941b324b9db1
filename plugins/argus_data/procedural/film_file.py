"""Procedural films as files to try things on: ``python -m argus_data.procedural.film_file walk.mp4 --seed 3``."""

from __future__ import annotations

import argparse
import os
from fractions import Fraction
from pathlib import Path

from argus_core.common.extras import need
from argus_core.errors import ArgusError
from argus_data.procedural.films import Film

__all__ = ["write_film"]

SUFFIXES = (".mp4", ".mov", ".mkv")


def write_film(film: Film, path: str | Path) -> None:
    """Write a film, and its truth beside it as ``.txt``.

    A line of the truth is an object in a frame as in MOTChallenge: frame (from 1), id, x, y, width, height, 1, class
    (from 1), visible share. Needs the extra ``video``. Raises ArgusError for another suffix than .mp4, .mov and .mkv.
    """
    av, target = need("av", "video"), Path(path)
    if target.suffix not in SUFFIXES:
        raise ArgusError(f"a film is written as {', '.join(SUFFIXES)}, not as {target}")
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.part{target.suffix}")
    lines = []
    with av.open(str(part), "w") as container:
        stream = container.add_stream(
            "libx264" if "libx264" in av.codecs_available else "mpeg4", Fraction(film.rate).limit_denominator(1001)
        )
        stream.height, stream.width = film.size
        stream.pix_fmt, stream.bit_rate = "yuv420p", 2_000_000
        for number, frame in enumerate(film, start=1):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame.image, format="rgb24")))
            objects = zip(frame.ids, frame.boxes, frame.labels, frame.visibility, strict=True)
            for id, (x1, y1, x2, y2), label, share in objects:
                lines.append(f"{number},{id},{x1:g},{y1:g},{x2 - x1:g},{y2 - y1:g},1,{label + 1},{share:.3f}\n")
        container.mux(stream.encode(None))
    os.replace(part, target)
    target.with_suffix(".txt").write_text("".join(lines), encoding="utf-8")


def main() -> None:
    """Write the film that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=12)
    parser.add_argument("--rate", type=int, default=15, help="frames per second")
    parser.add_argument("--actors", type=int, default=7)
    options = parser.parse_args()
    try:
        film = Film(options.seed, seconds=options.seconds, rate=options.rate, actors=options.actors)
        write_film(film, options.path)
    except ArgusError as error:
        parser.error(str(error))
    print(f"{options.path}: {len(film)} frames, and {options.path.with_suffix('.txt').name} with their objects")


if __name__ == "__main__":
    main()
