"""Who may apply: the call's rules held against what it states and the programme knows."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from dure.core.calendar import moment_s, months_later_s
from dure.core.calls.form import partners_of
from dure.core.calls.model import Call, Rule, holds
from dure.core.errors import InputError
from dure.core.programme import Problem, Refusal


@dataclass(frozen=True, slots=True)
class Known:
    """What the programme knows of an applicant's institution at this moment.

    Attributes:
        suppliers: institutions that supply this programme.
        owes_report: a report of one of its awards is overdue.
        applications: those of the institution in this call, without this one.
    """

    suppliers: frozenset[str] = frozenset()
    owes_report: bool = False
    applications: int = 0


def check_eligibility(
    call: Call, answers: dict[str, Any], known: Known, *, at_s: int
) -> tuple[Problem, ...]:
    """Return the rules that an application does not keep, each by its field and numbers.

    The partners of an application count as its lead does: a supplier cannot come in by the side
    door.
    """
    return tuple(
        problem
        for place, rule in enumerate(call.eligibility, start=1)
        if holds(rule.when, answers)
        for problem in _check(rule, place, answers, known, at_s)
    )


def _check(
    rule: Rule, place: int, answers: dict[str, Any], known: Known, at_s: int
) -> Iterator[Problem]:
    numbers: dict[str, int | str] = {"rule": place}
    match rule.rule:
        case "organisation_kind":
            yield from _among("category", rule, numbers, answers)
        case "region":
            yield from _among("region", rule, numbers, answers)
        case "grade":
            yield from _among("grade", rule, numbers, answers)
        case "registered_within":
            numbers |= {"years_max": rule.years}
            since_s = _date_s(answers.get("registered_on"))
            if since_s is None:
                yield Problem("registered_on", Refusal.FIELD_IS_MISSING)
            elif months_later_s(since_s, 12 * rule.years) <= at_s:
                numbers["registered_on"] = str(answers["registered_on"])
                yield Problem("registered_on", Refusal.REGISTRATION_IS_TOO_OLD, numbers)
        case "supplier_is_not_beneficiary":
            suppliers = known.suppliers | set(rule.organisations)
            for name in (answers.get("organisation", ""), *partners_of(answers)):
                if name in suppliers:
                    numbers["organisation"] = str(name)
                    yield Problem("organisation", Refusal.SUPPLIER_IS_NO_BENEFICIARY, numbers)
        case "no_open_report":
            if known.owes_report:
                yield Problem("organisation", Refusal.REPORT_IS_OWED, numbers)
        case "applications_at_most":
            if known.applications >= rule.most:
                numbers |= {"applications": known.applications, "most": rule.most}
                yield Problem("organisation", Refusal.APPLICATIONS_ARE_TOO_MANY, numbers)


def _among(
    field: str, rule: Rule, numbers: dict[str, int | str], answers: dict[str, Any]
) -> Iterator[Problem]:
    found = str(answers.get(field) or "")
    if found not in rule.among:
        numbers |= {"found": found or "-", "offered": ", ".join(rule.among)}
        yield Problem(field, Refusal.RULE_ADMITS_OTHERS, numbers)


def _date_s(value: object) -> int | None:
    try:
        return moment_s(str(value)) if value else None
    except InputError:
        return None
