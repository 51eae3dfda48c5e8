"""Spares: nodes kept for gangs whose node fails; until then small gangs that lose little run there.

A gang of two nodes and more that is struck finds its substitute there at once, in its own leaf
before anything further away; its failed node is the spare from then on. An owner that nothing else
can serve claims spares, too: what it was promised comes before what might fail.
"""

from dure.core.columns import *
from dure.core.columns import Columns
from dure.core.facts import emit
from dure.core.kernel import inner
from dure.core.placement import domain_of, is_plain, suits
from dure.core.prices import ask_again


@inner
def idle_mask(c: Columns, node: int, each: int) -> int:
    """Return the mask of the first ``each`` devices free on a node that stands aside, or 0."""
    devices, first, mask, found = c.devices, c.nodes[N_FIRST, node], 0, 0
    for d in range(c.nodes[N_GPUS, node]):
        i = first + d
        is_free = devices[D_FREE, i] == WHOLE and devices[D_DOWN, i] == 0
        if found < each and is_free and devices[D_CLEANING, i] == 0 and devices[D_HOLD, i] == 0:
            mask |= 1 << d
            found += 1
    return mask if found == each else 0


@inner
def stands_on_spare(c: Columns, job: int) -> bool:
    """Tell whether a running gang stands on a spare; such gangs hold one node alone."""
    return bool(c.nodes[N_SPARE, c.rows[R_NODE, c.jobs[J_ROWS, job]]] > 0)


@inner
def is_owed_spares(c: Columns, job: int) -> bool:
    """Tell whether spares may serve a claim that nothing else can: an owner's, or one of the whole
    pool's whose patience is out.
    """
    if c.scalars[S_SPARES] == 0:
        return False
    if c.accounts[A_KIND, c.jobs[J_OWNER, job]] != ACCOUNT_POOL:
        return True
    patience_s = c.policy[P_RESERVE_S]
    return bool(patience_s > 0 and c.scalars[S_NOW] - c.jobs[J_SUBMIT, job] >= patience_s)


@inner
def open_spares(c: Columns, is_open: int) -> None:
    """Let a claim see the spares, or hide them again."""
    for node in range(c.nodes.shape[1]):
        if c.nodes[N_SPARE, node] > 0:
            c.nodes[N_SPARE, node] = IS_OPEN_SPARE if is_open else IS_SPARE
            ask_again(c, node)


@inner
def idle_spare(c: Columns, job: int, home: int, level: int, each: int, stamp: int) -> int:
    """Return the first idle spare in the domain of a shelf that is not the gang's yet, or -1."""
    if c.scalars[S_SPARES] == 0 or not is_plain(c, job):
        return -1
    group = c.shelves[H_GROUP, home]
    for shelf in range(c.groups[G_FROM, group], c.groups[G_TO, group]):
        if domain_of(c, shelf, level) != domain_of(c, home, level) or not suits(c, job, shelf):
            continue
        for node in range(c.shelves[H_FROM, shelf], c.shelves[H_TO, shelf]):
            is_new = c.nodes[N_SPARE, node] > 0 and c.scratch[X_NODE, node] != stamp
            is_open = c.nodes[N_CORDONED, node] == 0 and c.nodes[N_PROBATION, node] == 0
            if is_new and is_open and idle_mask(c, node, each):
                return int(node)
    return -1


@inner
def pass_on_spares(c: Columns, job: int, count: int) -> None:
    """Let each failed node of a gang be the spare in place of the one in ``picks`` that replaces
    it.
    """
    row = c.jobs[J_ROWS, job]
    for i in range(count):
        lost, node = c.rows[R_NODE, row], c.picks[i, 0]
        if node != lost and c.nodes[N_SPARE, node] > 0:
            emit(c, K_SPARED, -1, node, lost, 0, 0, 0)
        row = c.rows[R_NEXT_OF_JOB, row]
