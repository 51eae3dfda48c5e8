"""Applications and reviews: everything that comes in before the decision."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dure.core.applications import Form, answers_of, check_moment, read_form
from dure.core.awards import Reason
from dure.core.calls.eligibility import Known, check_eligibility
from dure.core.calls.model import WRITTEN, Call, holds
from dure.core.calls.stages import interim_of
from dure.core.events import Event
from dure.core.events.programme import (
    ApplicationSubmitted,
    ApplicationWithdrawn,
    Decided,
    ReviewGiven,
)
from dure.core.programme import Problem, Refusal
from dure.core.review import check_marks
from dure.services.access import Actor, require
from dure.services.programme_tables import ApplicationState, ProgrammeTables
from dure.services.staging import Staging, standing_in


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
        return _check_who(self.tables, published, form, 0, at_s=self.clock.now_s())

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
            events: list[Event] = []
            for arrival in arrivals:
                answer = _take(tables, published, taken, arrival, synthetic=synthetic)
                answers.append(answer)
                if isinstance(answer, ApplicationSubmitted) and not _is_known(tables, answer):
                    taken.append(answer)
                    events.append(answer)
                    events += _at_once(tables, published, answer, events)
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


def _take(
    tables: ProgrammeTables,
    call: Call,
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
    beside = sum(other.organisation == form.organisation for other in alive)
    problems = _check_who(tables, call, form, beside, at_s=arrival.at_s)
    if problems:
        return problems
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
        dict(form.answers),
        at_s=arrival.at_s,
        by=arrival.actor.user,
    )


def _check_who(
    tables: ProgrammeTables, call: Call, form: Form, applications: int, *, at_s: int
) -> tuple[Problem, ...]:
    """Hold who applies against the rules; ``applications`` of the institution came before."""
    if not call.eligibility:
        return ()
    known = Known(
        frozenset(tables.suppliers()), _owes_report(tables, form.organisation, at_s), applications
    )
    return check_eligibility(call, answers_of(form, call), known, at_s=at_s)


def _owes_report(tables: ProgrammeTables, organisation: str, at_s: int) -> bool:
    """Tell whether an institution's award stands in an interim stage past its deadline."""
    for state in tables.applications.values():
        if state.submitted.organisation != organisation or not state.allocation:
            continue
        if interim_of(tables.calls[state.submitted.call], state.answers) is None:
            continue
        if any(one.is_late(at_s) for one in standing_in(tables, state).open):
            return True
    return False


def _at_once(
    tables: ProgrammeTables,
    call: Call,
    submitted: ApplicationSubmitted,
    before: Sequence[Event],
) -> list[Event]:
    """Approve a small request as it comes in, while what is set aside for such lasts."""
    instant, kind = call.instant, submitted.accelerator
    answers = answers_of(submitted, call)
    if instant is None or not holds(instant.when, answers):
        return []
    if answers["gpu_hours"] >= instant.gpu_hours_below:
        return []
    given = sum(one.gpus for one in before if isinstance(one, Decided) and one.accelerator == kind)
    at_once = given + tables.at_once_gpus(call.call, kind)
    room = call.capacity[kind] * instant.capacity_percent // 100 - at_once
    if submitted.gpus > min(room, tables.free_gpus(call.call, kind) - given):
        return []
    decided = Decided(
        submitted.application,
        call.call,
        submitted.project,
        kind,
        "selected",
        submitted.gpus,
        submitted.gpus,
        0,
        0,
        0,
        0,
        Reason.SELECTED_AT_ONCE.value,
        {"gpus": submitted.gpus, "gpu_hours": answers["gpu_hours"],
         "gpu_hours_below": instant.gpu_hours_below},
        at_s=submitted.at_s,
        by="rule:instant",
    )  # fmt: skip
    return [decided]


def _is_known(tables: ProgrammeTables, submitted: ApplicationSubmitted) -> bool:
    return submitted.application in tables.applications


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
    return check_marks(review.marks, call.criteria_of(here))
