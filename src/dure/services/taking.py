"""What a form that arrives becomes: an application, an award at once, or all its problems."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dure.core.applications import Form, answers_of, check_moment, read_form
from dure.core.awards import Reason
from dure.core.calls.eligibility import Known, check_eligibility
from dure.core.calls.model import Call, holds
from dure.core.calls.stages import interim_of
from dure.core.events import Event
from dure.core.events.programme import ApplicationSubmitted, Decided
from dure.core.offers import offers_of
from dure.core.programme import Problem, Refusal
from dure.services.access import Actor
from dure.services.inbox import Inbox
from dure.services.programme_states import ApplicationState
from dure.services.programme_tables import ProgrammeTables
from dure.services.staging import standing_in


@dataclass(frozen=True, slots=True)
class Arrival:
    """A form as it came in: when, from whom; ``key`` makes a repeat harmless, "" for none.

    Attributes:
        draft: that it was written in.
        previous: the application that it was begun from, or, with ``changes``, that it changes.
    """

    at_s: int
    actor: Actor
    fields: Mapping[str, object]
    key: str = ""
    draft: str = ""
    previous: str = ""
    changes: bool = False


def take(
    tables: ProgrammeTables,
    call: Call,
    inbox: Inbox,
    arrival: Arrival,
    *,
    synthetic: bool,
) -> ApplicationSubmitted | tuple[Problem, ...]:
    """Make an application of a form that arrived, or say all that is wrong with it.

    Args:
        inbox: what came into the call, those of the same transaction included, which the tables do
            not have yet.
    """
    again = tables.applications.get(inbox.repeated(arrival.actor.user, arrival.key))
    if again is not None:
        return again.submitted
    moment = check_moment(call, at_s=arrival.at_s)
    if moment is not None:
        edges = {"opens_at_s": call.opens_at_s, "closes_at_s": call.closes_at_s}
        return (Problem("", moment, edges),)
    changed = tables.applications[arrival.previous] if arrival.changes else None
    refusal = None if changed is None else check_change(changed, arrival.actor.user)
    if refusal is not None:
        return (Problem("", refusal, {"application": arrival.previous}),)
    form = read_form(arrival.fields, call)
    if not isinstance(form, Form):
        return form
    files = () if arrival.draft else _files_of(form, call)
    own = "" if changed is None else changed.submitted.application
    for other in inbox.twins(form.project, (arrival.actor.user, form.title_ko)):
        if other != own:
            return (Problem("", Refusal.PROJECT_HAS_APPLIED, {"application": other}),)
    beside = inbox.beside(form.organisation)
    if changed is not None:
        beside -= changed.submitted.organisation == form.organisation
    problems = (*files, *check_who(tables, call, form, beside, at_s=arrival.at_s))
    if problems:
        return problems
    number = inbox.numbers + 1
    return _submitted(call, form, arrival, changed, number=number, synthetic=synthetic)


def _submitted(
    call: Call,
    form: Form,
    arrival: Arrival,
    changed: ApplicationState | None,
    *,
    number: int,
    synthetic: bool,
) -> ApplicationSubmitted:
    """Make the event: of a new application, or of the next version of one that is changed."""
    application, version = f"{call.call}-{number:04d}", 1
    if changed is not None:
        application = changed.submitted.application
        version = changed.submitted.version + 1
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
        version,
        arrival.draft,
        arrival.previous,
        accepts=form.accepts,
        gpus_min=form.gpus_min,
        at_s=arrival.at_s,
        by=arrival.actor.user,
    )


def check_change(state: ApplicationState, user: str) -> Refusal | None:
    """Tell why an application cannot be changed any more."""
    if state.submitted.lead != user:
        return Refusal.APPLICATION_IS_UNKNOWN
    if state.is_withdrawn:
        return Refusal.APPLICATION_IS_WITHDRAWN
    if state.decided is not None:
        return Refusal.APPLICATION_IS_DECIDED
    return Refusal.APPLICATION_IS_IN_REVIEW if state.asked or state.touched_at_s else None


def _files_of(form: Form, call: Call) -> tuple[Problem, ...]:
    """Refuse attachments of a form that came without the draft that they were added to."""
    asked = [one.field for one in call.form if one.kind == "file"]
    return tuple(Problem(name, Refusal.FILE_IS_UNKNOWN) for name in asked if name in form.answers)


def check_who(
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
    for name in tables.of_organisation.get(organisation, ()):
        state = tables.applications[name]
        if state.submitted.organisation != organisation or not state.allocation:
            continue
        if interim_of(tables.calls[state.submitted.call], state.answers) is None:
            continue
        if any(one.is_late(at_s) for one in standing_in(tables, state).open):
            return True
    return False


def at_once(
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
    at_once = given + tables.at_once_gpus[call.call, kind]
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
    return [decided, *offers_of(call, [decided])]
