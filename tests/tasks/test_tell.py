"""The worker's hands for telling people: how many a channel may keep."""

from __future__ import annotations

import dataclasses
import threading
from concurrent.futures import ThreadPoolExecutor

from celery import Celery

from app import wakeup
from app.alert import Alert
from app.channels import Channels, Message, Told
from app.gateway import Gateway
from app.notice import Notice
from app.receive import Message as Webhook
from app.receive import Options, receive
from tasks.tell import HANDS, HANDS_EACH, register
from tests.fakes import RecordingChannel
from tests.stories.stack import wait_until
from tests.test_tell import settings


class Hanging(RecordingChannel):
    """Answers when it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.let_go = threading.Event()

    def send(self, message: Message, address: str | None) -> Told:
        told = super().send(message, address)
        self.let_go.wait(30)
        return told


def test_all_addresses_of_a_channel_that_hangs_keep_few_hands(gateway: Gateway) -> None:
    pager, ops = Hanging(), RecordingChannel()
    channels = Channels([settings("pager"), settings("ops")], {"pager": pager, "ops": ops})
    gateway = dataclasses.replace(gateway, channels=channels)
    celery = Celery("test", set_as_current=False)
    register(celery, gateway)
    addresses = [f"pager>{n}" for n in range(HANDS)]
    webhook = Webhook(Alert(title="Disk full", source="generic"), "{}")
    [received] = receive(gateway, [webhook], Options(channels=("ops", *addresses)))
    assert received.incident is not None
    member = Notice("ops", "created", received.incident.id).member
    with ThreadPoolExecutor(HANDS) as pool:
        told = [pool.submit(celery.tasks[wakeup.TELL], target, member) for target in addresses]
        wait_until(
            lambda: sum(one.done() for one in told) == HANDS - HANDS_EACH, "the others are turned away"
        )
        celery.tasks[wakeup.TELL]("ops", member)
        pager.let_go.set()
    assert (len(pager.messages), len(ops.messages)) == (HANDS_EACH, 1)
