"""Try every extra by itself: `python tests/extras_alone.py [EXTRA ...]`, or `pipx run nox -s extras`.

A fresh environment gets the wheel with nothing but its dependencies. Each extra is installed beside it into an
environment of its own, by pip from the index; there its command must work, and in the first environment fail with the
words that name the extra. Needs an index, some minutes for the first environment and about one for an extra.
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from stranger_env import build_wheel

LIVE = "--data scenes:images=8,val=4,size=64 --backbone tiny --canvas 64 --device cpu"
TRAIN = f"arena train --head detect.slim_fcos {LIVE} --set steps=2 --set width=32 --set batch=4"
PHOTO = "from PIL import Image; Image.new('RGB', (96, 64), (200, 90, 40)).save('photo.png')"
ASK = "argus perceive photo.png --model run"
PUSH = "argus push me/tiny --model model --dry-run"
WITHOUT = (f"{TRAIN} --out run", f"{ASK} --out plain", "argus build run --out model", PUSH)
"""What needs no extra; extras work on its results."""

SAVE = """
import io
from datasets import ClassLabel, Dataset, Features, Image
from PIL import Image as Pillow
files = [io.BytesIO() for _ in range(2)]
for file, color in zip(files, ("red", "blue")):
    Pillow.new("RGB", (96, 64), color).save(file, "PNG")
types = Features({"image": Image(), "label": ClassLabel(names=["red", "blue"])})
rows = {"image": [{"bytes": file.getvalue()} for file in files], "label": [0, 1]}
Dataset.from_dict(rows, types).save_to_disk("saved")
"""
CLIP = """
import av, numpy
with av.open("clip.mp4", "w") as file:
    stream = file.add_stream("mpeg4", rate=5)
    stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
    for shade in (50, 200):
        frame = av.VideoFrame.from_ndarray(numpy.full((64, 96, 3), shade, numpy.uint8), format="rgb24")
        file.mux(stream.encode(frame))
    file.mux(stream.encode(None))
"""
BOXES = """
from argus_core import Argus
print(type(Argus.load("model").detect("photo.png").to_supervision()))
"""
SERVED = """
import re, subprocess, sys, urllib.request
command = [sys.executable, "-c", "from argus_core.cli import main; main()", "serve", "--model", "run", "--port", "0"]
server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
address = next(found[1] for line in server.stdout if (found := re.match(r"page\\s+(\\S+)/", line)))
photo = urllib.request.Request(f"{address}/detect", open("photo.png", "rb").read(), {"Content-Type": "image/png"})
print(urllib.request.urlopen(photo).read(), len(urllib.request.urlopen(f"{address}/docs/swagger-ui.css").read()))
server.terminate()
sys.exit(server.wait())
"""


@dataclass(frozen=True)
class Trial:
    """A program that the extra's environment runs first, the command that shows the extra, and a path that it makes.

    Without a command the program itself shows it. ``is_needed``: whether the same fails without the extra.
    """

    command: str = ""
    program: str = ""
    makes: str = ""
    is_needed: bool = True


TRIALS: Mapping[str, Trial] = {
    "lite": Trial("argus perceive photo.png --out seen", makes="seen/results.jsonl"),
    "fast-eval": Trial("arena eval --run run --metric backend=faster"),
    "track": Trial(f"{TRAIN} --out tracked", makes="tracked/tensorboard", is_needed=False),
    "onnx": Trial("argus export --model run --format onnx --out graphs", makes="graphs"),
    "datasets": Trial("arena data check hf:saved", SAVE),
    "parquet": Trial(f"{ASK} --save parquet --out tables", makes="tables/images.parquet"),
    "video": Trial("argus perceive clip.mp4 --model run --out frames", CLIP, "frames/results.jsonl"),
    "serve": Trial(program=SERVED),
    "supervision": Trial(program=BOXES),
}


class Environment:
    """An environment whose commands run in the folder ``work``, in processes that see nothing of this repository."""

    def __init__(self, folder: Path, work: Path, beside: Environment | None = None) -> None:
        venv.create(folder, with_pip=False, symlinks=True)
        self.python, self.work = folder / "bin" / "python", work
        (self.packages,) = folder.glob("lib/python*/site-packages")
        if beside:  # its packages are seen and not installed again
            (self.packages / "beside.pth").write_text(f"{beside.packages}\n", encoding="utf-8")

    def install(self, *what: str | Path) -> None:
        """Install by the pip of the running interpreter."""
        pip = [sys.executable, "-m", "pip", "--python", str(self.python), "install", "--quiet"]
        subprocess.run([*pip, "--disable-pip-version-check", *map(str, what)], check=True, cwd=self.work)

    def run(self, command: str) -> tuple[int, str]:
        """Exit code and output of a Python program, or of a line that begins with ``arena`` or ``argus``."""
        name, *arguments = shlex.split(command) if command.startswith(("arena ", "argus ")) else ["", command]
        if name:
            package = {"arena": "argus_arena", "argus": "argus_core"}[name]
            arguments = [f"from {package}.cli import main; main()", *arguments]
        hidden = ("PYTHONPATH", "PYTHONHOME", "ARGUS_PLUGINS", "ARGUS_DISABLE", "ARGUS_DEBUG")
        env = {key: value for key, value in os.environ.items() if key not in hidden}
        env |= {"COLUMNS": "200", "ARGUS_OFFLINE": "1", "HF_DATASETS_CACHE": str(self.work / "cache")}
        line = [str(self.python), "-c", *arguments]
        done = subprocess.run(line, cwd=self.work, env=env, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr


def expect(environment: Environment, command: str) -> None:
    """Run a command that must work."""
    code, text = environment.run(command)
    if code:
        raise SystemExit(f"{command}\nended with {code}:\n{text}")


def attempt(extra: str, base: Environment, folder: Path) -> str:
    """What is wrong with an extra alone; empty if nothing is."""
    trial = TRIALS[extra]
    own = Environment(folder / extra, base.work, beside=base)
    own.install("--find-links", folder / "wheel", f"argus-perception[{extra}]")
    shown = trial.command or trial.program
    for command in dict.fromkeys(filter(None, (trial.program, shown))):
        code, text = own.run(command)
        if code:
            return f"{command} ended with {code}:\n{text}"
    if trial.makes and not (base.work / trial.makes).exists():
        return f"{shown} made no {trial.makes}"
    code, text = base.run(shown) if trial.is_needed else (2, extra)
    told = code != 0 and (not trial.is_needed or f"argus-perception[{extra}]" in " ".join(text.split()))
    return "" if told else f"without the extra {shown} ended with {code} and does not name it:\n{text}"


def prepared(folder: Path) -> Environment:
    """The environment without extras in ``folder``, installed unless it is there, and what they work on."""
    shutil.rmtree(work := folder / "work", ignore_errors=True)
    work.mkdir(parents=True)
    base, wheel = Environment(folder / "base", work), build_wheel(folder / "wheel")
    base.install("--no-deps", "--force-reinstall", wheel)
    base.install(wheel)
    for command in (PHOTO, *WITHOUT):
        expect(base, command)
    return base


def main() -> None:
    """Try the extras that are named, by default all of the table; exit code 1 if one is broken."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("extras", nargs="*", help=f"of {', '.join(TRIALS)}; default: all")
    parser.add_argument("--keep", type=Path, help="folder in which the environments stay for the next time")
    arguments = parser.parse_args()
    names = arguments.extras or list(TRIALS)
    if unknown := [name for name in names if name not in TRIALS]:
        parser.error(f"no trial of {', '.join(unknown)}; there are {', '.join(TRIALS)}")
    with tempfile.TemporaryDirectory() as place:
        folder, start, broken = arguments.keep or Path(place), time.monotonic(), 0
        base = prepared(folder)
        print(f"no extra: trains, perceives, writes a card ({time.monotonic() - start:.0f} s)", flush=True)
        for extra in names:
            start = time.monotonic()
            fault = attempt(extra, base, folder)
            broken += bool(fault)
            print(f"{extra}: {fault or 'works alone'} ({time.monotonic() - start:.0f} s)", flush=True)
    sys.exit(1 if broken else 0)


if __name__ == "__main__":
    main()
