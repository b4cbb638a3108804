"""Settings of the intake: where the secret may be, and what senders sign with."""

from __future__ import annotations

from typing import Annotated, Literal

from config.block import Block
from config.values import HeaderNames, PassPhrase, Setting, SnsTopics

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
