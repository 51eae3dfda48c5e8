"""From reviews to what the share-out decides on, and from its awards to the events."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from dure.core.awards import Award, Candidate, Reason, award_by_rank
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
from dure.core.events.programme import ApplicationSubmitted, Decided, Work
from dure.core.lottery import drawn
from dure.core.programme import Refusal
from dure.core.review import MARK_MAX
from dure.core.sizing import DAY_S, WORK_NUMBERS, PastUse, Sizing, needed_gpus
from dure.core.supply.measures import supply_of
from dure.core.supply.shares import Proposal, share_supply
from dure.services.programme_states import ApplicationState
from dure.services.programme_tables import ProgrammeTables
from dure.services.staging import StageScores, stage_scores, standing_in


@dataclass(frozen=True, slots=True)
class Judged:
    """A call that can be decided: its candidates with their scores, and who failed a stage.

    Attributes:
        call: its capacity is what is left of it.
        score_milli, raw_milli, half_milli: final scores, plain means, half of the intervals.
        failed: stage by application.
        late: applications whose leads were late with their reviews of others.
    """

    call: Call
    states: Mapping[str, ApplicationState]
    score_milli: Mapping[str, int]
    raw_milli: Mapping[str, int]
    half_milli: Mapping[str, int]
    candidates: tuple[Candidate, ...]
    failed: Mapping[str, str]
    late: frozenset[str] = frozenset()

    def decided(self, awards: Sequence[Award], *, at_s: int, by: str) -> tuple[Decided, ...]:
        """Make the event of each award, and of each application that failed a stage."""
        return (
            *(self._decided(award, at_s, by) for award in awards),
            *(self._failed(name, stage, at_s, by) for name, stage in self.failed.items()),
            *(self._failed(name, "", at_s, by) for name in sorted(self.late)),
        )

    def _decided(self, award: Award, at_s: int, by: str) -> Decided:
        name, state = award.application, self.states[award.application]
        submitted, numbers = state.submitted, dict(award.numbers)
        if preference := preference_milli(self.call, state.answers):
            numbers["preference_milli"] = preference
        return Decided(
            name,
            submitted.call,
            submitted.project,
            award.accelerator,
            award.decision,
            submitted.gpus,
            award.gpus,
            self.score_milli[name],
            self.raw_milli[name],
            award.rank,
            award.position,
            award.reason.value,
            numbers,
            from_month=award.from_month,
            half_milli=self.half_milli[name],
            at_s=at_s,
            by=by,
        )

    def _failed(self, name: str, stage: str, at_s: int, by: str) -> Decided:
        state = self.states[name]
        submitted, end = state.submitted, state.concluded.get(stage)
        return Decided(
            name,
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
            (Reason.STAGE_FAILED if stage else Reason.PEER_REVIEW_LATE).value,
            {"asked_gpus": submitted.gpus, **(end.numbers if end else {})},
            stage,
            at_s=at_s,
            by=by,
        )


def judged(
    tables: ProgrammeTables, call: str, *, now_s: int, sizing: Sizing, draws: bool = True
) -> Judged | Refusal:
    """Return what can be decided on; a refusal while the call is open, decided or half reviewed.

    Where the call is rolling, those who passed their stages by now; the rest goes on.

    Args:
        draws: a call with a lottery is refused until its lots are drawn.
    """
    published = _closed_call(tables, call, now_s)
    if isinstance(published, Refusal):
        return published
    states = {
        name: state
        for name in tables.of_call[call]
        if not (state := tables.applications[name]).is_withdrawn and state.decided is None
    }
    standings = {name: standing_in(tables, one) for name, one in states.items()}
    open_ = [one for one in standings.values() if one.open]
    if open_ and not published.rolling:
        return _what_is_open(open_)
    late = _late_peers(tables, published, states)
    ready = {
        name: one for name, one in states.items() if standings[name].is_ready and name not in late
    }
    failed = {
        name: standings[name].failed_in
        for name in states
        if standings[name].failed_in and name not in late
    }
    if open_ and not ready and not failed:
        return Refusal.STAGES_ARE_OPEN
    # Whatever small requests took at once, and earlier decisions of a rolling call, is gone.
    free = {kind: max(0, tables.free_gpus(call, kind)) for kind in published.capacity}
    rest = msgspec.structs.replace(published, capacity=free)
    # Of the whole call, so that severity rests on all that a reviewer marked.
    found = stage_scores([tables.applications[name] for name in tables.of_call[call]], published)
    score_milli = {name: final_score(published, one, found) for name, one in ready.items()}
    candidates = [
        _candidate(tables, one, score_milli[name], published, sizing) for name, one in ready.items()
    ]
    draw = tables.lots.get(call)
    if draw is not None:
        lots = {name: (edge_milli, lot) for name, edge_milli, lot in draw.lots}
        candidates = drawn(candidates, lots)
    elif published.lottery is not None and published.rule == "rank" and draws:
        return Refusal.LOTS_ARE_NOT_DRAWN
    return Judged(
        rest,
        states,
        score_milli,
        {name: _weighed(published, one, found.raw_milli) for name, one in ready.items()},
        {name: _weighed(published, one, found.half_milli) for name, one in ready.items()},
        tuple(candidates),
        failed,
        late,
    )


def _closed_call(tables: ProgrammeTables, call: str, now_s: int) -> Call | Refusal:
    """Return a call that takes no more applications and is not decided, or any rolling one."""
    published = tables.calls.get(call)
    if published is None:
        return Refusal.CALL_IS_UNKNOWN
    if not published.rolling:
        if now_s < published.closes_at_s:
            return Refusal.CALL_IS_STILL_OPEN
        if call in tables.decided_at_s:
            return Refusal.CALL_IS_DECIDED
    return published


def awards_by_rank(found: Judged) -> tuple[Award, ...] | Refusal:
    """Share a call's capacity, or a supply call's budget, down the rank."""
    if found.call.kind != "supply":
        return award_by_rank(found.candidates, found.call)
    if len(bidders(found.states.values())) < supply_of(found.call).bidders_min:
        return Refusal.BIDDERS_ARE_TOO_FEW
    return share_supply(proposals_of(found), found.call)


def bidders(states: Iterable[ApplicationState]) -> frozenset[str]:
    """Return the institutions that propose; several proposals of one are one bidder."""
    return frozenset(one.submitted.organisation for one in states if not one.is_withdrawn)


def proposals_of(found: Judged) -> list[Proposal]:
    """Return the proposals of a supply call that passed its stages."""
    return [
        Proposal(
            one.application,
            one.organisation,
            one.accelerator,
            one.asked_gpus,
            int(found.states[one.application].answers.get("price_krw") or 0),
            one.score_milli,
            int(found.states[one.application].answers.get("gpus_min") or 0),
        )
        for one in found.candidates
    ]


def _late_peers(
    tables: ProgrammeTables, call: Call, states: Mapping[str, ApplicationState]
) -> frozenset[str]:
    """Return the applications that the call refuses since their leads reviewed others too late."""
    if call.peer_review is None or not call.peer_review.late_is_refused:
        return frozenset()
    late = tables.late.get(call.call, set())
    return frozenset(name for name, one in states.items() if one.submitted.lead in late)


def final_score(call: Call, state: ApplicationState, found: StageScores) -> int:
    """Weigh an application's scores of all its stages into one, its preferences added."""
    milli = _weighed(call, state, found.score_milli)
    return min(milli + preference_milli(call, state.answers), MARK_MAX * 1000)


def stated_work(submitted: ApplicationSubmitted) -> Work:
    """Return the work as stated, with the call's own questions that right-sizing reads."""
    own = {name: submitted.answers.get(name) for name in WORK_NUMBERS}
    more = {
        name: value
        for name, value in own.items()
        if type(value) is int and not getattr(submitted.work, name)
    }
    method = submitted.work.method or str(submitted.answers.get("method", ""))
    return msgspec.structs.replace(submitted.work, method=method, **more)


def past_use(tables: ProgrammeTables, submitted: ApplicationSubmitted) -> PastUse:
    """Return what the checks measured of the project itself and of its lead's earlier ones."""
    projects = {submitted.project, *tables.led.get(submitted.lead, ())}
    checks = [one for project in sorted(projects) for one in tables.checks.get(project, ())]
    return PastUse(
        sum(one.to_s - one.from_s for one in checks) // DAY_S,
        sum(one.used_gpu_s for one in checks),
        sum(one.entitled_gpu_s for one in checks),
    )


def _weighed(call: Call, state: ApplicationState, by_stage: Mapping[str, Mapping[str, int]]) -> int:
    name = state.submitted.application
    own = {
        stage: by_application[name]
        for stage, by_application in by_stage.items()
        if name in by_application
    }
    way = [stage for group in way_of(call, state.answers) for stage in group]
    return final_milli(way, own)


def _candidate(
    tables: ProgrammeTables,
    state: ApplicationState,
    score_milli: int,
    call: Call,
    sizing: Sizing,
) -> Candidate:
    submitted = state.submitted
    evidence = needed_gpus(
        stated_work(submitted),
        accelerator=submitted.accelerator,
        months=submitted.months,
        sizing=sizing,
        past=past_use(tables, submitted),
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
        submitted.months,
        submitted.accepts,
        submitted.gpus_min,
    )


def _what_is_open(standings: Sequence[Standing]) -> Refusal:
    """Tell why a call cannot be decided yet: reviews that did not come in, or anything else."""
    needs = {need for one in standings for open_ in one.open for need, _ in open_.missing}
    if needs & {Need.REVIEWERS, Need.REVIEWS}:
        return Refusal.REVIEWS_ARE_MISSING
    return Refusal.STAGES_ARE_OPEN
