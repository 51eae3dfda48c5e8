"""What a node costs a claim is kept for a plan (``core.choosing``); when it is found anew."""

from dure.core.columns import *
from dure.core.columns import Columns
from dure.core.kernel import inner

# What is decided of a running gang as a whole, and changes what its devices cost.
_OF_GANGS = (K_RECLASSED, K_NOTICED, K_WITHDRAWN, K_STOP_ORDERED, K_LENT, K_RESIZE_DUE)
# What an elastic gang may give up on a node goes with what is called from it on its others.
_OF_CLAIMS = (K_HELD, K_CLAIM_ENDED)


@inner
def forget_prices(c: Columns) -> None:
    """Let all prices be found again: time went on, or something was observed."""
    c.memo[M_STAMP, STAMP_PLAN] = c.memo[M_STAMP, STAMP_MARKS]


@inner
def ask_again(c: Columns, node: int) -> None:
    """Let what a node's devices cost be found again when it is asked next; it looks at no jobs, for
    probes of the pool have others.
    """
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
    """Let it be found again where a decision of a gang changes it."""
    if kind in _OF_GANGS:
        _ask_again_of(c, job)
    elif kind in _OF_CLAIMS and c.scalars[S_ELASTIC] > 0:
        forget_prices(c)
