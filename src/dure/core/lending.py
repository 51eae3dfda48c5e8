"""Reclaim: an owner's gang names the GPUs that come back to it, and their borrowers get notice.

A claim holds concrete devices from the moment it is made. Each borrower on them leaves by itself
(its work ended), at its next checkpoint, on notice, or at once, whichever loses least and still
lets the claimant start within the promise. So a claim that was made is always served in time,
unless one
of its nodes fails; then it is made anew.
"""

from dure.core.choosing import choose_victims
from dure.core.columns import *
from dure.core.columns import Columns
from dure.core.elastic import goes_on, is_elastic
from dure.core.entitled import entitled_types, has_begun
from dure.core.facts import emit
from dure.core.kernel import inner, inner_of_ints
from dure.core.leaving import leave_by, stay_longest, way_out
from dure.core.placement import find_own_place, is_open_to, seek_own
from dure.core.profile import keep_dates
from dure.core.sparing import is_owed_spares, open_spares
from dure.core.starting import start


@inner
def _next_right(c: Columns, job: int) -> int:
    """Return when the next allocation of a job's owner begins, or ``FOREVER_S``."""
    allocs, next_s = c.allocs, FOREVER_S
    for i in range(c.scalars[S_ALLOCS]):
        is_ahead = c.scalars[S_NOW] < allocs[L_FROM, i] < next_s
        if is_ahead and allocs[L_ACCOUNT, i] == c.jobs[J_OWNER, job]:
            next_s = allocs[L_FROM, i]
    return int(next_s)


@inner
def claim(c: Columns, job: int, types: int, ways: int) -> bool:
    """Hold devices for an entitled gang and give notice to whoever borrows them.

    Args:
        ways: 0, or ``MOVING``: small own gangs may be asked to move as well.

    Returns:
        False if no set of borrowers would make room: owners' own work is in the way, or faults.
    """
    count = find_claim(c, job, types, ways)
    if count > 0:
        make_claim(c, job, types, count)
    return count > 0


@inner
def find_claim(c: Columns, job: int, types: int, ways: int) -> int:
    """Write the devices that a gang would claim to ``picks``; return how many rows, or 0."""
    latest_s = leave_by(c, c.scalars[S_NOW])
    seek_own(c, True)
    count = choose_victims(c, job, types, latest_s, ways)
    if count == 0 and is_owed_spares(c, job):
        open_spares(c, 1)
        count = choose_victims(c, job, types, latest_s, ways)
        open_spares(c, 0)
    seek_own(c, False)
    return int(count)


@inner
def make_claim(c: Columns, job: int, types: int, count: int) -> None:
    """Hold the devices in ``picks`` for a gang, and give notice to whoever stands on them."""
    now_s = c.scalars[S_NOW]
    latest_s, is_early = leave_by(c, now_s), (entitled_types(c, job) & types) == 0
    early_s = min(latest_s, _next_right(c, job) - (now_s + c.policy[P_RETURN_S] - latest_s))
    due_at_s = now_s + c.policy[P_RETURN_S]
    emit(c, K_CLAIMED, job, due_at_s, 0, 0, 0, 0)
    for i in range(count):
        emit(c, K_HELD, job, c.picks[i, 0], c.picks[i, 1], 0, 0, 0)
    c.memo[M_STAMP, STAMP_MARKS] += 1
    for i in range(count):
        row = c.nodes[N_ROWS, c.picks[i, 0]]
        while row >= 0:
            borrower, following = c.rows[R_JOB, row], c.rows[R_NEXT_OF_NODE, row]
            if (
                c.rows[R_MASK, row] & c.picks[i, 1]
                and c.marks[borrower] != c.memo[M_STAMP, STAMP_MARKS]
            ):
                c.marks[borrower] = c.memo[M_STAMP, STAMP_MARKS]
                stop_at_s, saves, _ = way_out(c, borrower, latest_s)
                if is_early and saves > 0:
                    # The right has not begun: it may use the time until then.
                    stop_at_s = max(stop_at_s, stay_longest(c, borrower, early_s))
                milli = _called_from(c, borrower, job)
                if c.jobs[J_CLASS, borrower] == OWN and not is_elastic(c.jobs, borrower):
                    saves += 2
                emit(c, K_NOTICED, borrower, job, stop_at_s, saves, milli, due_at_s)
            row = following


@inner
def _called_from(c: Columns, borrower: int, claimant: int) -> int:
    """Return the milli-GPU that a borrower leaves for a claim: all it has, unless it goes on."""
    if not goes_on(c, borrower):
        return int(c.jobs[J_USED, borrower])
    row, milli = c.jobs[J_ROWS, borrower], 0
    while row >= 0:
        first = c.nodes[N_FIRST, c.rows[R_NODE, row]]
        for d in range(c.nodes[N_GPUS, c.rows[R_NODE, row]]):
            if c.rows[R_MASK, row] >> d & 1 and c.devices[D_HOLD, first + d] == claimant + 1:
                milli += c.rows[R_MILLI, row]
        row = c.rows[R_NEXT_OF_JOB, row]
    return int(milli)


@inner
def _held_rows(c: Columns, job: int) -> int:
    """Write the devices held for a job to ``picks``; return how many rows, or -1 if some are not
    free.
    """
    count = 0
    devices, nodes = c.devices, c.nodes
    for node in range(nodes.shape[1]):
        if nodes[N_HELD, node] == 0:
            continue
        first, mask = nodes[N_FIRST, node], 0
        for d in range(nodes[N_GPUS, node]):
            i = first + d
            if devices[D_HOLD, i] == job + 1:
                mask |= 1 << d
                if devices[D_FREE, i] < WHOLE or devices[D_CLEANING, i] > 0:
                    return -1
        if mask:
            # Its CPU and memory are set aside with its devices; a borrower may still use them.
            if nodes[N_CPU, node] > 0 and nodes[N_CPU_FREE, node] < 0:
                return -1
            if nodes[N_MEMORY, node] > 0 and nodes[N_MEMORY_FREE, node] < 0:
                return -1
            c.picks[count, 0], c.picks[count, 1] = node, mask
            c.picks[count, 2] = c.jobs[J_MILLI, job]
            count += 1
    return count


@inner
def _borrowers_on_holds(c: Columns, job: int) -> int:
    """Write who still runs, under notice, on devices held for a job; return how many."""
    victims, count = c.scratch[X_VICTIM], 0
    c.memo[M_STAMP, STAMP_MARKS] += 1
    for node in range(c.nodes.shape[1]):
        if c.nodes[N_HELD, node] == 0:
            continue
        first, row = c.nodes[N_FIRST, node], c.nodes[N_ROWS, node]
        while row >= 0:
            other = c.rows[R_JOB, row]
            for d in range(c.nodes[N_GPUS, node]):
                mine = c.devices[D_HOLD, first + d] == job + 1 and c.rows[R_MASK, row] >> d & 1
                if mine and c.marks[other] != c.memo[M_STAMP, STAMP_MARKS]:
                    c.marks[other] = c.memo[M_STAMP, STAMP_MARKS]
                    victims[count] = other
                    count += 1
            row = c.rows[R_NEXT_OF_NODE, row]
    return count


@inner
def _is_held_from(c: Columns, borrower: int) -> bool:
    """Tell whether any device the borrower uses is held for some claim."""
    row = c.jobs[J_ROWS, borrower]
    while row >= 0:
        first = c.nodes[N_FIRST, c.rows[R_NODE, row]]
        for d in range(c.nodes[N_GPUS, c.rows[R_NODE, row]]):
            if c.rows[R_MASK, row] >> d & 1 and c.devices[D_HOLD, first + d] > 0:
                return True
        row = c.rows[R_NEXT_OF_JOB, row]
    return False


@inner_of_ints(2)
def end_claim(c: Columns, job: int, outcome: int) -> None:
    """Release what is held for a job and withdraw the notices that nobody else needs."""
    count = _borrowers_on_holds(c, job)
    victims = c.scratch[X_VICTIM, :count].copy()
    emit(c, K_CLAIM_ENDED, job, outcome, 0, 0, 0, 0)
    for i in range(count):
        waits = c.jobs[J_STATE, victims[i]] == RUNNING and c.jobs[J_STOP_AT, victims[i]] >= 0
        cause = c.jobs[J_STOP_CAUSE, victims[i]]
        waits = waits and cause in (BY_RECLAIM, BY_MOVE)
        if waits and not _is_held_from(c, victims[i]):
            emit(c, K_WITHDRAWN, victims[i], job, 0, 0, 0, 0)


@inner
def _note_held(c: Columns, is_closed: bool) -> int:
    """Note, in ``X_LATE`` under the stamp returned, for whom devices are held that are not free yet
    (or, with ``is_closed``, that stand on a node which takes no such work any more).

    It is one look at all that is held, before any claim is looked at by itself.
    """
    c.memo[M_STAMP, STAMP_MARKS] += 1
    stamp, nodes, devices = c.memo[M_STAMP, STAMP_MARKS], c.nodes, c.devices
    for node in range(nodes.shape[1]):
        if nodes[N_HELD, node] == 0:
            continue
        for d in range(nodes[N_FIRST, node], nodes[N_FIRST, node] + nodes[N_GPUS, node]):
            holder = devices[D_HOLD, d] - 1
            if holder < 0:
                continue
            if is_closed:
                is_open = is_open_to(c, c.jobs[J_OWNER, holder], nodes[N_SHELF, node])
                is_noted = nodes[N_CORDONED, node] > 0 or not is_open
            else:
                is_noted = devices[D_FREE, d] < WHOLE or devices[D_CLEANING, d] > 0
            if is_noted:
                c.scratch[X_LATE, holder] = stamp
    return int(stamp)


@inner
def settle_claims(c: Columns) -> None:
    """End claims that lost their reason: cancelled jobs, closed nodes, shrunk entitlements.

    Of an owner's claims the youngest go first.
    """
    s, jobs, rights = c.scalars, c.jobs, c.rights
    if s[S_CLAIMS] == 0:
        return
    closed = _note_held(c, True)
    i = s[S_CLAIMS] - 1
    while i >= 0:
        job, kind = c.claims[i, 0], c.claims[i, 1]
        owner = jobs[J_OWNER, job]
        taken = rights[E_OWN, owner, kind] + rights[E_CLAIMED, owner, kind]
        over = taken > rights[E_SOON, owner, kind]
        # Its right was put off, or is over again: what was promised cannot be used.
        over = over or (s[S_NOW] >= jobs[J_CLAIM_DUE, job] and not has_begun(c, job, kind))
        over = over and c.accounts[A_KIND, owner] != ACCOUNT_POOL
        if over or jobs[J_STATE, job] != PENDING:
            end_claim(c, job, CLAIM_CANCELLED)
        elif c.scratch[X_LATE, job] == closed:
            end_claim(c, job, CLAIM_FAULT)
        i -= 1


@inner
def _find_elsewhere(c: Columns, job: int, kind: int, stamp: int) -> int:
    """Find a place for a claimant apart from what is held for it; return how many rows, or 0.

    Args:
        stamp: since when nothing came free; what failed since then is not tried again.
    """
    if c.scalars[S_FREED] == 0 or c.scalars[S_KIND + IDLE] == 0:
        return 0
    shape, question = c.jobs[J_SHAPE, job], stamp << 6 | kind
    if shape > 0 and c.memo[M_NOWHERE, shape] == question:
        return 0
    count = find_own_place(c, job, c.jobs[J_TYPES, job] & (1 << kind))
    # Where there are cells, one owner's failure says nothing of another's.
    if count == 0 and shape > 0 and c.scalars[S_CELLS] == 0:
        c.memo[M_NOWHERE, shape] = question
    return int(count)


@inner
def _serve(c: Columns, job: int, kind: int, is_late: bool, stamp: int) -> bool:
    """Start a claimant that holds devices of a kind if it can start now; tell whether it did."""
    if not has_begun(c, job, kind):
        return False
    count = 0 if is_late else _held_rows(c, job)
    if count > 0:
        start(c, job, OWN, count, 1)
        end_claim(c, job, CLAIM_SERVED)
        return True
    count = _find_elsewhere(c, job, kind, stamp)
    if count == 0 or not keep_dates(c, job, count):
        return False
    start(c, job, OWN, count, 0)
    end_claim(c, job, CLAIM_ELSEWHERE)
    return True


@inner
def serve_claims(c: Columns) -> None:
    """Start claimants whose devices are all there, or that fit elsewhere sooner; oldest claim
    first.
    """
    i, stamp = 0, -1
    late = _note_held(c, False) if c.scalars[S_CLAIMS] > 0 else 0
    while i < c.scalars[S_CLAIMS]:
        if stamp < 0:
            c.memo[M_STAMP, STAMP_MARKS] += 1
            stamp = c.memo[M_STAMP, STAMP_MARKS]
        job = c.claims[i, 0]
        if _serve(c, job, c.claims[i, 1], c.scratch[X_LATE, job] == late, stamp):
            stamp = -1
        else:
            i += 1
