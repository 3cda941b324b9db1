"""Checks in processes of their own: forked from one that has imported what any head imports."""

from __future__ import annotations

import atexit
import contextlib
import importlib
import io
import json
import os
import subprocess
import sys
import traceback
from collections.abc import Callable, Mapping
from functools import cache
from types import ModuleType
from typing import Any, TextIO

from argus_core.plugins.files import load_module, source_of
from argus_core.testing.kit.isolation import changed, snapshot

# What any head imports is there before the head's own module is watched.
START = "import torchvision, argus_core.detection; from argus_core.testing.kit.subprocess import serve; serve()"


def run_job(job: Callable[..., dict[str, Any]], given: Mapping[str, Any]) -> dict[str, Any]:
    """What a module-level function returns for ``given``, both plain data, in a process that looks like this one.

    Raises AssertionError, with the last line of its traceback or its exit code, if it does not come to its end.
    """
    path, folder = [entry for entry in sys.path if entry], os.getcwd()
    called = f"{job.__module__}:{job.__qualname__}"
    asked = {"job": called, "given": given, "path": path, "environment": dict(os.environ), "folder": folder}
    workshop = _workshop() if hasattr(os, "fork") else _started()
    assert workshop.stdin is not None and workshop.stdout is not None
    workshop.stdin.write(json.dumps(asked, default=str) + "\n")
    workshop.stdin.flush()
    line = workshop.stdout.readline()
    answer: dict[str, Any] = json.loads(line) if line else {"fault": f"ended with code {workshop.wait()}"}
    assert "fault" not in answer, f"a new process that imports {given['module']} {answer['fault']}"
    found: dict[str, Any] = answer["found"]
    return found


@cache
def _workshop() -> subprocess.Popen[str]:
    """The one process of this one."""
    process = _started()
    atexit.register(process.communicate)  # closes its input, at which it ends
    return process


def _started() -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)}
    pipe = subprocess.PIPE
    command = [sys.executable, "-c", START]
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, env=environment, text=True)


def serve() -> None:
    """The other process: a job per line of standard input, answered by a line of standard output."""
    for line in sys.stdin:
        asked = json.loads(line)
        if not hasattr(os, "fork"):
            _answer(asked, sys.stdout)
            return
        out, into = os.pipe()
        child = os.fork()
        if not child:
            nowhere = os.open(os.devnull, os.O_RDWR)
            for held in (0, 1):
                os.dup2(nowhere, held)  # jobs and answers are not for a stranger's module
            with os.fdopen(into, "w") as to:
                _answer(asked, to)
            os._exit(0)
        os.close(into)
        with os.fdopen(out) as told:
            text = told.read()
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        print(text or json.dumps({"fault": f"ended with code {code}"}), flush=True)


def _answer(asked: Mapping[str, Any], to: TextIO) -> None:
    """Do one job, with the path, variables and folder of who asked."""
    sys.path[:] = asked["path"]
    os.environ.clear()
    os.environ.update(asked["environment"])
    os.chdir(asked["folder"])
    importlib.invalidate_caches()
    try:
        module, _, function = asked["job"].partition(":")
        answer: dict[str, Any] = {"found": getattr(importlib.import_module(module), function)(**asked["given"])}
    except BaseException as error:
        answer = {"fault": f"ended with {traceback.format_exception_only(error)[-1].strip()}"}
    to.write(json.dumps(answer))
    to.flush()


def home(cls: type) -> dict[str, Any]:
    """Where another process finds a class: in its module, or in the file that this was loaded from by itself."""
    source = source_of(cls)
    return {"module": cls.__module__, "file": source and str(source[0]), "name": cls.__qualname__}


def report_import(module: str, file: str | None, name: str) -> dict[str, Any]:
    """What importing a class's module changed and printed."""
    before, said = snapshot(), io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        load_class_module(module, file)
    return {"changed": changed(before), "printed": said.getvalue()}


def load_class_module(module: str, file: str | None) -> ModuleType:
    """The module of a class under test, by its name or from the file it was loaded from."""
    return load_module(file) if file else importlib.import_module(module)
