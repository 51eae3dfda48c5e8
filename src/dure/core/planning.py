"""The cycle as one compiled function: settle, faults, stops, order, place, reclaim, lend,
measure.
"""

from dure.core.accounts import advance, take_due
from dure.core.breaker import is_failing
from dure.core.columns import *
from dure.core.columns import Columns
from dure.core.easy import start_easy
from dure.core.facts import apply_told, emit, end_cycle
from dure.core.idle import measure_beside
from dure.core.kernel import inner, kernel
from dure.core.lending import end_claim
from dure.core.preempting import refill
from dure.core.prices import forget_prices
from dure.core.refusing import refuse_impossible, refuse_orphans
from dure.core.sharing import share
from dure.core.starting import start_in_order, start_what_fits
from dure.core.stopping import stop_borrower, stop_due
from dure.core.swapping import swap_departed, swap_struck


@inner
def _finish_cleaning(c: Columns) -> None:
    s, devices = c.scalars, c.devices
    for i in range(s[S_DUE]):
        if c.due[i, 1] != ALARM_CLEAN:
            continue
        node, mask = c.due[i, 2], 0
        first = c.nodes[N_FIRST, node]
        for d in range(c.nodes[N_GPUS, node]):
            if devices[D_CLEANING, first + d] > 0 and devices[D_CLEAN_AT, first + d] <= s[S_NOW]:
                mask |= 1 << d
        if mask:
            emit(c, K_CLEANED, -1, node, mask, 0, 0, 0)


@inner
def _suffer_faults(c: Columns) -> None:
    """Stop the jobs on devices that failed; claims on them start over."""
    s = c.scalars
    for i in range(s[S_HURT]):
        node, affected = c.hurt[i, 0], c.hurt[i, 1]
        gpus, first = c.nodes[N_GPUS, node], c.nodes[N_FIRST, node]
        mask = ((1 << affected) - 1) << (gpus - affected)
        row = c.nodes[N_ROWS, node]
        while row >= 0:
            job, following = c.rows[R_JOB, row], c.rows[R_NEXT_OF_NODE, row]
            if c.rows[R_MASK, row] & mask:
                stop_borrower(c, job, BY_FAULT, 0)
            row = following
        for d in range(gpus - affected, gpus):
            holder = c.devices[D_HOLD, first + d]
            if holder > 0 and c.devices[D_DOWN, first + d] > 0:
                end_claim(c, holder - 1, CLAIM_FAULT)


@inner
def _trip_breakers(c: Columns) -> None:
    """Have no gang start at a provider whose nodes fail one after the other."""
    if c.policy[P_BREAKER_PCT] == 0 or c.scalars[S_HURT] == 0:
        return
    until_s = c.scalars[S_NOW] + c.policy[P_BREAKER_S]
    for provider in range(c.breakers.shape[1]):
        if c.breakers[BREAKER_OPEN, provider] == 0 and is_failing(c, provider):
            emit(c, K_BREAKER, -1, provider, until_s, 0, 0, 0)


@inner
def _see(c: Columns, now_s: int, observed: IntArray) -> None:
    """Let time pass and apply what was observed."""
    advance(c, now_s)
    for i in range(observed.shape[0]):
        apply_told(c, observed[i])
    take_due(c)
    c.scalars[S_FACTS] = 0
    _finish_cleaning(c)


@inner
def _settle(c: Columns, now_s: int, observed: IntArray) -> None:
    """Let time pass, apply what was observed, and settle what follows from it."""
    _see(c, now_s, observed)
    _suffer_faults(c)
    stop_due(c)
    refuse_impossible(c)
    refuse_orphans(c)


@inner
def _finish(c: Columns) -> int:
    measure_beside(c)
    end_cycle(c)
    return int(c.scalars[S_FACTS])


# A planner for each way to decide, so that a run compiles only its own. Each takes what was
# observed since the last cycle (facts: ends, faults, repairs, submissions; shape (n, 8)) and
# returns how many rows of ``facts`` were decided; the state has moved by them already.
@kernel
def plan_in_order(c: Columns, now_s: int, observed: IntArray) -> int:
    """Plan a cycle of ``fifo``."""
    _settle(c, now_s, observed)
    start_in_order(c)
    return int(_finish(c))


@kernel
def plan_what_fits(c: Columns, now_s: int, observed: IntArray) -> int:
    """Plan a cycle of ``greedy``, ``sjf`` or ``siloed``."""
    _settle(c, now_s, observed)
    start_what_fits(c)
    return int(_finish(c))


@kernel
def plan_easy(c: Columns, now_s: int, observed: IntArray) -> int:
    """Plan a cycle of ``easy``."""
    _settle(c, now_s, observed)
    start_easy(c)
    return int(_finish(c))


@kernel
def plan_refill(c: Columns, now_s: int, observed: IntArray) -> int:
    """Plan a cycle of ``srtf`` or ``srsf``."""
    _settle(c, now_s, observed)
    refill(c)
    return int(_finish(c))


@kernel
def plan_share(c: Columns, now_s: int, observed: IntArray) -> int:
    """Plan a cycle of ``dure``, which swaps where the others only stop."""
    _see(c, now_s, observed)
    _trip_breakers(c)
    forget_prices(c)
    swap_struck(c)
    swap_departed(c)
    stop_due(c)
    refuse_impossible(c)
    refuse_orphans(c)
    share(c)
    return int(_finish(c))


PLANNERS = {
    "fifo": plan_in_order,
    "greedy": plan_what_fits,
    "easy": plan_easy,
    "sjf": plan_what_fits,
    "srtf": plan_refill,
    "srsf": plan_refill,
    "siloed": plan_what_fits,
    "dure": plan_share,
}


@kernel
def observe(c: Columns, now_s: int, observed: IntArray) -> None:
    """Fold a record that holds only observed facts (a submission, a cancellation between
    cycles).
    """
    advance(c, now_s)
    for i in range(observed.shape[0]):
        apply_told(c, observed[i])


@kernel
def fold(c: Columns, now_s: int, observed: IntArray, decided: IntArray) -> None:
    """Fold a cycle's record: the same moves as a plan, with its decisions read, not made."""
    advance(c, now_s)
    for i in range(observed.shape[0]):
        apply_told(c, observed[i])
    take_due(c)
    for i in range(decided.shape[0]):
        apply_told(c, decided[i])
    end_cycle(c)
