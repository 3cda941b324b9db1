"""Published ways of scoring, one module per benchmark."""

from argus_core.protocols.protocol import Protocol, find_protocol

__all__ = [
    "Protocol",
    "find_protocol",
]
