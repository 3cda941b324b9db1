"""Train a result again from its record, and compare the two rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from argus_arena.comparison.grouping import select_heads
from argus_arena.distributed import join_processes
from argus_arena.hardware import deciding, listed, with_tokens
from argus_arena.leaderboard.standings import Row, read_row
from argus_arena.requests.fields import ON_VAL
from argus_arena.run.config import RunConfig
from argus_arena.run.folder import RunFolder
from argus_arena.run.sources import open_run_data
from argus_arena.training.train import run_config
from argus_core.common.files import read_json
from argus_core.errors import ArgusError
from argus_core.plugins.hooks import load_plugins


def reproduce(
    row: Path, out: Path | None, device: str | None, data: str | None = None, cache: Path | None = None
) -> bool:
    """Train the head of a row alone, as its run says, and print both scores; True if all of them are equal.

    ``data`` and ``cache`` say where the same data and tokens are now, ``device`` is by default the row's.
    """
    row = _row_in(row) if row.is_dir() else row
    original = read_row(row)
    run = RunFolder(row.parent.parent)
    if row.name != "result.json" or not run.config.is_file():
        raise ArgusError(f"{row} is not RUN/HEAD/result.json of a run folder, which says how it was trained")
    recorded = read_json(run.config, "its run cannot be repeated")["config"]
    recorded["request"].setdefault("selection", ON_VAL)  # as all runs did that do not say
    config = RunConfig(**recorded)
    alone = select_heads(config, (original["name"],))
    device = device or next((stretch["device"] for stretch in original.get("hardware", ())[-1:]), None)
    elsewhere = {"device": device, "data": data, "cache": cache}
    update = {key: value for key, value in elsewhere.items() if value is not None}
    request = alone.request.model_copy(update=update)
    plugins = load_plugins()
    with join_processes(request.device) as process:
        where = out or Path("reproduced") / f"{original['name']}-{original['weights_sha256'][:8]}"
        opened = open_run_data(request, plugins)
        rows = run_config(alone.model_copy(update={"request": request}), opened, plugins, process, where)
    again = rows[original["name"]]
    lines = differences(original, again)
    print("\n".join(lines or ["the same: every score and every weight"]))
    return not lines


def _row_in(folder: Path) -> Path:
    """The row of a head's folder, or the only one below another; ArgusError that names them if there are more."""
    below = sorted(folder.rglob("result.json"))
    if len(below) > 1 and below[0].parent != folder:
        names = ", ".join(str(path.parent.relative_to(folder)) for path in below[:8])
        more = f" and {len(below) - 8} more" if len(below) > 8 else ""
        raise ArgusError(f"{folder} holds {len(below)} results; name the folder of one below it: {names}{more}")
    return below[0] if below else folder / "result.json"


def differences(original: Row, again: Row) -> list[str]:
    """A line for each score, and for weights, data, tokens, versions and device, that is not the same."""
    lines = [
        f"{key}: {_shown(value)}, again {_shown(again['metrics'].get(key))}{_apart(value, again['metrics'].get(key))}"
        for key, value in original["metrics"].items()
        if value != again["metrics"].get(key)
    ]
    for what in ("weights_sha256", "data", "tokens", "versions"):
        if original.get(what) != again.get(what):
            lines.append(f"{what}: {_where(original.get(what), again.get(what))}")
    before, now = original.get("hardware", ()), again.get("hardware", ())
    if deciding(before) != deciding(now):
        lines.append(f"hardware: {listed(before, with_tokens) or 'not said'} became {listed(now, with_tokens)}")
    return lines


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.5f}"


def _apart(a: float | None, b: float | None) -> str:
    return "" if a is None or b is None else f" ({b - a:+.5f})"


def _where(a: Any, b: Any) -> str:
    """The parts of two records that differ."""
    if not isinstance(a, dict) or not isinstance(b, dict):
        return f"{a} became {b}"
    return ", ".join(f"{key} {a.get(key)} became {b.get(key)}" for key in {**a, **b} if a.get(key) != b.get(key))
