"""The product's policy, ``dure``: own first, running loans promoted, claims, then loans by fair
share.
"""

import numpy as np

from dure.core.columns import *
from dure.core.columns import Columns
from dure.core.consolidating import make_room
from dure.core.dating import backfill, plan_dates, start_dated
from dure.core.elastic import is_elastic, pick_kept
from dure.core.entitled import (
    claimable_types,
    could_be_own,
    entitled_types,
    has_room,
    is_covered,
    start_as,
    start_own,
)
from dure.core.facts import emit
from dure.core.groups import fair_charge, furthest_below, had, line_up
from dure.core.growing import grow
from dure.core.kernel import inner
from dure.core.laxity import key_by_laxity
from dure.core.lending import claim, serve_claims, settle_claims
from dure.core.line import first_of, next_of, order_heads, replace_head
from dure.core.moves import skip_dead
from dure.core.pairs import sink_pair
from dure.core.placement import stands_open
from dure.core.profile import open_stairs, runs_as_own_only
from dure.core.reserving import fill_reserved, reserve_for_longest, start_reserved
from dure.core.sparing import is_owed_spares, stands_on_spare
from dure.core.starting import begin_pass, is_hopeful, is_ready, lend_beyond
from dure.core.stopping import stop_noticed_now
from dure.core.succeeding import succeed
from dure.core.swapping import start_stranded
from dure.core.testing import fill_aside
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
        if could_be_own(jobs, c.rights, job) and not stands_on_spare(c, job):
            running[count] = job
            count += 1
    running = np.sort(running[:count])
    for i in range(count):
        job = running[i]
        milli = jobs[J_SIZE, job] * jobs[J_MILLI, job]
        has = has_room(c, jobs[J_OWNER, job], jobs[J_PLACED_TYPE, job], milli)
        if has and stands_open(c, job):
            emit(c, K_RECLASSED, job, jobs[J_ATTEMPT, job] + 1, OWN, 0, 0, 0)
            if is_elastic(jobs, job):
                lend_beyond(c, job, pick_kept(c, job))


@inner
def _leave_cells(c: Columns) -> None:
    """Own work in a leaf that others hold from now on runs on as a loan: it may be called back."""
    if c.scalars[S_FREED] & FREED_CELLS == 0:
        return
    jobs = c.jobs
    for job in _running_in_order(c):
        if jobs[J_STATE, job] == RUNNING and jobs[J_CLASS, job] == OWN and not stands_open(c, job):
            emit(c, K_RECLASSED, job, jobs[J_ATTEMPT, job] + 1, LOAN, 0, 0, 0)


@inner
def _demote(c: Columns) -> None:
    """An entitlement shrank: the youngest gangs beyond it run on as loans (the promise is gone).

    Those that may not borrow go last; they run on too, but an owner may call their GPUs back.
    """
    jobs, rights, over = c.jobs, c.rights, False
    _leave_cells(c)
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
            has_place = start_own(c, job, types) or _claim_once(c, job, types)
            goes_on = has_place or make_room(c, job, types) or goes_on
        replace_head(c, following if goes_on else -1)


@inner
def _claim_ahead(c: Columns) -> None:
    """Claim for every gang that still waits and whose owner will be entitled to enough before the
    claim is due; what its borrowers leave beside that is lent.
    """
    jobs = c.jobs
    if c.scalars[S_RISING] == 0:
        return
    skip_dead(c)
    _open_entitled(c)
    while c.heads[0] > 0:
        job = c.heads[1]
        following = next_of(c, job)
        types = claimable_types(c, job)
        goes_on = jobs[J_ODD, job] == 1 or jobs[J_CLAIM_DUE, job] >= 0
        if jobs[J_CLAIM_DUE, job] < 0 and types != 0 and is_ready(c, job):
            goes_on = _claim_once(c, job, types) or goes_on
        replace_head(c, following if goes_on else -1)
    stop_noticed_now(c)
    begin_pass(c)
    _lend(c)


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
    if s[S_SPARES] > 0 and is_owed_spares(c, job):
        lent += 1
    coming = lent + s[S_KIND + DRAINING]
    # What is only being cleaned goes to whoever has a date.
    if coming == 0 or (lent == 0 and s[S_BOOKED] > 0):
        return False
    if coming + s[S_KIND + IDLE] < c.jobs[J_SIZE, job] * c.jobs[J_MILLI, job]:
        return False
    # Where there are cells, one owner's failure says nothing of another's.
    if shape > 0 and c.memo[M_UNCLAIMED, shape] == stamp and s[S_CELLS] == 0:
        return False
    if claim(c, job, types):
        return True
    if types == c.jobs[J_TYPES, job]:
        c.memo[M_UNCLAIMED, shape] = stamp
    return False


@inner
def _chain_borrowers(c: Columns) -> None:
    """Chain the cohorts that may borrow behind their owners."""
    s, head = c.scalars, c.scratch[X_HEAD]
    head[: s[S_ACCOUNTS]] = -1
    for i in range(s[S_STANDING]):
        cohort = c.cohorts[c.standing[i]]
        may = cohort[C_FLAGS] & MAY_BORROW > 0 and not runs_as_own_only(c, cohort)
        if may and is_hopeful(cohort, c.memo):
            chain_cohort(c, c.standing[i])


@inner
def _lend(c: Columns) -> None:
    """Lend what stands idle: progressive filling, one gang at a time to whoever has had least."""
    s = c.scalars
    if s[S_KIND + IDLE] == 0 or c.policy[P_LEND] == 0:
        return
    _chain_borrowers(c)
    owners, charges, places, group_had = line_up(c)
    group = furthest_below(c, places, group_had)
    while group >= 0 and s[S_KIND + IDLE] > 0:
        first, size = places[0, group], places[1, group]
        owner, before = owners[first], had(c, owners[first])
        if _lend_next(c, owner):
            charges[first] = fair_charge(c, owner)
            group_had[group] += had(c, owner) - before
        else:
            size -= 1
            places[1, group] = size
            owners[first], charges[first] = owners[first + size], charges[first + size]
        sink_pair(charges[first : first + size], owners[first : first + size], 0, size)
        group = furthest_below(c, places, group_had)


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
def _move_urgent(c: Columns) -> None:
    """Move up in the line whoever must start soon for its deadline; back, whoever is too late."""
    s = c.scalars
    for i in range(s[S_DUE]):
        job = c.due[i, 2]
        if c.due[i, 1] == ALARM_LAXITY and c.jobs[J_STATE, job] == PENDING:
            key = key_by_laxity(c, job)
            if key != c.jobs[J_KEY, job]:
                emit(c, K_MOVED_UP, job, key, 0, 0, 0, 0)


@inner
def share(c: Columns) -> None:
    """One pass of the policy ``dure``: claims, promotions, own, reclaims, promotions, loans."""
    s = c.scalars
    _move_urgent(c)
    settle_claims(c)
    begin_pass(c)
    plan_dates(c)
    is_open = open_stairs(c)
    serve_claims(c)
    start_reserved(c)
    start_dated(c)
    # Once more: a claimant that takes a share of a held device leaves the rest of it as new room.
    begin_pass(c)
    if s[S_FREED] > 0:
        _demote(c)
        _promote(c)
    is_changed = is_open and (s[S_FREED] > 0 or s[S_FRESH] > 0)
    if is_changed:
        reserve_for_longest(c)
        start_stranded(c, OWN)
        succeed(c, OWN)
        _start_entitled(c)
        s[S_FREED] = 0
        stop_noticed_now(c)
        serve_claims(c)
        _promote(c)
        begin_pass(c)
        start_stranded(c, LOAN)
        succeed(c, LOAN)
        _lend(c)
        _claim_ahead(c)
        fill_reserved(c)
        backfill(c)
        fill_aside(c)
    grow(c, is_changed)
