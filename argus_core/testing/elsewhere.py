"""Processes of their own: for an import that must be watched, and for tracers, which a suite cannot share."""

from __future__ import annotations

import contextlib
import importlib
import io
from operator import attrgetter
from types import ModuleType
from typing import Any

from argus_core.file_module import load_module, source_of
from argus_core.testing.subject import Subject
from argus_core.testing.workshop import Jobs, run_job
from argus_core.testing.world import changed, snapshot


def home(cls: type) -> dict[str, Any]:
    """Where another process finds a class: in its module, or in the file that this was loaded from by itself."""
    source = source_of(cls)
    return {"module": cls.__module__, "file": source and str(source[0]), "name": cls.__qualname__}


def report_import(module: str, file: str | None, name: str) -> dict[str, Any]:
    """What importing a class's module changed and printed."""
    before, said = snapshot(), io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        _load(module, file)
    return {"changed": changed(before), "printed": said.getvalue()}


def report_graphs(module: str, file: str | None, name: str, options: dict[str, Any]) -> dict[str, str]:
    """Why the head class ``name`` of a module cannot be exported or compiled, by check."""
    from argus_core.testing.graphs import graph_faults

    with contextlib.redirect_stdout(io.StringIO()):
        cls = attrgetter(name)(_load(module, file))
        return graph_faults(Subject(cls, name, options))


def graph_faults_elsewhere(subject: Subject) -> dict[str, str]:
    """As ``graph_faults``; here only for a class that no other process finds."""
    place = home(subject.cls)
    if place["module"] == "__main__" or "<locals>" in place["name"]:
        from argus_core.testing.graphs import graph_faults

        return graph_faults(subject)
    return run_job("graphs", {**place, "options": dict(subject.options)})


def _load(module: str, file: str | None) -> ModuleType:
    return load_module(file) if file else importlib.import_module(module)


JOBS: Jobs = {"import": report_import, "graphs": report_graphs}
