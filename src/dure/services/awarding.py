"""From the last review to the signed agreement and its allocation."""

import hashlib
from dataclasses import dataclass

from dure.core.calendar import months_later_s
from dure.core.calls.charges import gpu_hour_krw
from dure.core.events import Event
from dure.core.events.offers import AgreementSigned, AwardDeclined, OfferLapsed
from dure.core.events.programme import Decided
from dure.core.offers import offers_of
from dure.core.programme import Refusal
from dure.reports.agreement import agreement_text
from dure.reports.formats import LANGS
from dure.services.access import Actor, require
from dure.services.granting import granted
from dure.services.programme_states import ApplicationState
from dure.services.promoting import Promoting
from dure.services.scoring import awards_by_rank, judged

NAME_LENGTH_MAX = 80


@dataclass(frozen=True, slots=True)
class Agreement:
    """What a project signs: the text in both languages, and the SHA-256 of both."""

    application: str
    text_ko: str
    text_en: str

    @property
    def digest(self) -> str:
        return hashlib.sha256(f"{self.text_ko}\n{self.text_en}".encode()).hexdigest()


class Awarding(Promoting):
    """The use cases from the last review to the signed agreement and its allocation."""

    def decide(self, actor: Actor, call: str) -> tuple[Decided, ...] | Refusal:
        """Decide on every application of a call by its published rules, in order of rank.

        Whoever is selected is offered its award in the same transaction. Where the call is
        rolling, those are decided on that passed their stages by now; the rest goes on.
        """
        require(actor, "award.decide")
        with self._reading() as tables:
            now_s = self.clock.now_s()
            found = judged(tables, call, now_s=now_s, sizing=self.sizing)
            if isinstance(found, Refusal):
                return found
            if found.call.rule != "rank":
                # The optimum is put before the committee first.
                return Refusal.RULE_NEEDS_MINUTES
            awards = awards_by_rank(found)
            if isinstance(awards, Refusal):
                return awards
            events = found.decided(awards, at_s=now_s, by=actor.user)
            self._write([*events, *offers_of(found.call, events)])
            return events

    def agreement(self, application: str) -> Agreement | Refusal:
        """Return what is to be signed: for an award, or ahead of it by one that waits."""
        state = self.tables.applications.get(application)
        if state is None:
            return Refusal.APPLICATION_IS_UNKNOWN
        call, policy = self.tables.calls[state.submitted.call], self.policy_of(state.submitted.call)
        # With providers other things are agreed on.
        is_open = call.kind == "demand" and (state.awarded_gpus > 0 or state.waits)
        if state.decided is None or not is_open:
            return Refusal.AWARD_IS_NOT_OFFERED
        starts_at_s = months_later_s(call.starts_at_s, state.decided.from_month)
        price_krw = gpu_hour_krw(call.charges, state.answers)
        texts = [
            agreement_text(
                lang,
                call,
                state.submitted,
                state.decided,
                policy,
                starts_at_s=starts_at_s,
                price_krw=price_krw,
            )
            for lang in LANGS
        ]
        return Agreement(application, *texts)

    def accept(
        self, actor: Actor, application: str, *, name: str, digest: str
    ) -> tuple[Event, ...] | Refusal:
        """Sign the agreement on an award: the allocation is granted with it.

        One that waits signs ahead, and gets its allocation as soon as its turn comes.

        Args:
            name: of the person who signs, as they write it.
            digest: of the text that was read (``agreement``); another one is refused.
        """
        with self._reading() as tables:
            state = tables.applications.get(application)
            if state is None:
                return Refusal.APPLICATION_IS_UNKNOWN
            self._require_team(actor, "award.sign", state)
            refusal = self._not_to_be_signed(state)
            if refusal is not None:
                return refusal
            agreement = self.agreement(application)
            if isinstance(agreement, Refusal):
                return agreement
            assert state.decided is not None
            if digest != agreement.digest:
                return Refusal.DIGEST_DIFFERS
            if not 0 < len(name.strip()) <= NAME_LENGTH_MAX:
                return Refusal.SIGNATURE_NEEDS_A_NAME
            now_s, call = self.clock.now_s(), tables.calls[state.submitted.call]
            signed = AgreementSigned(
                application,
                call.call,
                state.submitted.project,
                state.decided.gpus,
                name.strip(),
                digest,
                agreement.text_ko,
                agreement.text_en,
                at_s=now_s,
                by=actor.user,
            )
            events: list[Event] = [signed]
            if not state.waits:
                from_s = max(months_later_s(call.starts_at_s, state.decided.from_month), now_s)
                was_waiting = state.decided.decision == "waitlisted"
                cause = "handover" if was_waiting else "award"
                gpus = state.decided.gpus
                events.append(granted(state, call, gpus, from_s, cause, now_s, actor.user))
            self._write(events)
            return tuple(events)

    def decline(
        self, actor: Actor, application: str, *, cause: str = ""
    ) -> tuple[Event, ...] | Refusal:
        """Give an award up, or one's place in line; what comes free goes to the next."""
        with self._reading() as tables:
            state = tables.applications.get(application)
            if state is None:
                return Refusal.APPLICATION_IS_UNKNOWN
            self._require_team(actor, "award.decline", state)
            if any(one.application == application for one in self.supply.agreements.values()):
                return Refusal.AGREEMENT_IS_SIGNED
            is_open = state.status in ("offered", "selected", "signed", "waitlisted")
            if state.decided is None or not is_open:
                return Refusal.AWARD_IS_NOT_OFFERED
            submitted = state.submitted
            event = AwardDeclined(
                application,
                submitted.call,
                submitted.project,
                state.decided.accelerator,
                state.awarded_gpus,
                cause,
                at_s=self.clock.now_s(),
                by=actor.user,
            )
            return self._write_and_promote([event], submitted.call)

    def lapse_offers(self, actor: Actor) -> tuple[Event, ...]:
        """End every offer whose time to answer is over; what comes free goes to the next."""
        require(actor, "offer.lapse")
        with self._reading() as tables:
            now_s = self.clock.now_s()
            lapsed = [
                OfferLapsed(
                    offer.application,
                    offer.call,
                    offer.project,
                    offer.accelerator,
                    offer.gpus,
                    offer.due_at_s,
                    at_s=now_s,
                    by=actor.user,
                )
                for state in tables.applications.values()
                if (offer := state.offer) is not None
                and state.status == "offered"
                and 0 < offer.due_at_s <= now_s
            ]
            return self._write_and_promote(lapsed, *sorted({one.call for one in lapsed}))

    def _not_to_be_signed(self, state: ApplicationState) -> Refusal | None:
        if state.allocation or (state.waits and state.has_signed):
            return Refusal.AGREEMENT_IS_SIGNED
        if state.status == "lapsed":
            return Refusal.OFFER_HAS_LAPSED
        # One that was signed in an earlier version has no allocation before it is signed anew.
        if state.status not in ("offered", "selected", "signed", "waitlisted"):
            return Refusal.AWARD_IS_NOT_OFFERED
        due_at_s = state.offer.due_at_s if state.offer else 0
        if 0 < due_at_s <= self.clock.now_s():
            return Refusal.OFFER_HAS_LAPSED
        return None
