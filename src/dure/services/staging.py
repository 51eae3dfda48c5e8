"""Applications on their way through the stages of their call."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from dure.core.calls.model import Call, Stage
from dure.core.calls.stages import (
    Act,
    OpenStage,
    Outcome,
    Standing,
    interim_of,
    interim_standing,
    outcome_of,
    passing,
    standing_of,
    way_of,
)
from dure.core.events import Event
from dure.core.events.calls import ChecklistFilled, StageConcluded, VoteCast
from dure.core.programme import Refusal
from dure.core.review import Review, comparable, weighted_milli
from dure.core.supply.measures import computed_marks
from dure.services.access import Actor, may, require
from dure.services.office import Office
from dure.services.programme_states import ApplicationState
from dure.services.programme_tables import ProgrammeTables


class Staging(Office):
    """The use cases of stages that are no reviews: checklists, votes, decisions, closings."""

    def standing(self, application: str) -> Standing | Refusal:
        """Return where an application is; of an award, where it is with its interim stage."""
        state = self.tables.applications.get(application)
        if state is None:
            return Refusal.APPLICATION_IS_UNKNOWN
        return standing_in(self.tables, state)

    def tick(
        self,
        actor: Actor,
        application: str,
        stage: str,
        items: Mapping[str, bool],
        *,
        note: str = "",
    ) -> tuple[Event, ...] | Refusal:
        """Go through a stage's checklist; when every item is in order, the stage is passed."""
        with self._reading() as tables:
            found = self._open(actor, tables, application, stage, Act.TICK)
            if isinstance(found, Refusal):
                return found
            state, here = found
            if not items or not set(items) <= set(here.stage.checklist):
                return Refusal.ITEM_IS_UNKNOWN
            event = ChecklistFilled(
                application,
                state.submitted.call,
                stage,
                dict(items),
                note,
                at_s=self.clock.now_s(),
                by=actor.user,
            )
            return self._write_and_conclude(tables, [state], [event])

    def vote(
        self, actor: Actor, application: str, stage: str, *, recognises: bool, cause: str = ""
    ) -> tuple[Event, ...] | Refusal:
        """Recognise an application, or not; the majority of all votes counts once all are cast."""
        with self._reading() as tables:
            found = self._open(actor, tables, application, stage, Act.VOTE)
            if isinstance(found, Refusal):
                return found
            state, _ = found
            if actor.user not in state.asked_in(stage):
                return Refusal.REVIEWER_IS_NOT_ASSIGNED
            if actor.user in state.votes.get(stage, {}):
                return Refusal.VOTE_IS_CAST
            event = VoteCast(
                application,
                state.submitted.call,
                stage,
                actor.user,
                recognises,
                cause,
                at_s=self.clock.now_s(),
                by=actor.user,
            )
            return self._write_and_conclude(tables, [state], [event])

    def conclude(
        self, actor: Actor, application: str, stage: str, *, outcome: Outcome, cause: str = ""
    ) -> StageConcluded | Refusal:
        """Say that an application passed or failed a stage that a person decides."""
        with self._reading() as tables:
            found = self._open(actor, tables, application, stage, Act.CONCLUDE)
            if isinstance(found, Refusal):
                return found
            state, here = found
            if here.stage.passes == "checklist" and outcome == "passed":
                # What is not ticked is not in order; nobody can say otherwise.
                return Refusal.STAGE_TAKES_OTHER_INPUT
            event = self._conclusion(state, stage, outcome, "decision", actor.user, cause=cause)
            self._write([event])
            return event

    def close_stage(
        self, actor: Actor, call: str, stage: str
    ) -> tuple[StageConcluded, ...] | Refusal:
        """Compare all applications in a stage of ``score_line`` or ``top``, and let the best on.

        Where the call is rolling, those whose reviews are in are compared; otherwise all must be.
        """
        require(actor, "stage.office")
        with self._reading() as tables:
            terms = tables.calls.get(call)
            here = terms.stage(stage) if terms is not None else None
            if terms is None or here is None:
                return Refusal.STAGE_IS_UNKNOWN
            if here.passes not in ("score_line", "top"):
                return Refusal.STAGE_TAKES_OTHER_INPUT
            ready, lacks = self._in_stage(tables, terms, here)
            if not ready:
                return Refusal.STAGE_IS_NOT_OPEN
            if lacks and not terms.rolling:
                return Refusal.REVIEWS_ARE_MISSING
            scores = stage_scores(ready, terms).score_milli.get(stage, {})
            passes = passing(here, scores)
            if isinstance(passes, Refusal):
                return passes
            events = tuple(
                self._conclusion(
                    state,
                    stage,
                    "passed" if state.submitted.application in passes else "failed",
                    here.passes,
                    actor.user,
                    score_milli=scores[state.submitted.application],
                    numbers={"line_milli": here.line_milli, "top": here.top, "of": len(ready)},
                )
                for state in ready
            )
            self._write(events)
            return events

    def _in_stage(
        self, tables: ProgrammeTables, call: Call, stage: Stage
    ) -> tuple[list[ApplicationState], int]:
        """Return who may be compared in a stage now, and how many still lack something."""
        ready, lacks = [], 0
        for name in tables.of_call[call.call]:
            state = tables.applications[name]
            if state.is_withdrawn or state.decided is not None:
                continue
            if not any(stage in group for group in way_of(call, state.answers)):
                continue
            standing = standing_in(tables, state)
            for one in standing.open:
                if any(act is Act.CLOSE for act, _ in one.may) and one.stage == stage:
                    ready.append(state)
                    break
            else:
                # Those still before the stage could come to it; those behind or out cannot.
                comes = not standing.failed_in and not standing.is_ready
                lacks += comes and stage.stage not in standing.passed
        return ready, lacks

    def _open(
        self, actor: Actor, tables: ProgrammeTables, application: str, stage: str, act: Act
    ) -> tuple[ApplicationState, OpenStage] | Refusal:
        state = tables.applications.get(application)
        if state is None:
            require(actor, "stage.office")
            return Refusal.APPLICATION_IS_UNKNOWN
        here = tables.calls[state.submitted.call].stage(stage)
        if here is None:
            require(actor, "stage.office")
            return Refusal.STAGE_IS_UNKNOWN
        action, owner = _door_of(actor, here, state)
        require(actor, action, owner=owner)
        if state.is_withdrawn:
            return Refusal.APPLICATION_IS_WITHDRAWN
        if state.decided is not None and here.kind != "interim":
            return Refusal.APPLICATION_IS_DECIDED
        for one in standing_in(tables, state).open:
            if one.stage.stage == stage:
                takes = any(may is act for may, _ in one.may)
                return (state, one) if takes else Refusal.STAGE_TAKES_OTHER_INPUT
        return Refusal.STAGE_IS_NOT_OPEN

    def _write_and_conclude(
        self, tables: ProgrammeTables, states: Sequence[ApplicationState], events: Sequence[Event]
    ) -> tuple[Event, ...]:
        """Write what came in; then, as the folded tables say, which stages that concluded."""
        self._write(events)
        ends = tuple(self._conclusions(tables, states))
        self._write(ends)
        return (*events, *ends)

    def _conclusions(
        self, tables: ProgrammeTables, states: Sequence[ApplicationState]
    ) -> Iterator[StageConcluded]:
        for state in states:
            call = tables.calls[state.submitted.call]
            facts = state.stage_facts(call)
            for stage in call.stages:
                end = outcome_of(stage, facts[stage.stage])
                if end is None or stage.stage in state.concluded:
                    continue
                scores = facts[stage.stage].scores_milli
                yield self._conclusion(
                    state,
                    stage.stage,
                    end,
                    stage.passes,
                    f"rule:{stage.passes}",
                    score_milli=sum(scores) // len(scores) if scores else 0,
                    numbers={"votes_for": sum(facts[stage.stage].votes)} if state.votes else {},
                )

    def _conclusion(
        self,
        state: ApplicationState,
        stage: str,
        outcome: Outcome,
        rule: str,
        by: str,
        *,
        score_milli: int = 0,
        numbers: Mapping[str, int] | None = None,
        cause: str = "",
    ) -> StageConcluded:
        return StageConcluded(
            state.submitted.application,
            state.submitted.call,
            stage,
            outcome,
            rule,
            score_milli,
            dict(numbers or {}),
            cause,
            at_s=self.clock.now_s(),
            by=by,
        )


def _door_of(actor: Actor, stage: Stage, state: ApplicationState) -> tuple[str, str | None]:
    """Return the action that a stage of one application is, and as whose own the actor does it.

    Of a committee those who were asked for the application answer, of providers those that the
    stage names; the office always.
    """
    match stage.role:
        case "operator":
            return "stage.office", None
        case "provider":
            return "stage.provider", actor.provider if actor.provider in stage.providers else None
        case _:
            is_asked = actor.user in state.asked_in(stage.stage)
            return "stage.committee", actor.user if is_asked else None


def answers_for(actor: Actor, stage: Stage, state: ApplicationState) -> bool:
    """Tell whether an actor may say what becomes of an application in a stage."""
    action, owner = _door_of(actor, stage, state)
    return may(actor, action, owner=owner)


def judges(actor: Actor, tables: ProgrammeTables, state: ApplicationState) -> bool:
    """Tell whether somebody was asked to judge an application, or inspects it for a provider.

    A provider's people have nothing to do with it before it comes to a stage that names them.
    """
    if any(name == actor.user for _, name in state.asked):
        return True
    stages = tables.calls[state.submitted.call].stages
    mine = [one.stage for one in stages if one.role == "provider" if answers_for(actor, one, state)]
    if not mine:
        return False
    standing = standing_in(tables, state)
    return any(one in (*standing.passed, standing.failed_in) or standing.is_in(one) for one in mine)


def standing_in(tables: ProgrammeTables, state: ApplicationState) -> Standing:
    """Return where an application is on its way; of an award, in the stage that gates its rest."""
    call = tables.calls[state.submitted.call]
    facts = state.stage_facts(call)
    if state.allocation:
        interim = interim_of(call, state.answers)
        if interim is None:
            return Standing()
        from_s = tables.allocations[state.allocation].granted.from_s
        return interim_standing(interim, facts[interim.stage], from_s=from_s)
    from_s = state.submitted.at_s if call.rolling else call.closes_at_s
    return standing_of(call, state.answers, facts, from_s=from_s)


@dataclass(frozen=True, slots=True)
class StageScores:
    """Comparable scores, plain means and half intervals by stage and application, thousandths."""

    score_milli: Mapping[str, Mapping[str, int]]
    raw_milli: Mapping[str, Mapping[str, int]]
    half_milli: Mapping[str, Mapping[str, int]]


def stage_scores(states: Sequence[ApplicationState], call: Call) -> StageScores:
    """Take the reviewers' severity out of the marks of all stages.

    It is found over all stages together; an application's worth is its own in each: an oral may
    show what was not on paper.
    """
    rubrics = {one.stage: call.criteria_of(one) for one in call.stages}
    place = {
        f"{state.submitted.application}/{one.stage}": (one.stage, state.submitted.application)
        for state in states
        for one in state.reviews
    }
    worked_out = {
        state.submitted.application: computed_marks(call, state.answers) for state in states
    }
    found = comparable(
        [
            Review(
                f"{one.application}/{one.stage}",
                one.reviewer,
                weighted_milli({**one.marks, **worked_out[one.application]}, rubrics[one.stage]),
            )
            for state in states
            for one in state.reviews
        ]
    )

    def by_stage(milli: Mapping[str, int]) -> dict[str, dict[str, int]]:
        scores: dict[str, dict[str, int]] = {}
        for key, value in milli.items():
            stage, application = place[key]
            scores.setdefault(stage, {})[application] = value
        return scores

    return StageScores(
        by_stage(found.score_milli), by_stage(found.raw_milli), by_stage(found.half_milli)
    )
