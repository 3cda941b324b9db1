"""The ``arena`` command. Nothing here imports torch until a command needs it."""

from __future__ import annotations

from argus_core.cli.app import make_program, run_command

COMMANDS = {
    "heads": "argus_arena.cli.plugins:heads",
    "backbones": "argus_arena.cli.plugins:backbones",
    "protocols": "argus_arena.cli.plugins:protocols",
    "plugins": "argus_arena.cli.plugins:plugins",
    "check": "argus_arena.cli.check:check",
    "train": "argus_arena.cli.train:train",
    "eval": "argus_arena.cli.train:evaluate",
    "compare": "argus_arena.cli.compare:compare",
    "board": "argus_arena.cli.compare:board",
    "reproduce": "argus_arena.cli.compare:reproduce",
    "domains": "argus_arena.cli.domains:domains",
    "report": "argus_arena.cli.compare:report",
    "predict": "argus_arena.cli.predict:predict",
    "text": "argus_arena.cli.predict:text",
    "cache": "argus_arena.cli.cache:cache",
    "distill": "argus_arena.cli.distill:distill",
    "data": "argus_arena.cli.cache:data",
    "plugin": "argus_arena.cli.plugin:plugin",
}
app = make_program("arena", "Train, score and compare heads on one frozen vision backbone.", COMMANDS)


def main() -> None:
    """Run the command."""
    run_command(app)
