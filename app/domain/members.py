"""The alerts of a group, and which of them no acknowledgement covers; pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from app.domain.alert import MEMBERS_LIMIT, Alert, Severity, rank

ENDED = "ended"
"""In the place of a severity: it ended under an acknowledgement, which covers it if it fires again."""


@dataclass(frozen=True, slots=True)
class Members:
    """The alerts of a group that fire, as far as its sender lists them."""

    known: dict[str, str] = field(default_factory=dict)
    """By fingerprint, the severity of each: "" for none."""
    joined: tuple[str, ...] = ()
    """Those that fire, came after the acknowledgement, and are as severe as what was acknowledged."""
    complete: bool = True
    """False after a list that was cut or is too long: which are new is not known until the next whole one."""

    def reported(self, alert: Alert, covered: Severity | None, *, acknowledged: bool) -> Members:
        """As of this alert. `covered`: the severity that was acknowledged, if it is `acknowledged`."""
        ended = set(alert.ended_members)
        joined = tuple(one for one in self.joined if one not in ended)
        if not alert.members_complete:
            return Members(complete=False, joined=joined)
        if not (alert.members or ended):
            return self
        if acknowledged and self.complete:
            joined += tuple(
                one
                for one, severity in alert.members.items()
                if one not in self.known and rank(severity) <= rank(covered)
            )
        known = {**self.known, **alert.members}
        if acknowledged:
            known |= dict.fromkeys(ended & known.keys(), ENDED)
        else:
            known = {one: severity for one, severity in known.items() if one not in ended}
        if len(known) > MEMBERS_LIMIT:
            return Members(complete=False, joined=self.joined)
        return Members(known, joined)

    def settled(self) -> Members:
        """At the beginning and at the end of an acknowledgement: what fires is all that there is."""
        return Members(
            {o: severity for o, severity in self.known.items() if severity != ENDED}, (), self.complete
        )
