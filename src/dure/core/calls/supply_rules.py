"""Whether what a supply call says can be kept: problems by the place in the file."""

from collections.abc import Iterator

from dure.core.calls.form import questions_of
from dure.core.calls.model import Call, Field
from dure.core.calls.supply import Computed, SupplyTerms
from dure.core.programme import Problem, Refusal
from dure.core.review import MARK_MAX
from dure.core.supply.measures import MEASURES, asked_in

MEASURED_KINDS = ("number", "date")
YEARS = range(2000, 2100)


def check_supply(call: Call) -> Iterator[Problem]:
    """Yield what hinders a call's terms of supply; nothing for a call without any."""
    terms = call.supply
    if call.kind == "supply" and call.rule != "rank":
        yield _wrong("rule", call.rule, "rank")
    if terms is None:
        return
    if call.kind != "supply":
        numbers = {"found": "supply", "offered": "kind: supply"}
        yield Problem("supply", Refusal.VALUE_IS_UNKNOWN, numbers)
        return
    yield from _within("supply.bidders_min", terms.bidders_min, 1, 100)
    yield from _within("supply.repeats", terms.repeats, 0, 10)
    yield from _within("supply.public_percent_min", terms.public_percent_min, 0, 100)
    yield from _within("supply.report_day", terms.report_day, 1, 28)
    for place, percent in enumerate(terms.portions):
        yield from _within(f"supply.portions[{place}]", percent, 1, 100)
    yield from _sum("supply.portions", sum(terms.portions), at_most=True)
    yield from _computed(call, terms)
    yield from _delivery(terms)
    yield from _money(terms)


def _wrong(where: str, found: object, expected: str) -> Problem:
    return Problem(where, Refusal.VALUE_IS_WRONG, {"found": str(found), "expected": expected})


def _within(where: str, value: int, least: int, most: int) -> Iterator[Problem]:
    if not least <= value <= most:
        yield _wrong(where, value, f"{least} .. {most}")


def _sum(where: str, found: int, *, at_most: bool = False) -> Iterator[Problem]:
    if found > 100 or (found != 100 and not at_most):
        yield Problem(where, Refusal.SUM_IS_WRONG, {"found": found, "expected": 100})


def _once(where: str, names: list[str]) -> Iterator[Problem]:
    for name in sorted({one for one in names if names.count(one) > 1}):
        yield Problem(where, Refusal.NAME_IS_DOUBLE, {"found": name})


def _unknown(where: str, found: str, offered: list[str]) -> Problem:
    numbers = {"found": found, "offered": ", ".join(offered)}
    return Problem(where, Refusal.VALUE_IS_UNKNOWN, numbers)


def _computed(call: Call, terms: SupplyTerms) -> Iterator[Problem]:
    yield from _once("supply.computed", [one.criterion for one in terms.computed])
    asked = {one.field: one for one in questions_of(call)}
    rubrics = [call.rubric, *(one.rubric for one in call.stages)]
    criteria = sorted({name for rubric in rubrics for name in rubric})
    for place, rule in enumerate(terms.computed):
        where = f"supply.computed[{place}]"
        if rule.criterion not in criteria:
            yield _unknown(f"{where}.criterion", rule.criterion, criteria)
        yield from _measure(where, rule, asked)
    for place, stage in enumerate(call.stages):
        # A stage that nobody has anything to mark in would wait for marks for ever.
        if call.criteria_of(stage) and stage.reviewers and not asked_in(call, stage):
            expected = "a criterion that reviewers mark"
            yield _wrong(f"stages[{place}].rubric", "computed criteria only", expected)


def _measure(where: str, rule: Computed, asked: dict[str, Field]) -> Iterator[Problem]:
    question = asked.get(rule.of)
    kinds = ("choice",) if rule.points else MEASURED_KINDS
    fits = question is not None and question.kind in kinds
    if not fits and (rule.points or rule.of not in MEASURES):
        offered = [name for name, one in asked.items() if one.kind in kinds]
        yield _unknown(f"{where}.of", rule.of, [*(() if rule.points else MEASURES), *offered])
    elif rule.points and question is not None:
        offered = [one.value for one in question.options]
        for name, points in rule.points.items():
            if name not in offered:
                yield _unknown(f"{where}.points", name, offered)
            yield from _within(f"{where}.points.{name}", points, 0, MARK_MAX)
    if not rule.points and rule.zero == rule.full:
        yield _wrong(f"{where}.full", rule.full, f"another value than zero, {rule.zero}")


def _delivery(terms: SupplyTerms) -> Iterator[Problem]:
    yield from _once("supply.tests", [one.test for one in terms.tests])
    for place, test in enumerate(terms.tests):
        if test.most and test.least > test.most:
            yield _wrong(f"supply.tests[{place}].least", test.least, f"<= {test.most}")


def _money(terms: SupplyTerms) -> Iterator[Problem]:
    yield from _once("supply.instalments", [one.instalment for one in terms.instalments])
    for place, one in enumerate(terms.instalments):
        where = f"supply.instalments[{place}]"
        yield from _within(f"{where}.percent", one.percent, 1, 100)
        yield from _within(f"{where}.year", one.year, YEARS.start, YEARS.stop - 1)
        if str(one.year) not in terms.appropriations_krw:
            yield _unknown(f"{where}.year", str(one.year), sorted(terms.appropriations_krw))
    if terms.instalments:
        yield from _sum("supply.instalments", sum(one.percent for one in terms.instalments))
    for year, krw in terms.appropriations_krw.items():
        if not (year.isascii() and year.isdigit() and int(year) in YEARS):
            yield _wrong("supply.appropriations_krw", year, "2000 .. 2099")
        yield from _within(f"supply.appropriations_krw.{year}", krw, 1, 10**15)
    for place, credit in enumerate(terms.credits):
        yield from _within(f"supply.credits[{place}].below_ppm", credit.below_ppm, 1, 1_000_000)
        yield from _within(f"supply.credits[{place}].percent", credit.percent, 0, 100)
