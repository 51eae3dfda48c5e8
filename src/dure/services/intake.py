"""Calls, applications and reviews: everything before the decision."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from dure.core.applications import Form, check_moment, read_form
from dure.core.events import Event
from dure.core.events.programme import (
    ApplicationSubmitted,
    ApplicationWithdrawn,
    CallPublished,
    ReviewGiven,
)
from dure.core.programme import Problem, Refusal
from dure.core.review import check_marks
from dure.services.access import Actor, require
from dure.services.office import Office
from dure.services.programme_tables import ProgrammeTables

STAGES = ("written", "panel")


@dataclass(frozen=True, slots=True)
class Arrival:
    """A form as it came in: when, from whom; ``key`` makes a repeat harmless, "" for none."""

    at_s: int
    actor: Actor
    fields: Mapping[str, object]
    key: str = ""


@dataclass(frozen=True, slots=True)
class Marked:
    """A review as it came in: when, from whom, of what."""

    at_s: int
    actor: Actor
    application: str
    marks: Mapping[str, int]
    stage: str = "written"


class Intake(Office):
    """The use cases from the call to the last review."""

    def publish_call(self, actor: Actor, call: CallPublished) -> CallPublished | Refusal:
        """Open a call; ``at_s`` and ``by`` are set here."""
        require(actor, "call.publish")
        with self._reading() as tables:
            if call.call in tables.calls:
                return Refusal.CALL_EXISTS
            event = msgspec.structs.replace(call, at_s=self.clock.now_s(), by=actor.user)
            self._write([event])
            return event

    def check_form(self, call: str, fields: Mapping[str, object]) -> tuple[Problem, ...]:
        """Return what is wrong with a form that is not handed in yet."""
        published = self.tables.calls.get(call)
        if published is None:
            return (Problem("", Refusal.CALL_IS_UNKNOWN),)
        form = read_form(fields, published)
        return () if isinstance(form, Form) else form

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
            taken: list[ApplicationSubmitted] = []
            for arrival in arrivals:
                answer = _take(tables, published, taken, arrival, synthetic=synthetic)
                if isinstance(answer, ApplicationSubmitted) and not _is_known(tables, answer):
                    taken.append(answer)
                answers.append(answer)
            self._write(taken)
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
        stage = "written"
        state = self.tables.applications.get(application)
        if state is not None:
            stage = state.reviewers.get(actor.user, stage)
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
            given: set[tuple[str, str]] = set()
            for review in reviews:
                refusal = _check_review(tables, given, review)
                if refusal is not None:
                    answers.append(refusal)
                    continue
                given.add((review.application, review.actor.user))
                answers.append(
                    ReviewGiven(
                        review.application,
                        tables.applications[review.application].submitted.call,
                        review.actor.user,
                        dict(review.marks),
                        review.stage,
                        synthetic,
                        at_s=review.at_s,
                        by=review.actor.user,
                    )
                )
            events: list[Event] = [one for one in answers if isinstance(one, ReviewGiven)]
            self._write(events)
            return tuple(answers)


def is_large(submitted: ApplicationSubmitted, call: CallPublished) -> bool:
    """Tell whether an application needs the stage ``panel``."""
    large_from = call.large_from.get(submitted.accelerator)
    return large_from is not None and submitted.gpus >= large_from


def _take(
    tables: ProgrammeTables,
    call: CallPublished,
    taken: Sequence[ApplicationSubmitted],
    arrival: Arrival,
    *,
    synthetic: bool,
) -> ApplicationSubmitted | tuple[Problem, ...]:
    before = [tables.applications[name] for name in tables.of_call[call.call]]
    for one in before:
        if arrival.key and (one.submitted.lead, one.submitted.key) == (
            arrival.actor.user,
            arrival.key,
        ):
            return one.submitted
    moment = check_moment(call, at_s=arrival.at_s)
    if moment is not None:
        edges = {"opens_at_s": call.opens_at_s, "closes_at_s": call.closes_at_s}
        return (Problem("", moment, edges),)
    form = read_form(arrival.fields, call)
    if not isinstance(form, Form):
        return form
    alive = [*(one.submitted for one in before if not one.is_withdrawn), *taken]
    for other in alive:
        same_project = form.project != "" and other.project == form.project
        same_idea = other.lead == arrival.actor.user and other.title_ko == form.title_ko
        if same_project or same_idea:
            return (Problem("", Refusal.PROJECT_HAS_APPLIED, {"application": other.application}),)
    application = f"{call.call}-{len(before) + len(taken) + 1:04d}"
    return ApplicationSubmitted(
        application,
        call.call,
        form.project or f"p-{application}",
        form.title_ko,
        form.title_en,
        form.organisation,
        form.group,
        form.category,
        form.accelerator,
        form.gpus,
        form.months,
        form.region,
        arrival.actor.user,
        form.work,
        form.grade,
        synthetic,
        arrival.key,
        at_s=arrival.at_s,
        by=arrival.actor.user,
    )


def _is_known(tables: ProgrammeTables, submitted: ApplicationSubmitted) -> bool:
    return submitted.application in tables.applications


def _check_review(
    tables: ProgrammeTables, given: set[tuple[str, str]], review: Marked
) -> Refusal | None:
    state = tables.applications.get(review.application)
    if state is None:
        return Refusal.APPLICATION_IS_UNKNOWN
    if state.is_withdrawn:
        return Refusal.APPLICATION_IS_WITHDRAWN
    if state.decided is not None:
        return Refusal.APPLICATION_IS_DECIDED
    if state.reviewers.get(review.actor.user) != review.stage:
        return Refusal.REVIEWER_IS_NOT_ASSIGNED
    again = any(one.reviewer == review.actor.user for one in state.reviews)
    if again or (review.application, review.actor.user) in given:
        return Refusal.REVIEW_IS_GIVEN
    return check_marks(review.marks, tables.calls[state.submitted.call].rubric)
