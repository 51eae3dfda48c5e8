"""A call as a value: everything that it says, for demand and for supply.

It is written as YAML by people (``services.requests.call_yaml``) and carried whole by the events
``CallDrafted`` and ``CallPublished``. Lists of kinds are closed: a file cannot bring a rule that no
code keeps. Empty names mean the catalogues' own words.
"""

from typing import Any, Literal

import msgspec

from dure.core.calls.supply import SupplyTerms
from dure.core.calls.words import Words as Words

CallKind = Literal["demand", "supply"]
FieldKind = Literal["text", "long", "number", "choice", "choices", "date", "file", "table"]
ColumnKind = Literal["text", "number", "choice", "date"]
StageKind = Literal[
    "documents", "technical", "written", "oral", "inspection", "financial", "panel", "interim"
]
PassRule = Literal["complete", "checklist", "score_line", "top", "majority", "decision"]
StageRole = Literal["operator", "reviewer", "provider", "committee"]
RuleKind = Literal[
    "organisation_kind",
    "region",
    "registered_within",
    "supplier_is_not_beneficiary",
    "no_open_report",
    "grade",
    "applications_at_most",
]

WRITTEN, PANEL = "written", "panel"
# Hours of a month as charges and limits count them: 365 days of 24 hours, a twelfth of them.
MONTH_HOURS = 730


class Condition(msgspec.Struct, frozen=True, omit_defaults=True):
    """What must hold of one answer; all parts given must hold. No answer: it does not hold.

    Attributes:
        field: a field of the form, or one that follows from it: ``size`` (``large`` or ``small``),
            ``gpu_hours`` (GPUs x months x 730), ``gpus``, ``months``.
        among: one of these; of several answers, any of them.
        at_least, at_most: bounds of a number.
    """

    field: str
    among: tuple[str, ...] = ()
    at_least: int | None = None
    at_most: int | None = None


class Option(msgspec.Struct, frozen=True):
    """One answer that may be chosen."""

    value: str
    name: Words


class Column(msgspec.Struct, frozen=True, omit_defaults=True):
    """A column of a table; ``least``, ``most`` and ``options`` as those of ``Field``."""

    field: str
    kind: ColumnKind
    name: Words
    required: bool = False
    unit: str = ""
    least: int = 0
    most: int = 0
    options: tuple[Option, ...] = ()


class Field(msgspec.Struct, frozen=True, omit_defaults=True):
    """A question of the call's own, asked besides those of every form.

    Attributes:
        unit: of a number, for the reader: ``TB``, ``requests/s``.
        least, most: bounds of a number; of ``text`` and ``long``, ``most`` is the longest (0: 200
            and 4,000); of a table, ``most`` is its rows (0: 50).
        options: of ``choice`` and ``choices``.
        columns: of a table.
        when: asked only then; an answer given otherwise is refused.
    """

    field: str
    kind: FieldKind
    name: Words | None = None
    help: Words | None = None
    required: bool = False
    unit: str = ""
    least: int = 0
    most: int = 0
    options: tuple[Option, ...] = ()
    columns: tuple[Column, ...] = ()
    when: Condition | None = None


class Rule(msgspec.Struct, frozen=True, omit_defaults=True):
    """Who may apply. Checked at the draft and again at submission.

    Attributes:
        among: organisation_kind, region, grade: what is admitted.
        years: registered_within: the organisation was registered at most so many years ago.
        organisations: supplier_is_not_beneficiary: suppliers besides those awarded in supply calls.
        most: applications_at_most: applications of one lead institution in this call.
        when: the rule is for these only.
    """

    rule: RuleKind
    among: tuple[str, ...] = ()
    years: int = 0
    organisations: tuple[str, ...] = ()
    most: int = 0
    when: Condition | None = None


class TrackRule(msgspec.Struct, frozen=True):
    """Who is in a track by more than the group; the first that holds counts, before ``tracks``."""

    track: str
    when: Condition


class Preference(msgspec.Struct, frozen=True, omit_defaults=True):
    """Points beside the reviewers' for some, or the better place at an equal score (0 points)."""

    name: Words
    when: Condition
    points_milli: int = 0


class Discount(msgspec.Struct, frozen=True):
    """Percent off what is left after the discounts before it."""

    name: Words
    percent: int
    when: Condition


class Charges(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a GPU-hour costs, won.

    Attributes:
        gpu_hour_krw: full price by accelerator.
        percent: part of it by group; a group that is not named pays all of it.
        discounts: stacked in their order.
        discount_percent_max: together no more than this.
    """

    gpu_hour_krw: dict[str, int]
    percent: dict[str, int] = {}
    discounts: tuple[Discount, ...] = ()
    discount_percent_max: int = 100


class Hold(msgspec.Struct, frozen=True, omit_defaults=True):
    """What an interim stage holds back until it is passed.

    Attributes:
        after_months: the award's first period; the rest of the term follows when passed. 0: the
            whole term.
        gpus_percent: of the size, what is held until then.
    """

    after_months: int = 0
    gpus_percent: int = 100


class Stage(msgspec.Struct, frozen=True, omit_defaults=True):
    """A step between an application and its award, or within the award (``interim``).

    Attributes:
        stage: its name within the call.
        role: who answers for it.
        beside: it opens together with the stage before it, not after it.
        when: only these go through it.
        due_days: days from its opening, and from asking a reviewer, to the deadline; 0 for none.
        late: what becomes of marks after their deadline: refused, or taken and flagged.
        passes: ``complete``: all reviews are in. ``checklist``: every item is ticked.
            ``score_line``: its score is ``line_milli`` or more. ``top``: among the best ``top``.
            ``majority``: more than half recognise it. ``decision``: whoever answers says so.
        reviewers: marks or votes that an application gets here.
        weight: part of the final score, relative to the other stages; 0: only a gate.
        rubric: criteria of its own, percent; empty: the call's.
        checklist: items by name. providers: of the role ``provider``, whose people answer for it.
        may_pass_none: it may be that nobody passes. hold: of ``interim``.
    """

    stage: str
    kind: StageKind
    role: StageRole
    passes: PassRule
    name: Words | None = None
    beside: bool = False
    when: Condition | None = None
    due_days: int = 0
    late: Literal["flagged", "refused"] = "flagged"
    line_milli: int = 0
    top: int = 0
    reviewers: int = 0
    weight: int = 0
    rubric: dict[str, int] = {}
    checklist: dict[str, Words] = {}
    may_pass_none: bool = True
    hold: Hold | None = None
    providers: tuple[str, ...] = ()


class FastTrack(msgspec.Struct, frozen=True):
    """Urgent ones leave stages out."""

    when: Condition
    skips: tuple[str, ...]


class Instant(msgspec.Struct, frozen=True, omit_defaults=True):
    """Small requests are approved as they come in, while capacity lasts.

    Attributes:
        gpu_hours_below: GPUs x months x 730; the limit itself is too much.
        capacity_percent: of each accelerator, at most so much goes this way.
        when: for these only.
    """

    gpu_hours_below: int
    capacity_percent: int = 100
    when: Condition | None = None


class Beta(msgspec.Struct, frozen=True, omit_defaults=True):
    """Trials: so many GPUs at most, for so many days."""

    gpus_max: int
    days: int = 14


class Teaching(msgspec.Struct, frozen=True, omit_defaults=True):
    """Accounts for a class of so many students at most, until the date that the teacher states."""

    students_max: int
    gpus_max: int
    months_max: int = 6


class Lottery(msgspec.Struct, frozen=True):
    """Whoever is within so many points of the line is drawn by lot."""

    within_milli: int


class PeerReview(msgspec.Struct, frozen=True, omit_defaults=True):
    """Leads review each other in the first written stage; who is late may lose the own one."""

    each: int
    late_is_refused: bool = True


class Pullback(msgspec.Struct, frozen=True, omit_defaults=True):
    """How use is checked; the fields are those of ``core.recall.RecallPolicy``.

    Attributes:
        take_percent: below this use, percent: this part of what stood unused, percent. As text
            keys, because files have no other.
        by_date: another table from a day of the year on, ``05-01``.
    """

    warn_below_percent: int = 50
    checks_before_recall: int = 2
    notice_days: int = 7
    take_percent: dict[str, int] = {}
    by_date: dict[str, dict[str, int]] = {}


def usual_stages(reviewers: int) -> tuple[Stage, ...]:
    """Return reviews by ``reviewers`` for each, and as many again for large projects."""
    large = Condition("size", among=("large",))
    return (
        Stage(WRITTEN, "written", "reviewer", "complete", reviewers=reviewers, weight=50),
        Stage(
            PANEL, "panel", "reviewer", "complete",
            beside=True, when=large, reviewers=reviewers, weight=50,
        ),
    )  # fmt: skip


# What a call that names no stages goes through.
USUAL_STAGES = usual_stages(3)


class Call(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An invitation with all the rules that will decide who gets what.

    Attributes:
        call: its id, for instance ``2026-1``.
        version: of its rules, from 1; each change of the file is another.
        rolling: decided as applications get ready, not all at once after the closing.
        capacity: demand: GPUs offered by accelerator.
        budget_krw: supply: what the state pays at most.
        exchange_units: what a GPU of a type is worth, whole units; the types that may be offered in
            a supply call.
        caps: most GPUs a project may get, by accelerator; absent: no cap but the capacity.
        organisation_caps: the same for all projects of one lead institution.
        large_from: projects of this many GPUs or more are ``large``.
        large_score_min_milli: a large size needs this score; below it a project is cut to less.
        rubric: weight of each criterion, percent, sum 100.
        tracks: group -> track; applications of a group without a track are not admitted.
        shares: floor of a track, percent of the capacity of each accelerator.
        score_min_milli: score below which nothing is awarded, thousandths of a point.
        node_gpus: sizes are whole nodes of this many GPUs.
        scales_awards: by ``rank``, sizes are cut in proportion where not all good enough fit.
        rule: how the capacity is shared: ``rank`` down the order, ``optimum`` by the best total.
        start_months: months after the start at which ``optimum`` may let an award begin; with more
            than one, everything counts in GPU-months over ``months_max``.
        scaled_min_percent: smallest size ``optimum`` may give, of the size by evidence; 100: whole.
        extra_milli: worth of a GPU beyond the smallest size, per thousand of one within it.
        band_milli: nobody waits by ``optimum`` who scores so much more than one selected; 0: may.
        blind: what reviewers are not shown: organisation, group, region, category.
        answer_days: an offer that nobody accepted for so long lapses; 0: never.
        supply: what only a supply call says; None has its usual values.
    """

    call: str
    name: Words
    kind: CallKind = "demand"
    version: int = 1
    round: int = 1
    summary: Words | None = None
    opens_at_s: int
    closes_at_s: int
    starts_at_s: int
    rolling: bool = False
    capacity: dict[str, int] = {}
    budget_krw: int = 0
    exchange_units: dict[str, int] = {}
    node_gpus: int = 8
    caps: dict[str, int] = {}
    organisation_caps: dict[str, int] = {}
    months_max: int = 12
    large_from: dict[str, int] = {}
    rubric: dict[str, int] = {}
    criteria: dict[str, Words] = {}
    score_min_milli: int = 0
    large_score_min_milli: int = 0
    tracks: dict[str, str] = {}
    track_rules: tuple[TrackRule, ...] = ()
    track_names: dict[str, Words] = {}
    shares: dict[str, int] = {}
    stages: tuple[Stage, ...] = USUAL_STAGES
    form: tuple[Field, ...] = ()
    eligibility: tuple[Rule, ...] = ()
    preferences: tuple[Preference, ...] = ()
    charges: Charges | None = None
    fast_track: FastTrack | None = None
    instant: Instant | None = None
    beta: Beta | None = None
    teaching: Teaching | None = None
    lottery: Lottery | None = None
    peer_review: PeerReview | None = None
    scales_awards: bool = False
    pullback: Pullback | None = None
    rule: Literal["rank", "optimum"] = "rank"
    start_months: tuple[int, ...] = (0,)
    scaled_min_percent: int = 100
    extra_milli: int = 1000
    band_milli: int = 10_000
    blind: tuple[str, ...] = ()
    answer_days: int = 0
    supply: SupplyTerms | None = None
    synthetic: bool = False

    @property
    def accelerators(self) -> tuple[str, ...]:
        """The types that may be asked for, or offered to a supply call."""
        return tuple(sorted(self.capacity or self.exchange_units))

    def stage(self, name: str) -> Stage | None:
        """Return the stage of this name, None if there is none."""
        return next((one for one in self.stages if one.stage == name), None)

    def criteria_of(self, stage: Stage) -> dict[str, int]:
        """Return the rubric by which a stage is marked."""
        return stage.rubric or self.rubric


def holds(condition: Condition | None, answers: dict[str, Any]) -> bool:
    """Tell whether a condition holds of an application's answers; none always holds."""
    if condition is None:
        return True
    answer = answers.get(condition.field)
    given = answer if isinstance(answer, list | tuple) else [answer]
    if condition.among and not any(str(one) in condition.among for one in given):
        return False
    if condition.at_least is None and condition.at_most is None:
        return bool(condition.among)
    number = answer if type(answer) is int else None
    if number is None:
        return False
    at_least = condition.at_least is None or number >= condition.at_least
    return at_least and (condition.at_most is None or number <= condition.at_most)
