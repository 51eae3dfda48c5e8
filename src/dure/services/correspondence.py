"""Letters and mailboxes as tables: nothing but events folded in order, by the rule of the core."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from dure.core.events import Event
from dure.core.events import notices as ev
from dure.core.events.programme import (
    AllocationRecalled,
    ApplicationSubmitted,
    RecallNoticed,
    UseChecked,
)
from dure.core.letters import letter_fields, letter_kind, letter_number
from dure.core.notices import Numbers, Told, told
from dure.services.access import Actor, may
from dure.services.programme_tables import ProgrammeTables
from dure.services.supply_tables import SupplyTables

# Of each mailbox so many notices are kept, the latest.
MAILBOX_MAX = 1000


@dataclass(frozen=True, slots=True)
class Notice:
    """What somebody was told; ``notice.CODE`` is its sentence, ``numbers`` fill it.

    Attributes:
        place: among all notices, in the order of their events.
    """

    notice: str
    place: int
    at_s: int
    code: str
    numbers: Numbers
    application: str = ""
    project: str = ""
    letter: str = ""


class Correspondence:
    """Who was told what, which letters were issued, what was read, and what went by mail.

    Args:
        tables, supply: the programme's; they must be attached before, so that they know every event
            first.
    """

    def __init__(self, tables: ProgrammeTables, supply: SupplyTables) -> None:
        self._tables, self._supply = tables, supply
        self.letters: dict[str, ev.LetterIssued] = {}
        self.of_user: dict[str, list[Notice]] = defaultdict(list)
        # Of a project, or of a provider.
        self.of_group: dict[str, list[Notice]] = defaultdict(list)
        self.of_office: list[Notice] = []
        self.read: dict[str, set[str]] = defaultdict(set)
        self.mail: dict[str, ev.MailWish] = {}
        self.mailed: dict[str, set[str]] = defaultdict(set)
        self._issued: dict[int, int] = {}
        self._told = 0

    def fold(self, event: Event) -> None:
        """Take in one event; most tell nobody."""
        match event:
            case ev.LetterIssued():
                year, _ = letter_number(event.at_s, {})
                self._issued[year] = self._issued.get(year, 0) + 1
                self.letters[event.letter] = event
            case ev.NoticesRead():
                self.read[event.user].update(event.notices)
            case ev.MailChosen():
                self.mail[event.user] = event.mail
            case ev.MailSent() | ev.MailFailed():
                self.mailed[event.user].update(event.notices)
            case _:
                pass
        for one in told(event):
            self._deliver(one, event.at_s)

    def letters_for(self, events: Sequence[Event]) -> list[Event]:
        """Return the letters that events call for; they are written beside them."""
        arriving = {one.application: one for one in events if isinstance(one, ApplicationSubmitted)}
        issued, letters = dict(self._issued), list[Event]()
        for event in events:
            kind = letter_kind(event)
            submitted = None if kind is None else self._submitted(event, arriving)
            if kind is None or submitted is None:
                continue
            call = self._tables.calls[submitted.call]
            if call.kind == "supply":
                # Providers are written to about their offers, not about GPUs awarded to them.
                continue
            year, number = letter_number(event.at_s, issued)
            issued[year] = issued.get(year, 0) + 1
            letters.append(
                ev.LetterIssued(
                    number,
                    kind,
                    submitted.lead,
                    submitted.application,
                    submitted.call,
                    submitted.project,
                    letter_fields(event, submitted, call),
                    at_s=event.at_s,
                    by=event.by,
                )
            )
        return letters

    def mailbox(self, actor: Actor) -> list[Notice]:
        """Return what a person, their projects and provider and, for the agency, the office were
        told, latest first.
        """
        found = list(self.of_user.get(actor.user, ()))
        for group in sorted({*actor.projects, actor.provider}):
            found += self.of_group.get(group, ())
        if may(actor, "notice.office"):
            found += self.of_office
        alone = {one.notice: one for one in found}
        return sorted(alone.values(), key=lambda one: -one.place)[:MAILBOX_MAX]

    def _submitted(
        self, event: Event, arriving: dict[str, ApplicationSubmitted]
    ) -> ApplicationSubmitted | None:
        """Return the application that an event is about."""
        application = str(getattr(event, "application", ""))
        if isinstance(event, UseChecked):
            names = self._tables.of_project.get(event.project, [])
            application = self._tables.allocations[names[-1]].granted.application if names else ""
        elif isinstance(event, RecallNoticed | AllocationRecalled):
            application = self._tables.allocations[event.allocation].granted.application
        if application in arriving:
            return arriving[application]
        state = self._tables.applications.get(application)
        return None if state is None else state.submitted

    def _deliver(self, one: Told, at_s: int) -> None:
        """Put a notice into the mailboxes of those whom it concerns."""
        tables, user, project = self._tables, one.who, ""
        if one.audience != "user":
            name = one.who
            if one.audience == "recalled":
                name = tables.recalls[name].noticed.allocation
            if one.audience in ("recalled", "holder"):
                held = tables.allocations.get(name)
                name = held.granted.application if held else ""
            state = tables.applications.get(name)
            user = state.submitted.lead if state else ""
            project = state.submitted.project if state else ""
            if one.audience == "supplier":
                project = self._supply.provider_of(one.who)
        elif one.application in tables.applications:
            project = tables.applications[one.application].submitted.project
        self._told += 1
        notice = Notice(
            f"{one.code}:{one.subject}:{at_s}",
            self._told,
            at_s,
            one.code,
            one.numbers,
            one.application,
            project,
            one.letter,
        )
        if one.audience == "office":
            _keep(self.of_office, notice)
            return
        if user:
            _keep(self.of_user[user], notice)
        if project:
            _keep(self.of_group[project], notice)


def _keep(notices: list[Notice], one: Notice) -> None:
    notices.append(one)
    if len(notices) > MAILBOX_MAX:
        del notices[0]
