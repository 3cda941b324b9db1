"""Checks in processes of their own: forked from a server process that has imported what any head imports."""

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
from typing import Any

from argus_core.plugins.files import load_module, source_of
from argus_core.testing.kit.isolation import changed, snapshot

# The server imports what any head imports, so that only the head's own module is new to its children.
START = "import torchvision, argus_core.detection; from argus_core.testing.kit.subprocess import serve; serve()"


def run_job(job: Callable[..., dict[str, Any]], arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Call a module-level function in a process with the path, variables and folder of this one.

    Arguments and result are plain data. Raises AssertionError, with the last line of its traceback or its exit code,
    if the process does not come to its end.
    """
    request = {
        "job": f"{job.__module__}:{job.__qualname__}",
        "arguments": arguments,
        "path": [entry for entry in sys.path if entry],
        "environment": dict(os.environ),
        "folder": os.getcwd(),
    }
    server = _server() if hasattr(os, "fork") else _start()
    assert server.stdin is not None and server.stdout is not None
    server.stdin.write(json.dumps(request, default=str) + "\n")
    server.stdin.flush()
    line = server.stdout.readline()
    answer: dict[str, Any] = json.loads(line) if line else {"fault": f"ended with code {server.wait()}"}
    assert "fault" not in answer, f"a new process that imports {arguments['module']} {answer['fault']}"
    result: dict[str, Any] = answer["result"]
    return result


@cache
def _server() -> subprocess.Popen[str]:
    """The one server of this process."""
    process = _start()
    atexit.register(process.communicate)  # closes its input, at which it ends
    return process


def _start() -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)}
    pipe = subprocess.PIPE
    command = [sys.executable, "-c", START]
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, env=environment, text=True)


def serve() -> None:
    """Answer each line of standard input, a request, with a line of standard output."""
    for line in sys.stdin:
        if not hasattr(os, "fork"):
            print(_answer(line), flush=True)
            return
        reader, writer = os.pipe()
        child = os.fork()
        if not child:
            null = os.open(os.devnull, os.O_RDWR)
            for stream in (0, 1):
                os.dup2(null, stream)  # a stranger's module must neither read requests nor write answers
            with os.fdopen(writer, "w") as pipe:
                pipe.write(_answer(line))
            os._exit(0)
        os.close(writer)
        with os.fdopen(reader) as pipe:
            text = pipe.read()
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        print(text or json.dumps({"fault": f"ended with code {code}"}), flush=True)


def _answer(line: str) -> str:
    """Do the job of one request, with the path, variables and folder of the process that sent it."""
    request = json.loads(line)
    sys.path[:] = request["path"]
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["folder"])
    importlib.invalidate_caches()
    try:
        module, _, function = request["job"].partition(":")
        return json.dumps({"result": getattr(importlib.import_module(module), function)(**request["arguments"])})
    except BaseException as error:
        return json.dumps({"fault": f"ended with {traceback.format_exception_only(error)[-1].strip()}"})


def home(cls: type) -> dict[str, Any]:
    """Where another process finds a class: in its module, or in the file that this was loaded from by itself."""
    source = source_of(cls)
    return {"module": cls.__module__, "file": source and str(source[0]), "name": cls.__qualname__}


def report_import(module: str, file: str | None, name: str) -> dict[str, Any]:
    """What importing a class's module changed and printed."""
    before, output = snapshot(), io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
        load_class_module(module, file)
    return {"changed": changed(before), "printed": output.getvalue()}


def load_class_module(module: str, file: str | None) -> ModuleType:
    """The module of a class under test, by its name or from the file it was loaded from."""
    return load_module(file) if file else importlib.import_module(module)
