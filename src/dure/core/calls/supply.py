"""What a supply call says besides: bidders, computed marks, portions, delivery, payment, service.

``core.supply`` holds what happens against these terms; nothing here is decided.
"""

from typing import Literal

import msgspec

from dure.core.calls.words import Words

Title = Literal["agency", "provider"]
Due = Literal["agreement", "acceptance"]


class Computed(msgspec.Struct, frozen=True, omit_defaults=True):
    """A criterion whose marks follow from the proposal itself; no reviewer is asked for them.

    Attributes:
        criterion: of the rubric.
        of: a question of the form (number, date, choice), or a measure of ``core.supply.measures``.
        zero, full: values worth 0 and 100 points, between them in proportion; ``full`` may be the
            smaller one. Of a date, days after the call's start.
        points: of a choice, the points of each answer; any other answer has none.
    """

    criterion: str
    of: str
    zero: int = 0
    full: int = 0
    points: dict[str, int] = {}


class AcceptanceTest(msgspec.Struct, frozen=True, omit_defaults=True):
    """A measurement that every node must pass before it enters the pool.

    Attributes:
        least, most: bounds, both included; ``most`` 0: none above.
    """

    test: str
    name: Words
    unit: str = ""
    least: int = 0
    most: int = 0


class Instalment(msgspec.Struct, frozen=True, omit_defaults=True):
    """A part of the price, paid on evidence within its fiscal year (January to December).

    Attributes:
        year: the fiscal year whose appropriation pays it.
        after: ``acceptance``: no more than the accepted part of the GPUs; ``agreement``: at once.
    """

    instalment: str
    percent: int
    year: int
    after: Due = "acceptance"


class ServiceCredit(msgspec.Struct, frozen=True):
    """Below this availability of a month, so many percent of the month's part of the price."""

    below_ppm: int
    percent: int


class SupplyTerms(msgspec.Struct, frozen=True, omit_defaults=True):
    """The rules of a supply call that one for demand has no use for.

    Attributes:
        bidders_min: with fewer institutions the call fails (유찰).
        repeats: a failed call is repeated so often; failing again, one provider may be negotiated
            with (수의계약).
        computed: criteria worked out from the proposals.
        portions: most of the budget for the first, second .. in rank, percent; empty: no such rule.
        title: who owns what is bought (소유); the right of use (이용권) is the agency's either way.
        public_percent_min: no agreement leaves the public less.
        inspection: what is looked at of every node delivered.
        tests: what is measured at every node delivered.
        instalments: of the price; percents add up to 100.
        appropriations_krw: by fiscal year, won.
        credits: for faults; the row with the least ``below_ppm`` above the availability counts.
        report_day: the monthly report is due by the end of this day of the next month.
    """

    bidders_min: int = 2
    repeats: int = 1
    computed: tuple[Computed, ...] = ()
    portions: tuple[int, ...] = ()
    title: Title = "agency"
    public_percent_min: int = 0
    inspection: dict[str, Words] = {}
    tests: tuple[AcceptanceTest, ...] = ()
    instalments: tuple[Instalment, ...] = ()
    appropriations_krw: dict[str, int] = {}
    credits: tuple[ServiceCredit, ...] = ()
    report_day: int = 10

    def instalment(self, name: str) -> Instalment | None:
        """Return the instalment of this name, None if there is none."""
        return next((one for one in self.instalments if one.instalment == name), None)
