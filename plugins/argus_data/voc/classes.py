"""Names and colours of the classes of Pascal VOC, and of data sets in its format."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from argus_core.errors import ArgusError

# fmt: off
VOC_CLASSES = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable", "dog",
    "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)
# fmt: on
"""The classes of Pascal VOC in their order: number 1 in a mask is the first of them."""
BACKGROUND = "background"
NOTHING = (BACKGROUND, "_background_", "__background__")
VOID = ("__ignore__", "ignored", "void")
"""Names of entries that are no objects, and of those that are not even counted, in lower case."""
IGNORE = 255
"""The number of void pixels in a mask, such as VOC's contours."""
VOID_COLOR = (224, 224, 192)
"""The colour that VOC's palette has for it."""
FILES = ("labelmap.txt", "classes.txt", "class_names.txt", "labels.txt", "obj.names", "_classes.txt")
"""Files that name the classes, the first that there is."""
Color = tuple[int, int, int]


@dataclass(frozen=True)
class LabelMap:
    """The classes of a data set in the order of their file, and the colours that masks paint them in, if it says so."""

    names: tuple[str, ...]
    colors: tuple[Color, ...] = ()

    def objects(self, used: Collection[str]) -> tuple[str, ...]:
        """The classes that boxes may have: all but background and void, unless there are boxes of them."""
        return tuple(name for name in self.names if name in used or name.lower() not in (*NOTHING, *VOID))

    def of_pixels(self) -> tuple[str, ...]:
        """The class of every number in a mask; 0 is the background where the file does not name it."""
        names = tuple(name for name in self.names if name.lower() not in VOID)
        return names if any(name.lower() in NOTHING for name in names) else (BACKGROUND, *names)

    def painted(self) -> dict[Color, int]:
        """The number of every colour in a mask that is painted: the file's colours, or those of VOC's palette."""
        numbers = {name: number for number, name in enumerate(self.of_pixels())}
        usual = {_palette_color(number): number for number in numbers.values()} if not self.colors else {(0, 0, 0): 0}
        stated = zip(self.colors, self.names, strict=False)
        return {VOID_COLOR: IGNORE} | usual | {color: numbers.get(name, IGNORE) for color, name in stated}


def _palette_color(number: int) -> Color:
    """The colour of a number in VOC's palette: its bits, three at a time, are the high bits of red, green and blue."""
    red, green, blue = (
        sum((number >> 3 * place + channel & 1) << 7 - place for place in range(8)) for channel in range(3)
    )
    return red, green, blue


def find_label_map(root: Path, file: str, used: Sequence[str], official: bool) -> LabelMap | None:
    """The classes that ``file`` names, or a file in the usual places, or Pascal VOC's own for an ``official`` layout.

    None where nothing names them.
    """
    there = {entry.name.lower(): entry for entry in root.iterdir() if entry.is_file()}
    path = root / file if file else next((there[name] for name in FILES if name in there), None)
    if path is not None:
        return read_label_map(path)
    return LabelMap(VOC_CLASSES) if official and set(used) <= {*VOC_CLASSES} else None


def read_label_map(path: Path) -> LabelMap:
    """The classes in a file with a name per line, as CVAT's ``name:r,g,b:parts:actions`` or alone."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ArgusError(f"{path}: cannot be read as a list of classes: {error}") from error
    names, colors = [], []
    for number, line in enumerate(lines, 1):
        if line.strip() and not line.startswith("# "):
            name, _, rest = line.partition(":") if line.count(":") > 1 else (line, "", "")
            names.append(" ".join(name.split()))
            if color := _color(f"{path}, line {number}", rest.partition(":")[0]):
                colors.append(color)
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise ArgusError(f"{path} names {', '.join(repeated)} twice; keep one line of each class")
    if not names or (colors and len(colors) != len(names)):
        what = f"gives {len(colors)} of {len(names)} classes a colour" if names else "names no class"
        raise ArgusError(f"{path} {what}; write a line per class, as in cat:64,0,0::")
    if doubled := sorted({color for color in colors if colors.count(color) > 1}):
        raise ArgusError(f"{path} gives several classes the colour {doubled[0]}; masks cannot tell them apart")
    return LabelMap(tuple(names), tuple(colors))


def _color(where: str, text: str) -> Color | None:
    """The colour in ``r,g,b``, None for an empty text."""
    if not text.strip():
        return None
    parts = [part.strip() for part in text.split(",")]
    if len(parts) != 3 or not all(part.isdecimal() and int(part) < 256 for part in parts):
        raise ArgusError(f"{where}: {text!r} is no colour; write red,green,blue from 0 to 255")
    red, green, blue = map(int, parts)
    return red, green, blue
