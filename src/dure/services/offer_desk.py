"""Offers as screens use them: what is to be signed, until when, and the answer."""

from dataclasses import dataclass

from dure.core.programme import Refusal
from dure.services.access import Actor, may
from dure.services.awarding import Agreement
from dure.services.programme import Programme
from dure.services.programme_states import ApplicationState
from dure.services.refusing import Refused, refused
from dure.services.views import NEVER_S


@dataclass(frozen=True, slots=True)
class OfferRow:
    """An award as its team may answer it, or its place in line.

    Attributes:
        gpus: the size awarded; of one that waits, the size that it waits for.
        due_at_s: the first moment at which it is too late to answer; ``NEVER_S`` for none.
        signed_at_s, signed_by: ``NEVER_S`` and "" until it is signed; of one that waits, ahead.
        can_sign, can_decline: what may still be done.
        text_ko, text_en: the agreement as it would be, or was, signed.
        digest: SHA-256 of both.
    """

    application: str
    status: str
    accelerator: str
    gpus: int
    due_at_s: int
    signed_at_s: int
    signed_by: str
    can_sign: bool
    can_decline: bool
    text_ko: str
    text_en: str
    digest: str


class OfferDesk:
    """Answers to awards: read, accept, decline."""

    def __init__(self, programme: Programme) -> None:
        self._programme, self._tables = programme, programme.tables

    def offer(self, application: str, by: Actor) -> OfferRow | None:
        """Return an offer to whoever may read its application; None if there is none for them."""
        state = self._tables.applications.get(application)
        if state is None:
            return None
        submitted = state.submitted
        owners = (submitted.lead, submitted.project)
        if not any(may(by, "application.read", owner=one) for one in owners):
            return None
        return self._row(state)

    def accept(
        self, application: str, *, name: str, digest: str, by: Actor
    ) -> OfferRow | Refused | None:
        """Sign the agreement whose digest was read; None if there is nothing to sign."""
        return self._answered(
            application, self._programme.accept(by, application, name=name, digest=digest)
        )

    def decline(self, application: str, *, cause: str, by: Actor) -> OfferRow | Refused | None:
        """Give the award, or the place in line, up."""
        return self._answered(application, self._programme.decline(by, application, cause=cause))

    def _answered(self, application: str, answer: object) -> OfferRow | Refused | None:
        if isinstance(answer, Refusal):
            return refused(answer)
        return self._row(self._tables.applications[application])

    def _row(self, state: ApplicationState) -> OfferRow | None:
        was_open = state.status in ("declined", "lapsed")
        if state.decided is None or not (state.awarded_gpus or state.waits or was_open):
            return None
        name, signed = state.submitted.application, state.signed if state.has_signed else None
        if signed is not None and signed.text_ko:
            agreement: Agreement | Refusal = Agreement(name, signed.text_ko, signed.text_en)
        else:
            agreement = self._programme.agreement(name)
        if isinstance(agreement, Refusal):
            agreement = Agreement(name, "", "")
        is_open = state.status in ("offered", "selected", "waitlisted")
        offer = state.offer
        due_at_s = offer.due_at_s if offer and offer.due_at_s else NEVER_S
        is_late = NEVER_S < due_at_s <= self._programme.clock.now_s()
        return OfferRow(
            name,
            state.status,
            state.decided.accelerator,
            state.decided.gpus,
            due_at_s,
            signed.at_s if signed else NEVER_S,
            signed.name if signed else "",
            is_open and not is_late and signed is None,
            is_open,
            agreement.text_ko,
            agreement.text_en,
            agreement.digest,
        )
