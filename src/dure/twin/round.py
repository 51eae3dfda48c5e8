"""Hold a synthetic round: drive the programme's own use cases at the scenario's moments."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from dure.core.calendar import moment_s
from dure.core.events import Event
from dure.core.events.calls import CallDrafted
from dure.core.events.programme import ReviewGiven
from dure.core.programme import Refusal
from dure.services.access import Actor, Role
from dure.services.awarding import NAME_LENGTH_MAX
from dure.services.intake import Marked
from dure.services.programme import Programme
from dure.services.programme_states import ApplicationState
from dure.services.taking import Arrival
from dure.twin.applications import (
    CallModel,
    Imagined,
    RoundModel,
    imagine_applications,
    imagine_marks,
    imagine_reviewers,
    read_round,
)

OPERATOR = Actor("operator-imagined", frozenset({Role.OPERATOR}))
MEMBERS = ("committee-imagined",)
Step = tuple[int, Callable[[], None]]
# Of those who wait, so many sign the agreement ahead of their turn: an assumption.
SIGNS_AHEAD = 0.7


@dataclass(frozen=True, slots=True)
class Held:
    """What came of the calls: a report each, and what the imagined proposals were worth."""

    reports: Mapping[str, Mapping[str, Any]]
    worth: Mapping[str, float]


def hold_round(
    programme: Programme,
    move_to: Callable[[int], None],
    *,
    seed: int,
    model: RoundModel | None = None,
) -> Held:
    """Hold all calls of a round, from the first opening to the last agreement, in order of time.

    Args:
        programme: of the pool in which the scenario plays.
        move_to: sets the clock that ``programme`` reads; moments only grow.
        seed: equal seeds give equal events.
        model: the round's parameters; those of round 2026-1 unless given.

    Returns:
        The calls' reports as decided, before anybody declined; the last call of the model has the
        published figures beside it.
    """
    model = model or read_round()
    rng = np.random.default_rng([seed, 2026, 1])
    calls = [_Call(programme, model, call, rng) for call in model.calls]
    steps = [step for call in calls for step in call.steps()]
    # A stable sort: steps of one moment keep the order of the model's calls.
    for at_s, step in sorted(steps, key=lambda step: step[0]):
        move_to(at_s)
        step()
    published = model.published
    reports: dict[str, Mapping[str, Any]] = {call.model.terms.call: call.report for call in calls}
    last = calls[-1].model.terms.call
    compared = programme.round_report(last, published)
    assert not isinstance(compared, Refusal)
    reports[last] = compared
    return Held(reports, {name: worth for call in calls for name, worth in call.worth.items()})


class _Call:
    """One call on its way; draws at the start, so that calls do not disturb each other's chance."""

    def __init__(
        self, programme: Programme, model: RoundModel, call: CallModel, rng: np.random.Generator
    ) -> None:
        self.programme, self.round, self.model = programme, model, call
        self.applications_rng, self.reviewers_rng, self.marks_rng, self.people_rng = rng.spawn(4)
        self.worth: dict[str, float] = {}
        self.report: Mapping[str, Any] = {}
        self.reviewers, self.adds = imagine_reviewers(model, self.reviewers_rng)

    def steps(self) -> list[Step]:
        call = self.model
        return [
            (call.terms.opens_at_s, self._publish),
            (call.terms.closes_at_s, self._apply),
            (moment_s(call.reviewed_from), self._assign),
            (moment_s(call.reviewed_to), self._review),
            (moment_s(call.decided), self._decide),
            (moment_s(call.declined), self._decline),
            (moment_s(call.signed), self._sign),
        ]

    def _publish(self) -> None:
        drafted = self.programme.draft_call(OPERATOR, self.model.terms)
        assert isinstance(drafted, CallDrafted), drafted
        _taken(self.programme.publish_call(OPERATOR, self.model.terms.call))

    def _apply(self) -> None:
        """Take in what came until the closing moment, each with its own."""
        imagined = imagine_applications(self.round, self.model, self.applications_rng)
        answers = self.programme.apply_many(
            self.model.terms.call, [_arrival(one) for one in imagined], synthetic=True
        )
        for one, answer in zip(imagined, answers, strict=True):
            assert not isinstance(answer, tuple), f"{one.fields}: {answer}"
            self.worth[answer.application] = one.worth

    def _assign(self) -> None:
        call = self.model.terms
        for stage in call.stages:
            _taken(
                self.programme.assign_reviewers(
                    OPERATOR, call.call, self.reviewers, stage=stage.stage
                )
            )

    def _review(self) -> None:
        """Give all reviews, spread over the time that reviewers had."""
        asked = [
            (name, reviewer, stage)
            for name in self.programme.tables.of_call[self.model.terms.call]
            for stage, reviewer in self.programme.tables.applications[name].asked
        ]
        from_s, to_s = moment_s(self.model.reviewed_from), moment_s(self.model.reviewed_to)
        moments = np.sort(self.marks_rng.integers(from_s, to_s, size=len(asked)))
        order = self.marks_rng.permutation(len(asked))
        marked = [
            self._mark(int(at_s), *asked[int(which)])
            for at_s, which in zip(moments, order, strict=True)
        ]
        answers = self.programme.review_many(marked, synthetic=True)
        assert all(isinstance(one, ReviewGiven) for one in answers)

    def _mark(self, at_s: int, application: str, reviewer: str, stage: str) -> Marked:
        marks = imagine_marks(
            self.round,
            list(self.model.terms.rubric),
            worth=self.worth[application],
            adds=self.adds[reviewer],
            rng=self.marks_rng,
        )
        return Marked(at_s, Actor(reviewer, frozenset({Role.REVIEWER})), application, marks, stage)

    def _decide(self) -> None:
        call = self.model.terms
        if call.rule == "optimum":
            proposed = self.programme.propose(OPERATOR, call.call)
            assert not isinstance(proposed, Refusal), proposed
            number, digest = proposed.number, proposed.digest
            _taken(
                self.programme.sign_minutes(
                    OPERATOR, call.call, number=number, digest=digest, names=MEMBERS
                )
            )
        else:
            _taken(self.programme.decide(OPERATOR, call.call))
        report = self.programme.round_report(self.model.terms.call)
        assert not isinstance(report, Refusal)
        self.report = report

    def _decline(self) -> None:
        selected = [
            state.submitted
            for name in self.programme.tables.of_call[self.model.terms.call]
            if (state := self.programme.tables.applications[name]).status == "offered"
        ]
        count = min(self.model.declines, len(selected))
        chosen = self.people_rng.choice(len(selected), size=count, replace=False)
        for which in sorted(int(one) for one in chosen):
            lead = Actor(selected[which].lead, frozenset({Role.APPLICANT}))
            application = selected[which].application
            _taken(self.programme.decline(lead, application, cause="other-funding"))

    def _sign(self) -> None:
        """Let every lead sign whose offer is open, and some of those who wait."""
        for name in self.programme.tables.of_call[self.model.terms.call]:
            state = self.programme.tables.applications[name]
            if state.status == "offered" or (
                state.waits and self.people_rng.random() < SIGNS_AHEAD
            ):
                _taken(accepted(self.programme, state))


def accepted(programme: Programme, state: ApplicationState) -> tuple[Event, ...] | Refusal:
    """Have an imagined lead read the agreement and sign it."""
    lead = Actor(state.submitted.lead, frozenset({Role.APPLICANT}))
    application = state.submitted.application
    agreement = programme.agreement(application)
    if isinstance(agreement, Refusal):
        return agreement
    name = f"{state.submitted.organisation} {state.submitted.lead}"[:NAME_LENGTH_MAX]
    return programme.accept(lead, application, name=name, digest=agreement.digest)


def _arrival(one: Imagined) -> Arrival:
    return Arrival(one.at_s, Actor(one.lead, frozenset({Role.APPLICANT})), one.fields)


def _taken(answer: Event | tuple[Event, ...] | Refusal) -> None:
    """A refusal within the scenario is our mistake."""
    assert not isinstance(answer, Refusal), answer
