"""Nodes that fail again and again: each fault weighs a while, and who has too many is on probation.

A fault counts 1,000, half as much after the half-life. Gangs of two nodes and more prefer, among
equal nodes, those with less of it. A node that reaches the limit is a *lemon*: until it stayed
healthy for a time after its repair it stands in nobody's way and only small gangs that lose little
are tried on it (``core.testing``). Few nodes may be on probation at once, so that a bad day of all
(or a pool of one node) does not close the pool.
"""

from dure.core.alarms import push_alarm
from dure.core.columns import *
from dure.core.columns import Columns
from dure.core.kernel import inner
from dure.core.moves import refresh_node

FAULT = 1000  # what one fault weighs on its day


@inner
def hazard_of(c: Columns, node: int) -> int:
    """Return what a node's faults weigh now, in thousandths of a fault, rounded down.

    Between two halvings it falls in a straight line, so that only whole numbers decide.
    """
    half_s, weight = c.policy[P_HAZARD_S], c.nodes[N_HAZARD, node]
    if half_s == 0 or weight == 0:
        return 0
    passed_s = c.scalars[S_NOW] - c.nodes[N_HAZARD_AT, node]
    weight >>= min(passed_s // half_s, 60)
    return int(weight - weight * (passed_s % half_s) // (2 * half_s))


@inner
def blame(c: Columns, node: int) -> None:
    """Count a fault against its node; one too many puts it on probation until it is repaired."""
    if c.policy[P_HAZARD_S] == 0:
        return
    nodes, s = c.nodes, c.scalars
    nodes[N_HAZARD, node] = hazard_of(c, node) + FAULT
    nodes[N_HAZARD_AT, node] = s[S_NOW]
    # Rounded, or three faults on three days would not be three.
    is_lemon = nodes[N_HAZARD, node] + FAULT // 2 >= c.policy[P_LEMON_FAULTS] * FAULT
    if nodes[N_PROBATION, node] == 0 and is_lemon:
        if 100 * (s[S_PROBATION] + 1) > c.policy[P_LEMONS_PCT] * nodes.shape[1]:
            return
        s[S_PROBATION] += 1
    if nodes[N_PROBATION, node] > 0 or is_lemon:
        nodes[N_PROBATION, node] = FOREVER_S


@inner
def watch(c: Columns, node: int) -> None:
    """Let the probation of a node that was repaired begin, anew if it had begun before."""
    # Without hazard the breaker alone puts nodes on probation, and ends it for all at once.
    if c.policy[P_HAZARD_S] > 0 and c.nodes[N_PROBATION, node] > 0:
        until_s = c.scalars[S_NOW] + c.policy[P_PROBATION_S]
        c.nodes[N_PROBATION, node] = until_s
        push_alarm(c, until_s, ALARM_PROBATION, node)


@inner
def release(c: Columns, node: int) -> None:
    """Let a node that stayed healthy take any work again."""
    if 0 < c.nodes[N_PROBATION, node] <= c.scalars[S_NOW]:
        c.nodes[N_PROBATION, node] = 0
        c.scalars[S_PROBATION] -= 1
        c.scalars[S_FREED] |= FREED_ROOM
        refresh_node(c, node)


@inner
def next_calm(c: Columns, shelf: int, exact: int, after: int) -> int:
    """Return the node that follows ``after`` (-1: the first) by hazard, then by number, among a
    shelf's nodes with exactly ``exact`` free devices; or -1.
    """
    least, best, best_hazard = -1, -1, 0
    if after >= 0:
        least = hazard_of(c, after)
    for node in range(c.shelves[H_FROM, shelf], c.shelves[H_TO, shelf]):
        if c.nodes[N_FREE, node] != exact:
            continue
        hazard = hazard_of(c, node)
        if hazard < least or (hazard == least and node <= after):
            continue
        if best < 0 or hazard < best_hazard:
            best, best_hazard = node, hazard
    return best
