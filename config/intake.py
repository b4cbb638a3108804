"""Settings of the intake: where the secret may be, what senders sign with, where SNS posts to."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator

from config.block import Block
from config.values import SWITCH, HeaderNames, InvalidValue, PassPhrase, Setting, SnsTopics

PHRASE = "a secret of ASCII characters, without a space at either end"


class Intake(Block):
    """How webhooks come in."""

    secret_headers: Annotated[
        HeaderNames, Setting("names of headers such as X-Gitlab-Token, separated by commas")
    ] = ()
    """Headers that may carry the intake secret, besides those that always may."""
    refused: Annotated[Literal["page", "notify", "keep"], Setting("page, notify or keep")] = "page"
    """What becomes of a webhook that can't be read, beside being kept."""


class IntakeSignatures(Block):
    """What senders that sign their webhooks sign them with."""

    sentry: Annotated[PassPhrase | None, Setting(PHRASE)] = None
    grafana: Annotated[PassPhrase | None, Setting(PHRASE)] = None
    github: Annotated[PassPhrase | None, Setting(PHRASE)] = None
    """For every sender that signs as GitHub does."""
    sns_topics: Annotated[
        SnsTopics | None,
        Setting(
            "ARNs of SNS topics such as arn:aws:sns:eu-central-1:123456789012:oncall, separated by commas"
        ),
    ] = None
    """SNS signs with a certificate that every AWS account shares, so it is the topic that counts."""


OWN_PATHS = {
    *(
        "api",
        "favicon.svg",
        "healthz",
        "incidents",
        "login",
        "logout",
        "metrics",
        "readyz",
        "rejected",
        "silences",
        "status",
    ),
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

    enable: Annotated[bool, Setting(SWITCH, "SNS_ENABLE", variable_wins=True)] = False
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

    sns: Sns = Sns()
