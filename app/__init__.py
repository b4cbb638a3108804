"""What happens to an incident: received, stored, acknowledged or resolved, and paged when nobody was there.

Start with `incident.py` (the record and its moves), then follow one incident:
`web/incidents.py` -> `receive.py` -> `store/` -> `deliver.py` -> `providers/incident_io.py`.
ARCHITECTURE.md draws the picture.
"""

__version__ = "0.1.0"
