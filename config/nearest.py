"""Finds the setting that a wrong key probably meant."""

from __future__ import annotations

from difflib import get_close_matches

from config.keys import SETTINGS, rule_path
from config.values import Key


def nearest(key: Key) -> Key | None:
    """The setting that a wrong key probably meant; at the top only when there is little doubt."""
    *path, name = key
    siblings = [known[-1] for known in SETTINGS if known[:-1] == rule_path(key)[:-1]]
    near = get_close_matches(name.lower(), siblings, n=1, cutoff=0.6 if path else 0.82)
    if not near:
        # Two letters of a short word swapped: `prot`; but `report` is no misspelt `port`.
        same_length = [known for known in siblings if abs(len(known) - len(name)) <= 1]
        near = get_close_matches(name.lower(), same_length, n=1, cutoff=0.75)
    if near:
        return (*path, near[0])
    # Indented too little, or too much: the key of another block.
    elsewhere = [known for known in SETTINGS if known[-1] == name and "<name>" not in known]
    return elsewhere[0] if elsewhere else None
