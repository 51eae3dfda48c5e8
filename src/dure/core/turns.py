"""Whose turn it is: each owner's cohorts in a chain, of each the gang that would be tried next.

An owner's next gang is the one that stands first in the line; a cohort whose gang fits nowhere has
no more turns in this pass.
"""

from dure.core.columns import *
from dure.core.columns import Columns
from dure.core.kernel import inner
from dure.core.line import first_of, is_before


@inner
def is_lendable(jobs: IntArray, job: int, now_s: int) -> bool:
    """Tell whether a gang may be lent to now: it waits, without a claim, and was not just
    reclaimed.
    """
    if jobs[J_STATE, job] != PENDING or jobs[J_CLAIM_DUE, job] >= 0:
        return False
    if jobs[J_PREEMPTIBLE, job] == 0 or jobs[J_CLASS_ASKED, job] == 1 + OWN:
        return False
    return bool(jobs[J_ELIGIBLE, job] <= now_s)


@inner
def chain_cohort(c: Columns, cohort: int) -> None:
    """Let a cohort take turns among its owner's."""
    owner, head = c.cohorts[cohort, C_OWNER], c.scratch[X_HEAD]
    c.cohorts[cohort, C_TURN] = first_of(c, cohort)
    c.cohorts[cohort, C_NEXT] = head[owner]
    head[owner] = cohort


@inner
def next_turn(c: Columns, owner: int) -> int:
    """Return the owner's next gang in the line's order, or -1."""
    found, cohort = -1, c.scratch[X_HEAD, owner]
    while cohort >= 0:
        job = c.cohorts[cohort, C_TURN]
        if job >= 0 and (found < 0 or is_before(c, job, found)):
            found = job
        cohort = c.cohorts[cohort, C_NEXT]
    return found


@inner
def pass_turn(c: Columns, cohort: int, job: int) -> None:
    """Have another gang of the cohort be its next, or none (-1)."""
    c.cohorts[cohort, C_TURN] = job
