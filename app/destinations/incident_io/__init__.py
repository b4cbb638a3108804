"""incident.io: the events, what its answers mean, and what it can be asked."""
