"""The mutations: what must not be true of the product, and the tests that see to it."""

from __future__ import annotations

from tests.mutations.mutation import Chaos, Mutation

INCIDENT = "app/incident.py"
BACKOFF = "app/backoff.py"
DELIVER = "app/deliver.py"
RECEIVE = "app/receive.py"
GATEWAY = "app/gateway.py"
HEALTH = "app/health.py"
TELL = "app/tell.py"
NOTICES = "app/store/notices.py"
SESSION = "app/web/session.py"
LOGIN = "app/web/login.py"
ROOM = "app/web/room.py"
PROXIES = "app/web/proxies.py"
SWEEP = "tasks/sweep.py"
BROKER = "tasks/broker.py"
AGENDA = "app/store/agenda.py"
SCRIPTS = "app/store/scripts.py"
INCIDENTS = "app/store/incidents.py"
COMMIT = "app/store/commit.py"
RETENTION = "app/store/retention.py"
CONNECTION = "app/store/connection.py"
HTTP = "app/providers/http.py"
INCIDENT_IO = "app/providers/incident_io.py"
ANSWER = "app/providers/incident_io_answer.py"

OF_INCIDENT = ("tests/test_incident.py",)
OF_INCIDENT_IO = ("tests/providers/test_incident_io.py",)
OF_DELIVER = ("tests/test_deliver.py",)
OF_RECEIVE = ("tests/test_receive.py",)
OF_TELL = ("tests/test_tell.py",)
OF_LOGIN = ("tests/web/test_login.py",)
OF_SECURITY = ("tests/web/test_security.py",)
OF_SWEEP = ("tests/tasks/test_sweep.py",)
OF_AGENDA = ("tests/store/test_agenda.py",)
OF_STORE = ("tests/store/test_incidents.py",)
OF_RETENTION = ("tests/store/test_retention.py",)
OF_CONNECTION = ("tests/store/test_connection.py",)

MUTATIONS: tuple[Mutation, ...] = (
    # -- claim and lease ---------------------------------------------------------------------------------
    Mutation(
        "no_lease",
        "A claim keeps nobody else from sending the same.",
        DELIVER,
        "LEASE = timedelta(seconds=15)",
        "LEASE = timedelta(0)",
        OF_DELIVER,
    ),
    Mutation(
        "short_lease",
        "A lease ends while its attempt is still under way.",
        DELIVER,
        "LEASE = timedelta(seconds=15)",
        "LEASE = timedelta(seconds=5)",
        OF_DELIVER,
    ),
    Mutation(
        "lease_of_an_hour",
        "What a dead worker was sending is sent again only after an hour.",
        DELIVER,
        "LEASE = timedelta(seconds=15)",
        "LEASE = timedelta(hours=1)",
        OF_DELIVER,
        Chaos(31, "what_is_due_is_paged"),
    ),
    Mutation(
        "claim_takes_it_off_the_due_list",
        "A claim, not success, takes an incident off the due list: a worker's death loses the page.",
        INCIDENT,
        "            next_attempt_at=until,",
        "            next_attempt_at=None,",
        OF_INCIDENT,
        Chaos(31, "what_is_due_is_paged"),
    ),
    Mutation(
        "unlimited_attempt",
        "An attempt has its time from the end of the claim on, so that it may outlive its lease.",
        DELIVER,
        "    _attempt(gateway, draft, claimed, token, deadline)",
        "    _attempt(gateway, draft, claimed, token, time.monotonic() + ATTEMPT_SECONDS)",
        OF_DELIVER,
    ),
    Mutation(
        "sent_after_its_deadline",
        "A process that was stopped sends when it wakes up, though its lease is over.",
        HTTP,
        "        if call.seconds_left() <= 0:\n            raise TooLate",
        "        if False:\n            raise TooLate",
        ("tests/providers/test_http.py",),
    ),
    Mutation(
        "late_page_ends_anothers_claim",
        "A worker that slept through its lease ends the attempt of the one that took over.",
        INCIDENT,
        """        if self.claim is None or self.claim.token != token:
            return self._delivered_late""",
        """        if self.claim is None:
            return self._delivered_late""",
        OF_INCIDENT,
    ),
    # -- acknowledged and resolved -----------------------------------------------------------------------
    Mutation(
        "acknowledged_pages_all_the_same",
        "An acknowledgement does not take away what is owed.",
        INCIDENT,
        "            self._owing_nothing(), state=State.ACKNOWLEDGED,",
        "            self, state=State.ACKNOWLEDGED,",
        OF_INCIDENT,
        Chaos(31, "what_was_ended_in_time_never_pages"),
    ),
    Mutation(
        "resolved_pages_all_the_same",
        "What is resolved before it is due pages when its time comes.",
        INCIDENT,
        "        resolved = replace(self._owing_nothing(), state=State.RESOLVED,",
        "        resolved = replace(self, state=State.RESOLVED,",
        OF_INCIDENT,
        Chaos(31, "what_was_ended_in_time_never_pages"),
    ),
    Mutation(
        "all_clear_that_nobody_is_owed",
        "An all-clear is sent for an incident that never paged.",
        INCIDENT,
        "        if self.page_may_be_out or self.claim is not None:\n            return resolved._owing",
        "        if True:\n            return resolved._owing",
        OF_INCIDENT,
    ),
    Mutation(
        "no_all_clear_for_what_was_in_flight",
        "What is resolved while its page is being sent stays open at incident.io.",
        INCIDENT,
        """        if self.state is State.RESOLVED:
            return ended._owing("resolved", since=now, at=now)
        if self.state is State.ACKNOWLEDGED:
            return ended""",
        """        if self.state in (State.RESOLVED, State.ACKNOWLEDGED):
            return ended""",
        OF_INCIDENT,
        Chaos(31, "what_is_over_is_over_at_incident_io"),
    ),
    Mutation(
        "all_clear_overtakes_the_page",
        "An all-clear does not wait for the attempt under way.",
        INCIDENT,
        'return resolved._owing("resolved", since=now, at=self.claim.until)',
        'return resolved._owing("resolved", since=now, at=now)',
        OF_INCIDENT,
    ),
    Mutation(
        "no_all_clear_after_a_timeout",
        "A page that may be out, although no answer came, gets no all-clear.",
        INCIDENT,
        "            page_may_be_out=self.page_may_be_out or (paging and uncertain),",
        "            page_may_be_out=self.page_may_be_out,",
        OF_INCIDENT,
    ),
    Mutation(
        "no_all_clear_after_a_late_page",
        "A worker that slept through its lease leaves an alert open that nobody closes.",
        INCIDENT,
        "        if self.state is State.RESOLVED:\n            at = max",
        "        if False:\n            at = max",
        OF_DELIVER,
    ),
    Mutation(
        "heartbeat_while_overdue",
        "The heartbeat is sent though a page is overdue.",
        HEALTH,
        ' < FAILED_ATTEMPTS and set(readiness(gateway).values()) == {"ok"}',
        " < FAILED_ATTEMPTS",
        ("tests/test_health.py",),
    ),
    # -- the same problem again --------------------------------------------------------------------------
    Mutation(
        "repeat_moves_the_due_time",
        "A sender that repeats its alert postpones the page for ever.",
        INCIDENT,
        "alert_source) if self.state is State.OPEN else repeated",
        "alert_source) if self.state in (State.OPEN, State.PENDING) else repeated",
        OF_INCIDENT,
    ),
    Mutation(
        "repeat_undoes_an_acknowledgement",
        "A repeated alert pages although somebody has acknowledged.",
        INCIDENT,
        "alert_source) if self.state is State.OPEN else repeated",
        "alert_source) if self.state in (State.OPEN, State.ACKNOWLEDGED) else repeated",
        OF_INCIDENT,
        Chaos(31, "what_was_ended_in_time_never_pages"),
    ),
    Mutation(
        "identity_not_checked",
        "Two webhooks at the same instant make two incidents of one problem.",
        INCIDENTS,
        "            if incident.identity in self._ids_read and incident.id not in self._before:",
        "            if False:",
        OF_STORE,
    ),
    Mutation(
        "key_differs_per_attempt",
        "A second attempt is a second alert at incident.io.",
        INCIDENT_IO,
        '        "deduplication_key": incident.id,',
        '        "deduplication_key": incident.id if incident.attempts < 2 else f"{incident.id}-again",',
        OF_INCIDENT_IO,
        Chaos(31, "one_incident_is_one_alert"),
    ),
    Mutation(
        "random_key_with_redis_away",
        "The same problem, paged directly again, is another alert at incident.io.",
        RECEIVE,
        "        key = str(uuid.uuid5(DIRECT, message.alert.identity or message.payload))",
        "        key = str(uuid.uuid4())",
        OF_RECEIVE,
        Chaos(36, "direct_pages_of_one_problem_share_a_key"),
    ),
    # -- stored before it is answered, and found again ---------------------------------------------------
    Mutation(
        "answered_though_not_stored",
        "An alert is answered 201 although Redis did not take it.",
        INCIDENTS,
        "        done = self._commit_step(token, list(draft.checks()), commands)",
        """        try:
            done = self._commit_step(token, list(draft.checks()), commands)
        except Unavailable:
            done = True""",
        OF_STORE,
        Chaos(36, "what_was_stored_is_still_there"),
    ),
    Mutation(
        "messages_held_in_redis",
        "kombu keeps books in Redis of what a worker holds: slow, and they have ended workers at a restart.",
        "tasks/celery.py",
        "    broker.hold_messages_in_memory()\n",
        "",
        ("tests/stories/test_redis.py::test_a_worker_that_gossips_goes_on_too",),
    ),
    Mutation(
        "knock_before_it_is_stored",
        "A worker is woken for an incident that is not there yet.",
        GATEWAY,
        """
            return worth_announcing(incident, now, at_once=at_once, pending=self.store.agenda.pending())

        result, stored = self.store.incidents.change(draft, work, announced, self.channels.targets)
        self.wakeup.announce(stored, now)
""",
        """
            if worth_announcing(incident, now, at_once=at_once, pending=self.store.agenda.pending()):
                self.wakeup.announce([Stored(incident, True)], now)
                return True
            return False

        from app.store import Stored

        result, _ = self.store.incidents.change(draft, work, announced, self.channels.targets)
""",
        ("tests/test_gateway.py",),
    ),
    Mutation(
        "lost_record_counts_as_acknowledged",
        "A knock for an incident whose record Redis has lost pages nobody.",
        DELIVER,
        "        incident = _remake(gateway, draft, incident_id, alert_source, title)",
        "        return",
        OF_DELIVER,
    ),
    Mutation(
        "lost_record_is_made_anew_twice",
        "Of two workers without a record, the slower undoes what became of the page of the faster.",
        DELIVER,
        "        return draft.get(incident_id) or draft.put(\n            Incident.lost(",
        "        return draft.put(\n            Incident.lost(",
        OF_DELIVER,
    ),
    Mutation(
        "commit_over_somebody_elses_write",
        "Of two changes at the same time one is lost.",
        COMMIT,
        "  if (redis.call('HGET', ARGV[i], ARGV[i + 1]) or '') ~= ARGV[i + 2] then\n    return 0",
        "  if false then\n    return 0",
        OF_STORE,
    ),
    Mutation(
        "commit_done_twice",
        "A commit whose answer was lost is refused when it is sent again, so that its work is done twice.",
        COMMIT,
        "if redis.call('EXISTS', KEYS[1]) == 1 then\n  return 1",
        "if false then\n  return 1",
        OF_STORE,
    ),
    Mutation(
        "removed_though_written_to",
        "An incident that somebody writes to while it is about to be removed goes all the same.",
        RETENTION,
        "self._commit(secrets.token_hex(8), checks, commands)",
        "self._commit(secrets.token_hex(8), [], commands)",
        OF_RETENTION,
    ),
    Mutation(
        "removed_though_it_owes",
        "An old incident whose all-clear has yet to be sent is removed.",
        RETENTION,
        "return incident.state is State.RESOLVED and incident.owes is None",
        "return incident.state is State.RESOLVED",
        OF_RETENTION,
    ),
    Mutation(
        "removed_before_it_was_told",
        "After a long stop of all workers, what is old is removed before people were told of it.",
        RETENTION,
        "            if self._untold(now):",
        "            if False:",
        OF_TELL,
    ),
    Mutation(
        "sweep_looks_at_nothing",
        "The second hand says that its worker lives, and finds nothing that is late.",
        SWEEP,
        "        agenda.worker_lives(self._name, now)\n",
        "        agenda.worker_lives(self._name, now)\n        return\n",
        OF_SWEEP,
        Chaos(31, "what_is_due_is_paged"),
    ),
    Mutation(
        "told_ahead_and_forgotten",
        "What was announced ahead, to a worker that died, is looked at again only a day after it was due.",
        SCRIPTS,
        "    return due + {GRACE_SECONDS}",
        "    return due + 86400",
        OF_AGENDA,
    ),
    Mutation(
        "sweep_ends_with_its_first_error",
        "A bug in one look ends the second hand of that worker for good.",
        SWEEP,
        '                log.exception("sweep_failed")',
        "                raise",
        OF_SWEEP,
    ),
    Mutation(
        "sweep_without_hands",
        "When Celery's consumer hangs, nobody sends what is late.",
        SWEEP,
        "        if not free.acquire(blocking=False):",
        "        if True:",
        OF_SWEEP,
    ),
    Mutation(
        "no_heartbeat",
        "The heartbeat is never sent, so that incident.io pages for nothing.",
        SWEEP,
        "        if heartbeat_due(self._gateway):",
        "        if False:",
        OF_SWEEP,
    ),
    Mutation(
        "lost_knock_is_found_a_day_later",
        "An incident whose message was lost is looked at a day after it was due.",
        AGENDA,
        "GRACE = timedelta(seconds=scripts.GRACE_SECONDS)",
        "GRACE = timedelta(days=1)",
        OF_SWEEP,
        Chaos(31, "what_is_due_is_paged"),
    ),
    # -- attempts that fail ------------------------------------------------------------------------------
    Mutation(
        "no_second_attempt",
        "After a failed attempt no other is scheduled.",
        INCIDENT,
        "            ended = replace(ended, next_attempt_at=again_at)",
        "            ended = replace(ended, next_attempt_at=None)",
        OF_INCIDENT,
    ),
    Mutation(
        "gives_up_at_once",
        "The first failure is the last attempt.",
        DELIVER,
        "    give_up = too_old and not misconfigured",
        "    give_up = not misconfigured",
        OF_DELIVER,
    ),
    Mutation(
        "gives_up_after_an_hour",
        "A page is given up long before it is a day old.",
        DELIVER,
        "GIVE_UP_AFTER = timedelta(hours=24)",
        "GIVE_UP_AFTER = timedelta(hours=1)",
        OF_DELIVER,
    ),
    Mutation(
        "given_up_by_its_age",
        "What was due while no worker lived for a day is given up at its first failure.",
        DELIVER,
        "incident.failing_since is not None and now - incident.failing_since",
        "incident.owed_since is not None and now - incident.owed_since",
        OF_DELIVER,
    ),
    Mutation(
        "server_error_is_success",
        "An answer of 5xx counts as delivered.",
        ANSWER,
        "    if 200 <= status < 300:",
        "    if 200 <= status < 300 or status >= 500:",
        ("tests/providers/test_incident_io_answer.py",),
        Chaos(31, "records_agree_with_incident_io"),
    ),
    Mutation(
        "retry_after_ignored",
        "incident.io is asked again sooner than it allows.",
        BACKOFF,
        "    return timedelta(seconds=max(jittered, not_before or 0.0))",
        "    return timedelta(seconds=jittered)",
        OF_DELIVER,
    ),
    Mutation(
        "attempt_of_100_seconds",
        "An incident.io that hangs is waited for longer than ten seconds.",
        INCIDENT_IO,
        "WHOLE_SECONDS = 10.0",
        "WHOLE_SECONDS = 100.0",
        OF_INCIDENT_IO,
    ),
    Mutation(
        "too_many_requests_hold_back_one",
        "An answer of 429 holds back the event that got it, and nobody else.",
        DELIVER,
        "    if outcome.hold_all:",
        "    if False:",
        OF_DELIVER,
    ),
    # -- more than may leave -----------------------------------------------------------------------------
    Mutation(
        "budget_not_enforced",
        "More events leave within a minute than incident.io takes.",
        SCRIPTS,
        "  if ahead >= math.min(room, tonumber(ARGV[#ARGV])) then",
        "  if false then",
        OF_AGENDA,
    ),
    Mutation(
        "crowd_out_of_order",
        "In a crowd that does not fit, the first to leave are whoever was asked for first.",
        SCRIPTS,
        "  if ahead >= math.min(room, tonumber(ARGV[#ARGV])) then",
        "  if ahead >= room then",
        OF_AGENDA,
    ),
    Mutation(
        "severity_ignored",
        "When there is too much to send, what is critical waits behind what is not.",
        INCIDENT,
        '        return SEVERITIES.index(self.severity or "medium")',
        '        return SEVERITIES.index("medium")',
        OF_AGENDA,
    ),
    Mutation(
        "alert_sources_by_name",
        "Of alert sources that share an API key, the first by name takes all that is allowed.",
        AGENDA,
        "        return [name for _, name in sorted(zip(ranks, names, strict=True))]",
        "        return names",
        OF_SWEEP,
    ),
    # -- telling people ----------------------------------------------------------------------------------
    Mutation(
        "told_without_a_lease",
        "Two workers tell the same news at once.",
        TELL,
        "LEASE = timedelta(seconds=20)",
        "LEASE = timedelta(0)",
        OF_TELL,
    ),
    Mutation(
        "told_by_the_dead_alone",
        "What a worker was telling when it died is told by nobody.",
        NOTICES,
        "redis.call('ZADD', KEYS[1], ARGV[3], member)\nredis.call('HSET'",
        "redis.call('ZREM', KEYS[1], member)\nredis.call('HSET'",
        OF_TELL,
    ),
    Mutation(
        "told_or_forgotten",
        "A channel that refuses once is not tried again.",
        TELL,
        "    given_up = not told.ok and (not told.again or now - claimed.since >= GIVE_UP_AFTER)",
        "    given_up = not told.ok",
        OF_TELL,
    ),
    Mutation(
        "tried_for_ever",
        "A channel that is gone is tried for ever.",
        TELL,
        "now - claimed.since >= GIVE_UP_AFTER)",
        "False)",
        OF_TELL,
    ),
    Mutation(
        "newer_news_ended_with_the_older",
        "The same news, come again while the first was being told, is lost.",
        NOTICES,
        "if tried and string.match(tried, '(%S+)$') == ARGV[2] then",
        "if true then",
        OF_TELL,
    ),
    Mutation(
        "storm_told_one_by_one",
        "A storm floods the channel.",
        NOTICES,
        "SINGLY = 20\n",
        "SINGLY = 20_000\n",
        OF_TELL,
    ),
    Mutation(
        "summaries_without_end",
        "A summary after which nothing is held back is made again and again.",
        TELL,
        "again_at, anew=done)",
        "again_at)",
        OF_TELL,
    ),
    Mutation(
        "held_while_a_summary_ends",
        "What a storm holds back while a summary ends is told in none.",
        NOTICES,
        "redis.call('EXISTS', KEYS[4]) == 0)",
        "true)",
        OF_TELL,
    ),
    # -- the dashboard -----------------------------------------------------------------------------------
    Mutation(
        "no_csrf_token",
        "Another site's page can act in the name of who is logged in.",
        SESSION,
        "        not held\n        or not hmac",
        "        False\n        and not hmac",
        OF_SECURITY,
    ),
    Mutation(
        "another_site_with_the_token",
        "A browser's word that another site asks is not heard.",
        SESSION,
        'OWN_SITES = ("same-origin", "none")',
        'OWN_SITES = ("same-origin", "none", "same-site", "cross-site")',
        OF_SECURITY,
    ),
    Mutation(
        "cookie_without_redis",
        "A cookie is a login even after logging out.",
        SESSION,
        " and gateway.store.sessions.lives(session_id):",
        ":",
        OF_LOGIN,
    ),
    Mutation(
        "login_without_end",
        "A login that is used never ends.",
        SESSION,
        " or time.time() > until:",
        ":",
        OF_LOGIN,
    ),
    Mutation(
        "place_for_who_is_slow",
        "Whoever sends a form slowly keeps others out of the dashboard.",
        ROOM,
        "        request.get_data()\n",
        "",
        OF_LOGIN,
    ),
    Mutation(
        "session_fixed_before_login",
        "The token of before the login is good after it.",
        SESSION,
        "id=session_id, name=name, csrf=secrets.token_urlsafe(24))",
        'id=session_id, name=name, csrf=request.form["csrf"])',
        OF_LOGIN,
    ),
    Mutation(
        "attempts_without_end",
        "An address may try the gateway secret as often as it likes.",
        "app/store/sessions.py",
        "[60])) <= ATTEMPTS",
        "[60])) >= 0",
        OF_LOGIN,
    ),
    Mutation(
        "login_leads_elsewhere",
        "A login leads to another site.",
        LOGIN,
        ' and not path.startswith("//")',
        "",
        OF_LOGIN,
    ),
    Mutation(
        "every_proxy_is_believed",
        "Whoever sends X-Forwarded-For is where it says.",
        PROXIES,
        "        if self._is_ours(peer):",
        "        if True:",
        ("tests/web/test_proxies.py",),
    ),
    Mutation(
        "no_room_for_webhooks",
        "Open dashboards take every thread.",
        ROOM,
        "_pages = threading.BoundedSemaphore(PAGES)",
        "_pages = threading.Semaphore(10**6)",
        ("tests/web/test_dashboard.py",),
    ),
    # -- what Redis says, and what hangs ------------------------------------------------------------------
    Mutation(
        "refusal_ends_the_worker",
        "A Redis that answers and refuses ends the worker.",
        BROKER,
        "get_redis_error_classes().connection_errors, RedisError)",
        "get_redis_error_classes().connection_errors,)",
        ("tests/tasks/test_broker.py", "tests/stories/test_redis_refuses.py"),
    ),
    Mutation(
        "refusal_is_final",
        "A refusal of Redis is not tried again.",
        CONNECTION,
        "REFUSED_FOR = 2.0",
        "REFUSED_FOR = 0.0",
        OF_CONNECTION,
    ),
    Mutation(
        "ready_without_writes",
        "/readyz is well though Redis takes no writes.",
        HEALTH,
        "        gateway.store.server.require_writes()\n",
        "",
        ("tests/test_health.py",),
    ),
    Mutation(
        "connections_without_limit",
        "A crowd of requests takes every connection that a small plan of Redis has.",
        "app/web/__init__.py",
        "REDIS_CONNECTIONS = 3",
        "REDIS_CONNECTIONS = 300",
        ("tests/stories/test_few_connections.py",),
    ),
    Mutation(
        "log_waits",
        "A request waits until its log lines are read.",
        "app/telemetry.py",
        "            return LogQueue(sys.stderr.fileno(), formatter)\n",
        "            raise io.UnsupportedOperation\n",
        ("tests/stories/test_log_unread.py",),
    ),
    Mutation(
        "dropped_lines_are_forgotten",
        "Nobody learns that log lines were dropped.",
        "app/log_queue.py",
        "                self._dropped += 1\n",
        "",
        ("tests/test_log_queue.py",),
    ),
    # -- time --------------------------------------------------------------------------------------------
    Mutation(
        "clock_of_the_host",
        "Web and worker go by the clock of their host, not by Redis's.",
        GATEWAY,
        "        clock=store.now,",
        "        clock=lambda: datetime.now().astimezone(),",
        ("tests/test_gateway.py",),
    ),
    Mutation(
        "claim_by_the_clock_of_the_host",
        "A lease is counted by the clock of the host.",
        DELIVER,
        "claimed(token, gateway.clock(), LEASE))",
        "claimed(token, datetime.now().astimezone(), LEASE))",
        OF_DELIVER,
    ),
    Mutation(
        "slow_answer_puts_the_clock_back",
        "A slow answer of Redis to TIME makes pages late.",
        CONNECTION,
        "        self._clock_offset = min(max(self._clock_offset, told - answered), told - asked)",
        "        self._clock_offset = told - answered",
        OF_CONNECTION,
    ),
    Mutation(
        "clock_checked_once_a_day",
        "A machine that slept for an hour pages an hour late.",
        CONNECTION,
        "CLOCK_TRUSTED = 5.0",
        "CLOCK_TRUSTED = 86_400.0",
        OF_CONNECTION,
    ),
)
