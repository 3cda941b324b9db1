"""Identities of objects over the frames of a film."""

from __future__ import annotations

from argus_core.track.tracker import Tracker

__all__ = ["Tracker"]
