"""Applications and reviews: everything that comes in before the decision."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dure.core.applications import Form, read_form
from dure.core.calls.model import WRITTEN
from dure.core.events import Event
from dure.core.events.programme import (
    ApplicationSubmitted,
    ApplicationWithdrawn,
    ReviewGiven,
)
from dure.core.programme import Problem, Refusal
from dure.core.review import check_marks
from dure.core.supply.measures import asked_in
from dure.services.access import Actor, require
from dure.services.inbox import Inbox
from dure.services.programme_states import ApplicationState
from dure.services.programme_tables import ProgrammeTables
from dure.services.staging import Staging, standing_in
from dure.services.taking import Arrival, at_once, check_who, take


@dataclass(frozen=True, slots=True)
class Marked:
    """A review as it came in: when, from whom, of what."""

    at_s: int
    actor: Actor
    application: str
    marks: Mapping[str, int]
    stage: str = WRITTEN


class Intake(Staging):
    """The use cases from the application to the last review."""

    def check_form(self, call: str, fields: Mapping[str, object]) -> tuple[Problem, ...]:
        """Return what is wrong with a form that is not handed in yet: fields and who applies."""
        published = self.tables.calls.get(call)
        if published is None:
            return (Problem("", Refusal.CALL_IS_UNKNOWN),)
        form = read_form(fields, published)
        if not isinstance(form, Form):
            return form
        return check_who(self.tables, published, form, 0, at_s=self.clock.now_s())

    def apply(
        self, actor: Actor, call: str, fields: Mapping[str, object], *, key: str = ""
    ) -> ApplicationSubmitted | tuple[Problem, ...]:
        """Hand in an application; the answer is its event, or everything that is wrong with it.

        The same key of the same person brings the first answer again.
        """
        arrival = Arrival(self.clock.now_s(), actor, fields, key)
        (answer,) = self.apply_many(call, [arrival])
        return answer

    def apply_many(
        self, call: str, arrivals: Sequence[Arrival], *, synthetic: bool = False
    ) -> tuple[ApplicationSubmitted | tuple[Problem, ...], ...]:
        """Take in applications that came at their own moments; all in one transaction."""
        for arrival in arrivals:
            project = str(arrival.fields.get("project", "") or "")
            owner = project or arrival.actor.user
            require(arrival.actor, "application.submit", owner=owner)
        with self._reading() as tables:
            published = tables.calls.get(call)
            if published is None:
                return tuple((Problem("", Refusal.CALL_IS_UNKNOWN),) for _ in arrivals)
            answers: list[ApplicationSubmitted | tuple[Problem, ...]] = []
            inbox = Inbox(tables.inboxes[call])
            events: list[Event] = []
            for arrival in arrivals:
                answer = take(tables, published, inbox, arrival, synthetic=synthetic)
                answers.append(answer)
                known = tables.applications.get(getattr(answer, "application", ""))
                is_repeat = known is not None and known.submitted is answer
                if isinstance(answer, ApplicationSubmitted) and not is_repeat:
                    inbox.take(answer)
                    events.append(answer)
                    events += at_once(tables, published, answer, events)
            self._write(events)
            return tuple(answers)

    def withdraw(self, actor: Actor, application: str) -> ApplicationWithdrawn | Refusal:
        """Take an application back; possible until its call is decided."""
        with self._reading() as tables:
            state = tables.applications.get(application)
            if state is None:
                return Refusal.APPLICATION_IS_UNKNOWN
            self._require_team(actor, "application.withdraw", state)
            if state.is_withdrawn:
                return Refusal.APPLICATION_IS_WITHDRAWN
            if state.decided is not None:
                return Refusal.APPLICATION_IS_DECIDED
            event = ApplicationWithdrawn(
                application, state.submitted.call, at_s=self.clock.now_s(), by=actor.user
            )
            self._write([event])
            return event

    def review(
        self, actor: Actor, application: str, marks: Mapping[str, int]
    ) -> ReviewGiven | Refusal:
        """Give one's marks of an application, each criterion 0 to 100 points."""
        stage = ""
        state = self.tables.applications.get(application)
        if state is not None:
            stage = _stage_to_review(self.tables, state, actor.user)
        marked = Marked(self.clock.now_s(), actor, application, marks, stage)
        (answer,) = self.review_many([marked])
        return answer

    def review_many(
        self, reviews: Sequence[Marked], *, synthetic: bool = False
    ) -> tuple[ReviewGiven | Refusal, ...]:
        """Take in reviews that came at their own moments; all in one transaction."""
        for review in reviews:
            require(review.actor, "review.give", owner=review.actor.user)
        with self._reading() as tables:
            answers: list[ReviewGiven | Refusal] = []
            given: set[tuple[str, str, str]] = set()
            for review in reviews:
                refusal = _check_review(tables, given, review)
                if refusal is not None:
                    answers.append(refusal)
                    continue
                given.add((review.application, review.stage, review.actor.user))
                answers.append(
                    ReviewGiven(
                        review.application,
                        tables.applications[review.application].submitted.call,
                        review.actor.user,
                        dict(review.marks),
                        review.stage,
                        synthetic,
                        _is_late(tables, review),
                        at_s=review.at_s,
                        by=review.actor.user,
                    )
                )
            events: list[Event] = [one for one in answers if isinstance(one, ReviewGiven)]
            names = sorted({name for name, _, _ in given})
            states = [tables.applications[name] for name in names]
            self._write_and_conclude(tables, states, events)
            return tuple(answers)


def _name(state: ApplicationState) -> str:
    return state.submitted.application


def _stage_to_review(tables: ProgrammeTables, state: ApplicationState, reviewer: str) -> str:
    """Return the stage in which a reviewer is waited for, or else the last they were asked for."""
    asked = [stage for stage, name in state.asked if name == reviewer]
    open_ = [one.stage.stage for one in standing_in(tables, state).open]
    return next((stage for stage in asked if stage in open_), asked[-1] if asked else "")


def _check_review(
    tables: ProgrammeTables, given: set[tuple[str, str, str]], review: Marked
) -> Refusal | None:
    state = tables.applications.get(review.application)
    if state is None:
        return Refusal.APPLICATION_IS_UNKNOWN
    if state.is_withdrawn:
        return Refusal.APPLICATION_IS_WITHDRAWN
    if state.decided is not None:
        return Refusal.APPLICATION_IS_DECIDED
    if (review.stage, review.actor.user) not in state.asked:
        return Refusal.REVIEWER_IS_NOT_ASSIGNED
    key = (review.application, review.stage, review.actor.user)
    again = any((one.stage, one.reviewer) == key[1:] for one in state.reviews)
    if again or key in given:
        return Refusal.REVIEW_IS_GIVEN
    call = tables.calls[state.submitted.call]
    here = call.stage(review.stage)
    if here is None:
        return Refusal.STAGE_IS_UNKNOWN
    if not standing_in(tables, state).is_in(review.stage):
        return Refusal.STAGE_IS_NOT_OPEN
    if here.late == "refused" and _is_late(tables, review):
        return Refusal.REVIEW_IS_LATE
    return check_marks(review.marks, asked_in(call, here))


def _is_late(tables: ProgrammeTables, review: Marked) -> bool:
    """Tell whether marks came after the deadline that their reviewer was given."""
    due_at_s = tables.applications[review.application].due_at_s
    return 0 < due_at_s.get((review.stage, review.actor.user), 0) <= review.at_s
