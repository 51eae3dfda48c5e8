"""The programme as tables: nothing but its events folded in order."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from dure.core.events import Event
from dure.core.events import judging as jv
from dure.core.events import programme as ev

# A pool of GPUs that a call offers: (call, accelerator).
Offer = tuple[str, str]


@dataclass(slots=True)
class ApplicationState:
    """An application and all that became of it."""

    submitted: ev.ApplicationSubmitted
    is_withdrawn: bool = False
    reviewers: dict[str, str] = field(default_factory=dict)
    due_at_s: dict[str, int] = field(default_factory=dict)
    reviews: list[ev.ReviewGiven] = field(default_factory=list)
    decided: ev.Decided | None = None
    signed_at_s: int | None = None
    declined_at_s: int | None = None
    allocation: str = ""

    @property
    def status(self) -> str:
        """Return one stable word: ``status.WORD`` is its name on screens."""
        if self.is_withdrawn:
            return "withdrawn"
        if self.declined_at_s is not None:
            return "declined"
        if self.allocation:
            return "allocated"
        if self.signed_at_s is not None:
            return "signed"
        if self.decided is not None:
            return self.decided.decision
        return "in_review" if self.reviewers else "submitted"

    @property
    def waits(self) -> bool:
        return self.status == "waitlisted"


@dataclass(slots=True)
class AllocationState:
    """An allocation; ``steps`` are the sizes it had, each from its moment on."""

    granted: ev.AllocationGranted
    gpus: int
    steps: list[tuple[int, int]]
    ended_at_s: int | None = None

    def spans(self) -> Iterator[tuple[int, int, int]]:
        """Yield (from_s, to_s, gpus) for each size that lasted."""
        ends = [*(at_s for at_s, _ in self.steps[1:]), self.granted.to_s]
        for (from_s, gpus), to_s in zip(self.steps, ends, strict=True):
            to_s = min(to_s, self.granted.to_s)
            if gpus > 0 and to_s > from_s:
                yield from_s, to_s, gpus

    def entitled_gpu_s(self, from_s: int, to_s: int) -> int:
        """Return GPUs x time within an interval, as the size was then."""
        return sum(
            gpus * max(0, min(end_s, to_s) - max(start_s, from_s))
            for start_s, end_s, gpus in self.spans()
        )

    def held_s(self, from_s: int, to_s: int) -> int:
        """Return how long it held any GPU within an interval."""
        return sum(
            max(0, min(end_s, to_s) - max(start_s, from_s)) for start_s, end_s, _ in self.spans()
        )

    def is_active(self, at_s: int) -> bool:
        return self.gpus > 0 and self.granted.from_s <= at_s < self.granted.to_s


@dataclass(slots=True)
class RecallState:
    """A recall from its notice on. ``outcome``: "" while open, then recalled or withdrawn."""

    noticed: ev.RecallNoticed
    answer: str = ""
    returned_gpus: int = 0
    outcome: str = ""
    handed_to: list[str] = field(default_factory=list)


class ProgrammeTables:
    """Calls, applications, reviews, decisions, allocations, waitlist, checks and recalls."""

    def __init__(self) -> None:
        self.calls: dict[str, ev.CallPublished] = {}
        self.applications: dict[str, ApplicationState] = {}
        self.of_call: dict[str, list[str]] = defaultdict(list)
        self.led: dict[str, list[str]] = defaultdict(list)
        self.decided_at_s: dict[str, int] = {}
        self.proposals: dict[str, list[jv.ShareOutProposed]] = defaultdict(list)
        self.minutes: dict[str, jv.MinutesSigned] = {}
        self.lots: dict[str, jv.LotsDrawn] = {}
        self.pool: dict[str, jv.ReviewerRegistered] = {}
        self.bids: dict[tuple[str, str], str] = {}
        self.conflicts: dict[str, dict[str, str]] = defaultdict(dict)
        self.allocations: dict[str, AllocationState] = {}
        self.of_project: dict[str, list[str]] = defaultdict(list)
        self.checks: dict[str, list[ev.UseChecked]] = defaultdict(list)
        self.recalls: dict[str, RecallState] = {}
        self.handovers: list[ev.HandedOver] = []
        self.committed_gpus: dict[Offer, int] = defaultdict(int)
        self.freed: dict[Offer, dict[str, int]] = defaultdict(dict)
        self._fold: dict[type[Event], Callable[[Any], None]] = {
            ev.CallPublished: self._call_published,
            ev.ApplicationSubmitted: self._application_submitted,
            ev.ApplicationWithdrawn: self._application_withdrawn,
            ev.ReviewerAssigned: self._reviewer_assigned,
            ev.ReviewGiven: self._review_given,
            ev.Decided: self._decided,
            jv.ShareOutProposed: self._share_out_proposed,
            jv.MinutesSigned: self._minutes_signed,
            jv.LotsDrawn: self._lots_drawn,
            jv.ReviewerRegistered: self._reviewer_registered,
            jv.BidGiven: self._bid_given,
            jv.ConflictDeclared: self._conflict_declared,
            jv.ReviewerReplaced: self._reviewer_replaced,
            ev.AgreementSigned: self._agreement_signed,
            ev.AwardDeclined: self._award_declined,
            ev.AllocationGranted: self._allocation_granted,
            ev.AllocationChanged: self._allocation_changed,
            ev.AllocationEnded: self._allocation_ended,
            ev.UseChecked: self._use_checked,
            ev.RecallNoticed: self._recall_noticed,
            ev.RecallAnswered: self._recall_answered,
            ev.RecallWithdrawn: self._recall_withdrawn,
            ev.AllocationRecalled: self._allocation_recalled,
            ev.HandedOver: self._handed_over,
            ev.ReturnedByProject: self._returned_by_project,
        }

    def fold(self, event: Event) -> None:
        """Take in one event; those of other rooms pass."""
        fold = self._fold.get(type(event))
        if fold is not None:
            fold(event)

    def free_gpus(self, call: str, accelerator: str) -> int:
        """Return what a call still has: offered less awarded, granted and handed over."""
        return self.calls[call].capacity[accelerator] - self.committed_gpus[call, accelerator]

    def late_reviewers(self, state: ApplicationState, now_s: int) -> set[str]:
        """Return who was asked, has a deadline that is over, and gave no marks."""
        given = {one.reviewer for one in state.reviews}
        return {
            reviewer
            for reviewer in state.reviewers
            if reviewer not in given and 0 < state.due_at_s.get(reviewer, 0) <= now_s
        }

    def last_proposal(self, call: str) -> jv.ShareOutProposed | None:
        """Return what was put before a call's committee last."""
        proposals = self.proposals.get(call)
        return proposals[-1] if proposals else None

    def waitlist(self, call: str, accelerator: str) -> list[ApplicationState]:
        """Return who waits for a call's GPUs of one type, first in line first."""
        waiting = [
            state
            for name in self.of_call[call]
            if (state := self.applications[name]).waits
            and state.decided is not None
            and state.decided.accelerator == accelerator
        ]
        return sorted(waiting, key=lambda one: (_place(one), one.submitted.application))

    def counts(self, call: str) -> dict[str, int]:
        """Return how many applications came in, and what became of them; in = the others' sum."""
        states = [self.applications[name] for name in self.of_call[call]]
        withdrawn = sum(state.is_withdrawn for state in states)
        decided = sum(state.decided is not None and not state.is_withdrawn for state in states)
        return {
            "submitted": len(states),
            "withdrawn": withdrawn,
            "decided": decided,
            "waiting": len(states) - withdrawn - decided,
        }

    def sources(self, offer: Offer, gpus: int) -> dict[str, int]:
        """Return where freed GPUs come from, the longest free first; may be less than asked."""
        drawn: dict[str, int] = {}
        for source, free in self.freed[offer].items():
            part = min(free, gpus)
            if part > 0:
                drawn[source] = part
                gpus -= part
        return drawn

    def _call_published(self, event: ev.CallPublished) -> None:
        self.calls[event.call] = event

    def _application_submitted(self, event: ev.ApplicationSubmitted) -> None:
        self.applications[event.application] = ApplicationState(event)
        self.of_call[event.call].append(event.application)
        self.led[event.lead].append(event.project)

    def _application_withdrawn(self, event: ev.ApplicationWithdrawn) -> None:
        self.applications[event.application].is_withdrawn = True

    def _reviewer_assigned(self, event: ev.ReviewerAssigned) -> None:
        state = self.applications[event.application]
        state.reviewers[event.reviewer] = event.stage
        state.due_at_s[event.reviewer] = event.due_at_s

    def _reviewer_registered(self, event: jv.ReviewerRegistered) -> None:
        self.pool[event.reviewer] = event

    def _bid_given(self, event: jv.BidGiven) -> None:
        self.bids[event.application, event.reviewer] = event.bid

    def _conflict_declared(self, event: jv.ConflictDeclared) -> None:
        self.conflicts[event.application][event.reviewer] = event.kind

    def _reviewer_replaced(self, event: jv.ReviewerReplaced) -> None:
        state = self.applications[event.application]
        state.reviewers.pop(event.reviewer)
        state.due_at_s.pop(event.reviewer, None)
        state.reviewers[event.successor] = event.stage
        state.due_at_s[event.successor] = event.due_at_s

    def _review_given(self, event: ev.ReviewGiven) -> None:
        self.applications[event.application].reviews.append(event)

    def _decided(self, event: ev.Decided) -> None:
        self.applications[event.application].decided = event
        self.decided_at_s[event.call] = event.at_s
        if event.decision == "selected":
            self.committed_gpus[event.call, event.accelerator] += event.gpus

    def _share_out_proposed(self, event: jv.ShareOutProposed) -> None:
        self.proposals[event.call].append(event)

    def _minutes_signed(self, event: jv.MinutesSigned) -> None:
        self.minutes[event.call] = event

    def _lots_drawn(self, event: jv.LotsDrawn) -> None:
        self.lots[event.call] = event

    def _agreement_signed(self, event: ev.AgreementSigned) -> None:
        self.applications[event.application].signed_at_s = event.at_s

    def _award_declined(self, event: ev.AwardDeclined) -> None:
        self.applications[event.application].declined_at_s = event.at_s
        self._free((event.call, event.accelerator), event.application, event.gpus)

    def _allocation_granted(self, event: ev.AllocationGranted) -> None:
        state = AllocationState(event, event.gpus, [(event.from_s, event.gpus)])
        self.allocations[event.allocation] = state
        self.of_project[event.project].append(event.allocation)
        if event.application:
            # One that the operator gave by hand stems from no application.
            self.applications[event.application].allocation = event.allocation
        if event.cause == "handover":
            self.committed_gpus[event.call, event.accelerator] += event.gpus

    def _allocation_changed(self, event: ev.AllocationChanged) -> None:
        self._resize(event.allocation, event.at_s, event.gpus)

    def _allocation_ended(self, event: ev.AllocationEnded) -> None:
        self._resize(event.allocation, event.at_s, 0)
        self.allocations[event.allocation].ended_at_s = event.at_s

    def _resize(self, allocation: str, at_s: int, gpus: int) -> None:
        state = self.allocations[allocation]
        offer = state.granted.call, state.granted.accelerator
        self._free(offer, allocation, state.gpus - gpus)
        # Returned before it began: it never had its first size.
        state.steps.append((max(at_s, state.granted.from_s), gpus))
        state.gpus = gpus

    def _free(self, offer: Offer, source: str, gpus: int) -> None:
        self.committed_gpus[offer] -= gpus
        self.freed[offer][source] = self.freed[offer].get(source, 0) + gpus

    def _use_checked(self, event: ev.UseChecked) -> None:
        self.checks[event.project].append(event)

    def _recall_noticed(self, event: ev.RecallNoticed) -> None:
        self.recalls[event.recall] = RecallState(event)

    def _recall_answered(self, event: ev.RecallAnswered) -> None:
        self.recalls[event.recall].answer = event.answer

    def _recall_withdrawn(self, event: ev.RecallWithdrawn) -> None:
        self.recalls[event.recall].outcome = "withdrawn"

    def _allocation_recalled(self, event: ev.AllocationRecalled) -> None:
        self.recalls[event.recall].outcome = "recalled"

    def _handed_over(self, event: ev.HandedOver) -> None:
        self.handovers.append(event)
        offer = event.call, event.accelerator
        for source, gpus in self.sources(offer, event.gpus).items():
            self.freed[offer][source] -= gpus
        for recall in self.recalls.values():
            if recall.outcome == "recalled" and recall.noticed.allocation in (
                event.from_allocations
            ):
                recall.handed_to.append(event.application)

    def _returned_by_project(self, event: ev.ReturnedByProject) -> None:
        for recall in self.recalls.values():
            if recall.outcome == "" and recall.noticed.allocation == event.allocation:
                recall.returned_gpus += event.gpus


def _place(state: ApplicationState) -> int:
    assert state.decided is not None
    return state.decided.position
