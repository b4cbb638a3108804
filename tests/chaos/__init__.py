"""The chaos harness: real processes under load, a seeded schedule of faults, and a checker of the outcome.

`plan` is what will be done, as data; `platform` keeps the processes running; `faults` breaks things; `load`
plays senders and people; `history` is what happened, as data, and `known` the same by incident; `checker`
judges it; `run` puts them together and `report` tells. `python -m tests.chaos --help`, or `make chaos`.
"""
