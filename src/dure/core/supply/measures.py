"""Marks that follow from a proposal's own figures, each with its formula.

A computed criterion is a mark like any other: whole points of 0 to 100, weighed by the rubric. It
is put in where reviewers' marks are weighed, so the marks on record stay what people gave.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dure.core.calendar import DAY_S, civil, moment_s
from dure.core.calls.model import Call, Stage
from dure.core.calls.supply import Computed, SupplyTerms
from dure.core.rates import RATES
from dure.core.review import MARK_MAX

# What can be measured besides the answers themselves. The unit is the last part of each name.
MEASURES = ("gflops_per_mkrw", "krw_per_gpu", "exchange_units")
MKRW = 10**6


@dataclass(frozen=True, slots=True)
class Measured:
    """One computed mark and how it came about.

    Attributes:
        value: of the measure or answer; None where the proposal does not say (0 points then).
        formula: with the numbers put in, the same in every language.
    """

    criterion: str
    of: str
    value: int | str | None
    points: int
    formula: str


def supply_of(call: Call) -> SupplyTerms:
    """Return a call's terms of supply; those of one that says nothing are the usual ones."""
    return call.supply or SupplyTerms()


def asked_in(call: Call, stage: Stage) -> dict[str, int]:
    """Return the part of a stage's rubric that reviewers mark."""
    computed = {one.criterion for one in supply_of(call).computed}
    return {name: part for name, part in call.criteria_of(stage).items() if name not in computed}


def computed_marks(call: Call, answers: Mapping[str, Any]) -> dict[str, int]:
    """Return the marks of all computed criteria, whole points of 0 to 100."""
    return {one.criterion: one.points for one in measured(call, answers)}


def measured(call: Call, answers: Mapping[str, Any]) -> tuple[Measured, ...]:
    """Work every computed criterion of a call out from a proposal's answers."""
    return tuple(_measured(call, one, answers) for one in supply_of(call).computed)


def _measured(call: Call, rule: Computed, answers: Mapping[str, Any]) -> Measured:
    if rule.points:
        chosen = str(answers.get(rule.of, ""))
        points = rule.points.get(chosen, 0)
        return Measured(rule.criterion, rule.of, chosen or None, points, f"{chosen} = {points}")
    value, how = _value(call, rule.of, answers)
    if value is None:
        return Measured(rule.criterion, rule.of, None, 0, "-")
    points = proportion(value, zero=rule.zero, full=rule.full)
    scale = f"100 x ({value} - {rule.zero}) / ({rule.full} - {rule.zero})"
    formula = f"{how} = {value}; {scale}" if how else scale
    return Measured(rule.criterion, rule.of, value, points, f"{formula} = {points}")


def proportion(value: int, *, zero: int, full: int) -> int:
    """Return whole points, rounded down, of a value between ``zero`` and ``full``; never outside.

    Args:
        zero, full: differ; where ``full`` is the smaller, less is better.
    """
    span, above = full - zero, value - zero
    if span < 0:
        span, above = -span, -above
    return min(max(MARK_MAX * above // span, 0), MARK_MAX)


def _value(call: Call, of: str, answers: Mapping[str, Any]) -> tuple[int | None, str]:
    """Return a measure's value, rounded down, and how it was worked out."""
    gpus, price = int(answers.get("gpus") or 0), int(answers.get("price_krw") or 0)
    accelerator = str(answers.get("accelerator", ""))
    match of:
        case "gflops_per_mkrw":
            rate = RATES.get(accelerator)
            if rate is None or price == 0:
                return None, ""
            value = gpus * rate.peak_tflops * 1000 * MKRW // price
            return value, f"{gpus} x {rate.peak_tflops} TFLOP/s / {price} KRW"
        case "krw_per_gpu":
            return (price // gpus, f"{price} KRW / {gpus}") if gpus else (None, "")
        case "exchange_units":
            units = call.exchange_units.get(accelerator)
            return units, accelerator
    answer = answers.get(of)
    if type(answer) is int:
        return answer, ""
    if not answer:
        return None, ""
    days = (moment_s(str(answer)) - call.starts_at_s) // DAY_S
    return days, f"{answer} - {civil(call.starts_at_s):%Y-%m-%d}"
