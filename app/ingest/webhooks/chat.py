"""Messages as tools send them to Slack, Discord and Microsoft Teams: a title, a text, and facts in pairs.

They have no key. What such a message begins with may still say that the problem is over.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import app.ingest.webhooks.coerce as coerce
from app.domain.alert import Effect
from app.ingest.webhooks.coerce import Json, Webhook
from app.ingest.webhooks.field_map import EffectOf, FieldMap, Place, all_of, first, first_of, join

# `[RESOLVED] …`, `RECOVERED: …`; a mark such as a tick may come before it.
_OVER = re.compile(
    r"\W{0,8}(?:\[(?:resolved|ok|recovered|closed|up|success)\b[^\]]{0,40}\]"
    r"|(?:resolved|recovered|recovery|closed|ok)\s?[:|-]\s)",
    re.IGNORECASE,
)
_BLOCKS = 50


def _effect(title: Place) -> EffectOf:
    def effect(body: Json) -> Effect:
        said = first(coerce.line, body, title)
        return Effect.RESOLVED if said and _OVER.match(said) else Effect.FIRING

    return effect


def _texts(value: object, left: Iterator[int]) -> Iterator[str]:
    """The texts of blocks or cards, from the top."""
    for item in value if isinstance(value, list) else [value]:
        if not isinstance(item, dict) or next(left, None) is None:
            continue
        if text := coerce.text(item.get("text")):
            yield text
        for name in ("text", "elements", "fields", "items", "body", "columns"):
            if isinstance(inner := item.get(name), dict | list):
                yield from _texts(inner, left)


def _slack_blocks(body: Json) -> str | None:
    texts = _texts([body, coerce.at(body, ("attachments", "0"))], iter(range(_BLOCKS)))
    blocks = _texts(
        [*_listed(body, "blocks"), *_listed(coerce.at(body, ("attachments", "0")), "blocks")],
        iter(range(_BLOCKS)),
    )
    return "\n\n".join(dict.fromkeys([*texts, *blocks])) or None


def _listed(value: object, name: str) -> list[object]:
    found = value.get(name) if isinstance(value, dict) else None
    return found if isinstance(found, list) else []


def _slack_title(body: Json) -> object:
    named = first(
        coerce.line, body, first_of("attachments.0.title", "attachments.0.pretext", "attachments.0.fallback")
    )
    return named or coerce.first_line(_slack_blocks(body))


def _slack_fields(body: Json) -> object:
    listed = coerce.at(body, ("attachments", "0", "fields"))
    return _pairs(listed, "title")


def _pairs(listed: object, name: str) -> list[object]:
    items = listed if isinstance(listed, list) else []
    return [[item.get(name), item.get("value")] for item in items if isinstance(item, dict)]


def _is_slack(webhook: Webhook) -> bool:
    body = webhook.body
    attachment = coerce.mapping(coerce.at(body, ("attachments", "0")))
    if any(
        attachment.get(name) is not None for name in ("color", "fallback", "mrkdwn_in", "pretext", "blocks")
    ):
        return True
    kind = coerce.at(body, ("blocks", "0", "type"))
    return kind in ("section", "header", "context", "divider", "rich_text", "actions", "image")


def _discord_title(body: Json) -> object:
    named = first(coerce.line, body, "embeds.0.title")
    return (
        named
        or coerce.first_line(body.get("content"))
        or first(coerce.first_line, body, "embeds.0.description")
    )


def _card(body: Json) -> object:
    return coerce.at(body, ("attachments", "0", "content"))


def _card_text(body: Json) -> str | None:
    return "\n\n".join(_texts(_card(body), iter(range(_BLOCKS)))) or None


def _card_title(body: Json) -> object:
    return coerce.first_line(_card_text(body)) or body.get("summary")


def _card_facts(body: Json) -> object:
    blocks = _listed(_card(body), "body")[:_BLOCKS]
    sets = [_pairs(block.get("facts"), "title") for block in blocks if isinstance(block, dict)]
    return [pair for pairs in sets for pair in pairs]


_MESSAGE_CARD = first_of("title", "summary", "sections.0.activityTitle", "text")

FIELD_MAPS = (
    FieldMap(
        source="teams",
        matches="@type=MessageCard",
        effect=_effect(_MESSAGE_CARD),
        title=_MESSAGE_CARD,
        description=join("text", "sections.0.activitySubtitle", "sections.0.activityText", "sections.0.text"),
        source_url="potentialAction.0.targets.0.uri",
        labels="sections.0.facts",
    ),
    FieldMap(
        source="teams",
        kind="card",
        matches="attachments.0.contentType=application/vnd.microsoft.card.adaptive",
        effect=_effect(_card_title),
        title=_card_title,
        description=_card_text,
        source_url="attachments.0.content.actions.0.url",
        labels=_card_facts,
    ),
    FieldMap(
        source="discord",
        matches=first_of("embeds.0.title", "embeds.0.description"),
        effect=_effect(_discord_title),
        title=_discord_title,
        description=join("content", "embeds.0.description"),
        source_url="embeds.0.url",
        started_at="embeds.0.timestamp",
        labels="embeds.0.fields",
    ),
    FieldMap(
        source="discord",
        matches=first_of(all_of("content", "username"), all_of("content", "allowed_mentions")),
        effect=_effect("content"),
        title=_discord_title,
        description="content",
    ),
    FieldMap(
        source="slack",
        matches=_is_slack,
        any_of=("attachments", "blocks"),
        effect=_effect(_slack_title),
        title=_slack_title,
        description=_slack_blocks,
        source_url="attachments.0.title_link",
        started_at="attachments.0.ts",
        labels=_slack_fields,
    ),
)
