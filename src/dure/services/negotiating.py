"""Supply up to the agreement: failed calls, their repeats, negotiations, what is signed."""

from collections.abc import Sequence

import msgspec

from dure.core.awards import Award, Reason
from dure.core.calls.model import Call
from dure.core.calls.rules import NAME, check_call
from dure.core.events.calls import CallDrafted
from dure.core.events.programme import Decided
from dure.core.events.supply import (
    CallFailed,
    CallRepeated,
    NegotiationBrokenOff,
    NegotiationOpened,
    OfferMade,
    Side,
    SupplyAgreed,
    SupplyOffer,
)
from dure.core.programme import Problem, Refusal
from dure.core.supply.measures import supply_of
from dure.core.supply.negotiating import check_bidders, check_offer, digest_of, may_negotiate
from dure.core.supply.shares import share_supply
from dure.services.access import Actor, Role, require
from dure.services.office import Office
from dure.services.programme_states import ApplicationState
from dure.services.scoring import bidders, judged, proposals_of
from dure.services.supply_tables import NegotiationState

No = tuple[Problem, ...]
TEXT_MAX, NAMES_MAX = 500, 20
OFFERS_MAX = 200
NAME_LENGTH_MAX = 200
# The first second of 2100, Korean time.
MOMENT_S_MAX = 4_102_412_400


def no(refusal: Refusal, field: str = "", **numbers: int | str) -> No:
    """Return one problem as the answer of a use case."""
    return (Problem(field, refusal, numbers),)


def too_far(**moments_s: int) -> No:
    """Refuse moments before 1970 or after 2099, which no calendar here writes."""
    for name, at_s in moments_s.items():
        if not 0 <= at_s < MOMENT_S_MAX:
            found, expected = str(at_s)[:40], "1970 .. 2099"
            return no(Refusal.VALUE_IS_WRONG, name, found=found, expected=expected)
    return ()


def is_told(text: str) -> bool:
    return 0 < len(text.strip()) <= TEXT_MAX


def side_of(actor: Actor) -> Side:
    """Return for whom a person speaks in a negotiation."""
    return "agency" if actor.roles & {Role.OPERATOR, Role.ADMIN} else "provider"


class Negotiating(Office):
    """The use cases from a supply call's closing to the agreement."""

    def share_of_supply(
        self, call: str, *, portions: Sequence[int] | None = None
    ) -> tuple[Award, ...] | No:
        """Return what a call's rule would award now, or with other portions; writes nothing."""
        with self._reading() as tables:
            terms = self._supply_call(call)
            if not isinstance(terms, Call):
                return terms
            found = judged(tables, call, now_s=self.clock.now_s(), sizing=self.sizing)
            if isinstance(found, Refusal):
                return no(found)
            if portions is not None and not (
                all(1 <= one <= 100 for one in portions) and sum(portions) <= 100
            ):
                return no(Refusal.SUM_IS_WRONG, "portions", found=sum(portions), expected=100)
            return share_supply(proposals_of(found), found.call, portions=portions)

    def fail_call(self, actor: Actor, call: str) -> CallFailed | No:
        """Say that a call failed for want of bidders; its rule says what may follow."""
        require(actor, "supply.office")
        with self._reading() as tables:
            terms = self._supply_call(call)
            if not isinstance(terms, Call):
                return terms
            now_s = self.clock.now_s()
            if now_s < terms.closes_at_s:
                return no(Refusal.CALL_IS_STILL_OPEN)
            if call in self.supply.failed:
                return no(Refusal.CALL_HAS_FAILED)
            if call in tables.decided_at_s:
                return no(Refusal.CALL_IS_DECIDED)
            states = [tables.applications[name] for name in tables.of_call[call]]
            bid = len(bidders(states))
            problem = check_bidders(terms, bid)
            if problem is not None:
                return (problem,)
            failures = self.supply.failures_before(call) + 1
            failed = CallFailed(
                call,
                bid,
                supply_of(terms).bidders_min,
                failures,
                "negotiate" if may_negotiate(terms, failures) else "repeat",
                at_s=now_s,
                by=actor.user,
            )
            rejected = (_rejected(one, failed) for one in states if not one.is_withdrawn)
            self._write([failed, *rejected])
            return failed

    def repeat_call(
        self,
        actor: Actor,
        call: str,
        name: str,
        *,
        opens_at_s: int,
        closes_at_s: int,
        starts_at_s: int = 0,
    ) -> CallRepeated | No:
        """Announce a failed call again: a draft with its rules, linked to it, with other dates.

        Args:
            starts_at_s: 0 moves the start by as much as the closing.
        """
        require(actor, "supply.office")
        with self._reading() as tables:
            terms = self._supply_call(call)
            if not isinstance(terms, Call):
                return terms
            failed = self.supply.failed.get(call)
            if failed is None:
                return no(Refusal.CALL_HAS_NOT_FAILED)
            if failed.then != "repeat":
                repeats = supply_of(terms).repeats
                return no(Refusal.REPEATS_ARE_OVER, failures=failed.failures, repeats=repeats)
            again = next((new for new, old in self.supply.repeats.items() if old == call), "")
            if again:
                return no(Refusal.CALL_IS_REPEATED, call=again)
            if name in tables.calls or name in tables.drafts:
                return no(Refusal.CALL_EXISTS)
            far = too_far(opens=opens_at_s, closes=closes_at_s, starts=starts_at_s)
            if far:
                return far
            now_s = self.clock.now_s()
            moved = msgspec.structs.replace(
                terms,
                call=name,
                version=1,
                round=terms.round + 1,
                opens_at_s=opens_at_s,
                closes_at_s=closes_at_s,
                starts_at_s=starts_at_s or terms.starts_at_s + closes_at_s - terms.closes_at_s,
            )
            problems = check_call(moved)
            if problems:
                return problems
            drafted = CallDrafted(name, 1, moved, call, at_s=now_s, by=actor.user)
            repeated = CallRepeated(name, call, at_s=now_s, by=actor.user)
            self._write([drafted, repeated])
            return repeated

    def open_negotiation(
        self,
        actor: Actor,
        *,
        provider: str,
        application: str = "",
        call: str = "",
        organisation: str = "",
    ) -> NegotiationOpened | No:
        """Negotiate with whom a call selected, or, after its failures, with one provider directly.

        Args:
            application: the proposal; or
            call, organisation: the call that failed as often as its rule asks, and the provider.
        """
        require(actor, "supply.office")
        if NAME.fullmatch(provider) is None:
            expected = "a-z, 0-9, - _; at most 40"
            return no(Refusal.VALUE_IS_WRONG, "provider", found=provider[:40], expected=expected)
        with self._reading():
            way = self._selected(application) if application else self._direct(call, organisation)
            if isinstance(way, tuple):
                return way
            for one in self.supply.negotiations.values():
                same = (one.opened.call, one.opened.organisation) == (way.call, way.organisation)
                if same and one.ended != "broken_off":
                    return no(Refusal.NEGOTIATION_IS_OPEN, negotiation=one.opened.negotiation)
            event = msgspec.structs.replace(
                way,
                negotiation=f"n-{len(self.supply.negotiations) + 1:04d}",
                provider=provider,
                by=actor.user,
            )
            self._write([event])
            return event

    def offer(
        self, actor: Actor, negotiation: str, offer: SupplyOffer, *, note: str = ""
    ) -> OfferMade | No:
        """Offer terms to the other side; each side may, as often as it takes."""
        with self._reading() as tables:
            state = self._negotiation(actor, negotiation)
            if not isinstance(state, NegotiationState):
                return state
            call = tables.calls[state.opened.call]
            problems = check_offer(offer, call, limit_krw=state.opened.limit_krw)
            if len(note) > TEXT_MAX:
                problems += no(Refusal.FIELD_IS_TOO_LONG, "note", length_max=TEXT_MAX)
            if problems:
                return problems
            number = len(state.offers) + 1
            if number > OFFERS_MAX:
                return no(Refusal.NEGOTIATION_IS_OVER)
            digest = digest_of(negotiation, number, offer)
            event = OfferMade(
                negotiation,
                number,
                side_of(actor),
                offer,
                digest,
                note,
                at_s=self.clock.now_s(),
                by=actor.user,
            )
            self._write([event])
            return event

    def break_off(self, actor: Actor, negotiation: str, *, cause: str) -> NegotiationBrokenOff | No:
        """End a negotiation without an agreement; the next in rank may be asked."""
        require(actor, "supply.office")
        with self._reading():
            state = self._negotiation(actor, negotiation)
            if not isinstance(state, NegotiationState):
                return state
            if not is_told(cause):
                return no(Refusal.REQUEST_NEEDS_A_CAUSE, "cause")
            event = NegotiationBrokenOff(negotiation, cause, at_s=self.clock.now_s(), by=actor.user)
            self._write([event])
            return event

    def agree(
        self, actor: Actor, negotiation: str, *, digest: str, names: Sequence[str]
    ) -> SupplyAgreed | No:
        """Accept the other side's last offer, named by its digest; the agreement is signed.

        Args:
            names: who signs, both sides': at least two.
        """
        with self._reading():
            state = self._negotiation(actor, negotiation)
            if not isinstance(state, NegotiationState):
                return state
            if digest not in {one.digest for one in state.offers}:
                return no(Refusal.OFFER_IS_UNKNOWN, "digest")
            last, opened = state.offers[-1], state.opened
            if digest != last.digest:
                return no(Refusal.OFFER_IS_NOT_THE_LAST, "digest")
            if side_of(actor) == last.side:
                return no(Refusal.OFFER_IS_ONES_OWN)
            signed = tuple(dict.fromkeys(one.strip() for one in names if one.strip()))
            is_good = all(len(one) <= NAME_LENGTH_MAX for one in signed)
            if not (2 <= len(signed) <= NAMES_MAX and is_good):
                return no(Refusal.AGREEMENT_NEEDS_NAMES, "names", found=len(signed), least=2)
            proposal = self.tables.applications.get(opened.application)
            if proposal is not None and proposal.declined_at_s is not None:
                return no(Refusal.PROPOSAL_IS_NOT_SELECTED)
            left_krw = self._left_krw(self.tables.calls[opened.call], opened.application)
            if last.offer.price_krw > left_krw:
                price_krw = last.offer.price_krw
                return no(Refusal.PRICE_IS_OVER_LIMIT, price_krw=price_krw, limit_krw=left_krw)
            event = SupplyAgreed(
                f"s-{len(self.supply.agreements) + 1:04d}",
                negotiation,
                opened.call,
                opened.application,
                opened.organisation,
                opened.provider,
                last.offer,
                last.number,
                digest,
                signed,
                at_s=self.clock.now_s(),
                by=actor.user,
            )
            self._write([event])
            return event

    def _supply_call(self, call: str) -> Call | No:
        terms = self.tables.calls.get(call)
        if terms is None:
            return no(Refusal.CALL_IS_UNKNOWN)
        return terms if terms.kind == "supply" else no(Refusal.CALL_IS_FOR_DEMAND)

    def _negotiation(self, actor: Actor, negotiation: str) -> NegotiationState | No:
        state = self.supply.negotiations.get(negotiation)
        require(actor, "supply.provide", owner=state.opened.provider if state else actor.provider)
        if state is None:
            return no(Refusal.NEGOTIATION_IS_UNKNOWN)
        return no(Refusal.NEGOTIATION_IS_OVER) if state.ended else state

    def _selected(self, application: str) -> NegotiationOpened | No:
        """Return the negotiation of a proposal that was selected, or that what is left pays for."""
        state = self.tables.applications.get(application)
        if state is None:
            return no(Refusal.APPLICATION_IS_UNKNOWN)
        call = self._supply_call(state.submitted.call)
        if not isinstance(call, Call):
            return call
        decided, price_krw = state.decided, int(state.answers.get("price_krw") or 0)
        left_krw = self._left_krw(call, application)
        if decided is None or decided.decision == "rejected" or state.declined_at_s is not None:
            return no(Refusal.PROPOSAL_IS_NOT_SELECTED)
        is_selected = decided.decision == "selected"
        wish_krw = decided.numbers["awarded_krw"] if is_selected else price_krw
        if wish_krw > left_krw:
            return no(Refusal.PRICE_IS_OVER_LIMIT, price_krw=wish_krw, limit_krw=left_krw)
        return self._opening(call.call, application, state.submitted.organisation, wish_krw)

    def _direct(self, call: str, organisation: str) -> NegotiationOpened | No:
        terms = self._supply_call(call)
        if not isinstance(terms, Call):
            return terms
        if not 0 < len(organisation.strip()) <= NAME_LENGTH_MAX:
            return no(Refusal.FIELD_IS_MISSING, "organisation")
        failures = self.supply.failures(call)
        if call not in self.supply.failed or not may_negotiate(terms, failures):
            needed = supply_of(terms).repeats + 1
            return no(Refusal.FAILURES_ARE_TOO_FEW, failures=failures, needed=needed)
        return self._opening(call, "", organisation.strip(), self._left_krw(terms, ""))

    def _opening(
        self, call: str, application: str, organisation: str, limit_krw: int
    ) -> NegotiationOpened:
        return NegotiationOpened(
            "", call, application, organisation, "", limit_krw, at_s=self.clock.now_s(), by=""
        )

    def _left_krw(self, call: Call, application: str) -> int:
        """Return what a call's budget has left beside the other awards and agreements."""
        agreed = [one for one in self.supply.agreements.values() if one.call == call.call]
        held = sum(one.offer.price_krw for one in agreed)
        done = {application, *(one.application for one in agreed)}
        ended = {one.opened.application for one in self.supply.negotiations.values()
                 if one.ended == "broken_off"}  # fmt: skip
        for name in self.tables.of_call[call.call]:
            state = self.tables.applications[name]
            if name in done or name in ended:
                continue
            is_given_up = state.declined_at_s is not None
            if state.decided and state.decided.decision == "selected" and not is_given_up:
                held += state.decided.numbers["awarded_krw"]
        return call.budget_krw - held


def _rejected(state: ApplicationState, failed: CallFailed) -> Decided:
    submitted = state.submitted
    return Decided(
        submitted.application,
        submitted.call,
        submitted.project,
        submitted.accelerator,
        "rejected",
        submitted.gpus,
        0,
        0,
        0,
        0,
        0,
        Reason.CALL_FAILED.value,
        {"bidders": failed.bidders, "bidders_min": failed.bidders_min},
        at_s=failed.at_s,
        by=failed.by,
    )
