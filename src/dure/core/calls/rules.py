"""Whether a call can be kept: every problem at once, by the place in the file."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, get_args

from dure.core.calls.form import BASE_FIELDS, GRADES, GROUPS
from dure.core.calls.model import Call, Column, Condition, Field, Hold, PeerReview, Rule, Stage
from dure.core.calls.stages import peer_stage_of
from dure.core.calls.supply_rules import check_supply
from dure.core.programme import Problem, Refusal
from dure.core.review import MARK_MAX

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
CALL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}")
MOST_OF_A_KIND = 200
GPUS_MAX = 10_000_000
MONTHS_MAX = 120
DAYS_MAX = 3_660
# What a condition may ask about besides the form's own fields.
DERIVED = ("size", "gpu_hours")
# A rule of eligibility needs these of its parameters.
_NEEDS: Mapping[str, tuple[str, ...]] = {
    "organisation_kind": ("among",),
    "region": ("among",),
    "registered_within": ("years",),
    "supplier_is_not_beneficiary": (),
    "no_open_report": (),
    "grade": ("among",),
    "applications_at_most": ("most",),
}
# How a stage is passed decides what it needs to be given.
_SCORED = ("complete", "score_line", "top")


def check_call(call: Call) -> tuple[Problem, ...]:
    """Return what hinders a call from being published, in the order of its fields."""
    return (
        *_names(call),
        *_dates(call),
        *_amounts(call),
        *_rubric("rubric", call.rubric),
        *_tracks(call),
        *_stages(call),
        *_form(call),
        *_eligibility(call),
        *_extras(call),
        *check_supply(call),
    )


def _wrong(where: str, found: object, expected: str) -> Problem:
    return Problem(where, Refusal.VALUE_IS_WRONG, {"found": str(found), "expected": expected})


def _within(where: str, value: int, least: int, most: int) -> Iterator[Problem]:
    if not least <= value <= most:
        yield _wrong(where, value, f"{least} .. {most}")


def _points(where: str, milli: int, *, least_milli: int = 0) -> Iterator[Problem]:
    if not least_milli <= milli <= MARK_MAX * 1000:
        # As the file has it: in points, not in their thousandths.
        yield _wrong(where, f"{milli / 1000:g}", f"{least_milli / 1000:g} .. {MARK_MAX}")


def _known(where: str, values: Iterable[str], known: Iterable[str]) -> Iterator[Problem]:
    offered = sorted(known)
    for value in values:
        if value not in offered:
            numbers = {"found": value, "offered": ", ".join(offered)}
            yield Problem(where, Refusal.VALUE_IS_UNKNOWN, numbers)


def _once(where: str, names: Sequence[str]) -> Iterator[Problem]:
    for name in sorted({one for one in names if names.count(one) > 1}):
        yield Problem(where, Refusal.NAME_IS_DOUBLE, {"found": name})


def _names(call: Call) -> Iterator[Problem]:
    if CALL_NAME.fullmatch(call.call) is None:
        yield _wrong("call", call.call, "letters, digits, - . _; at most 40")
    yield from _within("version", call.version, 1, 10_000)
    yield from _within("round", call.round, 1, 1_000)


def _dates(call: Call) -> Iterator[Problem]:
    if call.closes_at_s <= call.opens_at_s:
        yield Problem("closes", Refusal.DATES_ARE_OUT_OF_ORDER, {"before": "opens"})
    if call.starts_at_s < call.opens_at_s:
        yield Problem("starts", Refusal.DATES_ARE_OUT_OF_ORDER, {"before": "opens"})


def _amounts(call: Call) -> Iterator[Problem]:
    if call.kind == "demand" and not call.capacity:
        yield Problem("capacity", Refusal.VALUE_IS_MISSING)
    if call.kind == "supply":
        yield from _within("budget_krw", call.budget_krw, 1, 10**15)
        if not call.accelerators:
            yield Problem("exchange_units", Refusal.VALUE_IS_MISSING)
    yield from _within("node_gpus", call.node_gpus, 1, 1_024)
    yield from _within("months_max", call.months_max, 1, MONTHS_MAX)
    for name, table in (
        ("capacity", call.capacity),
        ("caps", call.caps),
        ("organisation_caps", call.organisation_caps),
        ("large_from", call.large_from),
        ("exchange_units", call.exchange_units),
    ):
        for accelerator, gpus in table.items():
            yield from _within(f"{name}.{accelerator}", gpus, 1, GPUS_MAX)
        if name not in ("capacity", "exchange_units"):
            yield from _known(name, table, call.accelerators)
    yield from _points("score_min", call.score_min_milli)
    yield from _points("large_score_min", call.large_score_min_milli)
    yield from _within("answer_days", call.answer_days, 0, DAYS_MAX)


def _rubric(where: str, rubric: Mapping[str, int]) -> Iterator[Problem]:
    for name, weight in rubric.items():
        yield from _within(f"{where}.{name}", weight, 1, 100)
    if rubric and sum(rubric.values()) != 100:
        numbers = {"found": sum(rubric.values()), "expected": 100}
        yield Problem(where, Refusal.SUM_IS_WRONG, numbers)


def _tracks(call: Call) -> Iterator[Problem]:
    tracks = {*call.tracks.values(), *(one.track for one in call.track_rules)}
    if call.kind == "demand":
        if not call.tracks:
            yield Problem("tracks", Refusal.VALUE_IS_MISSING)
        yield from _known("tracks", call.tracks, GROUPS)
    yield from _known("shares", call.shares, tracks)
    yield from _known("track_names", call.track_names, tracks)
    for track, percent in call.shares.items():
        yield from _within(f"shares.{track}", percent, 0, 100)
    if sum(call.shares.values()) > 100:
        numbers = {"found": sum(call.shares.values()), "expected": 100}
        yield Problem("shares", Refusal.SUM_IS_WRONG, numbers)
    for place, rule in enumerate(call.track_rules):
        yield from _condition(f"track_rules[{place}].when", rule.when, call)


def _stages(call: Call) -> Iterator[Problem]:
    names = [one.stage for one in call.stages]
    yield from _once("stages", names)
    for place, stage in enumerate(call.stages):
        yield from _stage(f"stages[{place}]", stage, call)
    awarding = [one for one in call.stages if one.kind != "interim"]
    after = [one.kind == "interim" for one in call.stages]
    if after != sorted(after):
        yield Problem("stages", Refusal.STAGE_IS_OUT_OF_ORDER, {"stage": "interim"})
    if call.stages and not any(one.weight for one in awarding) and call.score_min_milli:
        yield Problem("score_min", Refusal.NO_STAGE_GIVES_A_SCORE)
    if call.fast_track is not None:
        yield from _condition("fast_track.when", call.fast_track.when, call)
        yield from _known("fast_track.skips", call.fast_track.skips, names)


def _stage(where: str, stage: Stage, call: Call) -> Iterator[Problem]:
    if NAME.fullmatch(stage.stage) is None:
        yield _wrong(f"{where}.stage", stage.stage, "a-z, 0-9, - _; at most 40")
    yield from _within(f"{where}.due_days", stage.due_days, 0, DAYS_MAX)
    yield from _within(f"{where}.weight", stage.weight, 0, 100)
    yield from _points(f"{where}.line", stage.line_milli)
    yield from _rubric(f"{where}.rubric", stage.rubric)
    if stage.when is not None:
        yield from _condition(f"{where}.when", stage.when, call)
    needs_reviews = stage.passes in (*_SCORED, "majority")
    most = 100 if needs_reviews else 0
    yield from _within(f"{where}.reviewers", stage.reviewers, 1 if needs_reviews else 0, most)
    if stage.passes in _SCORED and not call.criteria_of(stage):
        yield Problem(f"{where}.rubric", Refusal.VALUE_IS_MISSING)
    if stage.weight and stage.passes not in _SCORED:
        yield _wrong(f"{where}.weight", stage.weight, f"0 ({stage.passes})")
    is_top, has_list = stage.passes == "top", stage.passes == "checklist"
    yield from _within(f"{where}.top", stage.top, 1 if is_top else 0, 100_000 if is_top else 0)
    if has_list != bool(stage.checklist):
        refusal = Refusal.VALUE_IS_MISSING if has_list else Refusal.VALUE_IS_UNKNOWN
        numbers = {} if has_list else {"found": "checklist", "offered": "passes: checklist"}
        yield Problem(f"{where}.checklist", refusal, numbers)
    if stage.providers and stage.role != "provider":
        yield _wrong(f"{where}.role", stage.role, "provider, where it names providers")
    if (stage.kind == "interim") != (stage.hold is not None):
        yield _wrong(f"{where}.hold", stage.kind, "interim")
    if stage.hold is not None:
        yield from _hold(f"{where}.hold", stage.hold, stage, call)


def _hold(where: str, hold: Hold, stage: Stage, call: Call) -> Iterator[Problem]:
    yield from _within(f"{where}.after_months", hold.after_months, 0, call.months_max - 1)
    yield from _within(f"{where}.gpus_percent", hold.gpus_percent, 1, 100)
    if hold.after_months == 0 and hold.gpus_percent == 100:
        yield Problem(where, Refusal.HOLD_HOLDS_NOTHING)
    if stage.passes == "top":
        yield _wrong(where.replace("hold", "passes"), "top", "checklist, score_line, majority ...")


def _form(call: Call) -> Iterator[Problem]:
    names = [one.field for one in call.form]
    yield from _once("form", names)
    yield from _within("form", len(names), 0, MOST_OF_A_KIND)
    for place, field in enumerate(call.form):
        where = f"form[{place}]"
        if field.field in BASE_FIELDS:
            yield Problem(f"{where}.field", Refusal.NAME_IS_DOUBLE, {"found": field.field})
        yield from _field(where, field)
        if field.when is not None:
            # Only earlier fields, so that no two wait for each other.
            earlier = {one.field: one for one in call.form[:place]}
            yield from _condition(f"{where}.when", field.when, call, own=earlier)


def _field(where: str, field: Field) -> Iterator[Problem]:
    yield from _question(where, field)
    if (field.kind == "table") != bool(field.columns):
        yield _wrong(f"{where}.columns", len(field.columns), f"a list where kind is {field.kind}")
    yield from _once(f"{where}.columns", [one.field for one in field.columns])
    for place, column in enumerate(field.columns):
        yield from _question(f"{where}.columns[{place}]", column)


def _question(where: str, field: Field | Column) -> Iterator[Problem]:
    if NAME.fullmatch(field.field) is None:
        yield _wrong(f"{where}.field", field.field, "a-z, 0-9, - _; at most 40")
    if field.kind == "number" and field.most and field.least > field.most:
        yield _wrong(f"{where}.least", field.least, f"<= {field.most}")
    if (field.kind in ("choice", "choices")) != bool(field.options):
        yield _wrong(f"{where}.options", len(field.options), f"a list where kind is {field.kind}")
    yield from _once(f"{where}.options", [one.value for one in field.options])


def _condition(
    where: str, condition: Condition, call: Call, *, own: Mapping[str, Field] | None = None
) -> Iterator[Problem]:
    fields = {one.field: one for one in call.form} if own is None else own
    yield from _known(f"{where}.field", [condition.field], (*BASE_FIELDS, *fields, *DERIVED))
    if not condition.among and condition.at_least is None and condition.at_most is None:
        yield Problem(where, Refusal.CONDITION_ASKS_NOTHING)
    field = fields.get(condition.field)
    if field is not None and field.options:
        yield from _known(f"{where}.among", condition.among, [one.value for one in field.options])
    known = {"group": GROUPS, "grade": GRADES, "size": ("large", "small")}.get(condition.field)
    if known is not None:
        yield from _known(f"{where}.among", condition.among, known)
    if condition.field == "accelerator":
        yield from _known(f"{where}.among", condition.among, call.accelerators)


def _eligibility(call: Call) -> Iterator[Problem]:
    for place, rule in enumerate(call.eligibility):
        where = f"eligibility[{place}]"
        for parameter in ("among", "years", "most"):
            if parameter in _NEEDS[rule.rule] and not getattr(rule, parameter):
                yield Problem(f"{where}.{parameter}", Refusal.VALUE_IS_MISSING)
            elif parameter not in _NEEDS[rule.rule] and getattr(rule, parameter):
                numbers = {"found": parameter, "offered": ", ".join(_parameters(rule))}
                yield Problem(f"{where}.{parameter}", Refusal.VALUE_IS_UNKNOWN, numbers)
        if rule.rule == "grade":
            yield from _known(f"{where}.among", rule.among, GRADES)
        if rule.when is not None:
            yield from _condition(f"{where}.when", rule.when, call)


def _parameters(rule: Rule) -> tuple[str, ...]:
    extra = ("organisations",) if rule.rule == "supplier_is_not_beneficiary" else ()
    return (*_NEEDS[rule.rule], *extra, "when")


def _extras(call: Call) -> Iterator[Problem]:
    for place, preference in enumerate(call.preferences):
        yield from _points(f"preferences[{place}].points", preference.points_milli)
        yield from _condition(f"preferences[{place}].when", preference.when, call)
    if call.charges is not None:
        charges = call.charges
        yield from _known("charges.gpu_hour_krw", charges.gpu_hour_krw, call.accelerators)
        yield from _known("charges.percent", charges.percent, GROUPS)
        for group, percent in charges.percent.items():
            yield from _within(f"charges.percent.{group}", percent, 0, 100)
        most = charges.discount_percent_max
        yield from _within("charges.discount_percent_max", most, 0, 100)
        for place, discount in enumerate(charges.discounts):
            yield from _within(f"charges.discounts[{place}].percent", discount.percent, 1, 100)
            yield from _condition(f"charges.discounts[{place}].when", discount.when, call)
    if call.instant is not None:
        yield from _within("instant.gpu_hours_below", call.instant.gpu_hours_below, 1, 10**12)
        yield from _within("instant.capacity_percent", call.instant.capacity_percent, 1, 100)
        if call.instant.when is not None:
            yield from _condition("instant.when", call.instant.when, call)
    if call.beta is not None:
        yield from _within("beta.gpus_max", call.beta.gpus_max, 1, GPUS_MAX)
        yield from _within("beta.days", call.beta.days, 1, DAYS_MAX)
    if call.teaching is not None:
        yield from _within("teaching.students_max", call.teaching.students_max, 1, 100_000)
        yield from _within("teaching.gpus_max", call.teaching.gpus_max, 1, GPUS_MAX)
        yield from _within("teaching.months_max", call.teaching.months_max, 1, MONTHS_MAX)
    if call.lottery is not None:
        yield from _points("lottery.within", call.lottery.within_milli, least_milli=1)
    if call.peer_review is not None:
        yield from _peers(call, call.peer_review)
    yield from _pullback(call)


def _peers(call: Call, peers: PeerReview) -> Iterator[Problem]:
    """Each reviews as many as review it: that is what the stage's reviewers are."""
    stage = call.stage(peer_stage_of(call))
    if stage is None:
        yield _wrong("peer_review", "no written stage with reviewers", "one")
    elif peers.each != stage.reviewers:
        yield _wrong("peer_review.each", peers.each, f"{stage.reviewers}, as stage {stage.stage}")


def _pullback(call: Call) -> Iterator[Problem]:
    if call.pullback is None:
        return
    pullback = call.pullback
    yield from _within("pullback.warn_below_percent", pullback.warn_below_percent, 0, 100)
    yield from _within("pullback.checks_before_recall", pullback.checks_before_recall, 1, 100)
    yield from _within("pullback.notice_days", pullback.notice_days, 0, DAYS_MAX)
    tables: dict[str, Any] = {"pullback.take_percent": pullback.take_percent}
    for day, table in pullback.by_date.items():
        if re.fullmatch(r"(0[1-9]|1[0-2])-([0-2][0-9]|3[01])", day) is None:
            yield _wrong("pullback.by_date", day, "MM-DD")
        tables[f"pullback.by_date.{day}"] = table
    for where, table in tables.items():
        for below, percent in table.items():
            if not (below.isascii() and below.isdigit() and int(below) <= 100):
                yield _wrong(where, below, "0 .. 100")
            yield from _within(f"{where}.{below}", percent, 0, 100)


assert set(_NEEDS) == set(get_args(Rule.__annotations__["rule"])), "a rule without its parameters"
