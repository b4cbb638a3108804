"""Tests of where incidents are sent."""

from __future__ import annotations

"""Channels: what they say and how they say it."""
