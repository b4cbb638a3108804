"""Tests of what channels are notified of."""
