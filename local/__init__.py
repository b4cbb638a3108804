"""One machine, no server: the programs of `make run` and `make demo`; nothing here runs in production."""
