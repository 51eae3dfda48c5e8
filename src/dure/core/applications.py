"""Read an application's form and hold it against its call; every problem at once, by field."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

from dure.core.calendar import moment_s, months_later_s
from dure.core.calls.form import questions_of, read_answers
from dure.core.calls.model import Call
from dure.core.calls.stages import DAY_S, track_of, with_derived
from dure.core.events.programme import ApplicationSubmitted, Group, Work
from dure.core.programme import Problem, Refusal
from dure.core.sizing import WORK_NUMBERS

Grade = Literal["C", "S", "O"]
# What the event of an application has fields of its own for; the rest are its ``answers``, and so
# is what a call asks in its own way.
_WORK = (*WORK_NUMBERS, "method", "scaling")
_OWN = (
    "project", "title_ko", "title_en", "organisation", "group", "category", "accelerator", "gpus",
    "gpus_min", "accepts", "months", "region", "grade", "work_kind", *_WORK,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Form:
    """A form that reads and keeps the rules of its call. ``project`` "" starts a new one.

    Attributes:
        answers: to all questions that have no field here.
    """

    project: str
    title_ko: str
    title_en: str
    organisation: str
    group: Group
    category: str
    accelerator: str
    gpus: int
    months: int
    region: str
    grade: Grade
    work: Work
    answers: Mapping[str, Any]
    accepts: tuple[str, ...] = ()
    gpus_min: int = 0


def check_moment(call: Call, *, at_s: int) -> Refusal | None:
    """Tell why nothing can be submitted at ``at_s``; the closing second itself is too late."""
    if at_s < call.opens_at_s:
        return Refusal.CALL_IS_NOT_OPEN_YET
    return Refusal.CALL_IS_CLOSED if at_s >= call.closes_at_s else None


def read_form(fields: Mapping[str, object], call: Call) -> Form | tuple[Problem, ...]:
    """Read what a person typed (text) or a machine sent (text, numbers, lists).

    Returns:
        The form; or all its problems, in the order of the questions.
    """
    answers, problems = read_answers(fields, questions_of(call))
    if problems:
        return problems
    group = "provider" if call.kind == "supply" else answers["group"]
    own = {one.field for one in call.form}
    stated = {name: answer for name, answer in answers.items() if name in _OWN and name not in own}
    form = Form(
        project=answers.get("project", ""),
        title_ko=answers["title_ko"],
        title_en=answers.get("title_en") or answers["title_ko"],
        organisation=answers["organisation"],
        group=cast(Group, group),
        category=answers.get("category", ""),
        accelerator=answers["accelerator"],
        gpus=answers["gpus"],
        months=answers.get("months") or call.months_max,
        region=answers.get("region", ""),
        grade=cast(Grade, answers.get("grade", "O")),
        work=_work(stated),
        answers={name: answer for name, answer in answers.items() if name not in stated},
        accepts=tuple(one for one in stated.get("accepts", ()) if one != answers["accelerator"]),
        gpus_min=stated.get("gpus_min", 0),
    )
    return check_rules(form, call) or form


def _work(stated: Mapping[str, Any]) -> Work:
    points = stated.get("scaling", ())
    return Work(
        kind=stated.get("work_kind", "other"),
        method=stated.get("method", ""),
        scaling=tuple((one["nodes"], one["speed_up_milli"]) for one in points),
        **{name: stated[name] for name in WORK_NUMBERS if name in stated},
    )


def _work_answers(work: Work) -> dict[str, Any]:
    """Return what was stated of the work as answers; what was not is left out."""
    points = [{"nodes": nodes, "speed_up_milli": speed} for nodes, speed in work.scaling]
    numbers = {name: value for name in WORK_NUMBERS if (value := getattr(work, name))}
    more = {"method": work.method, "scaling": points}
    return numbers | {name: answer for name, answer in more.items() if answer}


def answers_of(form: Form | ApplicationSubmitted, call: Call) -> dict[str, Any]:
    """Return all answers by field, with what follows from them, as conditions ask for them."""
    stated = {
        **form.answers,
        "title_ko": form.title_ko,
        "title_en": form.title_en,
        "organisation": form.organisation,
        "group": form.group,
        "category": form.category,
        "accelerator": form.accelerator,
        "gpus": form.gpus,
        "months": form.months,
        "region": form.region,
        "grade": form.grade,
        "project": form.project,
        "work_kind": form.work.kind,
        "parameters_m": form.work.parameters_m,
        "tokens_m": form.work.tokens_m,
        "mfu_milli": form.work.mfu_milli,
        **_work_answers(form.work),
    }
    if form.accepts:
        stated["accepts"] = list(form.accepts)
    if form.gpus_min:
        stated["gpus_min"] = form.gpus_min
    stated.setdefault("purpose", "project")
    return with_derived(call, stated)


def check_rules(form: Form, call: Call) -> tuple[Problem, ...]:
    """Hold group, size, term and purpose against the call."""
    problems: list[Problem] = []
    if call.kind == "demand" and not track_of(call, answers_of(form, call)):
        admitted = {"offered": ", ".join(sorted(call.tracks))}
        problems.append(Problem("group", Refusal.GROUP_IS_NOT_ADMITTED, admitted))
    most_gpus, most_months = call.capacity.get(form.accelerator, form.gpus), call.months_max
    cap_gpus = call.caps.get(form.accelerator, most_gpus)
    purpose = form.answers.get("purpose")
    if purpose == "beta" and call.beta is not None:
        cap_gpus = min(cap_gpus, call.beta.gpus_max)
    if purpose == "class" and call.teaching is not None:
        cap_gpus = min(cap_gpus, call.teaching.gpus_max)
        most_months = call.teaching.months_max
        problems += _check_class(form, call.teaching.students_max)
    if form.gpus > cap_gpus:
        cap: dict[str, int | str] = {"asked_gpus": form.gpus, "cap_gpus": cap_gpus}
        cap["accelerator"] = form.accelerator
        problems.append(Problem("gpus", Refusal.SIZE_IS_OVER_CAP, cap))
    elif form.gpus < 1 or form.gpus % call.node_gpus:
        node = {"asked_gpus": form.gpus, "node_gpus": call.node_gpus}
        problems.append(Problem("gpus", Refusal.SIZE_IS_NOT_WHOLE_NODES, node))
    if form.gpus_min > form.gpus or form.gpus_min % call.node_gpus:
        bounds = {"found": form.gpus_min, "least": call.node_gpus, "most": form.gpus}
        problems.append(Problem("gpus_min", Refusal.NUMBER_IS_OUT_OF_BOUNDS, bounds))
    if not 1 <= form.months <= most_months:
        term = {"asked_months": form.months, "months_max": most_months}
        problems.append(Problem("months", Refusal.TERM_IS_OVER_CAP, term))
    return tuple(problems)


def _check_class(form: Form, students_max: int) -> list[Problem]:
    students = int(form.answers["students"])
    if students > students_max:
        bounds = {"found": students, "least": 1, "most": students_max}
        return [Problem("students", Refusal.NUMBER_IS_OUT_OF_BOUNDS, bounds)]
    return []


def ends_at_s(submitted: ApplicationSubmitted, call: Call, *, from_s: int) -> int:
    """Return when an award would end: after its months, a trial's days, or a class's last day."""
    purpose = submitted.answers.get("purpose")
    if purpose == "beta" and call.beta is not None:
        return from_s + call.beta.days * DAY_S
    by_term_s = months_later_s(from_s, submitted.months)
    if purpose == "class" and "until" in submitted.answers:
        last_day_s = moment_s(str(submitted.answers["until"])) + DAY_S
        return min(by_term_s, max(last_day_s, from_s + DAY_S))
    return by_term_s
