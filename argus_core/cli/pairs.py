"""Match points of one image in another."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from argus_core.cli.folder import OutFolder
from argus_core.cli.opening import one_head, open_model
from argus_core.errors import ArgusError
from argus_core.files import write_json
from argus_core.image import read_image


def match_images(
    first: str,
    second: str,
    points: Sequence[tuple[float, float]],
    model: str | None,
    out: Path,
    head: str | None,
    canvas: str | None,
    device: str | None,
    license: str | None,
) -> None:
    """Write ``matches.json`` and ``matches.png``, and print every match."""
    folder = OutFolder(out, (first, second), "correspond")
    argus = open_model(model, device, canvas, license)
    picture = read_image(first)
    _check_points(points, first, picture.shape[1], picture.shape[0])
    result = argus.correspond(picture, second, points, one_head(argus, "correspond", head))
    with folder:
        write_json(folder.file("matches.json"), {"first": first, "second": second, **result.to_dict()})
        result.save_picture(folder.file("matches.png"))
    for row in result.to_dict()["matches"]:
        there = "nowhere" if row["match"] is None else "{:.1f},{:.1f} cosine {:.3f}".format(*row["match"], row["score"])
        back = {True: ", mutual", False: ", not mutual"}.get(row.get("mutual"), "")
        print("{:g},{:g} -> ".format(*row["point"]) + there + back)
    print(f"picture: {out / 'matches.png'}")


def _check_points(points: Sequence[tuple[float, float]], image: str, width: int, height: int) -> None:
    """Raise ArgusError for a point that is not in the image."""
    for x, y in points:
        if not (0 <= x <= width and 0 <= y <= height):
            raise ArgusError(f"the point {x:g},{y:g} lies outside {image}, which is {width} wide and {height} high")
