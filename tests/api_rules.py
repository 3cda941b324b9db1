"""What docs/versions.md says about names that come and go, as functions of two states of the public API."""

from __future__ import annotations

import json
import re
import sys
from importlib import import_module
from pathlib import Path

from packaging.version import Version

from argus_core.common.deprecation import RENAMED, MovedNames
from argus_core.registry import BACKBONES, HEADS, PROTOCOLS, TASKS
from public_api import PACKAGES, module_name

REGISTRIES = {registry.kind: registry for registry in (HEADS, TASKS, BACKBONES, PROTOCOLS)}
REGISTERED = Path(__file__).with_name("registered_names.json")
UPDATE = "raise the minor of __api_version__ in argus_core/__init__.py, then run `python tests/public_api.py --write`"


def moved_names():
    """{(module, old name): Moved} of all modules that hold moved names."""
    found = {}
    for package, folder in PACKAGES.items():
        for path in sorted(folder.rglob("*.py")):
            if not re.search(r"^__getattr__ = moved\(", path.read_text(encoding="utf-8"), re.M):
                continue
            module = import_module(module_name(package, folder, path))
            answers = vars(module)["__getattr__"]
            assert isinstance(answers, MovedNames)
            found |= {(module.__name__, name): gone for name, gone in answers.names.items()}
    return found


def deprecations():
    """{what: Moved} of modules' names and of registered ones."""
    names = {f"{module}.{name}": gone for (module, name), gone in moved_names().items()}
    return names | {f"{kind} {name!r}": gone for kind, table in RENAMED.items() for name, gone in table.items()}


def outlived(gone, version):
    """Whether a deprecated name should not be there any more."""
    return Version(version) >= Version(gone.removed_in)


def too_soon(gone):
    """Whether there are fewer than two minor versions between the warning and the end."""
    since, end = Version(gone.since), Version(gone.removed_in)
    return since.major == end.major and end.minor < since.minor + 2


def faults(held, now, deprecated):
    """What is wrong with an API ``now`` that was ``held`` before; ``deprecated`` are (module, name) that still work."""
    before, after = flat(held), flat(now)
    was, version = (tuple(map(int, each["api_version"].split("."))) for each in (held, now))
    lost = sorted(before - after - set(deprecated))
    found = [f"{module}.{name} is gone without having been deprecated: see docs/versions.md" for module, name in lost]
    new = sorted(after - before)
    if new and version == was:
        found.append(f"{', '.join(f'{module}.{name}' for module, name in new)} came: {UPDATE}")
    if version < was:
        found.append(f"__api_version__ went back from {held['api_version']} to {now['api_version']}")
    if version[0] > was[0]:
        return [fault for fault in found if "without" not in fault]
    return found


def flat(api):
    """The pairs of module and name."""
    return {(module, name) for module, names in api["names"].items() for name in names}


def registered():
    """{kind: names} of what this distribution registers, experimental heads left out."""
    return {
        kind: [
            entry.name
            for entry in registry.entries()
            if entry.distribution == "argus-perception" and ".experimental." not in entry.value
        ]
        for kind, registry in REGISTRIES.items()
    }


def held_names():
    """{kind: names} that were promised."""
    return json.loads(REGISTERED.read_text(encoding="utf-8"))


if __name__ == "__main__":
    if sys.argv[1:] != ["--write"]:
        sys.exit("usage: python tests/api_rules.py --write")
    REGISTERED.write_text(json.dumps(registered(), indent=1) + "\n", encoding="utf-8")
