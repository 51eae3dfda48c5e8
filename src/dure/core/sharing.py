"""The product's policy, ``dure``: own first, running loans promoted, claims, then loans by fair
share.
"""

import numpy as np

from dure.core.columns import *
from dure.core.columns import Columns
from dure.core.facts import emit
from dure.core.kernel import inner
from dure.core.lending import claim, serve_claims, settle_claims, stop_noticed_now
from dure.core.moves import refresh_node, skip_dead
from dure.core.placement import find_place
from dure.core.starting import (
    begin_pass,
    failed_already,
    is_ready,
    new_stamp,
    remember_failure,
    start,
)


@inner
def has_room(c: Columns, owner: int, kind: int, milli: int) -> bool:
    """Tell whether own running + claimed + ``milli`` stays within the entitlement of a type."""
    rights = c.rights
    if c.accounts[A_KIND, owner] == ACCOUNT_POOL:
        return True
    taken = rights[E_OWN, owner, kind] + rights[E_CLAIMED, owner, kind]
    return bool(taken + milli <= rights[E_ENTITLED, owner, kind])


@inner
def entitled_types(c: Columns, job: int) -> int:
    """Return the mask of accepted types of which the job's owner may still use enough as its
    own.
    """
    jobs, mask = c.jobs, 0
    if jobs[J_CLASS_ASKED, job] == 1 + LOAN or jobs[J_CLASS_ASKED, job] == 1 + SCAVENGE:
        return 0
    milli = jobs[J_GPUS, job] * jobs[J_MILLI, job]
    for kind in range(c.rights.shape[2]):
        if jobs[J_TYPES, job] >> kind & 1 and has_room(c, jobs[J_OWNER, job], kind, milli):
            mask |= 1 << kind
    return mask


@inner
def could_be_own(jobs: IntArray, rights: IntArray, job: int) -> bool:
    """Tell cheaply whether any type's entitlement has room for the job; most waiting jobs fail
    this.
    """
    owner, milli = jobs[J_OWNER, job], jobs[J_GPUS, job] * jobs[J_MILLI, job]
    for kind in range(rights.shape[2]):
        taken = rights[E_OWN, owner, kind] + rights[E_CLAIMED, owner, kind]
        if owner == 0 or taken + milli <= rights[E_ENTITLED, owner, kind]:
            return True
    return False


@inner
def _running_in_order(c: Columns) -> np.ndarray:
    return np.sort(c.running[: c.scalars[S_RUNNING]])


@inner
def _promote(c: Columns) -> None:
    """Turn running loans into own while their owner's entitlement lasts, earliest submission
    first.
    """
    jobs = c.jobs
    if c.scalars[S_KIND + LOAN] + c.scalars[S_KIND + SCAVENGE] == 0:
        return
    running, count = np.empty(c.scalars[S_RUNNING], dtype=np.int64), 0
    for i in range(c.scalars[S_RUNNING]):
        job = c.running[i]
        if jobs[J_STATE, job] != RUNNING or jobs[J_CLASS, job] == OWN or jobs[J_STOP_AT, job] >= 0:
            continue
        if jobs[J_CLASS_ASKED, job] == 1 + LOAN or jobs[J_CLASS_ASKED, job] == 1 + SCAVENGE:
            continue
        if could_be_own(jobs, c.rights, job):
            running[count] = job
            count += 1
    running = np.sort(running[:count])
    for i in range(count):
        job = running[i]
        if has_room(c, jobs[J_OWNER, job], jobs[J_PLACED_TYPE, job], jobs[J_USED, job]):
            emit(c, K_RECLASSED, job, jobs[J_ATTEMPT, job] + 1, OWN, 0, 0, 0)


@inner
def _demote(c: Columns) -> None:
    """An entitlement shrank: the youngest gangs beyond it run on as loans (the promise is gone).

    Those that may not borrow go last; they run on too, but an owner may call their GPUs back.
    """
    jobs, rights, over = c.jobs, c.rights, False
    for a in range(1, c.scalars[S_ACCOUNTS]):
        for kind in range(rights.shape[2]):
            over = over or rights[E_OWN, a, kind] > rights[E_ENTITLED, a, kind]
    if not over:
        return
    running = _running_in_order(c)
    for firm in (0, 1):
        for i in range(running.size - 1, -1, -1):
            job = running[i]
            owner, kind = jobs[J_OWNER, job], jobs[J_PLACED_TYPE, job]
            if jobs[J_CLASS, job] != OWN or c.accounts[A_KIND, owner] == ACCOUNT_POOL:
                continue
            may_borrow = jobs[J_PREEMPTIBLE, job] == 1 and jobs[J_CLASS_ASKED, job] != 1 + OWN
            if firm == 0 and not may_borrow:
                continue
            if rights[E_OWN, owner, kind] > rights[E_ENTITLED, owner, kind]:
                emit(c, K_RECLASSED, job, jobs[J_ATTEMPT, job] + 1, LOAN, 0, 0, 0)


@inner
def _start_entitled(c: Columns) -> None:
    """Start or claim for every waiting gang that its owner's entitlement covers, in order."""
    s, jobs = c.scalars, c.jobs
    skip_dead(c)
    i, end = s[S_Q_HEAD], s[S_Q_TAIL]
    while i < end:
        job = c.queue[i]
        i += 1
        if jobs[J_STATE, job] != PENDING or jobs[J_CLAIM_DUE, job] >= 0:
            continue
        if not could_be_own(jobs, c.rights, job):
            continue
        types = entitled_types(c, job)
        if types == 0 or not is_ready(c, job):
            continue
        if s[S_KIND + IDLE] > 0 and not failed_already(jobs, c.memo, job):
            count = find_place(c, job, types)
            if count > 0:
                start(c, job, OWN, count, 0)
                continue
            if types == jobs[J_TYPES, job]:
                remember_failure(c, job)
        _claim_once(c, job, types)


@inner
def _claim_once(c: Columns, job: int, types: int) -> None:
    """Claim, unless the same shape found nothing to claim in this pass or there are no loans."""
    shape, stamp = c.jobs[J_SHAPE, job], c.memo[M_STAMP, STAMP_CLAIMS]
    on_loan = c.scalars[S_KIND + LOAN] + c.scalars[S_KIND + SCAVENGE]
    coming = c.scalars[S_KIND + DRAINING]
    if on_loan + coming == 0 or (shape > 0 and c.memo[M_UNCLAIMED, shape] == stamp):
        return
    if not claim(c, job, types) and types == c.jobs[J_TYPES, job]:
        c.memo[M_UNCLAIMED, shape] = stamp


@inner
def _lendable(jobs: IntArray, job: int, now_s: int) -> bool:
    if jobs[J_STATE, job] != PENDING or jobs[J_CLAIM_DUE, job] >= 0:
        return False
    if jobs[J_PREEMPTIBLE, job] == 0 or jobs[J_CLASS_ASKED, job] == 1 + OWN:
        return False
    return bool(jobs[J_ELIGIBLE, job] <= now_s)


@inner
def _line_up(c: Columns) -> None:
    """Chain the waiting gangs that may borrow behind their owners, in the queue's order."""
    s = c.scalars
    head, tail, following = c.scratch[X_HEAD], c.scratch[X_TAIL], c.scratch[X_NEXT]
    head[: s[S_ACCOUNTS]] = -1
    jobs, queue, now_s = c.jobs, c.queue, s[S_NOW]
    for i in range(s[S_Q_HEAD], s[S_Q_TAIL]):
        job = queue[i]
        if not _lendable(jobs, job, now_s):
            continue
        owner = jobs[J_OWNER, job]
        following[job] = -1
        if head[owner] < 0:
            head[owner] = job
        else:
            following[tail[owner]] = job
        tail[owner] = job


@inner
def fair_charge(c: Columns, owner: int) -> int:
    """Return what puts an account behind others: recent borrowing less credits earned, by
    weight.
    """
    accounts = c.accounts
    running = accounts[A_BORROWED, owner] * c.policy[P_HORIZON_S]
    used = accounts[A_DECAYED, owner] + accounts[A_TODAY, owner] - accounts[A_CREDIT, owner]
    return int((used + running) // accounts[A_WEIGHT, owner])


@inner
def _next_account(c: Columns) -> int:
    """Return the account that is furthest below its fair share and still has a gang to try."""
    best, least = -1, 0
    for owner in range(c.scalars[S_ACCOUNTS]):
        if c.scratch[X_HEAD, owner] >= 0:
            owed = fair_charge(c, owner)
            if best < 0 or owed < least:
                best, least = owner, owed
    return best


@inner
def _loan_class(c: Columns, job: int, kind: int) -> int:
    """A gang that fits into what nobody is entitled to disturbs no lender: it scavenges."""
    types, milli = c.types, c.jobs[J_GPUS, job] * c.jobs[J_MILLI, job]
    left = types[T_CAPACITY, kind] - types[T_ENTITLED, kind] - types[T_SCAVENGED, kind]
    left -= c.rights[E_OWN, 0, kind]
    return SCAVENGE if milli <= left else LOAN


@inner
def _lend(c: Columns) -> None:
    """Lend what stands idle: progressive filling, one gang at a time to whoever has had least."""
    s = c.scalars
    if s[S_KIND + IDLE] == 0 or c.policy[P_LEND] == 0:
        return
    _line_up(c)
    while s[S_KIND + IDLE] > 0:
        owner = _next_account(c)
        if owner < 0:
            return
        job, placed = c.scratch[X_HEAD, owner], False
        while job >= 0 and not placed:
            following = c.scratch[X_NEXT, job]
            if not failed_already(c.jobs, c.memo, job) and is_ready(c, job):
                count = find_place(c, job, c.jobs[J_TYPES, job])
                if count > 0:
                    kind = _loan_class(c, job, c.nodes[N_TYPE, c.picks[0, 0]])
                    start(c, job, kind, count, 0)
                    placed = True
                else:
                    remember_failure(c, job)
            job = following
        c.scratch[X_HEAD, owner] = job


@inner
def _show_cleaning(c: Columns, owner: int, shown: int) -> None:
    """Let an owner see the devices that are being cleaned after its own gangs, or hide them
    again.
    """
    devices, nodes = c.devices, c.nodes
    for node in range(nodes.shape[1]):
        if nodes[N_DRAINING, node] == 0 and shown == 1:
            continue
        touched, first = False, nodes[N_FIRST, node]
        for d in range(first, first + nodes[N_GPUS, node]):
            mine = devices[D_OWNER, d] == owner + 1 and devices[D_HOLD, d] == 0
            before, after = (1, 2) if shown == 1 else (2, 1)
            if mine and devices[D_CLEANING, d] == before:
                devices[D_CLEANING, d], touched = after, True
        if touched:
            refresh_node(c, node)


@inner
def _succeed(c: Columns, kind: int) -> None:
    """Start an owner's next gangs on devices its last ones just left: the same owner needs no
    cleaning.

    Args:
        kind: ``OWN`` for entitled gangs, ``LOAN`` for those that borrow.
    """
    s, jobs = c.scalars, c.jobs
    if s[S_KIND + DRAINING] == 0 or s[S_Q_HEAD] == s[S_Q_TAIL]:
        return
    freed, stamp = s[S_FREED], c.memo[M_STAMP, STAMP_PASS]
    least = c.memo[M_LEAST, :FAMILIES].copy()
    owners = np.zeros(s[S_ACCOUNTS], dtype=np.int64)
    for node in range(c.nodes.shape[1]):
        if c.nodes[N_DRAINING, node] > 0:
            first = c.nodes[N_FIRST, node]
            for d in range(first, first + c.nodes[N_GPUS, node]):
                if c.devices[D_CLEANING, d] == 1 and c.devices[D_OWNER, d] > 0:
                    owners[c.devices[D_OWNER, d] - 1] = 1
    for owner in range(owners.size):
        if owners[owner] == 0:
            continue
        _show_cleaning(c, owner, 1)
        new_stamp(c)
        c.memo[M_LEAST, :FAMILIES] = 1 << 60
        for i in range(s[S_Q_HEAD], s[S_Q_TAIL]):
            job = c.queue[i]
            if jobs[J_OWNER, job] != owner or jobs[J_STATE, job] != PENDING:
                continue
            if jobs[J_CLAIM_DUE, job] < 0 and not failed_already(jobs, c.memo, job):
                _start_as(c, job, kind)
        _show_cleaning(c, owner, 2)
    # What others could see did not grow meanwhile, so what failed for them still fails.
    c.memo[M_STAMP, STAMP_PASS], s[S_FREED] = stamp, freed
    c.memo[M_LEAST, :FAMILIES] = least


@inner
def _start_as(c: Columns, job: int, kind: int) -> None:
    """Start a gang as own if it is entitled, or as a loan if it may borrow, where it fits."""
    types = c.jobs[J_TYPES, job]
    if kind == OWN:
        types = entitled_types(c, job)
    elif c.policy[P_LEND] == 0 or not _lendable(c.jobs, job, c.scalars[S_NOW]):
        return
    if types == 0 or not is_ready(c, job):
        return
    count = find_place(c, job, types)
    if count > 0:
        if kind == LOAN:
            kind = _loan_class(c, job, c.nodes[N_TYPE, c.picks[0, 0]])
        start(c, job, kind, count, 0)
    elif types == c.jobs[J_TYPES, job]:
        remember_failure(c, job)


@inner
def share(c: Columns) -> None:
    """One pass of the policy ``dure``: claims, promotions, own, reclaims, promotions, loans."""
    s = c.scalars
    settle_claims(c)
    begin_pass(c)
    serve_claims(c)
    if s[S_FREED] > 0:
        _demote(c)
        _promote(c)
    if s[S_FREED] > 0 or s[S_FRESH] > 0:
        _succeed(c, OWN)
        _start_entitled(c)
        s[S_FREED] = 0
        stop_noticed_now(c)
        serve_claims(c)
        _promote(c)
        begin_pass(c)
        _succeed(c, LOAN)
        _lend(c)
