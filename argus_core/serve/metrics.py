"""What Prometheus learns about a server."""

from __future__ import annotations

from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from argus_core.serve.engine import Engine
from argus_core.serve.gate import Gate

SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
IMAGES = (1, 2, 4, 8, 16, 32, 64)
REASONS = {
    401: "token",
    403: "host",
    408: "slow",
    413: "large",
    415: "type",
    499: "gone",
    503: "busy",
    504: "late",
}
"""Why requests are turned away, by status; others that fail are ``invalid``."""


class Metrics:
    """Counters of an engine and of the requests to it, in a registry of their own."""

    def __init__(self, engine: Engine, gate: Gate) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        self._requests = Counter("argus_requests", "Requests answered", ["route", "status"], registry=registry)
        self._rejected = Counter("argus_rejected", "Requests turned away", ["reason"], registry=registry)
        self._seconds = Histogram(
            "argus_request_seconds", "Time to an answer", ["route"], buckets=SECONDS, registry=registry
        )
        self._images = Histogram("argus_pass_images", "Images of a backbone pass", buckets=IMAGES, registry=registry)
        self._passes = Counter("argus_backbone_passes", "Backbone passes", registry=registry)
        for name, text, value in (
            ("argus_queue_length", "Jobs that wait for the model", lambda: engine.waiting),
            ("argus_requests_active", "Requests that are being answered", lambda: gate.active),
        ):
            Gauge(name, text, registry=registry).set_function(value)
        engine.argus.backbone.register_forward_hook(self._passed)

    def answered(self, route: str, status: int, seconds: float) -> None:
        """Count a request to ``route``, the pattern of its path."""
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)
        if status >= 400:
            self._rejected.labels(REASONS.get(status, "invalid" if status < 500 else "failed")).inc()

    def text(self) -> bytes:
        """All of it in the format of Prometheus."""
        return generate_latest(self.registry)

    def _passed(self, backbone: Any, inputs: tuple[Any, ...], tokens: Any) -> None:
        self._passes.inc()
        self._images.observe(len(inputs[0]))
