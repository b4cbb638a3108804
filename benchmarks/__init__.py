"""Measures the real processes on this machine, against the goals in `docs/performance.md`."""
