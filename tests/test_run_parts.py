"""The parts of the suite: every test file is in exactly one, and no failure goes unseen."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import run_parts

TESTS = Path(__file__).parent


def files_of(given):
    """The test files that pytest finds with these arguments, by its own rules for names and --ignore."""
    paths = [TESTS.parent / path for path in given if not path.startswith("--")]
    ignored = {TESTS.parent / path.removeprefix("--ignore=") for path in given if path.startswith("--")}
    found = [file for path in paths for file in ([path] if path.is_file() else path.rglob("test_*.py"))]
    return [file for file in found if not ignored & {file, *file.parents}]


def test_every_file_is_in_exactly_one_part():
    counts = Counter(file for given in run_parts.arguments().values() for file in files_of(given))
    assert set(counts) == set(TESTS.rglob("test_*.py")) and set(counts.values()) == {1}


def test_a_part_that_fails_or_finds_no_test_is_named_and_shown_in_full(tmp_path, capfd):
    texts = {
        "good": "def test(): pass",
        "bad": "def test_number(): assert 6 * 9 == 42",
        "dead": "import os\ndef test(): os.abort()",
        "empty": "",
    }
    for name, text in texts.items():
        (tmp_path / f"test_{name}.py").write_text(text)
    parts = {name: [str(tmp_path / f"test_{name}.py")] for name in texts}
    assert sorted(run_parts.run_all(parts)) == ["bad", "dead", "empty"]
    said = capfd.readouterr().out
    assert "assert (6 * 9) == 42" in said and "Fatal Python error: Aborted" in said
    assert "1 passed" in said and "exit code -6" in said
