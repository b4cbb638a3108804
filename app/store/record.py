"""Where incidents are in Redis, and what a record is.

A record is a hash: `v`, a token that is new with every write; `doc`, the incident as JSON; `payload`, the
sender's body; `message:<target>`, what a channel calls its message about it.
"""

from __future__ import annotations

from pydantic import TypeAdapter

from app.incident import Incident
from app.store.connection import PREFIX

INCIDENT = PREFIX + "incident:"
IDENTITIES = PREFIX + "identities"
ALL = PREFIX + "incidents"
BY_STATE = PREFIX + "state:"
VERSION = PREFIX + "version"

RECORD = TypeAdapter(Incident)
