"""Promises of the project as a whole: who imports whom, what an import does, what the wheel holds."""

from __future__ import annotations

import ast
import json
import os
import re
import statistics
import subprocess
import sys
import sysconfig
from graphlib import TopologicalSorter
from importlib.metadata import entry_points
from pathlib import Path

import grimp
import pytest

import argus_core
from argus_core.registry import BACKBONES, HEADS, TASKS
from argus_core.registry.registry import PLUGINS

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = {
    "argus_core": ROOT / "argus_core",
    "argus_heads": ROOT / "heads/argus_heads",
    "argus_data": ROOT / "plugins/argus_data",
    "argus_board": ROOT / "plugins/argus_board",
    "argus_lite": ROOT / "plugins/argus_lite",
    "argus_arena": ROOT / "arena/argus_arena",
}
HOMES = {
    "timm": ("argus_core/backbones/", "plugins/argus_lite/"),
    "pluggy": ("argus_core/plugins/hooks.py",),
    "pycocotools": ("argus_core/tasks/detect/metric.py", "plugins/argus_data/coco"),
    "mlflow": ("plugins/argus_board/mlflow_runs.py",),
    "wandb": ("plugins/argus_board/wandb_runs.py",),
}
"""Where alone a library may be imported."""


def sources():
    return [(package, path) for package, folder in PACKAGES.items() for path in sorted(folder.rglob("*.py"))]


def imported_modules(path):
    """Every module that a file imports, inside functions too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: write imports in full, so that they can be checked"
            yield node.module


def root(module):
    return module.partition(".")[0]


def imported(path):
    """The packages that a file imports from."""
    return {root(module) for module in imported_modules(path)}


def test_imports_point_towards_the_core():
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for package, path in sources()
        for name in imported(path)
        if name in PACKAGES and name not in (package, "argus_core")
    ]
    assert not wrong


def test_libraries_are_imported_in_one_place():
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for _, path in sources()
        for name in imported(path)
        if name in HOMES and not str(path.relative_to(ROOT)).startswith(HOMES[name])
    ]
    assert not wrong


def test_files_and_functions_stay_short():
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for _, path in sources()}
    nodes = (node for path in lengths for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    functions = [
        node.end_lineno - node.lineno + 1 for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    print(f"median file {statistics.median(lengths.values()):.0f} lines, longest {max(lengths.values())}")
    print(f"90 % of functions within {statistics.quantiles(functions, n=10)[-1]:.0f} lines, longest {max(functions)}")
    assert not {str(path.relative_to(ROOT)): length for path, length in lengths.items() if length > 300}


def test_no_file_knows_the_machine_it_was_written_on():
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("this is no git checkout")
    absolute = re.compile(rb"/(work|root|home|Users)/\w")
    paths = [ROOT / name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]
    assert not [str(path) for path in paths if absolute.search(path.read_bytes())]


def test_the_public_names_exist_and_are_what_type_checkers_see():
    tree = ast.parse(Path(argus_core.__file__).read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    seen = {alias.asname for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert {*seen, "__api_version__", "__version__"} == set(argus_core.__all__)
    for name in argus_core.__all__:
        assert getattr(argus_core, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'Argos'"):
        argus_core.Argos  # noqa: B018


STATE = """
import os, random, signal, sys, warnings
def state():
    found = {
        "environment": dict(os.environ), "filters": list(warnings.filters), "showwarning": warnings.showwarning,
        "signals": signal.getsignal(signal.SIGINT), "path": list(sys.path), "random": random.getstate(),
    }
    if "torch" in sys.modules:
        import numpy, torch
        found |= {
            "threads": (torch.get_num_threads(), torch.get_num_interop_threads()),
            "dtype": torch.get_default_dtype(), "device": torch.get_default_device(),
            "grad": torch.is_grad_enabled(), "deterministic": torch.are_deterministic_algorithms_enabled(),
            "precision": (torch.backends.cuda.matmul.fp32_precision, torch.backends.cudnn.benchmark),
            "torch random": torch.get_rng_state().tolist(), "numpy random": str(numpy.random.get_state()),
            "printing": repr(numpy.get_printoptions()),
        }
    return found
def changed(before):
    after = state()
    return [name for name in before if before[name] != after[name]]
"""


def test_importing_the_core_loads_nothing_heavy_and_changes_nothing(python):
    code = f"""{STATE}
before = state()
import argus_core
heavy = [name for name in ("torch", "timm", "pluggy", "pydantic", "numpy", "PIL") if name in sys.modules]
assert not heavy, heavy
assert not changed(before), changed(before)
"""
    done = python("-c", code)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_importing_any_module_prints_nothing_and_changes_nothing(python):
    modules = sorted(
        ".".join([package, *path.relative_to(PACKAGES[package]).with_suffix("").parts]).removesuffix(".__init__")
        for package, path in sources()
        if path.name != "__main__.py"
    )
    every = {module for _, path in sources() for module in imported_modules(path)}
    outside = sorted(module for module in every if root(module) not in {*PACKAGES, *sys.stdlib_module_names})
    code = f"""{STATE}
import contextlib, importlib, io
for name in {outside}:  # what these do on their own is not ours to answer for
    with contextlib.suppress(ImportError), contextlib.redirect_stdout(io.StringIO()):
        importlib.import_module(name)
print("---")
print("---", file=sys.stderr)
before = state()
for name in {modules}:
    importlib.import_module(name)
    assert not changed(before), (name, changed(before))
"""
    done = python("-c", code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.partition("---\n")[2] == ""
    assert done.stderr.partition("---\n")[2] == ""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory, python):
    """A folder with what an installed wheel puts into site-packages."""
    pytest.importorskip("hatchling", reason="building a wheel offline needs hatchling")
    folder = tmp_path_factory.mktemp("wheel")
    built = python("-m", "hatchling", "build", "-t", "wheel", "-d", str(folder), cwd=ROOT)
    assert built.returncode == 0, built.stderr
    (file,) = folder.glob("*.whl")
    unpacked = python("-m", "zipfile", "-e", str(file), str(folder / "site"))
    assert unpacked.returncode == 0, unpacked.stderr
    return folder / "site"


def test_the_wheel_holds_every_module_and_nothing_else(wheel):
    held = {path.relative_to(wheel) for path in wheel.rglob("*") if path.suffix == ".py" or path.name == "py.typed"}
    wanted = {path.relative_to(PACKAGES[package].parent) for package, path in sources()}
    wanted |= {Path(package, "py.typed") for package in PACKAGES}
    assert held == wanted
    assert {path.name for path in wheel.iterdir() if not path.name.endswith(".dist-info")} == set(PACKAGES)


def test_the_wheel_alone_gives_every_head_backbone_task_and_plugin(wheel, python):
    """Without ``site``, no editable installation can answer in the wheel's place."""
    code = """
import json
import argus_core
from argus_core.plugins.hooks import load_plugins
from argus_core.registry import BACKBONES, HEADS, TASKS
plugins = load_plugins()
assert not plugins.failed, plugins.failed
for registry in (HEADS, BACKBONES, TASKS):
    for entry in registry.entries():
        assert callable(entry.load()), entry
names = {r.group: [entry.name for entry in r.entries()] for r in (HEADS, BACKBONES, TASKS)}
print(json.dumps({"file": argus_core.__file__, "plugins": [entry.name for entry in plugins.loaded], **names}))
"""
    path = os.pathsep.join([str(wheel), sysconfig.get_path("purelib")])
    done = python("-S", "-c", code, cwd=wheel, PYTHONPATH=path)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert Path(found.pop("file")).is_relative_to(wheel)
    installed = {r.group: [entry.name for entry in r.entries()] for r in (HEADS, BACKBONES, TASKS)}
    assert found == {**installed, "plugins": [entry.name for entry in PLUGINS.entries()]}


def test_every_registered_name_leads_somewhere():
    """What the installed metadata says is what the project file says, so a stale installation shows."""
    tomllib = pytest.importorskip("tomllib", reason="needs Python 3.11")
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["entry-points"]
    for group, names in declared.items():
        found = {point.name: point.value for point in entry_points(group=group)}
        assert names.items() <= found.items(), f"{group} is not as installed; run pip install -e . again"


def test_no_modules_import_each_other_in_a_circle():
    graph = grimp.build_graph(*PACKAGES, exclude_type_checking_imports=False)
    TopologicalSorter({module: graph.find_modules_directly_imported_by(module) for module in graph.modules}).prepare()


def test_the_top_of_a_package_is_its_contents():
    assert len(list(PACKAGES["argus_core"].glob("*.py"))) <= 10
    assert len(list(PACKAGES["argus_arena"].glob("*.py"))) <= 6
