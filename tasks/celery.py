"""The worker process: `celery -A tasks worker` finds `app` here."""

from __future__ import annotations

import threading
from typing import Any

from celery import Celery
from celery.apps import worker
from celery.signals import celeryd_after_setup, setup_logging, worker_ready, worker_shutdown

from app import bootstrap, task_queue
from app.ops.diagnostics import begin_log, config_to_serve, warn_of_redis
from app.telemetry import log
from config import Config
from tasks import deliver, kombu_workarounds, sweep
from tasks.held import Held


def create_celery(config: Config) -> Celery:
    """A Celery worker for this configuration. Nothing is connected yet."""
    services = bootstrap.build_services(config)
    celery = Celery("versus", amqp=kombu_workarounds.Broker)
    celery.conf.update(task_queue.broker_settings(config.redis.url.get_secret_value()))
    celery.conf.update(
        worker_prefetch_multiplier=1,
        # A message is done when it is taken: what a dead worker held, the sweep finds sooner than the broker.
        task_acks_late=False,
        worker_send_task_events=False,
        # Redis may be away for as long as it likes, at the start too.
        broker_connection_max_retries=None,
        broker_connection_retry_on_startup=True,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        worker_enable_remote_control=False,
    )
    held = Held()
    deliver.register(celery, services, held)
    celery.steps["worker"].add(sweep.step(services, held))
    kombu_workarounds.hold_messages_in_memory()
    kombu_workarounds.outlive_refusals()

    @celeryd_after_setup.connect(weak=False)
    def consume_ours(**_: Any) -> None:
        ours, queues = celery.conf.task_default_queue, celery.amqp.queues
        if ours not in queues.consume_from:
            log.error("wrong_queues", queues=[*queues.consume_from], then=f"consuming {ours} as well")
            queues.select_add(queues[ours])

    @worker_ready.connect(weak=False)
    def check_redis(**_: Any) -> None:
        # Redis is there by now. In a thread of its own, since nothing may wait for it.
        threading.Thread(target=warn_of_redis, args=(services.store,), daemon=True).start()

    @worker_shutdown.connect(weak=False)
    def store_the_rest(**_: Any) -> None:
        services.backlog.finish()

    return celery


def _start() -> Celery:
    config = config_to_serve()

    @setup_logging.connect(weak=False)
    def use_our_logging(**_: Any) -> None:
        begin_log(config)
        # What Celery's signal handlers write to a terminal; a pipe that nobody reads would hold them up.
        celery_worker: Any = worker
        celery_worker.safe_say = lambda words, *_: log.info("worker_says", words=words)

    return create_celery(config)


app = _start()
