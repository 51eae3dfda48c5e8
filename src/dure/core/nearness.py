"""The node nearest to where a gang stands already: for a substitute, or for more devices."""

from dure.core.columns import *
from dure.core.columns import Columns
from dure.core.hazard import hazard_of
from dure.core.kernel import inner
from dure.core.placement import domain_of, is_plain, slots, suits


@inner
def nearest_at(c: Columns, job: int, home: int, level: int, each: int, stamp: int) -> int:
    """Return a node in the domain of a shelf with room for ``each`` devices of a gang, or -1.

    It is the one with least to spare, then the one that failed least. Nodes with ``stamp`` in
    scratch are left out.
    """
    plain = is_plain(c, job)
    group, best, best_spare, best_hazard = c.shelves[H_GROUP, home], -1, 1 << 60, 0
    for shelf in range(c.groups[G_FROM, group], c.groups[G_TO, group]):
        is_near = domain_of(c, shelf, level) == domain_of(c, home, level)
        if not is_near or not suits(c, job, shelf):
            continue
        if plain and c.hist[shelf, each:].sum() == 0:
            continue
        for node in range(c.shelves[H_FROM, shelf], c.shelves[H_TO, shelf]):
            spare = c.nodes[N_IDLE, node]
            if c.scratch[X_NODE, node] == stamp or spare > best_spare:
                continue
            hazard = hazard_of(c, node)
            is_better = spare < best_spare or hazard < best_hazard
            if is_better and slots(c, job, node) >= each:
                best, best_spare, best_hazard = node, spare, hazard
    return int(best)


@inner
def nearest_with(c: Columns, job: int, home_node: int, each: int, widest: int, stamp: int) -> int:
    """Return the node nearest to another with room for ``each`` more devices of a gang, up to the
    ``widest`` domain, or -1.
    """
    for level in range(AT_LEAF, widest + 1):
        node = nearest_at(c, job, c.nodes[N_SHELF, home_node], level, each, stamp)
        if node >= 0:
            return int(node)
    return -1
