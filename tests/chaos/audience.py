"""Plays people who have the dashboard open all the time: whatever breaks, they must cost no page."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import requests

PAGES = 30
TIMEOUT = 12.0
PAUSE = 2.0
TOKEN = re.compile(r'name="csrf" value="([^"]+)"')


class Audience:
    """So many pages, open at these web processes by one person, who logs in again whenever it is needed.

    `secret`: of the web process with this number.
    """

    def __init__(self, bases: Sequence[str], secret: Callable[[int], str]) -> None:
        self._secret = secret
        self._bases = bases
        self._over = threading.Event()
        self._login = threading.Lock()
        self._cookie = ""
        self.changes = [0] * PAGES
        """How often each page changed."""

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Inside the block the pages are open."""
        people = [threading.Thread(target=self._watch, args=(n,), daemon=True) for n in range(PAGES)]
        for one in people:
            one.start()
        try:
            yield
        finally:
            self._over.set()
            for one in people:
                one.join()

    def _watch(self, number: int) -> None:
        base, tag = self._bases[number % len(self._bases)], ""
        session = requests.Session()
        while not self._over.wait(PAUSE):
            cookie = self._cookie
            headers = {"X-Live": "poll", "If-None-Match": tag, "Cookie": cookie}
            try:
                answer = session.get(f"{base}/", headers=headers, timeout=TIMEOUT)
                if answer.status_code == 401:
                    self._log_in(base, cookie)
            except requests.RequestException:
                continue
            if answer.status_code == 200:
                tag = answer.headers["ETag"]
                self.changes[number] += 1

    def _log_in(self, base: str, old: str) -> None:
        with self._login, requests.Session() as session:
            if self._cookie != old:
                # Another page did it meanwhile.
                return
            token = TOKEN.search(session.get(f"{base}/login", timeout=TIMEOUT).text)
            fields = {
                "csrf": token[1] if token else "",
                "name": "audience",
                "secret": self._secret(self._bases.index(base)),
            }
            session.post(f"{base}/login", fields, timeout=TIMEOUT, allow_redirects=False)
            self._cookie = "; ".join(f"{cookie.name}={cookie.value}" for cookie in session.cookies)
