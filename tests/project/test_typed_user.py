"""What users' editors know of Argus: a script, checked by pyright (``make lint`` has mypy check the same one)."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def errors_in(script: Path, folder: Path) -> list[str]:
    """What pyright objects to; paths to the packages stand in for an installation that it can read."""
    config = folder / "pyrightconfig.json"
    paths = [str(ROOT), *(str(ROOT / name) for name in ("heads", "plugins", "arena"))]
    config.write_text(json.dumps({"include": [str(script)], "extraPaths": paths, "typeCheckingMode": "standard"}))
    command = [sys.executable, "-m", "basedpyright", "--outputjson", "--project", str(config)]
    done = subprocess.run([*command, "--pythonpath", sys.executable], capture_output=True, text=True, check=False)
    told = json.loads(done.stdout)
    assert told["summary"]["filesAnalyzed"] == 1
    return [f"{each['range']['start']['line'] + 1}: {each['message']}" for each in told["generalDiagnostics"]]


def test_pyright_knows_what_each_question_answers(tmp_path: Path) -> None:
    assert errors_in(ROOT / "tests/project/typed_user.py", tmp_path) == []


def test_pyright_objects_to_a_wrong_use(tmp_path: Path) -> None:
    script = tmp_path / "wrong.py"
    script.write_text(
        "from argus_core import Argus\n"
        "argus = Argus.load('lite')\n"
        "argus.classify('a.jpg').metres\n"
        "argus.classify(['a.jpg']).class_name\n"
        "argus.depth(3)\n"
    )
    assert {line.split(":")[0] for line in errors_in(script, tmp_path)} == {"3", "4", "5"}
