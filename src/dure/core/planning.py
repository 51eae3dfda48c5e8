"""The cycle as one compiled function: settle, faults, stops, order, place, reclaim, lend, measure."""

from dure.core.kernel import inner, kernel

from dure.core.accounts import advance, take_due
from dure.core.columns import *  # noqa: F403
from dure.core.columns import Columns
from dure.core.easy import start_easy
from dure.core.facts import apply_fact, emit, end_cycle
from dure.core.idle import measure_beside
from dure.core.lending import end_claim, stop_borrower, stop_due
from dure.core.preempting import refill
from dure.core.sharing import share
from dure.core.starting import refuse_impossible, start_in_order, start_what_fits


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
def _decide(c: Columns) -> None:
    policy = c.policy[P_POLICY]
    if policy == FIFO:
        start_in_order(c)
    elif policy == EASY:
        start_easy(c)
    elif policy == SRTF or policy == SRSF:
        refill(c)
    elif policy == DURE:
        share(c)
    else:
        start_what_fits(c)


@kernel
def plan(c: Columns, now_s: int, observed: IntArray) -> int:
    """Run one cycle: apply what was observed, decide, write the decisions to ``facts``.

    Args:
        observed: facts that happened since the last cycle, in the order ends, faults, repairs,
            submissions; shape (n, 8).

    Returns:
        How many rows of ``facts`` were decided. The state has moved by them already.
    """
    advance(c, now_s)
    for i in range(observed.shape[0]):
        apply_fact(c, observed[i])
    take_due(c)
    c.scalars[S_FACTS] = 0
    _finish_cleaning(c)
    _suffer_faults(c)
    stop_due(c)
    refuse_impossible(c)
    _decide(c)
    measure_beside(c)
    end_cycle(c)
    return int(c.scalars[S_FACTS])


@kernel
def observe(c: Columns, now_s: int, observed: IntArray) -> None:
    """Fold a record that holds only observed facts (a submission, a cancellation between cycles)."""
    advance(c, now_s)
    for i in range(observed.shape[0]):
        apply_fact(c, observed[i])


@kernel
def fold(c: Columns, now_s: int, observed: IntArray, decided: IntArray) -> None:
    """Fold a cycle's record: the same moves as ``plan``, with its decisions read, not made."""
    advance(c, now_s)
    for i in range(observed.shape[0]):
        apply_fact(c, observed[i])
    take_due(c)
    for i in range(decided.shape[0]):
        apply_fact(c, decided[i])
    end_cycle(c)
