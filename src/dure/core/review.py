"""Marks of many reviewers to one comparable order, and who reviews what."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dure.core.programme import Refusal

MARK_MAX = 100
# A reviewer's severity is believed as if this many further reviews had shown none.
SHRINK_REVIEWS = 2
# The estimate moves by less than a thousandth of a point long before this.
ROUNDS = 40


@dataclass(frozen=True, slots=True)
class Review:
    """One reviewer's weighted mark of one application, thousandths of a point."""

    application: str
    reviewer: str
    score_milli: int


@dataclass(frozen=True, slots=True)
class Comparable:
    """What the marks say once the reviewers' severity is taken out.

    Attributes:
        score_milli: comparable score by application, 0 .. 100,000.
        raw_milli: plain mean of its reviews, by application.
        severity_milli: by reviewer, how much less than others they give; negative is generous.
    """

    score_milli: Mapping[str, int]
    raw_milli: Mapping[str, int]
    severity_milli: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Party:
    """An application or a reviewer, and the organisation that could make a conflict."""

    name: str
    organisation: str


def check_marks(marks: Mapping[str, int], rubric: Mapping[str, int]) -> Refusal | None:
    """Tell why marks cannot be taken: not exactly the rubric's criteria, or beyond 0 .. 100."""
    if set(marks) != set(rubric):
        return Refusal.CRITERIA_DIFFER
    if not all(0 <= mark <= MARK_MAX for mark in marks.values()):
        return Refusal.MARK_IS_OUT_OF_RANGE
    return None


def weighted_milli(marks: Mapping[str, int], rubric: Mapping[str, int]) -> int:
    """Weigh marks of 0 .. 100 by percents that add up to 100; thousandths of a point, exact."""
    return 10 * sum(weight * marks[criterion] for criterion, weight in rubric.items())


def comparable(reviews: Sequence[Review]) -> Comparable:
    """Take the reviewers' severity out of their marks.

    Model: a mark is the application's worth less the reviewer's severity, plus noise. Both are
    found by turns, each as a mean of what the other leaves; severity is drawn towards none by
    ``SHRINK_REVIEWS``, so that a reviewer of few applications is hardly corrected. Integers, so
    that the order is the same on every machine.
    """
    of_application: dict[str, list[Review]] = defaultdict(list)
    of_reviewer: dict[str, list[Review]] = defaultdict(list)
    for review in sorted(reviews, key=lambda one: (one.application, one.reviewer)):
        of_application[review.application].append(review)
        of_reviewer[review.reviewer].append(review)
    raw = {
        name: _mean(sum(one.score_milli for one in given), len(given))
        for name, given in of_application.items()
    }
    worth, severity = raw, dict.fromkeys(of_reviewer, 0)
    for _ in range(ROUNDS):
        severity = {
            name: _mean(
                sum(worth[one.application] - one.score_milli for one in given),
                len(given) + SHRINK_REVIEWS,
            )
            for name, given in of_reviewer.items()
        }
        worth = {
            name: _mean(sum(one.score_milli + severity[one.reviewer] for one in given), len(given))
            for name, given in of_application.items()
        }
    top = MARK_MAX * 1000
    return Comparable(
        {name: min(max(milli, 0), top) for name, milli in worth.items()}, raw, severity
    )


def ranks(
    score_milli: Mapping[str, int], *, preferred: frozenset[str] = frozenset()
) -> dict[str, int]:
    """Number the applications from the best, 1; a tie goes to the preferred, then the lower one."""
    order = sorted(score_milli, key=lambda name: (-score_milli[name], name not in preferred, name))
    return {name: place for place, name in enumerate(order, start=1)}


def assign(
    applications: Sequence[Party],
    reviewers: Sequence[Party],
    *,
    each: int,
    taken: Mapping[str, frozenset[str]] | None = None,
) -> dict[str, tuple[str, ...]] | Refusal:
    """Give every application ``each`` reviewers of other organisations, loads even.

    Of the least loaded, those come first who met the reviewers chosen already least often: who
    reviews with whom then spreads, and severity can be told apart.

    Args:
        applications: in the order in which they are served.
        reviewers: everyone who may be asked.
        each: reviewers for an application, >= 1.
        taken: reviewers that an application has already, who are not asked again.

    Returns:
        Reviewers by application; or REVIEWERS_ARE_TOO_FEW.
    """
    assert each >= 1
    load = dict.fromkeys((party.name for party in reviewers), 0)
    met: dict[tuple[str, str], int] = defaultdict(int)
    chosen: dict[str, tuple[str, ...]] = {}
    for application in applications:
        excluded = (taken or {}).get(application.name, frozenset())
        open_to = [
            party.name
            for party in reviewers
            if party.organisation != application.organisation and party.name not in excluded
        ]
        if len(open_to) < each:
            return Refusal.REVIEWERS_ARE_TOO_FEW
        panel: list[str] = []
        for _ in range(each):
            name = min(
                (name for name in open_to if name not in panel),
                key=lambda name: (load[name], sum(met[one, name] for one in panel), name),
            )
            for one in panel:
                met[one, name] += 1
                met[name, one] += 1
            load[name] += 1
            panel.append(name)
        chosen[application.name] = tuple(panel)
    return chosen


def _mean(total: int, count: int) -> int:
    """Divide, rounded half up."""
    return (2 * total + count) // (2 * count)
