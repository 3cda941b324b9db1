"""Nothing that Argus uses reports its use to others."""

from __future__ import annotations

from pathlib import Path

import pytest

from argus_core.common.extras import need


def test_openvino_reports_nothing_and_leaves_no_files(tmp_path, monkeypatch):
    telemetry = pytest.importorskip("openvino_telemetry")
    from openvino_telemetry.backend.backend_ga4 import GA4Backend

    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    monkeypatch.delenv("CI", raising=False)
    need("openvino", "openvino")
    sent: list[object] = []
    monkeypatch.setattr(GA4Backend, "send", lambda _, message: sent.append(message))
    reports = telemetry.Telemetry(tid="id", app_name="test", backend="ga4", enable_opt_in_dialog=False)
    reports.start_session("test")
    reports.send_event("test", "action", "label", force_send=True)
    reports.sender.executor.shutdown()
    assert not sent and not list(tmp_path.iterdir())
