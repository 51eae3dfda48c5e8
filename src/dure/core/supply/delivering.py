"""Delivery: what must be in order of every node before it enters the pool."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from dure.core.calls.supply import SupplyTerms
from dure.core.errors import InputError
from dure.core.programme import Problem, Refusal


@dataclass(slots=True)
class NodeLook:
    """What was found of a delivered node so far; the last look and figure of each count."""

    items: dict[str, bool] = field(default_factory=dict)
    results: dict[str, int] = field(default_factory=dict)
    accepted_at_s: int | None = None


NODES_MAX = 10_000
FIGURE_MAX = 10**15
_RANGE = re.compile(r"(.*?)(\d{1,9})\.\.(\d{1,9})")


def expand_nodes(names: Sequence[str]) -> tuple[str, ...]:
    """Write ranges out: ``b200-0001..0003`` are three nodes; other names stay as they are.

    Raises:
        InputError: a range that goes backwards, or more than 10,000 nodes.
    """
    found: list[str] = []
    for name in names:
        span = _RANGE.fullmatch(name.strip())
        if span is None:
            found.append(name.strip())
            continue
        first, last = int(span[2]), int(span[3])
        if not first <= last < first + NODES_MAX:
            expected = f"a range upwards, at most {NODES_MAX} nodes"
            raise InputError("nodes", found=name[:80], expected=expected)
        found += [f"{span[1]}{number:0{len(span[2])}d}" for number in range(first, last + 1)]
    return tuple(found)


def check_node(terms: SupplyTerms, node: str, look: NodeLook) -> Problem | None:
    """Tell what keeps a node out of the pool, by the item or the test and its bounds."""
    for item in terms.inspection:
        if not look.items.get(item, False):
            was_seen = item in look.items
            refusal = Refusal.ITEM_IS_NOT_IN_ORDER if was_seen else Refusal.INSPECTION_IS_MISSING
            return Problem("nodes", refusal, {"node": node, "item": item})
    for test in terms.tests:
        if test.test not in look.results:
            return Problem("nodes", Refusal.TEST_IS_MISSING, {"node": node, "test": test.test})
        result = look.results[test.test]
        if result < test.least or (test.most and result > test.most):
            bounds: dict[str, int | str] = {
                "node": node,
                "test": test.test,
                "found": result,
                "least": test.least,
                "most": test.most or "-",
            }
            return Problem("nodes", Refusal.TEST_IS_FAILED, bounds)
    return None


def check_names(
    given: Mapping[str, object], known: Mapping[str, object] | frozenset[str], refusal: Refusal
) -> Problem | None:
    """Refuse an item or test that the call does not have, or none at all."""
    strange = sorted(set(given) - set(known))
    if strange or not given:
        numbers: dict[str, int | str] = {
            "found": strange[0] if strange else "-",
            "offered": ", ".join(sorted(known)),
        }
        return Problem("items", refusal, numbers)
    return None
