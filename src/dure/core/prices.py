"""What a node costs a claim is kept for a plan (``core.choosing``); when it is found anew."""

from dure.core.columns import *
from dure.core.columns import Columns
from dure.core.kernel import inner

# What is decided of a running gang as a whole, and changes what its devices cost.
_OF_GANGS = (K_RECLASSED, K_NOTICED, K_WITHDRAWN, K_STOP_ORDERED, K_LENT, K_RESIZE_DUE)


@inner
def forget_prices(c: Columns) -> None:
    """Let all prices be found again: time went on, or something was observed."""
    c.memo[M_STAMP, STAMP_PLAN] = c.memo[M_STAMP, STAMP_MARKS]


@inner
def ask_again(c: Columns, node: int) -> None:
    """Let what a node's devices cost be found again when it is asked next."""
    for slot in range(X_PRICED, X_PRICED + PRICES):
        c.scratch[slot, node] = 0


@inner
def _ask_again_of(c: Columns, job: int) -> None:
    """Let it be found again wherever a running gang stands."""
    row = c.jobs[J_ROWS, job]
    while row >= 0:
        ask_again(c, c.rows[R_NODE, row])
        row = c.rows[R_NEXT_OF_JOB, row]


@inner
def ask_again_after(c: Columns, kind: int, job: int) -> None:
    """Let it be found again after a decision of a running gang."""
    if kind in _OF_GANGS:
        _ask_again_of(c, job)


@inner
def ask_again_around(c: Columns, node: int) -> None:
    """Let it be found again on a node, and where elastic gangs stand that stand there: what one may
    give up goes with all that it has.
    """
    ask_again(c, node)
    row = c.nodes[N_ROWS, node] if c.scalars[S_ELASTIC] > 0 else -1
    while row >= 0:
        job = c.rows[R_JOB, row]
        if c.jobs[J_SIZE, job] < c.jobs[J_GPUS, job]:
            _ask_again_of(c, job)
        row = c.rows[R_NEXT_OF_NODE, row]
