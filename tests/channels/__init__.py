"""Channels: what they say and how they say it."""
