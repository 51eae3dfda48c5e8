"""From the last review to the signed award."""

from dure.core.events.programme import AgreementSigned, AwardDeclined, Decided
from dure.core.programme import Refusal
from dure.services.access import Actor, require
from dure.services.office import Office
from dure.services.programme_states import ApplicationState
from dure.services.scoring import awards_by_rank, judged


class Awarding(Office):
    """The use cases from the last review to the signed award."""

    def decide(self, actor: Actor, call: str) -> tuple[Decided, ...] | Refusal:
        """Decide on every application of a call by its published rules, in order of rank.

        Where the call is rolling, on those that passed their stages by now; the rest goes on.
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
            self._write(events)
            return events

    def sign(self, actor: Actor, application: str) -> AgreementSigned | Refusal:
        """Sign the agreement on an award."""
        with self._reading() as tables:
            state = tables.applications.get(application)
            if state is None:
                return Refusal.APPLICATION_IS_UNKNOWN
            self._require_team(actor, "award.sign", state)
            event = self._signature(actor, state)
            if isinstance(event, AgreementSigned):
                self._write([event])
            return event

    def sign_all(self, actor: Actor, call: str) -> tuple[AgreementSigned, ...] | Refusal:
        """Note the agreements of a call that were signed on paper; for the office."""
        require(actor, "award.sign")
        with self._reading() as tables:
            if call not in tables.decided_at_s:
                return Refusal.CALL_IS_NOT_DECIDED
            answers = [
                self._signature(actor, tables.applications[name]) for name in tables.of_call[call]
            ]
            events = tuple(one for one in answers if isinstance(one, AgreementSigned))
            self._write(events)
            return events

    def decline(
        self, actor: Actor, application: str, *, cause: str = ""
    ) -> AwardDeclined | Refusal:
        """Give an award up before it is granted; its GPUs wait for the next in line."""
        with self._reading() as tables:
            state = tables.applications.get(application)
            if state is None:
                return Refusal.APPLICATION_IS_UNKNOWN
            self._require_team(actor, "award.decline", state)
            if any(one.application == application for one in self.supply.agreements.values()):
                return Refusal.AGREEMENT_IS_SIGNED
            if state.decided is None or state.status not in ("selected", "signed"):
                return Refusal.AWARD_IS_NOT_OFFERED
            submitted = state.submitted
            event = AwardDeclined(
                application,
                submitted.call,
                submitted.project,
                state.decided.accelerator,
                state.decided.gpus,
                cause,
                at_s=self.clock.now_s(),
                by=actor.user,
            )
            self._write([event])
            return event

    def _signature(self, actor: Actor, state: ApplicationState) -> AgreementSigned | Refusal:
        if self.tables.calls[state.submitted.call].kind == "supply":
            # What a provider signs is negotiated first: ``Supplying.agree``.
            return Refusal.CALL_IS_FOR_SUPPLY
        if state.signed_at_s is not None:
            return Refusal.AGREEMENT_IS_SIGNED
        if state.decided is None or state.status != "selected":
            return Refusal.AWARD_IS_NOT_OFFERED
        submitted = state.submitted
        return AgreementSigned(
            submitted.application,
            submitted.call,
            submitted.project,
            state.decided.gpus,
            at_s=self.clock.now_s(),
            by=actor.user,
        )
