"""Marks of many reviewers to one comparable order."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isqrt

from dure.core.programme import Refusal

MARK_MAX = 100
# A reviewer's severity is believed as if this many further reviews had shown none; the marks say
# how many, in thousandths, and this stands in where they are too few to tell.
SHRINK_MILLI, SHRINK_MILLI_MIN, SHRINK_MILLI_MAX = 2000, 100, 100_000
# Fewer degrees of freedom than this tell nothing about the noise.
FREEDOM_MIN = 10
# The estimate moves by less than a thousandth of a point long before this.
ROUNDS = 40
# Nine in ten of a normal distribution lie within so many thousandths of its deviation.
NINE_IN_TEN_MILLI = 1645


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
        half_milli: by application, half of the interval in which its worth lies nine times in ten,
            beside that of others of the same call.
        noise_milli: deviation of a mark from worth less severity, as the marks themselves show it.
        shrink_milli: further reviews, in thousandths, as if which no severity was shown.
    """

    score_milli: Mapping[str, int]
    raw_milli: Mapping[str, int]
    severity_milli: Mapping[str, int]
    half_milli: Mapping[str, int]
    noise_milli: int
    shrink_milli: int


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

    Model: mark = worth - severity + noise, all three independent; severity and noise are normal
    with mean 0. Worth and severity are found by turns, each as a mean of what the other leaves.
    Severity is drawn towards none by noise / severity (their variances), which the marks tell first
    (empirical Bayes): where reviewers hardly differ they are hardly corrected, and one of few
    applications less than one of many. Integers, so that the order is the same on every machine.
    """
    marks = _Marks(reviews)
    worth, severity = marks.fitted(SHRINK_MILLI)
    noise_square, shrink_milli = marks.spread(worth, severity)
    worth, severity = marks.fitted(shrink_milli)
    top = MARK_MAX * 1000
    return Comparable(
        {name: min(max(milli, 0), top) for name, milli in worth.items()},
        marks.raw_milli,
        severity,
        marks.halves(noise_square, shrink_milli),
        isqrt(noise_square),
        shrink_milli,
    )


class _Marks:
    """The marks of a call by application and by reviewer."""

    def __init__(self, reviews: Sequence[Review]) -> None:
        self.of_application: dict[str, list[Review]] = defaultdict(list)
        self.of_reviewer: dict[str, list[Review]] = defaultdict(list)
        for review in sorted(reviews, key=lambda one: (one.application, one.reviewer)):
            self.of_application[review.application].append(review)
            self.of_reviewer[review.reviewer].append(review)
        self.raw_milli = {
            name: _mean(sum(one.score_milli for one in given), len(given))
            for name, given in self.of_application.items()
        }

    def fitted(self, shrink_milli: int) -> tuple[dict[str, int], dict[str, int]]:
        """Return (worth by application, severity by reviewer)."""
        worth, severity = self.raw_milli, dict.fromkeys(self.of_reviewer, 0)
        for _ in range(ROUNDS):
            severity = {
                name: _mean(
                    1000 * sum(worth[one.application] - one.score_milli for one in given),
                    1000 * len(given) + shrink_milli,
                )
                for name, given in self.of_reviewer.items()
            }
            worth = {
                name: _mean(
                    sum(one.score_milli + severity[one.reviewer] for one in given), len(given)
                )
                for name, given in self.of_application.items()
            }
        return worth, severity

    def spread(self, worth: Mapping[str, int], severity: Mapping[str, int]) -> tuple[int, int]:
        """Return (variance of the noise, shrink) as a first fit shows them.

        The noise is what the fit leaves, over its degrees of freedom. A severity fitted from n
        marks was drawn to n / (n + SHRINK) of itself, and of what it then shows noise / n is noise.
        """
        given = [one for marks in self.of_application.values() for one in marks]
        freedom = len(given) - len(self.of_application) - len(self.of_reviewer) + 1
        left = sum(
            (one.score_milli - worth[one.application] + severity[one.reviewer]) ** 2
            for one in given
        )
        if freedom < FREEDOM_MIN:
            return left // max(freedom, 1), SHRINK_MILLI
        noise_square = left // freedom
        shown = 0
        for name, marks in self.of_reviewer.items():
            whole = 1000 * len(marks)
            shown += (severity[name] * (whole + SHRINK_MILLI) // whole) ** 2
            shown -= noise_square // len(marks)
        severity_square = max(shown // max(len(self.of_reviewer) - 1, 1), 1)
        shrink_milli = 1000 * noise_square // severity_square
        return noise_square, min(max(shrink_milli, SHRINK_MILLI_MIN), SHRINK_MILLI_MAX)

    def halves(self, noise_square: int, shrink_milli: int) -> dict[str, int]:
        """Return half of each application's interval: its own noise, and that of the severities."""
        unsure = {
            # What is not known of a severity from n marks, shrunk as if there were more.
            name: 1000 * noise_square // (1000 * len(marks) + shrink_milli)
            for name, marks in self.of_reviewer.items()
        }
        return {
            name: NINE_IN_TEN_MILLI
            * isqrt(
                noise_square // len(marks)
                + sum(unsure[one.reviewer] for one in marks) // len(marks) ** 2
            )
            // 1000
            for name, marks in self.of_application.items()
        }


def ranks(
    score_milli: Mapping[str, int], *, preferred: frozenset[str] = frozenset()
) -> dict[str, int]:
    """Number the applications from the best, 1; a tie goes to the preferred, then the lower one."""
    order = sorted(score_milli, key=lambda name: (-score_milli[name], name not in preferred, name))
    return {name: place for place, name in enumerate(order, start=1)}


def _mean(total: int, count: int) -> int:
    """Divide, rounded half up."""
    return (2 * total + count) // (2 * count)
