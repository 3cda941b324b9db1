"""The program ``argus``, and where its commands are."""

from __future__ import annotations

from argus_core.cli.app import make_program
from argus_core.registry.places import DEFAULT_MODEL

HELP = f"""What photographs show, from one frozen vision backbone: classes, masks, depth, objects, correspondences.

`argus perceive PHOTO` asks the built-in model `{DEFAULT_MODEL}`; --model names another. Answers go to `argus-out`.
"""
COMMANDS = {
    "perceive": "argus_core.cli.ask:perceive",
    "classify": "argus_core.cli.ask:classify",
    "segment": "argus_core.cli.ask:segment",
    "depth": "argus_core.cli.ask:depth",
    "detect": "argus_core.cli.ask:detect",
    "correspond": "argus_core.cli.ask:correspond",
    "features": "argus_core.cli.ask:features",
    "teach": "argus_core.cli.teach:teach",
    "build": "argus_core.cli.models:build",
    "info": "argus_core.cli.models:info",
    "export": "argus_core.cli.models:export",
    "push": "argus_core.cli.models:push",
    "bench": "argus_core.cli.models:bench",
    "serve": "argus_core.cli.serve:serve",
}
app = make_program("argus", HELP, COMMANDS)
