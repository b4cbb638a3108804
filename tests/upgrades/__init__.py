"""Versions side by side: what one stored, another reads, goes on with, and leaves as it was."""
