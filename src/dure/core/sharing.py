"""The product's policy, ``dure``: own first, running loans promoted, claims, then loans by fair
share.
"""

import numpy as np

from dure.core.columns import *
from dure.core.columns import Columns
from dure.core.dating import backfill, plan_dates, start_dated
from dure.core.entitled import (
    could_be_own,
    entitled_types,
    has_room,
    is_covered,
    start_as,
    start_own,
)
from dure.core.facts import emit
from dure.core.kernel import inner
from dure.core.lending import claim, serve_claims, settle_claims, stop_noticed_now
from dure.core.line import first_of, next_of, order_heads, replace_head
from dure.core.moves import skip_dead
from dure.core.pairs import sink_pair
from dure.core.profile import open_stairs, runs_as_own_only
from dure.core.reserving import fill_reserved, reserve_for_longest, start_reserved
from dure.core.starting import begin_pass, is_hopeful, is_ready
from dure.core.succeeding import succeed
from dure.core.testing import try_lemons
from dure.core.turns import chain_cohort, is_lendable, next_turn, pass_turn


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
    jobs = c.jobs
    skip_dead(c)
    _open_entitled(c)
    while c.heads[0] > 0:
        job = c.heads[1]
        following = next_of(c, job)
        types = entitled_types(c, job)
        goes_on = jobs[J_ODD, job] == 1 or jobs[J_CLAIM_DUE, job] >= 0
        if jobs[J_CLAIM_DUE, job] < 0 and types != 0 and is_ready(c, job):
            goes_on = start_own(c, job, types) or _claim_once(c, job, types) or goes_on
        replace_head(c, following if goes_on else -1)


@inner
def _open_entitled(c: Columns) -> None:
    """Gather the first of every cohort whose owner may still use enough as its own."""
    heads, count = c.heads, 0
    for i in range(c.scalars[S_STANDING]):
        cohort = c.standing[i]
        if c.cohorts[cohort, C_FLAGS] & IS_ODD or is_covered(c.cohorts[cohort], c.rights):
            count += 1
            heads[count] = first_of(c, cohort)
    order_heads(c, count)


@inner
def _claim_once(c: Columns, job: int, types: int) -> bool:
    """Claim, unless the same shape found nothing to claim in this pass, or all that is lent,
    cleaned and idle together is too little.
    """
    s, shape, stamp = c.scalars, c.jobs[J_SHAPE, job], c.memo[M_STAMP, STAMP_CLAIMS]
    lent = s[S_KIND + LOAN] + s[S_KIND + SCAVENGE]
    coming = lent + s[S_KIND + DRAINING]
    # What is only being cleaned goes to whoever has a date.
    if coming == 0 or (lent == 0 and s[S_BOOKED] > 0):
        return False
    if coming + s[S_KIND + IDLE] < c.jobs[J_GPUS, job] * c.jobs[J_MILLI, job]:
        return False
    if shape > 0 and c.memo[M_UNCLAIMED, shape] == stamp:
        return False
    if claim(c, job, types):
        return True
    if types == c.jobs[J_TYPES, job]:
        c.memo[M_UNCLAIMED, shape] = stamp
    return False


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
def _line_up(c: Columns) -> tuple[np.ndarray, np.ndarray]:
    """Chain the cohorts that may borrow behind their owners; return a heap of owners by charge."""
    s, head = c.scalars, c.scratch[X_HEAD]
    head[: s[S_ACCOUNTS]] = -1
    for i in range(s[S_STANDING]):
        cohort = c.cohorts[c.standing[i]]
        may = cohort[C_FLAGS] & MAY_BORROW > 0 and not runs_as_own_only(c, cohort)
        if may and is_hopeful(cohort, c.memo):
            chain_cohort(c, c.standing[i])
    owners, count = np.empty(s[S_ACCOUNTS], dtype=np.int64), 0
    for owner in range(s[S_ACCOUNTS]):
        if head[owner] >= 0:
            owners[count] = owner
            count += 1
    owners = owners[:count]
    charges = np.empty(count, dtype=np.int64)
    for i in range(count):
        charges[i] = fair_charge(c, owners[i])
    for at in range(count // 2 - 1, -1, -1):
        sink_pair(charges, owners, at, count)
    return owners, charges


@inner
def _lend(c: Columns) -> None:
    """Lend what stands idle: progressive filling, one gang at a time to whoever has had least."""
    s = c.scalars
    if s[S_KIND + IDLE] == 0 or c.policy[P_LEND] == 0:
        return
    owners, charges = _line_up(c)
    count = owners.size
    while count > 0 and s[S_KIND + IDLE] > 0:
        owner = owners[0]
        if _lend_next(c, owner):
            charges[0] = fair_charge(c, owner)
        else:
            count -= 1
            owners[0], charges[0] = owners[count], charges[count]
        sink_pair(charges, owners, 0, count)


@inner
def _lend_next(c: Columns, owner: int) -> bool:
    """Lend to the owner's next gang that fits; tell whether there was one."""
    jobs = c.jobs
    job = next_turn(c, owner)
    while job >= 0:
        cohort, following, placed = jobs[J_COHORT, job], next_of(c, job), False
        is_next = is_lendable(jobs, job, c.scalars[S_NOW]) and is_ready(c, job)
        if is_next:
            placed = start_as(c, job, LOAN)
        if placed or not is_next or jobs[J_ODD, job] == 1:
            pass_turn(c, cohort, following)
        else:
            pass_turn(c, cohort, -1)
        if placed:
            return True
        job = next_turn(c, owner)
    return False


@inner
def share(c: Columns) -> None:
    """One pass of the policy ``dure``: claims, promotions, own, reclaims, promotions, loans."""
    s = c.scalars
    settle_claims(c)
    begin_pass(c)
    plan_dates(c)
    is_open = open_stairs(c)
    serve_claims(c)
    start_reserved(c)
    start_dated(c)
    if s[S_FREED] > 0:
        _demote(c)
        _promote(c)
    if is_open and (s[S_FREED] > 0 or s[S_FRESH] > 0):
        reserve_for_longest(c)
        succeed(c, OWN)
        _start_entitled(c)
        s[S_FREED] = 0
        stop_noticed_now(c)
        serve_claims(c)
        _promote(c)
        begin_pass(c)
        succeed(c, LOAN)
        _lend(c)
        fill_reserved(c)
        backfill(c)
        try_lemons(c)
