"""Settings of gunicorn, for `gunicorn -c python:app.web.gunicorn_conf 'app.web:create_app()'`.

A wrong configuration ends the process with 2 here, before anything is served.
"""

from __future__ import annotations

import ctypes
import gc
import logging
import os
import threading
from contextlib import suppress

from gunicorn import glogging
from gunicorn.arbiter import Arbiter
from gunicorn.config import Config as GunicornConfig
from gunicorn.workers.base import Worker

from app.bootstrap import Services
from app.ops import watch
from app.ops.diagnostics import begin_log, config_to_serve, report_until_redis_answers
from app.store import Store
from app.web import gunicorn_worker
from app.web.http import overload
from app.web.http.concurrency import PAGES

_config = config_to_serve()
begin_log(_config)


class Logger(glogging.Logger):
    """Leaves the writing to our own handler, which redacts secrets. No access log: URLs carry them."""

    def setup(self, cfg: GunicornConfig) -> None:
        self.error_log.setLevel(logging.INFO)
        self.error_log.handlers = []
        self.error_log.propagate = True


logger_class = Logger
control_socket_disable = True
bind = _config.address
worker_class = gunicorn_worker.Threads
pre_request = gunicorn_worker.limit_silence
# Whom to believe is decided in one place, `app/web/http/proxies.py`.
forwarded_allow_ips = ""
workers = int(os.environ.get("WEB_CONCURRENCY", "2"))
# Those of people, besides those of senders and programs.
threads = 16 + PAGES
# Senders hold connections open; a restart must not cut off a request that waits for Redis or the provider.
keepalive = 30
timeout = 60
graceful_timeout = 30


# glibc's M_ARENA_MAX and M_MMAP_THRESHOLD: without them each of many threads keeps what it once needed.
MALLOC = ((-8, 2), (-3, 262_144))


def post_worker_init(worker: Worker) -> None:
    """Watch Redis from now on; one web process says so, for all of them, when it is away at the start."""
    with suppress(AttributeError, OSError):
        for setting in MALLOC:
            ctypes.CDLL(None).mallopt(*setting)
    # What was loaded stays: to look through all of it for garbage would make requests wait for some 50 ms.
    gc.collect()
    gc.freeze()
    if isinstance(worker, gunicorn_worker.Threads):
        worker.webhooks = overload.webhooks(_config.queue.sns.path)
    services = _services(worker)
    if services is not None:
        watch.start(services, "web")
    if worker.age == 1:
        store = Store(_config.redis.url.get_secret_value(), retry_seconds=2.0)
        threading.Thread(target=report_until_redis_answers, args=(store,), daemon=True).start()


def worker_exit(_: Arbiter, worker: Worker) -> None:
    """Store what was paged directly, before the process that alone knows it is gone."""
    services = _services(worker)
    if services is not None:
        services.backlog.finish()


def _services(worker: Worker) -> Services | None:
    """None where the application could not be loaded."""
    found: Services | None = getattr(getattr(worker, "wsgi", None), "extensions", {}).get("services")
    return found
