"""From the last review to the signed award."""

from collections.abc import Mapping, Sequence

import msgspec

from dure.core.awards import Candidate, Reason, share_out
from dure.core.calls.model import Call
from dure.core.calls.stages import (
    Need,
    Standing,
    final_milli,
    is_preferred,
    preference_milli,
    track_of,
    way_of,
)
from dure.core.events.programme import (
    AgreementSigned,
    AwardDeclined,
    Decided,
)
from dure.core.programme import Refusal
from dure.core.review import MARK_MAX
from dure.core.sizing import needed_gpus
from dure.services.access import Actor, require
from dure.services.office import Office
from dure.services.programme_states import ApplicationState
from dure.services.programme_tables import ProgrammeTables
from dure.services.staging import stage_scores, standing_in


class Awarding(Office):
    """The use cases from the last review to the signed award."""

    def decide(self, actor: Actor, call: str) -> tuple[Decided, ...] | Refusal:
        """Decide on every application of a call by its published rules, in order of rank.

        Where the call is rolling, on those that passed their stages by now; the rest goes on.
        """
        require(actor, "award.decide")
        with self._reading() as tables:
            published = tables.calls.get(call)
            if published is None:
                return Refusal.CALL_IS_UNKNOWN
            if not published.rolling:
                if self.clock.now_s() < published.closes_at_s:
                    return Refusal.CALL_IS_STILL_OPEN
                if call in tables.decided_at_s:
                    return Refusal.CALL_IS_DECIDED
            states = [
                state
                for name in tables.of_call[call]
                if not (state := tables.applications[name]).is_withdrawn and state.decided is None
            ]
            standings = {_name(one): standing_in(tables, one) for one in states}
            open_ = [one for one in standings.values() if one.open]
            if open_ and not published.rolling:
                return _what_is_open(open_)
            ready = [one for one in states if standings[_name(one)].is_ready]
            failed = [one for one in states if standings[_name(one)].failed_in]
            if open_ and not ready and not failed:
                return Refusal.STAGES_ARE_OPEN
            events = (
                *self._awards(tables, ready, published, actor.user),
                *(self._failed(one, standings[_name(one)].failed_in, actor.user) for one in failed),
            )
            self._write(events)
            return events

    def _awards(
        self,
        tables: ProgrammeTables,
        ready: Sequence[ApplicationState],
        call: Call,
        by: str,
    ) -> tuple[Decided, ...]:
        """Share out what the call has left among those who passed all their stages."""
        states = {_name(one): one for one in ready}
        # Of the whole call, so that severity rests on all that a reviewer marked.
        everybody = [tables.applications[name] for name in tables.of_call[call.call]]
        fair, raw = stage_scores(everybody, call), stage_scores(everybody, call, raw=True)
        scores = {name: _final(call, state, fair) for name, state in states.items()}
        candidates = [self._candidate(one, scores[_name(one)], call) for one in ready]
        free = {kind: max(0, tables.free_gpus(call.call, kind)) for kind in call.capacity}
        # Whatever small requests took at once, and earlier decisions of a rolling call, is gone.
        rest = msgspec.structs.replace(call, capacity=free)
        events = []
        for award in share_out(candidates, rest):
            state = states[award.application]
            numbers = dict(award.numbers)
            if preference := preference_milli(call, state.answers):
                numbers["preference_milli"] = preference
            events.append(
                Decided(
                    award.application,
                    call.call,
                    state.submitted.project,
                    state.submitted.accelerator,
                    award.decision,
                    state.submitted.gpus,
                    award.gpus,
                    scores[award.application],
                    _final(call, state, raw, with_preference=False),
                    award.rank,
                    award.position,
                    award.reason.value,
                    numbers,
                    at_s=self.clock.now_s(),
                    by=by,
                )
            )
        return tuple(events)

    def _failed(self, state: ApplicationState, stage: str, by: str) -> Decided:
        submitted = state.submitted
        end = state.concluded.get(stage)
        return Decided(
            submitted.application,
            submitted.call,
            submitted.project,
            submitted.accelerator,
            "rejected",
            submitted.gpus,
            0,
            end.score_milli if end else 0,
            0,
            0,
            0,
            Reason.STAGE_FAILED.value,
            {"asked_gpus": submitted.gpus, **(end.numbers if end else {})},
            stage,
            at_s=self.clock.now_s(),
            by=by,
        )

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
            if state.decided is None or state.status not in ("selected", "signed"):
                return Refusal.AWARD_IS_NOT_OFFERED
            submitted = state.submitted
            event = AwardDeclined(
                application,
                submitted.call,
                submitted.project,
                submitted.accelerator,
                state.decided.gpus,
                cause,
                at_s=self.clock.now_s(),
                by=actor.user,
            )
            self._write([event])
            return event

    def _signature(self, actor: Actor, state: ApplicationState) -> AgreementSigned | Refusal:
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

    def _candidate(self, state: ApplicationState, score_milli: int, call: Call) -> Candidate:
        submitted = state.submitted
        evidence = needed_gpus(
            submitted.work,
            accelerator=submitted.accelerator,
            months=submitted.months,
            sizing=self.sizing,
        )
        return Candidate(
            submitted.application,
            track_of(call, state.answers),
            submitted.organisation,
            submitted.accelerator,
            submitted.gpus,
            evidence or 0,
            score_milli,
            is_preferred(call, state.answers),
        )


def _name(state: ApplicationState) -> str:
    return state.submitted.application


def _final(
    call: Call,
    state: ApplicationState,
    scores: Mapping[str, Mapping[str, int]],
    *,
    with_preference: bool = True,
) -> int:
    """Weigh an application's scores of all its stages into one, its preferences added."""
    own = {
        stage: by_application[_name(state)]
        for stage, by_application in scores.items()
        if _name(state) in by_application
    }
    way = [stage for group in way_of(call, state.answers) for stage in group]
    milli = final_milli(way, own)
    if with_preference:
        milli = min(milli + preference_milli(call, state.answers), MARK_MAX * 1000)
    return milli


def _what_is_open(standings: Sequence[Standing]) -> Refusal:
    """Tell why a call cannot be decided yet: reviews that did not come in, or anything else."""
    needs = {need for one in standings for open_ in one.open for need, _ in open_.missing}
    if needs & {Need.REVIEWERS, Need.REVIEWS}:
        return Refusal.REVIEWS_ARE_MISSING
    return Refusal.STAGES_ARE_OPEN
