"""Optional libraries of the extras, imported when they are needed."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from argus_core.errors import ArgusError

__all__ = ["need"]

REPORTING = ("openvino", "nncf")
"""Libraries that report their use to their makers unless they are told not to."""


def need(module: str, extra: str) -> ModuleType:
    """Import a module; raises ArgusError with what to install if it is missing."""
    if module.partition(".")[0] in REPORTING:
        _report_nothing()
    try:
        return import_module(module)
    except ImportError as error:
        raise ArgusError(
            f"this needs {module.partition('.')[0]} ({error}): pip install 'argus-perception[{extra}]'"
        ) from error


def _report_nothing() -> None:
    """Decline the reports of OpenVINO's tools.

    By default each conversion sends some, by processes that threads fork, which may end or hang an interpreter that has
    other threads, and leaves a folder in the user's home.
    """
    try:
        checker, sender = map(
            import_module, ("openvino_telemetry.utils.opt_in_checker", "openvino_telemetry.utils.sender")
        )
        checker.OptInChecker.check = lambda *_, **__: checker.ConsentCheckResult.DECLINED
        sender.TelemetrySender.send = lambda *_: None
    except (ImportError, AttributeError):  # not installed, or another version of it
        return
