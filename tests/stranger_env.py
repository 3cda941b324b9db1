"""A fresh environment as a user makes one: Argus from its built wheel, strangers' projects beside it, both by pip."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PROJECTS = ROOT / "tests" / "third_party"
OURS = ("argus", "_editable", "distutils-precedence")
"""How entries of site-packages begin that the new environment may not see."""

Done = subprocess.CompletedProcess[str]


@dataclass(frozen=True)
class StrangerEnv:
    """An environment in ``folder``; commands run in fresh processes that see nothing of this repository."""

    folder: Path

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.folder / "bin" / "python"

    def run(self, *command: str | Path, cwd: Path, code: int = 0) -> str:
        """What a command prints, errors behind; an AssertionError with it if the exit code is another."""
        hidden = ("PYTHONPATH", "PYTHONHOME", "ARGUS_PLUGINS", "ARGUS_DISABLE", "ARGUS_DEBUG", "MYPYPATH")
        env = {key: value for key, value in os.environ.items() if key not in hidden}
        env |= {"COLUMNS": "200", "ARGUS_OFFLINE": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
        done: Done = subprocess.run([*map(str, command)], cwd=cwd, env=env, capture_output=True, text=True, check=False)
        text = done.stdout + done.stderr
        assert done.returncode == code, f"{command} ended with {done.returncode}, not {code}:\n{text}"
        return text

    def script(self, source: str, *arguments: str | Path, cwd: Path) -> str:
        """What a Python program prints."""
        return self.run(self.python, "-c", source, *arguments, cwd=cwd)

    def arena(self, *arguments: str | Path, cwd: Path) -> str:
        """What an ``arena`` command prints."""
        return self.run(self.folder / "bin" / "arena", *arguments, cwd=cwd)

    def pip(self, *arguments: str | Path, cwd: Path) -> str:
        """What pip says."""
        return self.run(self.python, "-m", "pip", *arguments, cwd=cwd)


def build_wheel(into: Path) -> Path:
    """The wheel of this repository, built offline."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(into)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (wheel,) = into.glob("*.whl")
    return wheel


def make_env(folder: Path, *projects: str) -> StrangerEnv:
    """An environment with Argus and some of ``third_party``, whose dependencies pip resolves without an index."""
    wheel = build_wheel(folder / "wheel")
    env = StrangerEnv(folder / "env")
    venv.create(env.folder, with_pip=False, symlinks=True)
    _share_libraries(env, folder / "libraries")
    # Away from this repository's settings, and so that no leftovers of a build come back to it.
    copies = [shutil.copytree(PROJECTS / name, folder / "projects" / name) for name in projects]
    env.pip("install", "--quiet", "--no-index", "--no-build-isolation", wheel, *copies, cwd=folder)
    return env


def _share_libraries(env: StrangerEnv, folder: Path) -> None:
    """Links to the running environment's libraries, by a .pth file: all but Argus and whatever else came here by it."""
    folder.mkdir()
    for site in {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}:
        for entry in Path(site).iterdir():
            if not entry.name.startswith(OURS) and not (folder / entry.name).exists():
                (folder / entry.name).symlink_to(entry)
    (packages,) = env.folder.glob("lib/python*/site-packages")
    (packages / "shared_libraries.pth").write_text(f"{folder}\n", encoding="utf-8")
