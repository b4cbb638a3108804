"""The mutations: what must not be true of the product, and the tests that see to it."""

from __future__ import annotations

from tests.mutations.mutation import Chaos, Mutation

INCIDENT = "app/domain/incident.py"
RECORD = "app/domain/record.py"
REPORT = "app/domain/report.py"
ROUTING = "app/domain/routing.py"
HOURS = "config/hours.py"
ACKNOWLEDGEMENT = "app/domain/acknowledgement.py"
MEMBERS = "app/domain/members.py"
ACTIONS = "app/actions.py"
CHAINS = "app/domain/chains.py"
DELIVERY = "app/domain/delivery.py"
SUBSCRIPTION = "app/domain/subscription.py"
RETRY = "app/delivery/retry.py"
DELIVER = "app/delivery/service.py"
PAGE = "app/delivery/pages.py"
INGEST = "app/ingest/service.py"
BOOTSTRAP = "app/bootstrap.py"
HEALTH = "app/ops/health.py"
NOTIFY = "app/delivery/notifications.py"
SUMMARY = "app/delivery/summaries.py"
NOTIFICATIONS = "app/store/notifications.py"
SESSION = "app/web/http/session.py"
LOGIN = "app/web/dashboard/login.py"
BULK = "app/web/dashboard/bulk.py"
SILENCE = "app/domain/silence.py"
CONCURRENCY = "app/web/http/concurrency.py"
OVERLOAD = "app/web/http/overload.py"
ONCE = "app/ingest/once.py"
PROXIES = "app/web/http/proxies.py"
SWEEP = "tasks/sweep.py"
KOMBU_WORKAROUNDS = "tasks/kombu_workarounds.py"
DELIVERY_QUEUE = "app/store/delivery_queue.py"
SLOTS = "tasks/slots.py"
READ_ONLY = "tasks/read_only.py"
ACQUIRE_SLOT = "app/store/lua/acquire_slot.lua"
BELIEVED = "app/store/lua/believed.lua"
NEXT_CHECK = "app/store/lua/next_check.lua"
NEXT_NOTIFICATIONS = "app/store/lua/next_notifications.lua"
INCIDENTS = "app/store/incidents.py"
UNIT_OF_WORK = "app/store/unit_of_work.py"
COMMIT = "app/store/lua/commit.lua"
READING = "app/store/reading.py"
EPOCHS = "app/store/epoch.py"
CLOCKS = "app/store/clock.py"
STORED = "app/store/keys.py"
RETENTION = "app/store/retention.py"
CONNECTION = "app/store/connection.py"
HTTP = "app/destinations/http.py"
INCIDENT_IO = "app/destinations/incident_io/provider.py"
ALERT_EVENT = "app/destinations/incident_io/event.py"
ACCOUNT = "app/destinations/incident_io/account.py"
AFTERWARDS = "app/destinations/incident_io/afterwards.py"
LATENESS = "app/domain/lateness.py"
ANSWER = "app/destinations/incident_io/answer.py"

SILENCED = "app/domain/silenced.py"
HELD = "app/delivery/silenced.py"

REFUSED = "app/ingest/refused.py"
STORE_REFUSED = "app/store/refused.py"
REFUSALS = "app/web/api/refusals.py"
ADMIT_REFUSED = "app/store/lua/admit_refused.lua"

OF_BULK = ("tests/web/dashboard/test_bulk.py",)
OF_COMMON = ("tests/domain/test_silence.py",)
OF_SILENCES = ("tests/delivery/test_silences.py",)
OF_INCIDENT = ("tests/domain/test_incident.py",)
OF_INCIDENT_IO = ("tests/destinations/test_incident_io.py",)
OF_ACCOUNT = ("tests/destinations/test_incident_io_account.py",)
OF_TRACES = ("tests/domain/test_traces.py",)
OF_PAGE = ("tests/delivery/test_pages.py",)
OF_TWO_PAGERS = ("tests/delivery/test_two_pagers.py",)
OF_MODEL = ("tests/test_model.py",)
OF_INSTALLATIONS = ("tests/ingest/test_installations.py",)
OF_LATE_PROBLEMS = ("tests/ingest/test_late_problems.py",)
OF_RECEIVE = ("tests/ingest/test_service.py",)
OF_NOTIFY = ("tests/delivery/notifications/test_notifications.py",)
OF_CHAINS = ("tests/domain/test_chains.py",)
OF_REOPENING = ("tests/domain/test_reopening.py",)
OF_RACES = ("tests/delivery/notifications/test_notification_races.py",)
OF_SUMMARY = ("tests/delivery/notifications/test_summaries.py",)
OF_LOGIN = ("tests/web/dashboard/test_login.py",)
OF_SECURITY = ("tests/web/http/test_security.py",)
OF_SWEEP = ("tests/tasks/test_sweep.py",)
OF_SLOTS = ("tests/tasks/test_slots.py",)
OF_READ_ONLY = ("tests/tasks/test_read_only.py",)
OF_DELIVERY_QUEUE = ("tests/store/test_delivery_queue.py",)
OF_STORE = ("tests/store/test_incidents.py",)
OF_CLOCK = ("tests/store/test_clock.py",)
OF_EPOCH = ("tests/store/test_epoch.py",)
OF_READING = ("tests/store/test_reading.py",)
OF_RETENTION = ("tests/store/test_retention.py",)
OF_NEXT_STEPS = ("tests/domain/test_next_step.py",)
OF_PROVIDERS = ("tests/stories/test_providers.py",)
OF_CONNECTION = ("tests/store/test_connection.py",)
OF_REFUSED = ("tests/web/api/test_refused.py",)

MUTATIONS: tuple[Mutation, ...] = (
    # -- reopening ---------------------------------------------------------------------------------------
    Mutation(
        "silence_drops",
        "What a silence held is not notified or paged when it ends.",
        SILENCED,
        "self.held_until or silence.until) + (self.wait or timedelta(0))",
        "self.held_until or silence.until) + timedelta(days=365)",
        OF_SILENCES,
    ),
    Mutation(
        "silence_list_not_compared",
        "A process that has not seen the newest list of silences stores and claims by the old one.",
        UNIT_OF_WORK,
        "if self.goes_by_silences:",
        "if not self.goes_by_silences and self.saved is None:",
        OF_SILENCES,
    ),
    Mutation(
        "silence_ends_in_mid_wait",
        "When a silence is ended, what it held pages at once, without a wait.",
        SILENCED,
        "(held_until or now) + (self.wait or timedelta(0))",
        "held_until or now",
        OF_SILENCES,
    ),
    Mutation(
        "silence_by_an_old_list",
        "A worker that has not seen the end of a silence keeps a page from leaving.",
        HELD,
        "unit.go_by(services.store.silences.read())",
        "pass",
        OF_SILENCES,
    ),
    Mutation(
        "acknowledgement_covers_what_is_worse",
        "What becomes more severe after it was acknowledged pages nobody.",
        ACKNOWLEDGEMENT,
        "rank(self.severity) < rank(before.severity)",
        "rank(self.severity) < rank(self.severity)",
        OF_REOPENING,
    ),
    Mutation(
        "acknowledgement_covers_what_joins",
        "What joins a group that was acknowledged pages nobody.",
        MEMBERS,
        "if one not in self.known and rank(severity) <= rank(covered)",
        "if one not in self.known and rank(severity) < 0",
        OF_REOPENING,
    ),
    Mutation(
        "what_is_milder_reopens",
        "An alert that is less severe than what was acknowledged pages somebody.",
        MEMBERS,
        "if one not in self.known and rank(severity) <= rank(covered)",
        "if one not in self.known",
        OF_REOPENING,
    ),
    Mutation(
        "a_flapping_member_reopens",
        "An alert that was acknowledged pages again when it ends and comes back.",
        MEMBERS,
        "known |= dict.fromkeys(ended & known.keys(), ENDED)",
        "known = {o: severity for o, severity in known.items() if o not in ended}",
        OF_REOPENING,
    ),
    Mutation(
        "members_reopen_every_minute",
        "Members that join one by one page as often.",
        RECORD,
        "REST = timedelta(minutes=15)",
        "REST = timedelta(0)",
        OF_REOPENING,
    ),
    Mutation(
        "a_cut_list_reopens",
        "A list that its sender cut differently reopens the incident.",
        MEMBERS,
        "        if not alert.members_complete:",
        "        if alert.members_complete is None:",
        OF_REOPENING,
    ),
    Mutation(
        "acknowledgement_for_ever",
        "A report long after the acknowledgement, or after the page, pages nobody.",
        ACKNOWLEDGEMENT,
        "after is not None and now - since > after",
        "after is None",
        OF_REOPENING,
    ),
    Mutation(
        "minutes_never_end",
        "An acknowledgement with minutes lasts until the incident is resolved.",
        RECORD,
        "        if self.acknowledged_until:",
        "        if self.acknowledged_until and not self.acknowledged_at:",
        OF_REOPENING,
    ),
    Mutation(
        "a_shorter_acknowledgement_wins",
        "A second acknowledgement makes the first one end sooner.",
        ACKNOWLEDGEMENT,
        "other is not None and (one is None or one > other)",
        "one is None or one != other",
        OF_REOPENING,
    ),
    Mutation(
        "reopened_under_the_same_key",
        "What was paged is reopened under the same key, which the provider collapses.",
        ACKNOWLEDGEMENT,
        "        if self.has_alert:",
        "        if self.has_alert and not self.id:",
        OF_REOPENING,
    ),
    Mutation(
        "old_alert_stays",
        "The alert of an incident that was continued is never resolved.",
        RECORD,
        "        if self.previous_is_open and self.phase is Phase.RESOLVED and self.resolved_at:",
        "        if self.previous_is_open and self.phase is Phase.OPEN and self.resolved_at:",
        OF_REOPENING,
    ),
    Mutation(
        "old_one_ends_a_new_problem",
        "The end of an incident that was continued takes the identity of a new one.",
        ACKNOWLEDGEMENT,
        "replace(self, identity=None, next_id=successor.id)",
        "replace(self, next_id=successor.id)",
        OF_REOPENING,
    ),
    Mutation(
        "old_link_acknowledges_nothing",
        "Who acknowledges by an old link is paged for its successor.",
        ACTIONS,
        "    while incident.next_id:",
        "    while not incident_id:",
        OF_REOPENING,
    ),
    # -- claim and lease ---------------------------------------------------------------------------------
    Mutation(
        "no_lease",
        "A claim keeps nobody else from sending the same.",
        PAGE,
        "LEASE = timedelta(seconds=15)",
        "LEASE = timedelta(0)",
        OF_PAGE,
    ),
    Mutation(
        "short_lease",
        "A lease, and so an attempt, is shorter than incident.io may take.",
        PAGE,
        "LEASE = timedelta(seconds=15)",
        "LEASE = timedelta(seconds=5)",
        OF_PAGE,
    ),
    Mutation(
        "lease_of_an_hour",
        "What a dead worker was sending is sent again only after an hour.",
        PAGE,
        "LEASE = timedelta(seconds=15)",
        "LEASE = timedelta(hours=1)",
        OF_PAGE,
        Chaos(31, "what_is_due_is_paged"),
    ),
    Mutation(
        "claim_takes_it_off_the_due_list",
        "A claim, not success, takes a delivery off the due list: a worker's death loses the page.",
        DELIVERY,
        """        if self.given_up == event:
            return None""",
        """        if self.given_up == event or self.claim is not None:
            return None""",
        OF_INCIDENT,
        Chaos(31, "what_is_due_is_paged"),
    ),
    Mutation(
        "unlimited_attempt",
        "An attempt has its time from the end of the claim on, so that it may outlive its lease.",
        DELIVER,
        "    outcome = job.send(step, deadline)",
        "    outcome = job.send(step, time.monotonic() + job.lease.total_seconds() - MARGIN)",
        OF_PAGE,
    ),
    Mutation(
        "sent_after_its_deadline",
        "A process that was stopped sends when it wakes up, though its lease is over.",
        HTTP,
        """        if call.seconds_left() <= 0:
            raise DeadlineExceeded""",
        """        if False:
            raise DeadlineExceeded""",
        ("tests/destinations/test_http.py",),
    ),
    Mutation(
        "late_page_ends_anothers_claim",
        "A worker that slept through its lease ends the attempt of the one that took over.",
        INCIDENT,
        "        in_time = delivery.holds(token)",
        "        in_time = delivery.claim is not None",
        OF_INCIDENT,
    ),
    # -- acknowledged and resolved -----------------------------------------------------------------------
    Mutation(
        "acknowledged_pages_all_the_same",
        "An acknowledgement does not take away what is to be sent.",
        DELIVERY,
        "        if phase is Phase.PENDING and due_at",
        "        if phase in (Phase.PENDING, Phase.ACKNOWLEDGED) and due_at",
        OF_INCIDENT,
        Chaos(31, "what_was_ended_in_time_never_pages"),
    ),
    Mutation(
        "resolved_pages_all_the_same",
        "What is resolved before it is due pages when its time comes.",
        DELIVERY,
        "        if phase is Phase.PENDING and due_at",
        "        if phase in (Phase.PENDING, Phase.RESOLVED) and due_at",
        OF_INCIDENT,
        Chaos(31, "what_was_ended_in_time_never_pages"),
    ),
    Mutation(
        "resolve_event_that_nobody_needs",
        "A resolve event is sent for an incident that never paged.",
        DELIVERY,
        " and self.may_have_page:",
        ' and self.accepted != "resolved":',
        OF_INCIDENT,
    ),
    Mutation(
        "no_resolve_event_for_what_was_in_flight",
        "What is resolved while its page is being sent stays open at incident.io.",
        INCIDENT,
        " if in_time else delivery.page_accepted_late(now)\n        paged =",
        """ if in_time else delivery.page_accepted_late(now)
        ended = replace(ended, accepted="resolved") if self.phase is Phase.RESOLVED else ended
        paged =""",
        OF_INCIDENT,
        Chaos(31, "what_is_over_is_over_at_incident_io"),
    ),
    Mutation(
        "resolve_event_overtakes_the_page",
        "A resolve event does not wait for the attempt under way.",
        DELIVERY,
        "self.claim.until if self.claim else None)",
        'self.claim.until if self.claim and event == "firing" else None)',
        OF_INCIDENT,
    ),
    Mutation(
        "no_resolve_event_after_a_timeout",
        "A page that may be out, although no answer came, gets no resolve event.",
        DELIVERY,
        '            uncertain=self.uncertain or (event == "firing" and outcome.uncertain),',
        "            uncertain=self.uncertain,",
        OF_INCIDENT,
    ),
    Mutation(
        "no_resolve_event_after_a_late_page",
        "A worker that slept through its lease leaves an alert open that nobody closes.",
        DELIVERY,
        '            self, accepted="firing",',
        '            self, accepted=self.accepted or "firing",',
        OF_PAGE,
    ),
    Mutation(
        "heartbeat_while_overdue",
        "The heartbeat is sent though a page is overdue.",
        HEALTH,
        ' < FAILED_ATTEMPTS and set(readiness(services).values()) == {"ok"}',
        " < FAILED_ATTEMPTS",
        ("tests/ops/test_health.py",),
    ),
    # -- the same problem again --------------------------------------------------------------------------
    Mutation(
        "repeat_moves_the_due_time",
        "A sender that repeats its alert postpones the page for ever.",
        REPORT,
        "self.phase is Phase.PENDING and (gave_up or sooner)",
        "self.phase is Phase.PENDING",
        OF_INCIDENT,
    ),
    Mutation(
        "repeat_undoes_an_acknowledgement",
        "A repeated alert pages although somebody has acknowledged.",
        REPORT,
        "        if self.phase is Phase.OPEN:",
        "        if self.phase in (Phase.OPEN, Phase.ACKNOWLEDGED):",
        OF_INCIDENT,
        Chaos(31, "what_was_ended_in_time_never_pages"),
    ),
    Mutation(
        "identity_not_checked",
        "Two webhooks at the same instant make two incidents of one problem.",
        UNIT_OF_WORK,
        "            if incident.identity in self._names_read and incident.id not in self._before:",
        "            if False:",
        OF_STORE,
    ),
    Mutation(
        "key_differs_per_attempt",
        "A second attempt is a second alert at incident.io.",
        ALERT_EVENT,
        '        "deduplication_key": incident.id,',
        '        "deduplication_key": incident.id if incident.attempts < 2 else f"{incident.id}-again",',
        OF_INCIDENT_IO,
        Chaos(31, "one_incident_is_one_alert"),
    ),
    Mutation(
        "random_key_with_redis_away",
        "The same problem, paged directly again, is another alert at incident.io.",
        INGEST,
        "    return str(uuid.uuid5(DIRECT, identity + installation if identity else message.payload))",
        "    return str(uuid.uuid4())",
        OF_RECEIVE,
        Chaos(36, "direct_pages_of_one_problem_share_a_key"),
    ),
    # -- stored before it is answered, and found again ---------------------------------------------------
    Mutation(
        "answered_though_not_stored",
        "An alert is answered 201 although Redis did not take it.",
        INCIDENTS,
        "        done = self._commit_step(",
        """        def lenient(*args: Any) -> bool:
            try:
                return self._commit_step(*args)
            except StoreUnavailable:
                return True

        done = lenient(""",
        OF_STORE,
        Chaos(36, "what_was_stored_is_still_there"),
    ),
    Mutation(
        "messages_held_in_redis",
        "kombu keeps books in Redis of what a worker holds: slow, and they have ended workers at a restart.",
        "tasks/celery.py",
        "    kombu_workarounds.hold_messages_in_memory()\n",
        "",
        ("tests/stories/test_redis.py::test_a_worker_that_gossips_goes_on_too",),
    ),
    Mutation(
        "message_before_it_is_stored",
        "A worker is woken for an incident that is not there yet.",
        BOOTSTRAP,
        """
            return worth_a_message(at, now, at_once=at_once, pending=self.store.delivery_queue.pending())

        result, stored = self.store.incidents.update(unit, work, enqueued)
        self.task_queue.enqueue_stored(stored, now)
""",
        """
            if worth_a_message(at, now, at_once=at_once, pending=self.store.delivery_queue.pending()):
                self.task_queue.enqueue_stored([Stored(one, at) for one in unit.saved.values()], now)
                return True
            return False

        from app.store import Stored

        result, _ = self.store.incidents.update(unit, work, enqueued)
""",
        ("tests/test_bootstrap.py",),
    ),
    Mutation(
        "lost_record_counts_as_acknowledged",
        "A message for an incident whose record Redis has lost pages nobody.",
        PAGE,
        "        incident = _remake(services, unit, incident_id, pagers, title)",
        "        return",
        OF_PAGE,
    ),
    Mutation(
        "lost_record_is_made_anew_twice",
        "Of two workers without a record, the slower undoes what became of the page of the faster.",
        PAGE,
        """        return unit.get(incident_id) or unit.save(
            Incident.lost(""",
        """        return unit.save(
            Incident.lost(""",
        OF_PAGE,
    ),
    Mutation(
        "commit_over_somebody_elses_write",
        "Of two changes at the same time one is lost.",
        COMMIT,
        """~= expected then
    return 0""",
        """~= expected and false then
    return 0""",
        OF_STORE,
    ),
    Mutation(
        "commit_done_twice",
        "A commit whose answer was lost is refused when it is sent again, so that its work is done twice.",
        COMMIT,
        "if redis.call('EXISTS', committed) == 1 then",
        "if false then",
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
        "removed_though_something_is_to_be_sent",
        "An old incident whose resolve event has yet to be sent is removed.",
        RECORD,
        "        return self.phase is Phase.RESOLVED and not any(self.steps())",
        "        return self.phase is Phase.RESOLVED",
        OF_RETENTION,
    ),
    Mutation(
        "removed_before_anybody_was_notified",
        "After a long stop of all workers, what is old is removed before people were notified of it.",
        RETENTION,
        "            if self._unnotified(now):",
        "            if False:",
        OF_NOTIFY,
    ),
    Mutation(
        "sweep_looks_at_nothing",
        "The sweeper says that its worker lives, and finds nothing that is late.",
        SWEEP,
        "        delivery_queue.worker_lives(self._name, now)\n",
        """        delivery_queue.worker_lives(self._name, now)
        return
""",
        OF_SWEEP,
        Chaos(31, "what_is_due_is_paged"),
    ),
    Mutation(
        "enqueued_ahead_and_forgotten",
        "What was enqueued ahead, for a worker that died, is checked again only a day after it was due.",
        NEXT_CHECK,
        "    return due + grace",
        "    return due + 86400",
        OF_DELIVERY_QUEUE,
    ),
    Mutation(
        "sweep_ends_with_its_first_error",
        "A bug in one look ends the sweeper of that worker for good.",
        SWEEP,
        '                log.exception("sweep_failed")',
        "                raise",
        OF_SWEEP,
    ),
    Mutation(
        "sweep_without_slots",
        "When Celery's consumer hangs, nobody sends what is late.",
        SWEEP,
        "        if not self._pages.acquire(pager):",
        "        if True:",
        OF_SWEEP,
    ),
    Mutation(
        "no_heartbeat",
        "The heartbeat is never sent, so that incident.io pages for nothing.",
        SWEEP,
        "        if heartbeat_due(self._services):",
        "        if False:",
        OF_SWEEP,
    ),
    Mutation(
        "lost_message_is_found_a_day_later",
        "An incident whose message was lost is looked at a day after it was due.",
        DELIVERY_QUEUE,
        "GRACE = timedelta(seconds=GRACE_SECONDS)",
        "GRACE = timedelta(days=1)",
        OF_SWEEP,
        Chaos(31, "what_is_due_is_paged"),
    ),
    # -- attempts that fail ------------------------------------------------------------------------------
    Mutation(
        "no_second_attempt",
        "After a failed attempt no other is scheduled.",
        DELIVERY,
        "            given_up=event if again_at is None else None,",
        "            given_up=event,",
        OF_INCIDENT,
    ),
    Mutation(
        "gives_up_at_once",
        "The first failure is the last attempt.",
        RETRY,
        "        if since is not None and now - since >= self.give_up_after:",
        "        if True:",
        OF_PAGE,
    ),
    Mutation(
        "gives_up_after_an_hour",
        "A page is given up long before it is a day old.",
        RETRY,
        "give_up_after=timedelta(hours=24)",
        "give_up_after=timedelta(hours=1)",
        OF_PAGE,
    ),
    Mutation(
        "given_up_by_its_age",
        "What was due while no worker lived for a day is given up at its first failure.",
        PAGE,
        "PAGES.again_at(claimed, outcome, now)",
        'PAGES.again_at(__import__("dataclasses").replace(claimed, failing_since=step.since), outcome, now)',
        OF_PAGE,
    ),
    Mutation(
        "server_error_is_success",
        "An answer of 5xx counts as delivered.",
        ANSWER,
        "    if 200 <= status < 300:",
        "    if 200 <= status < 300 or status >= 500:",
        ("tests/destinations/test_incident_io_answer.py",),
        Chaos(31, "records_agree_with_incident_io"),
    ),
    Mutation(
        "retry_after_ignored",
        "incident.io is asked again sooner than it allows.",
        RETRY,
        "self.first if outcome.not_before is None else outcome.not_before",
        "self.first",
        OF_PAGE,
    ),
    Mutation(
        "attempt_of_100_seconds",
        "An incident.io that hangs is waited for longer than ten seconds.",
        HTTP,
        "WHOLE_SECONDS = 10.0",
        "WHOLE_SECONDS = 100.0",
        OF_INCIDENT_IO,
    ),
    Mutation(
        "acknowledgement_after_the_page_is_kept",
        "PagerDuty never hears that somebody acknowledged after the page.",
        DELIVERY,
        'phase is Phase.ACKNOWLEDGED and acknowledged_at is not None and self.accepted == "firing"',
        "False",
        OF_NEXT_STEPS,
    ),
    Mutation(
        "no_alert_counts_too_early",
        "An alert that incident.io is still at work on counts as late.",
        LATENESS,
        'case "no_alert" if delivery.checks_left == 0:',
        'case "no_alert":',
        OF_TRACES,
    ),
    Mutation(
        "not_known_counts_as_late",
        "An answer of incident.io that is not understood counts as late.",
        LATENESS,
        'case "no_alert" if delivery.checks_left == 0:',
        'case "no_alert" | "unknown" if delivery.checks_left == 0:',
        OF_TRACES,
    ),
    Mutation(
        "lost_page_has_no_fallback",
        "A page that incident.io lost is tried nowhere else.",
        CHAINS,
        "return State.ESCALATED in self.states(target)",
        "return self.pagers[target].has_page or State.ESCALATED in self.states(target)",
        OF_TRACES,
    ),
    Mutation(
        "no_alert_of_a_source_that_is_not_seen",
        "A key of another account, which sees no alerts, makes every page late.",
        AFTERWARDS,
        '!= (source.id, "http"):',
        "== (1, 1):",
        OF_ACCOUNT,
    ),
    Mutation(
        "escalations_of_others_are_acknowledged",
        "Where incident.io ignores a filter, the escalations of others are acknowledged.",
        AFTERWARDS,
        'if not isinstance(alert, dict) or alert.get("id") != alert_id:',
        "if False:",
        OF_ACCOUNT,
    ),
    Mutation(
        "account_limit_holds_pages_back",
        "A 429 for the key of the account stops the pages of an alert source.",
        ACCOUNT,
        "replace(outcome, back_off_all=False)",
        "outcome",
        OF_ACCOUNT,
    ),
    Mutation(
        "servicenow_inserts_twice",
        "After an attempt without an answer ServiceNow gets a second record.",
        "app/destinations/servicenow.py",
        "event.uncertain or ",
        "",
        OF_PROVIDERS,
    ),
    Mutation(
        "too_many_requests_back_off_by_one",
        "An answer of 429 holds back the event that got it, and nobody else.",
        PAGE,
        "        if outcome.back_off_all:",
        "        if False:",
        OF_PAGE,
    ),
    Mutation(
        "crowd_after_a_pause",
        "When the pause after a 429 is over, everybody runs into the next one.",
        BELIEVED,
        "      return (o.next_probe or 0) <= now and 1 or 0",
        "      return 1e9",
        OF_DELIVERY_QUEUE,
    ),
    Mutation(
        "refusal_is_believed_for_ever",
        "What a provider takes beyond what it once refused is never found out.",
        BELIEVED,
        "      o.growth = o.growth + 0.03",
        "      o.growth = 0",
        OF_DELIVERY_QUEUE,
    ),
    Mutation(
        "refusal_teaches_next_to_nothing_is_taken",
        "A provider that refused everything for a minute is sent next to nothing afterwards.",
        BELIEVED,
        "  local rate = math.max(measured / math.max(took, 1), 2)",
        "  local rate = measured / math.max(took, 1)",
        OF_DELIVERY_QUEUE,
    ),
    # -- more than may leave -----------------------------------------------------------------------------
    Mutation(
        "budget_not_enforced",
        "More events leave within a minute than incident.io takes.",
        ACQUIRE_SLOT,
        "  if ahead >= math.min(capacity, most_ahead) then",
        "  if false then",
        OF_DELIVERY_QUEUE,
    ),
    Mutation(
        "crowd_out_of_order",
        "In a crowd that does not fit, the first to leave are anyone who was asked for first.",
        ACQUIRE_SLOT,
        "  if ahead >= math.min(capacity, most_ahead) then",
        "  if ahead >= capacity then",
        OF_DELIVERY_QUEUE,
    ),
    Mutation(
        "severity_ignored",
        "When there is too much to send, what is critical waits behind what is not.",
        RECORD,
        "else rank(self.severity)",
        'else rank("medium")',
        OF_DELIVERY_QUEUE,
    ),
    Mutation(
        "alert_sources_by_name",
        "Of alert sources that share an API key, the first by name takes all that is allowed.",
        DELIVERY_QUEUE,
        "        return [Destination(name) for _, name in sorted(zip(ranks, names, strict=True))]",
        "        return [Destination(name) for name in names]",
        OF_SWEEP,
    ),
    Mutation(
        "second_pager_never_paged",
        "Of two alert sources that were asked for, the second is never paged.",
        DELIVERY_QUEUE,
        "    for pager in (*after.pagers, ITSELF):",
        "    for pager in (*list(after.pagers)[:1], ITSELF):",
        OF_TWO_PAGERS,
    ),
    Mutation(
        "first_pager_delays_the_second",
        "An alert source that hangs keeps the incident's other one waiting.",
        PAGE,
        "    for pager in due[1:]:",
        "    for pager in due[:0]:",
        OF_TWO_PAGERS,
    ),
    Mutation(
        "second_pager_keeps_its_alert",
        "The second alert source never hears that the problem is over.",
        DELIVERY_QUEUE,
        """        step = after.next_step(pager)
        # The queue may""",
        """        first = next(iter(after.pagers))
        step = after.next_step(pager) if after.resolved_at is None or pager == first else None
        # The queue may""",
        OF_TWO_PAGERS,
    ),
    Mutation(
        "one_page_is_enough",
        "What one alert source took counts for the other, too.",
        RECORD,
        "        step = delivery.page_step(self.phase, self.due_at",
        "        paged = self.phase is Phase.PENDING and self.escalated_at\n"
        "        step = None if paged else delivery.page_step(self.phase, self.due_at",
        OF_TWO_PAGERS,
    ),
    Mutation(
        "lost_record_forgets_a_pager",
        "A record that Redis lost is paged at the default alert source, whichever was asked for.",
        PAGE,
        "[*pagers, *services.store.delivery_queue.pagers_of(incident_id)]",
        "[*pagers]",
        OF_PAGE,
    ),
    Mutation(
        "message_for_an_unknown_pager_is_dropped",
        "An alert source that was asked for before Redis lost the record is not paged.",
        PAGE,
        "    if not {ITSELF, *incident.pagers}.issuperset(pagers):",
        "    if False:",
        OF_PAGE,
    ),
    Mutation(
        "unreadable_of_low_severity_never_pages",
        "A record that can't be read is not paged if it was less severe than what stands in for it.",
        "app/store/lua/acquire_slot.lua",
        "> math.floor(tonumber(place) / span) * span + now then",
        "> class + now then",
        OF_PAGE,
    ),
    Mutation(
        "what_joins_late_stays_queued",
        "An alert source that joins what is over is overdue for ever.",
        DELIVERY_QUEUE,
        "was == step and not joined:",
        "was == step:",
        OF_PAGE,
    ),
    Mutation(
        "record_written_again_forgets_a_pager",
        "An alert source that joined while another one was paged is not, if the record was lost just then.",
        PAGE,
        "stored or incident.joined_by(due, self._services.clock())",
        "stored or incident",
        OF_TWO_PAGERS,
    ),
    # -- notifying people --------------------------------------------------------------------------------
    Mutation(
        "notified_without_a_lease",
        "Two workers notify of the same change at once.",
        SUMMARY,
        "LEASE = timedelta(seconds=20)",
        "LEASE = timedelta(0)",
        OF_NOTIFY,
    ),
    Mutation(
        "notified_by_the_dead_alone",
        "What a worker was sending to a channel when it died is sent by nobody.",
        SUBSCRIPTION,
        """        if delivery.claim is not None:
            at = max(at, delivery.claim.until)""",
        """        if delivery.claim is not None:
            return None""",
        OF_NOTIFY,
    ),
    Mutation(
        "notified_or_forgotten",
        "A channel that refuses once is not tried again.",
        NOTIFY,
        "                over = again_at is None",
        "                over = True",
        OF_NOTIFY,
    ),
    Mutation(
        "tried_for_ever",
        "A channel that is gone is tried for ever.",
        RETRY,
        "give_up_after=timedelta(hours=1)",
        "give_up_after=timedelta(days=10_000)",
        OF_NOTIFY,
    ),
    Mutation(
        "newer_change_ended_with_the_older",
        "A change that comes while a message is being sent counts as notified with it.",
        NOTIFY,
        "                through = max(delivery.notified_through, step.through)",
        "                through = max(delivery.notified_through, step.through) + 1",
        OF_RACES,
    ),
    Mutation(
        "storm_notified_one_by_one",
        "A storm floods the channel.",
        NOTIFICATIONS,
        "MOST_SINGLES = 20\n",
        "MOST_SINGLES = 20_000\n",
        OF_SUMMARY,
    ),
    Mutation(
        "summaries_without_end",
        "A summary that was sent is made again and again.",
        NOTIFICATIONS,
        '            ("ZREM", QUEUE + channel, SUMMARY),\n',
        "",
        OF_SUMMARY,
    ),
    Mutation(
        "summary_ends_what_it_was_not_about",
        "A summary that ends deletes what a storm deferred meanwhile.",
        NOTIFICATIONS,
        '            ("ZREMRANGEBYSCORE", HELD + channel, "-inf", until.timestamp()),',
        '            ("DEL", HELD + channel),',
        OF_SUMMARY,
    ),
    Mutation(
        "completion_on_an_old_incident",
        "A change that comes while a message is being recorded is never notified.",
        UNIT_OF_WORK,
        '                yield INCIDENT + incident_id, "v", row.get("v", "")\n',
        "                pass\n",
        OF_RACES,
    ),
    Mutation(
        "notification_claimed_twice",
        "Of two workers with the same change for a channel, both send it.",
        UNIT_OF_WORK,
        '            yield INCIDENT + incident_id, CHANNEL + channel, row.get(CHANNEL + channel, "")\n',
        "            pass\n",
        OF_NOTIFY,
    ),
    Mutation(
        "summary_claimed_twice",
        "Of two workers with the same summary, both send it.",
        NOTIFICATIONS,
        "[check], commands)",
        "[], commands)",
        ("tests/test_model.py::test_of_two_workers_that_read_the_same_summary_one_sends_it",),
    ),
    Mutation(
        "summary_about_what_is_being_sent",
        "A summary tells of what another worker is sending by itself, which is then told again.",
        SUMMARY,
        "            if step is not None and step.at > now:",
        "            if False:",
        ("tests/test_model.py::test_a_summary_is_not_about_what_is_being_told_by_itself",),
    ),
    Mutation(
        "summary_about_what_was_handed_out",
        "A summary that failed tells of what was handed out by itself since, which is then told again.",
        NEXT_NOTIFICATIONS,
        "  redis.call('ZREM', held, id)\n",
        "",
        ("tests/test_model.py::test_what_leaves_a_summary_that_failed_is_told_once",),
    ),
    Mutation(
        "channel_takes_all_slots",
        "A channel that hangs keeps all others waiting.",
        SLOTS,
        "        if not self._each[destination].acquire(blocking=False):",
        "        if False:",
        OF_SLOTS,
    ),
    Mutation(
        "channels_take_the_slots_of_pagers",
        "Channels that hang leave no slot for what must be paged.",
        SWEEP,
        "        self._notifications = notifications or Slots(",
        "        self._notifications = self._pages or Slots(",
        OF_SLOTS,
    ),
    Mutation(
        "slots_lost_with_redis",
        "Each time that Redis is away, a worker has fewer slots for a channel.",
        SWEEP,
        "                for _ in range(free - len(due)):",
        "                for _ in range(free - len(due) if due else 0):",
        OF_SLOTS,
    ),
    Mutation(
        "failure_keeps_the_subscription",
        "That nobody could be paged is for those channels alone that want to hear of it.",
        SUBSCRIPTION,
        """        if event in ("failed", "late"):
            return True
""",
        "",
        ("tests/test_model.py::test_a_page_that_fails_is_for_every_channel_whatever_it_wants_to_hear_of",),
    ),
    # -- the dashboard -----------------------------------------------------------------------------------
    Mutation(
        "no_csrf_token",
        "Another site's page can act in the name of who is logged in.",
        SESSION,
        "not held or not same",
        "False and not same",
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
        " and services.store.sessions.lives(session_id):",
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
        "Anyone who sends a form slowly keeps others out of the dashboard.",
        CONCURRENCY,
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
        "(LOGINS + address) <= ATTEMPTS",
        "(LOGINS + address) >= 0",
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
        "Anyone who sends X-Forwarded-For is where it says.",
        PROXIES,
        "        if self._is_ours(peer):",
        "        if True:",
        ("tests/web/http/test_proxies.py",),
    ),
    Mutation(
        "no_room_for_webhooks",
        "Open dashboards take every thread.",
        CONCURRENCY,
        "slots = threading.BoundedSemaphore(PAGES)",
        "slots = threading.Semaphore(10**6)",
        ("tests/web/dashboard/test_dashboard.py",),
    ),
    Mutation(
        "undo_takes_back_what_others_did",
        "Undo ends the acknowledgement of somebody else, too, and pages.",
        BULK,
        "(one for one in outcome.changed if one.acknowledged_by == g.person)",
        "(one for one in outcome.changed)",
        OF_BULK,
    ),
    Mutation(
        "undo_takes_back_what_was_before",
        "Undo ends acknowledgements that this person had made long before.",
        BULK,
        " and one.acknowledged_at >= began]",
        "]",
        OF_BULK,
    ),
    Mutation(
        "many_are_resolved_unasked",
        "Many incidents are resolved without a question.",
        BULK,
        '        if action.warning and "sure" not in request.form:',
        "        if False:",
        OF_BULK,
    ),
    Mutation(
        "one_that_fails_is_hidden",
        "Of many that are acknowledged, one that could not be is called acknowledged.",
        BULK,
        """        except (IncidentNotFound, InvalidTransition) as error:
            outcome.failed.append((one, str(error)))
""",
        """        except (IncidentNotFound, InvalidTransition):
            pass
""",
        OF_BULK,
    ),
    Mutation(
        "many_wait_for_redis_each",
        "While Redis is away, each of a thousand incidents waits for it.",
        BULK,
        '            stopped = "It was not tried, because Redis',
        '            _ = "It was not tried, because Redis',
        OF_BULK,
    ),
    Mutation(
        "silence_of_what_one_of_them_has",
        "A silence of many incidents is filled in with what one of them has alone.",
        SILENCE,
        "set.intersection(*(",
        "set.union(*(",
        OF_COMMON,
    ),
    Mutation(
        "silence_leaves_out_unsaid",
        "A silence of many incidents is wider than they are, and does not say so.",
        SILENCE,
        "            left_out.append(name)\n",
        "            pass\n",
        OF_COMMON,
    ),
    Mutation(
        "request_stored_twice",
        "Two requests with one key at the same instant are both stored.",
        UNIT_OF_WORK,
        "            yield requests.unchanged(self.request, self.became)\n",
        "            pass\n",
        ("tests/web/api/test_idempotency.py",),
    ),
    Mutation(
        "key_for_any_request",
        "Another request under a known key is answered as the first one, and lost.",
        ONCE,
        "if request != self.request:",
        "if request is None:",
        ("tests/web/api/test_idempotency.py",),
    ),
    Mutation(
        "people_refused",
        "A flood of webhooks refuses links and pages.",
        OVERLOAD,
        "(?:POST|PUT) [^ ?]*(?:",
        "(?:POST|PUT|GET) [^ ?]*(?:/|",
        ("tests/web/http/test_overload.py",),
    ),
    # -- what Redis says, and what hangs ------------------------------------------------------------------
    Mutation(
        "refusal_ends_the_worker",
        "A Redis that answers and refuses ends the worker.",
        KOMBU_WORKAROUNDS,
        "get_redis_error_classes().connection_errors, RedisError)",
        "get_redis_error_classes().connection_errors,)",
        ("tests/tasks/test_kombu_workarounds.py", "tests/stories/test_redis_refuses.py"),
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
        "        services.store.server.require_writes()\n",
        "",
        ("tests/ops/test_health.py",),
    ),
    Mutation(
        "answers_of_another",
        "After a time-out, the late answer is taken for that of another command.",
        CONNECTION,
        "            connection.disconnect()\n",
        "            pass\n",
        OF_CONNECTION,
    ),
    Mutation(
        "connections_gather",
        "Keep-alive connections gather in one web process.",
        "app/web/gunicorn_worker.py",
        "    return min(LONGEST_HESITATION, HESITATION_SECONDS * connections)",
        "    return 0.0",
        ("tests/web/test_stalled.py",),
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
        "        self.dropped += lines\n",
        "",
        ("tests/test_log_queue.py",),
    ),
    # -- time --------------------------------------------------------------------------------------------
    Mutation(
        "clock_of_the_host",
        "Web and worker go by the clock of their host, not by Redis's.",
        BOOTSTRAP,
        "        clock=store.now,",
        "        clock=lambda: datetime.now().astimezone(),",
        ("tests/test_bootstrap.py",),
    ),
    Mutation(
        "claim_by_the_clock_of_the_host",
        "A lease is counted by the clock of the host.",
        PAGE,
        "stored.claimed(self._pager, token, self._services.clock(), LEASE)",
        "stored.claimed(self._pager, token, datetime.now().astimezone(), LEASE)",
        OF_PAGE,
    ),
    Mutation(
        "slow_answer_puts_the_clock_back",
        "A slow answer of Redis to TIME makes pages late.",
        CLOCKS,
        "        self._offset = min(max(self._offset, least), most)",
        "        self._offset = least",
        OF_CLOCK,
    ),
    Mutation(
        "clock_checked_once_a_day",
        "A host whose clock drifts pages early or late.",
        CLOCKS,
        "TRUSTED = 5.0",
        "TRUSTED = 86_400.0",
        OF_CLOCK,
    ),
    # -- what senders send -------------------------------------------------------------------------------
    Mutation(
        "repaired_resolves",
        "A body that was repaired by guessing ends a problem.",
        "app/web/api/webhook.py",
        "alert, effect=Effect.FIRING, labels=",
        "alert, labels=",
        ("tests/web/http/test_repair.py",),
    ),
    Mutation(
        "half_a_body",
        "A body that breaks off is taken for a whole one.",
        "app/web/http/repair.py",
        "return depth <= 0 and deepest <= MAX_DEPTH",
        "return deepest <= MAX_DEPTH",
        ("tests/web/http/test_repair.py",),
    ),
    Mutation(
        "secrets_are_read",
        "Secrets get from a body into titles, labels and links.",
        "app/ingest/webhooks/__init__.py",
        "alert = _read(shown, headers or {})",
        "alert = _read(payload, headers or {})",
        ("tests/ingest/webhooks/test_secret_forms.py",),
    ),
    Mutation(
        "groups_of_all_installations",
        "Two installations whose groups have the same key are one problem.",
        RECORD,
        "or not set(marks).isdisjoint(self.marks)",
        "or True",
        OF_INSTALLATIONS,
    ),
    Mutation(
        "each_node_pages",
        "Nodes of one cluster that report the same alerts are a problem each.",
        "app/domain/alert.py",
        "(self.installation, *self.members, *self.ended_members)",
        "(self.installation,)",
        OF_INSTALLATIONS,
    ),
    Mutation(
        "acknowledged_for_good",
        "A sender can't take an acknowledgement back.",
        INGEST,
        "if alert.effect is Effect.UNACKNOWLEDGED:",
        "if False:",
        OF_RECEIVE,
    ),
    Mutation(
        "late_problems_page",
        "A problem that arrives after its own end pages.",
        INGEST,
        "if incident is None and (over := ",
        "if False and (over := ",
        OF_LATE_PROBLEMS,
    ),
    Mutation(
        "new_trouble_is_old",
        "A problem that began after the last one had ended is taken for the last one.",
        "app/domain/alert.py",
        "and self.said_at < end.said_at",
        "and self.said_at != end.said_at",
        OF_LATE_PROBLEMS,
    ),
    Mutation(
        "both_overlook_each_other",
        "A problem and its end that arrive at the same instant both find nothing.",
        UNIT_OF_WORK,
        "            yield identities.unchanged(identity, self._names_read[identity])",
        "            assert identity",
        OF_LATE_PROBLEMS,
    ),
    Mutation(
        "namespaces_meet",
        "Problems of two namespaces with the same key are one.",
        "app/domain/alert.py",
        'f"{namespace}\\0{self.identity}"',
        "self.identity",
        OF_INSTALLATIONS,
    ),
    Mutation(
        "direct_pages_of_all_installations",
        "While Redis is away, the pages of two installations are one alert.",
        INGEST,
        "identity + installation if",
        "identity if",
        OF_RECEIVE,
    ),
    Mutation(
        "the_host_is_up",
        "The state of anything in a body is that of the problem.",
        "app/ingest/webhooks/generic.py",
        "if one.is_alert or (one.is_only and not named)",
        "if one.plain",
        ("tests/ingest/webhooks/test_generic.py",),
    ),
    Mutation(
        "first_of_several",
        "The key of the first of several alerts is that of all of them.",
        "app/ingest/webhooks/coerce.py",
        "len(value) == 1) if",
        "True) if",
        ("tests/ingest/webhooks/test_generic.py",),
    ),
    Mutation(
        "anybody_names_the_prefix",
        "Anyone who sends a request says where its links lead to.",
        "app/web/http/paths.py",
        "environ.get(FORWARDED, self._prefix)",
        'environ.get("HTTP_X_FORWARDED_PREFIX", self._prefix)',
        ("tests/web/http/test_paths.py",),
    ),
    Mutation(
        "late_is_for_few",
        "That a page does not get out is for those channels alone that want to hear of it.",
        SUBSCRIPTION,
        'if event in ("failed", "late"):',
        'if event == "failed":',
        OF_CHAINS,
    ),
    Mutation(
        "never_late",
        "Nobody is notified that a page does not get out.",
        CHAINS,
        "        return tried and delivery.late_at is None and not self.accepted(target)",
        "        return False",
        OF_CHAINS,
    ),
    Mutation(
        "fallback_is_never_tried",
        "What stands in place of an alert source is not tried.",
        CHAINS,
        "        if not self.wants(pager):\n            return None\n        place",
        "        return None\n        place",
        OF_CHAINS,
    ),
    Mutation(
        "channel_ends_the_chain",
        "After a message to a channel the alert source is not tried any more.",
        CHAINS,
        "self.pagers[link].page_state for link in self.links(target) if link.name != CHANNEL}",
        "self.pagers[link].page_state for link in self.links(target)}",
        OF_CHAINS,
    ),
    Mutation(
        "fallback_pages_too",
        "The alert source is paged though its fallback has the page.",
        CHAINS,
        "        return any(not self.accepted(head) for head in heads)",
        "        return True",
        OF_CHAINS,
    ),
    # -- what is refused is seen -------------------------------------------------------------------------
    Mutation(
        "refused_is_only_kept",
        "A refused webhook is kept in a list that nobody reads, and nobody is paged.",
        REFUSALS,
        '        if kind is None or self._how == "keep" or',
        '        if kind is not None or self._how == "keep" or',
        OF_REFUSED,
    ),
    Mutation(
        "refused_webhooks_are_one_problem",
        "Refused webhooks of all senders join one incident: one that is read resolves it for all.",
        STORE_REFUSED,
        'return f"refused {kind} {sender}"',
        'return f"refused {kind}"',
        OF_REFUSED,
    ),
    Mutation(
        "every_refused_webhook_is_a_problem",
        "Each refused body is an incident of its own.",
        REFUSED,
        "own_key = key_of(refused.kind, refused.sender)",
        'own_key = key_of(refused.kind, refused.details["rejected"])',
        OF_REFUSED,
    ),
    Mutation(
        "no_limit_of_refused",
        "A flood of senders that are refused opens as many incidents, and pages for each.",
        ADMIT_REFUSED,
        ">= tonumber(most)",
        ">= 100 * tonumber(most)",
        OF_REFUSED,
    ),
    Mutation(
        "readable_webhook_resolves_nothing",
        "What can be read again stays an incident for a day.",
        INGEST,
        "            unit.read_webhook_of(sender)",
        "            pass",
        OF_REFUSED,
    ),
    Mutation(
        "any_webhook_resolves_what_was_refused",
        "A webhook that was refused while the incident is being resolved goes unseen.",
        REFUSED,
        "            if incident is not None and incident == seen.get(identity):",
        "            if incident is not None:",
        OF_REFUSED,
    ),
    Mutation(
        "unauthorized_is_reported",
        "A webhook without the secret opens an incident, so that any stranger can page.",
        REFUSALS,
        "or status == 401:",
        "or status == 402:",
        OF_REFUSED,
    ),
    Mutation(
        "stranger_is_reported",
        "A body that is too large opens an incident though its sender has not the secret.",
        REFUSALS,
        "(g.proven or self._authenticator.admits(request))",
        "(g.proven or True)",
        OF_REFUSED,
    ),
    # -- records that can't be read ----------------------------------------------------------------------
    Mutation(
        "unreadable_is_an_error",
        "A record that can't be read is an error for everything that it is read with.",
        STORED,
        "    except ValueError:\n        return None\n    return incident if",
        "    except ZeroDivisionError:\n        return None\n    return incident if",
        OF_READING,
    ),
    Mutation(
        "unreadable_is_gone",
        "A record that can't be read is taken for none.",
        READING,
        'zip(ids, rows, strict=True) if "doc" in row}',
        'zip(ids, rows, strict=True) if row.get("doc", "").startswith("{")}',
        OF_READING,
    ),
    Mutation(
        "unreadable_is_pending",
        "What was acknowledged pages when its record can't be read.",
        INCIDENT,
        "        phase = next((one for one in Phase if one.value == state.value), Phase.PENDING)",
        "        phase = Phase.PENDING",
        OF_READING,
    ),
    Mutation(
        "unreadable_stays_in_its_index",
        "What stands in for an unreadable record is in the index of its old state, too.",
        UNIT_OF_WORK,
        '    yield from (("ZREM", BY_STATE + state, incident_id) for state in State)',
        "",
        OF_READING,
    ),
    Mutation(
        "a_key_of_another_type_is_an_error",
        "One key that holds no record keeps all others from being read.",
        READING,
        "        except WrongType:",
        "        except ZeroDivisionError:",
        OF_READING,
    ),
    # -- Redis lost what it knew ------------------------------------------------------------------------
    Mutation(
        "lost_data_is_not_noticed",
        "A server that was emptied is taken for one that begins.",
        EPOCHS,
        "        elif known is not None and known.epoch not in",
        "        elif known is not None and found and known.epoch not in",
        OF_EPOCH,
    ),
    Mutation(
        "old_backup_is_not_noticed",
        "A server that knows less than before is taken for the same.",
        EPOCHS,
        " and writes >= known.versions[-1][1]:",
        ":",
        OF_EPOCH,
    ),
    Mutation(
        "failover_pages",
        "The last moments that a failover loses page somebody.",
        EPOCHS,
        "        moments = found == known.epoch and writes >= known.versions[0][1]",
        "        moments = False",
        OF_EPOCH,
    ),
    Mutation(
        "old_backup_is_a_last_moment",
        "An old backup is reported as a failover, and pages nobody.",
        EPOCHS,
        "        moments = found == known.epoch and writes >= known.versions[0][1]",
        "        moments = found == known.epoch",
        OF_EPOCH,
    ),
    Mutation(
        "loss_is_reported_each_second",
        "While Redis takes no writes, each process pages for a loss again and again.",
        "app/ops/watch.py",
        "services.store.epoch.report or _report(services, loss)",
        "_report(services, loss)",
        ("tests/ops/test_watch.py",),
    ),
    Mutation(
        "each_process_reports",
        "Each process that notices a loss reports one of its own.",
        EPOCHS,
        """            before=f"{known.epoch} {found}",
""",
        """            before="",
""",
        OF_EPOCH,
    ),
    Mutation(
        "ready_after_a_loss",
        "The service is ready although Redis lost its data and nobody knows.",
        HEALTH,
        '        "redis": lost or "ok",',
        '        "redis": "ok",',
        ("tests/ops/test_watch.py",),
    ),
    # -- Redis's clock steps ----------------------------------------------------------------------------
    Mutation(
        "step_is_followed",
        "The service's time steps with Redis's clock.",
        CLOCKS,
        "            if abs(beyond) > STEP:",
        "            if False:",
        OF_CLOCK,
    ),
    Mutation(
        "second_step_is_followed",
        "A step of Redis's clock that comes just after another moves the service's time.",
        CLOCKS,
        "                if self._is_another_step(reading, known):",
        "                if False:",
        OF_CLOCK,
    ),
    Mutation(
        "own_sleep_is_a_step",
        "A host that stood still corrects the time of all others.",
        CLOCKS,
        "        return steady and not reading.vetoed and now - self._known_since > WITNESS",
        "        return False",
        OF_CLOCK,
    ),
    Mutation(
        "slow_answer_is_a_step",
        "What a process was told while it was stopped counts, and the next step is corrected wrongly.",
        CLOCKS,
        "            if reading.high - reading.low > SHORT:",
        "            if False:",
        OF_CLOCK,
    ),
    Mutation(
        "heartbeat_by_a_keys_end",
        "A heartbeat waits for Redis to forget the last one, for an hour if its clock steps back.",
        "app/store/lua/every.lua",
        "if last and last <= now and now < last + seconds then",
        "if last then",
        ("tests/store/test_delivery_queue.py",),
    ),
    # -- Redis takes no writes ---------------------------------------------------------------------------
    Mutation(
        "direct_pages_are_forgotten_at_the_end",
        "A process that is told to end forgets what it paged directly: nobody can resolve it.",
        "app/store/backlog.py",
        "thread.join(FINISH_SECONDS)",
        "thread.join(0.0)",
        ("tests/store/test_backlog.py",),
    ),
    Mutation(
        "early_resolve_of_a_direct_page_is_lost",
        "What was resolved before its direct page was stored stays open.",
        INGEST,
        "is not None and end.at >= at:",
        "is not None and end.at < at:",
        ("tests/ingest/test_service.py",),
    ),
    Mutation(
        "no_turns_without_writes",
        "Every worker pages everything at once while Redis takes no writes.",
        READ_ONLY,
        "return sorted(self._workers, key=place).index(self._name)",
        "return 0",
        OF_READ_ONLY,
    ),
    Mutation(
        "sent_without_claim_is_forgotten",
        "A worker pages the same again and again while Redis takes no writes.",
        READ_ONLY,
        "            self._left[incident.id] = dict(incident.pagers)\n",
        "            self._left[incident.id] = {}\n",
        OF_READ_ONLY,
    ),
    Mutation(
        "no_share_of_the_limits",
        "Each worker takes the whole rate limit while Redis takes no writes.",
        READ_ONLY,
        "max(1, left // workers)",
        "max(1, left)",
        OF_READ_ONLY,
    ),
    Mutation(
        "sent_without_claim_is_not_stored",
        "What was paged without a claim is paged again once writes work.",
        INCIDENT,
        "return had.accepted is None and delivery.may_have_page",
        "return False",
        OF_READ_ONLY,
    ),
    Mutation(
        "acknowledged_is_paged_directly",
        "A repeat of an acknowledged problem pages while Redis takes no writes.",
        INGEST,
        "        if reopened.phase is Phase.ACKNOWLEDGED:",
        "        if reopened.phase is Phase.RESOLVED:",
        OF_RECEIVE,
    ),
    Mutation(
        "direct_page_under_another_key",
        "A repeat of a paged problem has a key of its own while Redis takes no writes.",
        INGEST,
        "        key = incident.id\n",
        "",
        OF_RECEIVE,
    ),
    Mutation(
        "direct_page_is_not_stored",
        "Nothing remembers a direct page.",
        INGEST,
        "            _store_later(services, message, sent)\n",
        "            pass\n",
        OF_RECEIVE,
    ),
    Mutation(
        "second_direct_page_forgets_the_first",
        "Of direct pages at two alert sources, the end of the first is never sent.",
        INGEST,
        "sent = replace(sent, pagers={**sent.pagers, **still})",
        "pass",
        OF_RECEIVE,
    ),
    Mutation(
        "direct_page_stored_late_undoes_a_resolve",
        "A direct page that is stored after its incident was resolved opens it again.",
        INGEST,
        "known.resolved_at is not None and at <= known.resolved_at",
        "False",
        OF_RECEIVE,
    ),
    # -- bounds ------------------------------------------------------------------------------------------
    Mutation(
        "labels_without_a_bound",
        "Each repeat brings more labels.",
        "app/domain/alert.py",
        "if left < 0 or len(fitting) == MOST_LABELS:",
        "if False:",
        OF_INCIDENT,
    ),
    Mutation(
        "timeline_forgets_people",
        "After many repeats the timeline does not say who acknowledged.",
        "app/domain/timeline.py",
        "if longer[n].event in OFTEN), HEAD)",
        "if n == HEAD), HEAD)",
        OF_INCIDENT,
    ),
    Mutation(
        "bodies_without_a_bound",
        "Strangers' bodies fill Redis.",
        "app/store/payloads.py",
        "if has - counted > room:",
        "if False:",
        ("tests/store/test_payloads.py",),
    ),
    Mutation(
        "bodies_of_resolved_count",
        "What was resolved long ago leaves no room for new bodies.",
        "app/store/payloads.py",
        "(0 if after.phase is Phase.RESOLVED else has) - counted",
        "has - counted",
        ("tests/store/test_payloads.py",),
    ),
    Mutation(
        "senders_can_be_pushed_out",
        "Invented names push known senders out of the metrics.",
        "app/store/counters.py",
        "source in self._known or source in self._named",
        "source in self._known",
        ("tests/store/test_counters.py",),
    ),
    Mutation(
        "previous_secret_is_ignored",
        "A rotated secret makes every link that was sent useless.",
        "app/ack_links.py",
        "keys = (None, self._previous) if self._previous else (None,)",
        "keys = (None,)",
        ("tests/test_ack_links.py",),
    ),
    Mutation(
        "settings_are_not_compared",
        "Nobody notices that web and worker sign links with different secrets.",
        "app/ops/agreement.py",
        "if theirs.get(name, value) != value",
        "if False",
        ("tests/ops/test_health.py",),
    ),
    Mutation(
        "logging_waits_for_its_reader",
        "A log that nobody reads stops answers and pages.",
        "app/log_queue.py",
        "            self._append(line, 1)\n            self._start()\n",
        '            self._write(f"{line}\\n".encode())\n',
        ("tests/stories/test_log_unread.py",),
    ),
    Mutation(
        "hours_drop",
        "What a rule holds during its hours never pages.",
        ROUTING,
        " and not rule.holds and",
        " and",
        ("tests/ingest/test_rules.py::test_hours_hold_and_the_whole_wait_begins_when_they_end",),
    ),
    Mutation(
        "hours_do_not_hold",
        "What a rule holds pages within its hours.",
        ROUTING,
        "return until if until > now else None",
        "return None",
        ("tests/ingest/test_rules.py::test_hours_hold_and_the_whole_wait_begins_when_they_end",),
    ),
    Mutation(
        "rule_wins_over_the_request",
        "A request that asks for a page does not get it where a rule says no.",
        ROUTING,
        "    if options.oncall_enable is not None:\n        enabled",
        "    if options.oncall_enable is not None and rule is None:\n        enabled",
        ("tests/ingest/test_rules.py::test_what_the_request_asks_for_wins",),
    ),
    Mutation(
        "own_incidents_are_held",
        "What the service has to report waits for the morning.",
        ROUTING,
        "options.oncall_enable is not None or alert.source == VERSUS",
        "options.oncall_enable is not None",
        ("tests/ingest/test_rules.py::test_what_the_service_reports_is_never_held",),
    ),
    Mutation(
        "worse_stays_held",
        "A held incident that becomes critical waits for the end of the hours.",
        REPORT,
        "sooner = self._is_held(now) and",
        "sooner = False and",
        ("tests/ingest/test_rules.py::test_a_repeat_that_is_worse_ends_the_hold",),
    ),
    Mutation(
        "repeat_takes_a_target_away",
        "A repeat that another rule decides replaces the alert source.",
        REPORT,
        "wanted = wanted._with(pager,",
        "wanted = replace(wanted, pagers={})._with(pager,",
        ("tests/ingest/test_rules.py::test_a_repeat_that_is_worse_ends_the_hold",),
    ),
    Mutation(
        "acknowledged_pages_at_night",
        "An acknowledgement that ends makes a held incident page earlier.",
        ACKNOWLEDGEMENT,
        "held_until = self.held_until if self._is_held(now) else None",
        "held_until = None",
        (
            "tests/ingest/test_rules.py::test_an_acknowledgement_that_ends_within_the_hours_does_not_page_in_them",
        ),
    ),
    Mutation(
        "hold_without_end",
        "Rules that hold one after the other hold for ever.",
        ROUTING,
        "LONGEST_HOLD = timedelta(days=8)",
        "LONGEST_HOLD = timedelta(days=800)",
        ("tests/ingest/test_rules.py::test_hours_without_end_hold_for_days_and_no_longer",),
    ),
    Mutation(
        "night_ends_at_midnight",
        "Hours that cross midnight end there.",
        HOURS,
        "for day in (today - _DAY, today))",
        "for day in (today,))",
        ("tests/config/test_hours.py::test_it_knows_when_the_hours_end",),
    ),
    Mutation(
        "dropped_lines_are_not_counted",
        "No metric says that log lines are dropped.",
        "app/log_queue.py",
        "        self._uncounted += lines\n",
        "",
        ("tests/test_log_queue.py",),
    ),
)
