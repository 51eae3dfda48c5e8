"""The programme as tables: nothing but its events folded in order."""

from collections import defaultdict
from collections.abc import Callable
from typing import Any

from dure.core.applications import answers_of
from dure.core.awards import Reason
from dure.core.calls.model import Call
from dure.core.calls.published import call_of
from dure.core.events import Event
from dure.core.events import calls as stage_ev
from dure.core.events import judging as jv
from dure.core.events import offers as offer_ev
from dure.core.events import programme as ev
from dure.core.events import supply as sv
from dure.services.inbox import Inbox
from dure.services.programme_states import AllocationState, ApplicationState, RecallState

# A pool of GPUs that a call offers: (call, accelerator).
Offer = tuple[str, str]
# Causes of allocations: those that take GPUs which were free; those that stand beside the main one
# of their application; those that take over the GPUs of one that ends.
_TAKES_MORE = ("handover", "supplement")
_BESIDE = ("supplement", "advance", "transfer")
_FOLLOWS = ("release", "renewal", "extension")


class ProgrammeTables:
    """Calls, applications, reviews, decisions, allocations, waitlist, checks and recalls.

    Attributes:
        version: grows with every event that changed anything.
    """

    def __init__(self) -> None:
        self.version = 0
        self.calls: dict[str, Call] = {}
        self.drafts: dict[str, list[stage_ev.CallDrafted]] = defaultdict(list)
        self.applications: dict[str, ApplicationState] = {}
        self.of_call: dict[str, list[str]] = defaultdict(list)
        self.inboxes: dict[str, Inbox] = defaultdict(Inbox)
        # Applications that an institution leads or led in an earlier version, in order.
        self.of_organisation: dict[str, dict[str, None]] = defaultdict(dict)
        self.led: dict[str, list[str]] = defaultdict(list)
        self.decided_at_s: dict[str, int] = {}
        self.proposals: dict[str, list[jv.ShareOutProposed]] = defaultdict(list)
        self.minutes: dict[str, jv.MinutesSigned] = {}
        self.lots: dict[str, jv.LotsDrawn] = {}
        self.pool: dict[str, jv.ReviewerRegistered] = {}
        self.bids: dict[tuple[str, str], str] = {}
        self.conflicts: dict[str, dict[str, str]] = defaultdict(dict)
        self.agreed_suppliers: set[str] = set()
        # Who did not review in time, by call.
        self.late: dict[str, set[str]] = defaultdict(set)
        self.allocations: dict[str, AllocationState] = {}
        self.of_project: dict[str, list[str]] = defaultdict(list)
        self.checks: dict[str, list[ev.UseChecked]] = defaultdict(list)
        self.recalls: dict[str, RecallState] = {}
        self.handovers: list[offer_ev.HandedOver] = []
        self.committed_gpus: dict[Offer, int] = defaultdict(int)
        # What small requests were given as they came in, and still have.
        self.at_once_gpus: dict[Offer, int] = defaultdict(int)
        # The same by application, for the caps of institutions and the floors of tracks.
        self.held_gpus: dict[Offer, dict[str, int]] = defaultdict(dict)
        self.freed: dict[Offer, dict[str, int]] = defaultdict(dict)
        self._fold = self._folds()

    def fold(self, event: Event) -> None:
        """Take in one event; those of other rooms pass."""
        fold = self._fold.get(type(event))
        if fold is not None:
            fold(event)
            self.version += 1

    def _folds(self) -> dict[type[Event], Callable[[Any], None]]:
        return {
            ev.CallPublished: self._call_published,
            stage_ev.CallDrafted: self._call_drafted,
            stage_ev.ChecklistFilled: self._checklist_filled,
            stage_ev.VoteCast: self._vote_cast,
            stage_ev.StageConcluded: self._stage_concluded,
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
            offer_ev.AwardOffered: self._award_offered,
            offer_ev.AgreementSigned: self._agreement_signed,
            sv.SupplyAgreed: self._supply_agreed,
            offer_ev.AwardDeclined: self._award_declined,
            offer_ev.OfferLapsed: self._offer_lapsed,
            ev.AllocationGranted: self._allocation_granted,
            ev.AllocationChanged: self._allocation_changed,
            ev.AllocationEnded: self._allocation_ended,
            ev.UseChecked: self._use_checked,
            ev.RecallNoticed: self._recall_noticed,
            ev.RecallAnswered: self._recall_answered,
            ev.RecallWithdrawn: self._recall_withdrawn,
            ev.AllocationRecalled: self._allocation_recalled,
            offer_ev.HandedOver: self._handed_over,
            ev.ReturnedByProject: self._returned_by_project,
        }

    def free_gpus(self, call: str, accelerator: str) -> int:
        """Return what a call still has: offered less awarded, granted and handed over."""
        return self.calls[call].capacity[accelerator] - self.committed_gpus[call, accelerator]

    def late_reviewers(self, state: ApplicationState, now_s: int) -> list[tuple[str, str]]:
        """Return (stage, reviewer) of whoever has a deadline that is over, and gave no marks."""
        given = {(one.stage, one.reviewer) for one in state.reviews}
        return sorted(
            place
            for place in state.asked
            if place not in given and 0 < state.due_at_s.get(place, 0) <= now_s
        )

    def last_proposal(self, call: str) -> jv.ShareOutProposed | None:
        """Return what was put before a call's committee last."""
        proposals = self.proposals.get(call)
        return proposals[-1] if proposals else None

    def suppliers(self) -> set[str]:
        """Return the institutions that were selected in a supply call, or signed an agreement."""
        calls = [call for call, terms in self.calls.items() if terms.kind == "supply"]
        states = (self.applications[name] for call in calls for name in self.of_call[call])
        return self.agreed_suppliers | {
            one.submitted.organisation
            for one in states
            if one.decided is not None and one.decided.decision == "selected"
        }

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

    def current(self, state: ApplicationState) -> str:
        """Return the main allocation that an application holds now; the last where none is."""
        last = self.allocations.get(state.allocation)
        if last is None:
            return ""
        chain = [
            name
            for name in self.of_project[last.granted.project]
            if (one := self.allocations[name]).granted.application == last.granted.application
            and one.granted.cause not in _BESIDE
            and one.gpus > 0
        ]
        return chain[0] if chain else state.allocation

    def followers(self, state: AllocationState) -> list[AllocationState]:
        """Return the allocations that take over when one ends, and when those end, and so on."""
        found: list[AllocationState] = []
        ends = {state.granted.to_s}
        for name in self.of_project[state.granted.project]:
            other = self.allocations[name]
            if other.granted.cause in _FOLLOWS and other.granted.from_s in ends:
                found.append(other)
                ends.add(other.granted.to_s)
        return found

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
        self.calls[event.call] = call_of(event)

    def _call_drafted(self, event: stage_ev.CallDrafted) -> None:
        self.drafts[event.call].append(event)

    def _checklist_filled(self, event: stage_ev.ChecklistFilled) -> None:
        state = self._touched(event.application, event.stage, event.at_s)
        state.ticked[event.stage].update(event.items)
        state.notes[event.stage] = event.note

    def _vote_cast(self, event: stage_ev.VoteCast) -> None:
        state = self._touched(event.application, event.stage, event.at_s)
        state.votes[event.stage][event.voter] = event.recognises

    def _stage_concluded(self, event: stage_ev.StageConcluded) -> None:
        state = self._touched(event.application, event.stage, event.at_s)
        state.concluded[event.stage] = event

    def _touched(self, application: str, stage: str, at_s: int) -> ApplicationState:
        state = self.applications[application]
        state.touched_at_s[stage] = max(at_s, state.touched_at_s.get(stage, 0))
        return state

    def _application_submitted(self, event: ev.ApplicationSubmitted) -> None:
        answers = answers_of(event, self.calls[event.call])
        known = self.applications.get(event.application)
        if known is not None:
            self.inboxes[event.call].drop(known.submitted)
            known.submitted, known.answers = event, answers
        self.inboxes[event.call].take(event, is_new=known is None)
        self.of_organisation[event.organisation][event.application] = None
        if known is not None:
            return
        self.applications[event.application] = ApplicationState(event, answers)
        self.of_call[event.call].append(event.application)
        self.led[event.lead].append(event.project)

    def _application_withdrawn(self, event: ev.ApplicationWithdrawn) -> None:
        state = self.applications[event.application]
        state.is_withdrawn = True
        self.inboxes[event.call].drop(state.submitted)

    def _reviewer_assigned(self, event: ev.ReviewerAssigned) -> None:
        state = self.applications[event.application]
        state.asked.append((event.stage, event.reviewer))
        state.due_at_s[event.stage, event.reviewer] = event.due_at_s

    def _reviewer_registered(self, event: jv.ReviewerRegistered) -> None:
        self.pool[event.reviewer] = event

    def _bid_given(self, event: jv.BidGiven) -> None:
        self.bids[event.application, event.reviewer] = event.bid

    def _conflict_declared(self, event: jv.ConflictDeclared) -> None:
        self.conflicts[event.application][event.reviewer] = event.kind

    def _reviewer_replaced(self, event: jv.ReviewerReplaced) -> None:
        if event.cause == "late":
            self.late[event.call].add(event.reviewer)
        state = self.applications[event.application]
        state.asked.remove((event.stage, event.reviewer))
        state.due_at_s.pop((event.stage, event.reviewer), None)
        state.asked.append((event.stage, event.successor))
        state.due_at_s[event.stage, event.successor] = event.due_at_s

    def _review_given(self, event: ev.ReviewGiven) -> None:
        if event.is_late:
            self.late[event.call].add(event.reviewer)
        self._touched(event.application, event.stage, event.at_s).reviews.append(event)

    def _decided(self, event: ev.Decided) -> None:
        self.applications[event.application].decided = event
        if event.reason == Reason.SELECTED_AT_ONCE.value:
            self.at_once_gpus[event.call, event.accelerator] += event.gpus
        else:
            self.decided_at_s[event.call] = event.at_s
        if event.decision == "selected":
            self._take((event.call, event.accelerator), event.application, event.gpus)

    def _share_out_proposed(self, event: jv.ShareOutProposed) -> None:
        self.proposals[event.call].append(event)

    def _minutes_signed(self, event: jv.MinutesSigned) -> None:
        self.minutes[event.call] = event

    def _lots_drawn(self, event: jv.LotsDrawn) -> None:
        self.lots[event.call] = event

    def _award_offered(self, event: offer_ev.AwardOffered) -> None:
        self.applications[event.application].offer = event
        if event.cause == "handover":
            # One that was decided on is counted with its decision.
            self._take((event.call, event.accelerator), event.application, event.gpus)

    def _agreement_signed(self, event: offer_ev.AgreementSigned) -> None:
        self.applications[event.application].signed = event

    def _supply_agreed(self, event: sv.SupplyAgreed) -> None:
        self.agreed_suppliers.add(event.organisation)

    def _award_declined(self, event: offer_ev.AwardDeclined) -> None:
        self.applications[event.application].declined_at_s = event.at_s
        self._give_back(event)

    def _offer_lapsed(self, event: offer_ev.OfferLapsed) -> None:
        self.applications[event.application].lapsed_at_s = event.at_s
        self._give_back(event)

    def _give_back(self, event: offer_ev.AwardDeclined | offer_ev.OfferLapsed) -> None:
        decided = self.applications[event.application].decided
        if decided is not None and decided.reason == Reason.SELECTED_AT_ONCE.value:
            self.at_once_gpus[decided.call, decided.accelerator] -= decided.gpus
        if event.gpus and self.calls[event.call].kind == "demand":
            offer = event.call, event.accelerator
            self._free(offer, event.application, event.application, event.gpus)

    def _allocation_granted(self, event: ev.AllocationGranted) -> None:
        state = AllocationState(event, event.gpus, [(event.from_s, event.gpus)])
        self.allocations[event.allocation] = state
        self.of_project[event.project].append(event.allocation)
        if event.application and event.cause not in _BESIDE:
            # One that the operator gave by hand stems from no application.
            self.applications[event.application].allocation = event.allocation
        was_offered = event.cause == "handover" and self.applications[event.application].offer
        if event.cause in _TAKES_MORE and not was_offered:
            self._take((event.call, event.accelerator), event.application, event.gpus)

    def _allocation_changed(self, event: ev.AllocationChanged) -> None:
        self._resize(event.allocation, event.at_s, event.gpus)

    def _allocation_ended(self, event: ev.AllocationEnded) -> None:
        self._resize(event.allocation, event.at_s, 0, kept_gpus=self._kept_gpus(event))
        self.allocations[event.allocation].ended_at_s = event.at_s

    def _kept_gpus(self, event: ev.AllocationEnded) -> int:
        """Return how many GPUs of an allocation that ended another one goes on with."""
        state = self.allocations[event.allocation]
        if event.cause == "transfer" or state.granted.cause == "advance":
            return state.gpus
        if event.cause != "term":
            return 0
        return sum(
            one.gpus for one in self.followers(state) if one.granted.from_s == state.granted.to_s
        )

    def _resize(self, allocation: str, at_s: int, gpus: int, *, kept_gpus: int = 0) -> None:
        state = self.allocations[allocation]
        offer = state.granted.call, state.granted.accelerator
        # What follows on another allocation holds nothing of its own before that one ends.
        follows = state.granted.cause in _FOLLOWS and at_s < state.granted.from_s
        if not follows:
            left_gpus = state.gpus - gpus - kept_gpus
            self._free(offer, allocation, state.granted.application, left_gpus)
        # Returned before it began: it never had its first size.
        state.steps.append((max(at_s, state.granted.from_s), gpus))
        state.gpus = gpus

    def _take(self, offer: Offer, application: str, gpus: int) -> None:
        self.committed_gpus[offer] += gpus
        held = self.held_gpus[offer]
        held[application] = held.get(application, 0) + gpus

    def _free(self, offer: Offer, source: str, application: str, gpus: int) -> None:
        self._take(offer, application, -gpus)
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

    def _handed_over(self, event: offer_ev.HandedOver) -> None:
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
