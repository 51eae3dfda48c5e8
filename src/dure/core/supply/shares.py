"""The share-out of a supply call: down the rank, within the budget, no place beyond its portion.

With ``portions`` the first pass gives each place at most its part of the budget; whatever is left
goes down the same order to those who were cut. Sizes are whole nodes at the price proposed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dure.core.awards import Award, Reason
from dure.core.calls.model import Call
from dure.core.review import ranks
from dure.core.supply.measures import supply_of


@dataclass(frozen=True, slots=True)
class Proposal:
    """A provider's proposal as the share-out sees it.

    Attributes:
        price_krw: of all ``gpus``; part of them costs its part.
        least_gpus: smallest size that the provider would build; 0: all or nothing unless the call
            has portions or scales awards, then one node.
    """

    application: str
    organisation: str
    accelerator: str
    gpus: int
    price_krw: int
    score_milli: int
    least_gpus: int = 0

    def krw_of(self, gpus: int) -> int:
        """Return what a part costs, won, rounded up: the sum of parts never costs less."""
        return -(-self.price_krw * gpus // self.gpus)

    def gpus_for(self, krw: int, node_gpus: int) -> int:
        """Return how many GPUs, whole nodes, so much money pays for; at most all."""
        if krw >= self.price_krw:
            return self.gpus
        gpus = self.gpus * krw // self.price_krw if self.price_krw else self.gpus
        return gpus // node_gpus * node_gpus


def portion_krw(call: Call, place: int, portions: Sequence[int]) -> int:
    """Return the most that a place in rank (1 is first) may get; without portions the budget."""
    if not portions:
        return call.budget_krw
    percent = portions[place - 1] if place <= len(portions) else 0
    return call.budget_krw * percent // 100


def share_supply(
    proposals: Sequence[Proposal], call: Call, *, portions: Sequence[int] | None = None
) -> tuple[Award, ...]:
    """Say who gets how much of the budget, in order of rank.

    Args:
        portions: instead of the call's own, to see what others would give.
    """
    parts = supply_of(call).portions if portions is None else tuple(portions)
    cuts = bool(parts) or call.scales_awards
    rank = ranks({one.application: one.score_milli for one in proposals})
    order = sorted(proposals, key=lambda one: rank[one.application])
    good = [one for one in order if one.score_milli >= call.score_min_milli]
    given, left = _first_pass(good, call, parts, cuts=cuts)
    first = dict(given)
    for one in good if cuts else ():
        left += one.krw_of(given[one.application]) if given[one.application] else 0
        given[one.application] = _fitting(one, left, call)
        left -= one.krw_of(given[one.application]) if given[one.application] else 0
    position, awards = 0, []
    for one in order:
        if one not in good:
            awards.append(_below(one, call, rank))
            continue
        place = good.index(one) + 1
        gpus = given[one.application]
        position += gpus == 0
        numbers = {
            "asked_gpus": one.gpus,
            "gpus": gpus or one.gpus,
            "score_milli": one.score_milli,
            "price_krw": one.price_krw,
            "awarded_krw": one.krw_of(gpus) if gpus else 0,
            "left_krw": left,
            "portion_krw": portion_krw(call, place, parts),
            "first_gpus": first[one.application],
            "place": place,
        }
        awards.append(_award(one, gpus, rank, position, numbers))
    return tuple(awards)


def _first_pass(
    good: Sequence[Proposal], call: Call, parts: Sequence[int], *, cuts: bool
) -> tuple[dict[str, int], int]:
    left, given = call.budget_krw, {}
    for place, one in enumerate(good, start=1):
        most_krw = min(left, portion_krw(call, place, parts))
        whole = one.gpus if one.price_krw <= most_krw else 0
        gpus = _fitting(one, most_krw, call) if cuts else whole
        given[one.application] = gpus
        left -= one.krw_of(gpus) if gpus else 0
    return given, left


def _fitting(one: Proposal, krw: int, call: Call) -> int:
    gpus = one.gpus_for(krw, call.node_gpus)
    least = min(max(one.least_gpus, call.node_gpus), one.gpus)
    return gpus if gpus >= least else 0


def _award(
    one: Proposal, gpus: int, rank: Mapping[str, int], position: int, numbers: dict[str, int]
) -> Award:
    if gpus:
        reason = Reason.SUPPLY_SELECTED if gpus == one.gpus else Reason.SUPPLY_CUT
        return Award(one.application, one.accelerator, "selected", gpus, rank[one.application], 0,
                     reason, numbers)  # fmt: skip
    return Award(one.application, one.accelerator, "waitlisted", one.gpus, rank[one.application],
                 position, Reason.WAITS_FOR_BUDGET, numbers)  # fmt: skip


def _below(one: Proposal, call: Call, rank: Mapping[str, int]) -> Award:
    numbers = {
        "asked_gpus": one.gpus,
        "score_milli": one.score_milli,
        "score_needed_milli": call.score_min_milli,
    }
    return Award(one.application, one.accelerator, "rejected", 0, rank[one.application], 0,
                 Reason.BELOW_SCORE_LINE, numbers)  # fmt: skip
