"""Bodies of a mebibyte that are as hard to read as they can be; `make bench` measures how long it takes."""

from __future__ import annotations

import json
from typing import Any

WORST: dict[str, dict[str, Any]] = {
    "many alerts": {"receiver": "r", "alerts": [{"labels": {"a": "1"}}] * 49_900},
    "empty alerts": {"receiver": "r", "alerts": [{}] * 349_000},
    "many labels": {"receiver": "r", "alerts": [{}], "groupLabels": {str(n): "v" for n in range(80_000)}},
    "many fields": {str(n): n for n in range(75_000)},
    "many tags": {"tags": ":," * 524_000},
    "many pairs": {"tags": [["a", ""]] * 116_000},
    "many lists": {"x": [[]] * 349_000},
    "many objects in texts": {"x": ['{"token":1}'] * 65_000},
    "blanks": {"title": " " * 300_000 + "x", "message": "\n" * 300_000 + "x"},
    "unclosed placeholder": {"title": "{{a" * 200_000, "deduplication_key": "{A." * 140_000},
    "control characters": {"title": "\x00" * 100_000, "message": "\u200b" * 140_000},
    "a long number": {"started_at": "1" * 1_000_000},
    "a long title of Datadog": {
        **dict.fromkeys(("event_type", "last_updated", "body"), "x"),
        "org": {"id": 1},
        "title": "[" + " on {" * 200_000,
    },
    "a message in an envelope": {
        **dict.fromkeys(("Type", "MessageId", "TopicArn"), "x"),
        "Message": json.dumps({"alerts": [{}] * 250_000, "receiver": "r"}),
    },
    "a broken message in an envelope": {
        **dict.fromkeys(("Type", "MessageId", "TopicArn"), "x"),
        "Message": '{"token":' * 95_000,
    },
    "tags of Zabbix": {"event_id": 1, "event_value": 1, "event_tags": json.dumps([{"tag": "a"}] * 58_000)},
    "tags of Healthchecks": {"ping_url": "x", "uuid": "x", "tags": "a " * 524_000},
    "a record of a log": {"date": 1, "log": "\n" * 200_000, **{str(n): n for n in range(30_000)}},
    "an event of Sentry": {
        "data": {"event": {"issue_url": "1" * 8_000, "url": "/projects/" * 800, "tags": [[]]}}
    },
    "details of PagerDuty": {
        **dict.fromkeys(("event_action", "routing_key"), "x"),
        "payload": {"custom_details": {str(n): "\n" * 9 for n in range(34_000)}},
    },
}
