"""From reviews to what the share-out decides on, and from its awards to the events."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dure.core.awards import Award, Candidate
from dure.core.events.programme import ApplicationSubmitted, CallPublished, Decided
from dure.core.lottery import drawn
from dure.core.programme import Refusal
from dure.core.review import Comparable, Review, comparable, weighted_milli
from dure.core.sizing import DAY_S, PastUse, Sizing, needed_gpus
from dure.services.intake import is_large
from dure.services.programme_tables import ApplicationState, ProgrammeTables


@dataclass(frozen=True, slots=True)
class Judged:
    """A call whose reviews are complete: its applications, scores and candidates."""

    call: CallPublished
    states: Mapping[str, ApplicationState]
    scores: Comparable
    candidates: tuple[Candidate, ...]

    def decided(self, awards: Sequence[Award], *, at_s: int, by: str) -> tuple[Decided, ...]:
        """Make the event of each award."""
        return tuple(self._decided(award, at_s, by) for award in awards)

    def _decided(self, award: Award, at_s: int, by: str) -> Decided:
        submitted = self.states[award.application].submitted
        return Decided(
            award.application,
            submitted.call,
            submitted.project,
            award.accelerator,
            award.decision,
            submitted.gpus,
            award.gpus,
            self.scores.score_milli[award.application],
            self.scores.raw_milli[award.application],
            award.rank,
            award.position,
            award.reason.value,
            dict(award.numbers),
            award.from_month,
            self.scores.half_milli[award.application],
            at_s=at_s,
            by=by,
        )


def judged(
    tables: ProgrammeTables, call: str, *, now_s: int, sizing: Sizing, draws: bool = True
) -> Judged | Refusal:
    """Return what can be decided on; a refusal while the call is open, decided or half reviewed.

    Args:
        draws: a call with a lottery is refused until its lots are drawn.
    """
    published = tables.calls.get(call)
    if published is None:
        return Refusal.CALL_IS_UNKNOWN
    if now_s < published.closes_at_s:
        return Refusal.CALL_IS_STILL_OPEN
    if call in tables.decided_at_s:
        return Refusal.CALL_IS_DECIDED
    states = {
        name: state
        for name in tables.of_call[call]
        if not (state := tables.applications[name]).is_withdrawn
    }
    if any(_lacks_reviews(state, published) for state in states.values()):
        return Refusal.REVIEWS_ARE_MISSING
    scores = comparable(
        [
            Review(one.application, one.reviewer, weighted_milli(one.marks, published.rubric))
            for state in states.values()
            for one in state.reviews
        ]
    )
    candidates = tuple(
        _candidate(tables, state, scores, published, sizing) for state in states.values()
    )
    draw = tables.lots.get(call)
    if draw is not None:
        lots = {name: (edge_milli, lot) for name, edge_milli, lot in draw.lots}
        candidates = tuple(drawn(candidates, lots))
    elif published.lottery_band_milli and draws:
        return Refusal.LOTS_ARE_NOT_DRAWN
    return Judged(published, states, scores, candidates)


def past_use(tables: ProgrammeTables, submitted: ApplicationSubmitted) -> PastUse:
    """Return what the checks measured of the project itself and of its lead's earlier ones."""
    projects = {submitted.project, *tables.led.get(submitted.lead, ())}
    checks = [one for project in sorted(projects) for one in tables.checks.get(project, ())]
    return PastUse(
        sum(one.to_s - one.from_s for one in checks) // DAY_S,
        sum(one.used_gpu_s for one in checks),
        sum(one.entitled_gpu_s for one in checks),
    )


def _candidate(
    tables: ProgrammeTables,
    state: ApplicationState,
    scores: Comparable,
    call: CallPublished,
    sizing: Sizing,
) -> Candidate:
    submitted = state.submitted
    evidence = needed_gpus(
        submitted.work,
        accelerator=submitted.accelerator,
        months=submitted.months,
        sizing=sizing,
        past=past_use(tables, submitted),
    )
    return Candidate(
        submitted.application,
        call.tracks[submitted.group],
        submitted.organisation,
        submitted.accelerator,
        submitted.gpus,
        evidence or 0,
        scores.score_milli[submitted.application],
        submitted.months,
        submitted.accepts,
        submitted.gpus_min,
    )


def _lacks_reviews(state: ApplicationState, call: CallPublished) -> bool:
    stages = [one.stage for one in state.reviews]
    if stages.count("written") < call.reviews_each:
        return True
    return is_large(state.submitted, call) and stages.count("panel") < call.reviews_each
