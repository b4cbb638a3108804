"""What happens to an incident: received, stored, acknowledged or resolved, and paged if nobody acknowledges.

Start with `domain/incident.py` (the record and its changes), then follow one incident:
`web/api/incidents.py`, `ingest/service.py`, `store/`, `delivery/service.py`, `destinations/`. ARCHITECTURE.md
draws the picture.
"""

__version__ = "0.1.0"
