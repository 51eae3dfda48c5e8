"""The product's policy, ``dure``: own first, running loans promoted, claims, then loans by fair
share.
"""

from dure.core.columns import *
from dure.core.columns import Columns
from dure.core.consolidating import make_room
from dure.core.dating import backfill, plan_dates, start_dated
from dure.core.entitled import (
    claimable_types,
    entitled_types,
    is_covered,
    start_as,
    start_own,
)
from dure.core.facts import emit
from dure.core.groups import charge_of_next, furthest_below, had, line_up
from dure.core.growing import grow
from dure.core.kernel import inner
from dure.core.keys import key_now
from dure.core.lending import claim, serve_claims, settle_claims
from dure.core.line import first_of, next_of, order_heads, replace_head
from dure.core.moves import skip_dead
from dure.core.pairs import sink_pair
from dure.core.profile import may_run_on_loan, open_stairs
from dure.core.promoting import demote, exchange, promote
from dure.core.reserving import fill_reserved, reserve_for_longest, start_reserved
from dure.core.sparing import is_owed_spares
from dure.core.starting import begin_pass, is_hopeful, is_ready
from dure.core.stopping import stop_noticed_now
from dure.core.succeeding import succeed
from dure.core.swapping import start_stranded
from dure.core.testing import fill_aside
from dure.core.turns import chain_cohort, is_lendable, next_turn, pass_turn
from dure.core.victims import MOVING
from dure.core.yielding import give_way


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
            has_place = has_place or make_room(c, job, types) or _move_once(c, job, types)
            goes_on = has_place or goes_on
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
def _found_nothing(c: Columns, job: int, types: int, row: int) -> bool:
    """Tell whether the same shape found nothing to claim on any of these types in this pass.

    Args:
        row: of the memo, ``M_UNCLAIMED`` or ``M_UNMOVED``; the row after it says on which types.
    """
    shape, memo = c.jobs[J_SHAPE, job], c.memo
    # Where there are cells, one owner's failure says nothing of another's.
    if shape == 0 or c.scalars[S_CELLS] > 0 or memo[row, shape] != memo[M_STAMP, STAMP_CLAIMS]:
        return False
    return bool(types & ~memo[row + 1, shape] == 0)


@inner
def _try_claim(c: Columns, job: int, types: int, ways: int, row: int) -> bool:
    """Claim, or remember on which types there was nothing to claim; a claim is of one type."""
    if _found_nothing(c, job, types, row):
        return False
    if claim(c, job, types, ways):
        return True
    shape, stamp = c.jobs[J_SHAPE, job], c.memo[M_STAMP, STAMP_CLAIMS]
    if c.memo[row, shape] != stamp:
        c.memo[row, shape], c.memo[row + 1, shape] = stamp, 0
    c.memo[row + 1, shape] |= types
    return False


@inner
def _claim_once(c: Columns, job: int, types: int) -> bool:
    """Claim, unless the same shape found nothing to claim in this pass, or all that is lent,
    cleaned and idle together is too little.
    """
    s = c.scalars
    lent = s[S_KIND + LOAN] + s[S_KIND + SCAVENGE]
    if s[S_SPARES] > 0 and is_owed_spares(c, job):
        lent += 1
    coming = lent + s[S_KIND + DRAINING]
    # What is only being cleaned goes to whoever has a date.
    if coming == 0 or (lent == 0 and s[S_BOOKED] > 0):
        return False
    if coming + s[S_KIND + IDLE] < c.jobs[J_SIZE, job] * c.jobs[J_MILLI, job]:
        return False
    return bool(_try_claim(c, job, types, 0, M_UNCLAIMED))


@inner
def _move_once(c: Columns, job: int, types: int) -> bool:
    """Claim places of small own gangs, which move: the last resort, if only places are missing."""
    s = c.scalars
    if c.policy[P_RELOCATE] == 0:
        return False
    if c.accounts[A_KIND, c.jobs[J_OWNER, job]] == ACCOUNT_POOL:
        return False
    coming = s[S_KIND + LOAN] + s[S_KIND + SCAVENGE] + s[S_KIND + DRAINING] + s[S_KIND + IDLE]
    if coming < c.jobs[J_SIZE, job] * c.jobs[J_MILLI, job]:
        return False
    return bool(_try_claim(c, job, types, MOVING, M_UNMOVED))


@inner
def _chain_borrowers(c: Columns) -> None:
    """Chain the cohorts that may borrow behind their owners."""
    s, head = c.scalars, c.scratch[X_HEAD]
    head[: s[S_ACCOUNTS]] = -1
    for i in range(s[S_STANDING]):
        cohort = c.cohorts[c.standing[i]]
        if may_run_on_loan(c, cohort) and is_hopeful(cohort, c.memo):
            chain_cohort(c, c.standing[i])


@inner
def _lend(c: Columns) -> None:
    """Lend what stands idle, one gang at a time: to whoever will have had least once it has run."""
    s = c.scalars
    if s[S_KIND + IDLE] == 0 or c.policy[P_LEND] == 0:
        return
    _chain_borrowers(c)
    owners, charges, places, group_had = line_up(c)
    group = furthest_below(c, places, group_had)
    while group >= 0 and s[S_KIND + IDLE] > 0:
        first, size = places[0, group], places[1, group]
        owner, before = owners[first], had(c, owners[first])
        _lend_next(c, owner)
        group_had[group] += had(c, owner) - before
        if next_turn(c, owner) >= 0:
            charges[first] = charge_of_next(c, owner)
        else:
            size -= 1
            places[1, group] = size
            owners[first], charges[first] = owners[first + size], charges[first + size]
        sink_pair(charges[first : first + size], owners[first : first + size], 0, size)
        group = furthest_below(c, places, group_had)


@inner
def _lend_next(c: Columns, owner: int) -> None:
    """Lend to the owner's next gang if it fits; the turn goes on to the one after it."""
    jobs, job, placed = c.jobs, next_turn(c, owner), False
    cohort, following = jobs[J_COHORT, job], next_of(c, job)
    is_next = is_lendable(jobs, job, c.scalars[S_NOW]) and is_ready(c, job)
    if is_next:
        placed = start_as(c, job, LOAN)
    goes_on = placed or not is_next or jobs[J_ODD, job] == 1
    pass_turn(c, cohort, following if goes_on else -1)


@inner
def _move_urgent(c: Columns) -> None:
    """Move up in the line whoever must start soon for its deadline; back, whoever is too late."""
    s = c.scalars
    for i in range(s[S_DUE]):
        job = c.due[i, 2]
        if c.due[i, 1] == ALARM_LAXITY and c.jobs[J_STATE, job] == PENDING:
            key = key_now(c, job)
            # Whoever was moved for another stands first anyway.
            if key < c.jobs[J_KEY, job] or (c.jobs[J_KEY, job] < 0 <= key):
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
        demote(c)
    if s[S_FREED] > 0 or s[S_FRESH] > 0:
        exchange(c)
    if s[S_FREED] > 0:
        promote(c)
    is_changed = is_open and (s[S_FREED] > 0 or s[S_FRESH] > 0)
    if is_changed:
        reserve_for_longest(c)
        start_stranded(c, OWN)
        succeed(c, OWN)
        _start_entitled(c)
        s[S_FREED] = 0
        # A gang that was moved is entitled at once; it may have only smaller ones move in turn.
        while stop_noticed_now(c) > 0:
            serve_claims(c)
            begin_pass(c)
            _start_entitled(c)
        serve_claims(c)
        promote(c)
        begin_pass(c)
        start_stranded(c, LOAN)
        succeed(c, LOAN)
        _lend(c)
        if give_way(c):
            stop_noticed_now(c)
            serve_claims(c)
            begin_pass(c)
            _lend(c)
        _claim_ahead(c)
        fill_reserved(c)
        backfill(c)
        fill_aside(c)
    grow(c, is_changed)
