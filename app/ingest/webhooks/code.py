"""GitHub, GitLab, Flux and Argo CD: what fails is a problem; what runs or succeeded is none, but a note."""

from __future__ import annotations

from typing import Any

import app.ingest.webhooks.coerce as coerce
from app.domain.alert import Effect
from app.ingest.webhooks.coerce import Json
from app.ingest.webhooks.field_map import FieldMap, all_of, always, by, first_of, join

# Words of GitHub's for a run that ended well, or did not end.
_FINE = "success neutral skipped cancelled stale pending queued in_progress completed requested waiting"
_RUNS = "workflow_run workflow_job check_run check_suite"
_OVER = "resolved fixed closed_by_user dismissed auto_dismissed closed publicly_leaked_closed"
_OPEN = "created reopened reopened_by_user appeared_in_branch reintroduced auto_reopened create"


def _run(name: str) -> FieldMap:
    """A run of something on GitHub; once it has ended it has a conclusion."""
    return FieldMap(
        source="github",
        kind=name,
        matches=all_of(f"{name}.id", "repository.full_name"),
        effect=by(first_of(f"{name}.conclusion", f"{name}.status", "action"), note=_FINE),
        title=join("repository.full_name", f"{name}.name", f"{name}.conclusion"),
        note=first_of(
            join("repository.full_name", f"{name}.name", f"{name}.conclusion"), join(f"{name}.name", "action")
        ),
        description=join(f"{name}.display_title", f"{name}.output.summary"),
        service="repository.full_name",
        started_at=first_of(f"{name}.run_started_at", f"{name}.started_at"),
        source_url=f"{name}.html_url",
        identity=f"{name}.id",
    )


def _flux_effect(body: Json) -> Effect | None:
    """Errors are problems. What succeeded ends one of the same object; any other event is a note."""
    if (coerce.line(body.get("severity")) or "").lower() != "info":
        return Effect.FIRING
    reason = coerce.line(body.get("reason")) or ""
    over = reason.endswith("Succeeded") and not reason.startswith("Rollback")
    return Effect.RESOLVED if over else Effect.NOTE


def _argocd_effect(body: Json) -> Effect | None:
    """By the last operation, then by the health: an application that was synced may still be broken."""
    phase, health = (
        (coerce.line(body.get(name)) or "").lower() for name in ("operation_phase", "health_status")
    )
    if phase in ("error", "failed") or health in ("degraded", "missing", "unknown"):
        return Effect.FIRING
    if health == "healthy":
        return Effect.RESOLVED
    return Effect.NOTE if health or phase else None


def _gitlab_alert_effect(body: Json) -> Effect | None:
    # GitLab's form has no word for the end but its time.
    return Effect.RESOLVED if coerce.moment(body.get("end_time")) else None


_GITLAB: dict[str, Any] = {
    "source": "gitlab",
    "service": "project.path_with_namespace",
    "source_url": first_of("object_attributes.url", "project.web_url"),
}

FIELD_MAPS = (
    FieldMap(
        source="github",
        matches=all_of("hook_id", "zen"),
        effect=always(Effect.NOTE),
        note=first_of(join("repository.full_name", "zen"), "zen"),
    ),
    *map(_run, _RUNS.split()),
    FieldMap(
        source="github",
        kind="status",
        matches=all_of("sha", "context", "state", "repository.full_name"),
        effect=by("state", note=_FINE),
        title=join("repository.full_name", "context", "state"),
        description="description",
        service="repository.full_name",
        source_url="target_url",
        identity=all_of("sha", "context"),
    ),
    FieldMap(
        source="github",
        kind="deployment",
        matches=all_of("deployment_status.state", "deployment.id"),
        effect=by("deployment_status.state", note=f"{_FINE} inactive"),
        title=join("repository.full_name", "deployment.environment", "deployment_status.state"),
        description="deployment_status.description",
        service="repository.full_name",
        source_url=first_of("deployment_status.log_url", "deployment_status.target_url"),
        identity="deployment.id",
    ),
    FieldMap(
        source="github",
        kind="alert",
        matches=all_of("alert.number", "repository.full_name", "action"),
        effect=by("action", firing=_OPEN, resolved=_OVER, others=Effect.NOTE),
        title=first_of(
            "alert.security_advisory.summary", "alert.rule.description", "alert.secret_type_display_name"
        ),
        note="action",
        description=first_of(
            "alert.security_advisory.description", "alert.most_recent_instance.message.text"
        ),
        severity=first_of(
            "alert.security_advisory.severity", "alert.rule.security_severity_level", "alert.rule.severity"
        ),
        service="repository.full_name",
        started_at="alert.created_at",
        source_url="alert.html_url",
        # The numbers of each kind of alert begin with 1; the address has the kind in it.
        identity=first_of("alert.html_url", all_of("repository.full_name", "alert.number")),
    ),
    FieldMap(
        source="github",
        kind="push",
        matches=all_of("pusher", "ref", "repository.full_name"),
        effect=always(Effect.NOTE),
        note=join("repository.full_name", "ref"),
    ),
    FieldMap(
        **_GITLAB,
        kind="pipeline",
        matches=all_of("object_kind=pipeline", "object_attributes.status"),
        effect=by("object_attributes.status", firing="failed", others=Effect.NOTE),
        title=join("project.path_with_namespace", "object_attributes.ref", "object_attributes.status"),
        description="commit.title",
        started_at="object_attributes.created_at",
        identity="object_attributes.id",
    ),
    FieldMap(
        **_GITLAB,
        kind="job",
        matches=all_of("object_kind=build", "build_status"),
        effect=by("build_status", firing="failed", others=Effect.NOTE),
        title=join("project_name", "build_name", "build_status"),
        description="build_failure_reason",
        identity="build_id",
    ),
    FieldMap(
        **_GITLAB,
        kind="deployment",
        matches=all_of("object_kind=deployment", "status"),
        effect=by("status", firing="failed", others=Effect.NOTE),
        title=join("project.path_with_namespace", "environment", "status"),
        description="commit_title",
        identity="deployment_id",
    ),
    FieldMap(
        **_GITLAB,
        kind="incident",
        matches=all_of("object_kind=incident", "object_attributes.action"),
        effect=by("object_attributes.action", firing="open reopen", resolved="close", others=Effect.NOTE),
        title="object_attributes.title",
        note="object_attributes.action",
        description="object_attributes.description",
        severity="object_attributes.severity",
        identity=all_of("project.id", "object_attributes.iid"),
        labels="labels",
    ),
    FieldMap(
        source="gitlab",
        kind="notes",
        matches=first_of(
            "object_kind=push",
            "object_kind=tag_push",
            "object_kind=note",
            "object_kind=merge_request",
            "object_kind=issue",
            "object_kind=wiki_page",
            "object_kind=release",
        ),
        effect=always(Effect.NOTE),
        note=join("project.path_with_namespace", "object_kind"),
    ),
    FieldMap(
        source="gitlab",
        kind="alert",
        matches=first_of(
            all_of("gitlab_environment_name", "title"), all_of("monitoring_tool", "title", "start_time")
        ),
        effect=_gitlab_alert_effect,
        description="description",
        started_at="start_time",
        identity="fingerprint",
        host="hosts.0",
    ),
    FieldMap(
        source="flux",
        matches=all_of("involvedObject.kind", "reportingController"),
        effect=_flux_effect,
        title=join("involvedObject.kind", "involvedObject.name", "reason"),
        description="message",
        service="involvedObject.name",
        started_at="timestamp",
        identity=all_of("involvedObject.kind", "involvedObject.namespace", "involvedObject.name"),
        labels="metadata",
    ),
    FieldMap(
        source="argocd",
        matches=all_of("source=argocd*", "app"),
        effect=_argocd_effect,
        title=join("app", "operation_phase", "health_status"),
        description="message",
        service="app",
        started_at="started_at",
        source_url="url",
        identity=first_of(all_of("project", "app"), "app"),
        labels="labels",
    ),
)
