"""The programme: one class with every use case from the call to the handover, and its rows."""

from collections.abc import Mapping

from dure.core.calls.stages import track_of
from dure.core.programme import Refusal
from dure.reports.round import round_report
from dure.services.access import Actor, Role
from dure.services.allocating import Allocating
from dure.services.awarding import Awarding
from dure.services.calling import Calling
from dure.services.committee import Committee
from dure.services.drafting import Drafting
from dure.services.moving import Moving
from dure.services.noticing import Noticing
from dure.services.recalling import Recalling
from dure.services.requesting import Requesting
from dure.services.reviewing import Reviewing

Row = dict[str, object]
CALENDAR = Actor("rule:calendar", frozenset({Role.OPERATOR}))


class Programme(
    Calling,
    Drafting,
    Reviewing,
    Committee,
    Awarding,
    Allocating,
    Recalling,
    Requesting,
    Noticing,
    Moving,
):
    """What people do with calls, applications, awards, allocations and recalls.

    Every use case takes the ``Actor`` first, asks ``access.require``, and answers with its events
    or with a ``Refusal`` (``problem.VALUE`` in the message catalogues). Listings take no actor:
    whoever shows them decides what the reader may see.
    """

    def led_by(self, user: str) -> frozenset[str]:
        """Return the projects with an allocation whose applications a person handed in."""
        tables = self.tables
        return frozenset(one for one in tables.led.get(user, ()) if tables.of_project.get(one))

    def pass_time(self) -> None:
        """Do what only time decides: offers lapse, terms end, and the next in line is asked."""
        self.lapse_offers(CALENDAR)
        self.end_terms(CALENDAR)
        self.hand_over_all(CALENDAR)

    def round_report(
        self, call: str, published: Mapping[str, object] | None = None
    ) -> dict[str, object] | Refusal:
        """Return a call's result as a document; ``published`` stands beside it, if given."""
        if call not in self.tables.calls:
            return Refusal.CALL_IS_UNKNOWN
        capacity = self.tables.calls[call].capacity
        return round_report(self.application_rows(call), call, capacity, published=published)

    def application_rows(self, call: str | None = None) -> list[Row]:
        """Return a row an application, in the order in which they came in."""
        return [
            self._application_row(name)
            for one in (self.tables.calls if call is None else [call])
            for name in self.tables.of_call[one]
        ]

    def waitlist_rows(self) -> list[Row]:
        """Return the waitlists of all decided calls, first in line first."""
        return [
            {
                "call": call,
                "accelerator": accelerator,
                "position": place,
                "application": state.submitted.application,
                "project": state.submitted.project,
                "gpus": state.decided.gpus,
                "score_milli": state.decided.score_milli,
                "since_s": state.decided.at_s,
                "free_gpus": self.tables.free_gpus(call, accelerator),
            }
            for call in self.tables.decided_at_s
            for accelerator in sorted(self.tables.calls[call].capacity)
            for place, state in enumerate(self.tables.waitlist(call, accelerator), start=1)
            if state.decided is not None
        ]

    def allocation_rows(self) -> list[Row]:
        """Return the allocations as the twin and reports read them: a row for each size it had."""
        return [
            {
                "allocation": name,
                "project": state.granted.project,
                "accelerator": state.granted.accelerator,
                "gpus": gpus,
                "from_s": from_s,
                "to_s": to_s,
                "shape": state.granted.shape,
                "lendable": state.granted.lendable,
            }
            for name, state in self.tables.allocations.items()
            for from_s, to_s, gpus in state.spans()
        ]

    def check_rows(self) -> list[Row]:
        """Return every monthly check, by project and month."""
        return [
            {
                "project": check.project,
                "month": check.month,
                "gpus": check.gpus,
                "used_gpu_s": check.used_gpu_s,
                "entitled_gpu_s": check.entitled_gpu_s,
                "percent": check.percent,
                "verdict": check.verdict,
                "checks_below": check.checks_below,
                "take_gpus": check.take_gpus,
                "at_s": check.at_s,
            }
            for _, checks in sorted(self.tables.checks.items())
            for check in checks
        ]

    def recall_rows(self) -> list[Row]:
        """Return every recall in the order of its notice."""
        return [
            {
                "recall": name,
                "project": state.noticed.project,
                "allocation": state.noticed.allocation,
                "accelerator": state.noticed.accelerator,
                "gpus": state.noticed.gpus,
                "month": state.noticed.month,
                "percent": state.noticed.percent,
                "noticed_at_s": state.noticed.at_s,
                "due_at_s": state.noticed.due_at_s,
                "answer": state.answer,
                "outcome": state.outcome or "open",
                "handed_to": list(state.handed_to),
            }
            for name, state in self.tables.recalls.items()
        ]

    def _application_row(self, name: str) -> Row:
        state = self.tables.applications[name]
        submitted, decided = state.submitted, state.decided
        row: Row = {
            "application": name,
            "call": submitted.call,
            "project": submitted.project,
            "title_ko": submitted.title_ko,
            "title_en": submitted.title_en,
            "organisation": submitted.organisation,
            "group": submitted.group,
            "track": track_of(self.tables.calls[submitted.call], state.answers),
            "accelerator": submitted.accelerator,
            "asked_gpus": submitted.gpus,
            "months": submitted.months,
            "region": submitted.region,
            "lead": submitted.lead,
            "submitted_at_s": submitted.at_s,
            "synthetic": submitted.synthetic,
            "status": state.status,
            "decision": decided.decision if decided else "",
            "gpus": decided.gpus if decided and decided.decision == "selected" else 0,
            "score_milli": decided.score_milli if decided else 0,
            "raw_milli": decided.raw_milli if decided else 0,
            "rank": decided.rank if decided else 0,
            "position": decided.position if decided else 0,
            "reason": decided.reason if decided else "",
            "numbers": dict(decided.numbers) if decided else {},
        }
        return row
