"""The block `queue`, a block of the Go edition: of its queues, SNS, which posts webhooks."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator

from config.block import Block
from config.values import InvalidValue, Setting, SnsTopics

OWN_PATHS = {
    *("api", "favicon.svg", "healthz", "incidents", "login", "logout", "metrics", "readyz", "rejected"),
    "static",
}
"""First parts of the paths that web serves anyway."""


def _free_path(path: str) -> str:
    if not re.fullmatch(r"(/[\w.~-]+)+", path, re.ASCII):
        raise InvalidValue
    if path.split("/")[1] in OWN_PATHS:
        raise InvalidValue("this service has pages of its own there")
    return path


class Sns(Block):
    """Amazon SNS, at a path of its own besides /api/incidents."""

    enable: Annotated[bool, Setting("true or false", "SNS_ENABLE", variable_wins=True)] = False
    https_endpoint_subscription_path: Annotated[
        str, AfterValidator(_free_path), Setting("a path such as /sns")
    ] = "/sns"
    topic_arn: Annotated[
        SnsTopics | None,
        Setting("the ARN of a topic such as arn:aws:sns:eu-central-1:123456789012:oncall", "SNS_TOPIC_ARN"),
    ] = None
    """Added to `intake_signatures.sns_topics`."""

    @property
    def path(self) -> str | None:
        """Where it posts to; None: nowhere but /api/incidents."""
        return self.https_endpoint_subscription_path if self.enable else None

    @property
    def topics(self) -> tuple[str, ...]:
        """Those that may send."""
        return (self.topic_arn or ()) if self.enable else ()


class Queue(Block):
    """Queues of the Go edition."""

    sns: Annotated[Sns, Setting("a mapping of settings")] = Sns()
