"""The product's policy, ``dure``: own first, running loans promoted, claims, then loans by fair
share.
"""

import numpy as np

from dure.core.columns import *
from dure.core.columns import Columns
from dure.core.facts import emit
from dure.core.kernel import inner
from dure.core.lending import claim, serve_claims, settle_claims, stop_noticed_now
from dure.core.line import first_of, next_of, order_heads, replace_head
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
from dure.core.turns import (
    chain_cohort,
    is_lendable,
    may_borrow,
    next_turn,
    pass_turn,
    sink_owner,
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
    jobs = c.jobs
    skip_dead(c)
    _open_entitled(c)
    while c.heads[0] > 0:
        job = c.heads[1]
        following = next_of(c, job)
        types = entitled_types(c, job)
        goes_on = jobs[J_ODD, job] == 1 or jobs[J_CLAIM_DUE, job] >= 0
        if jobs[J_CLAIM_DUE, job] < 0 and types != 0 and is_ready(c, job):
            goes_on = _start_own(c, job, types) or _claim_once(c, job, types) or goes_on
        replace_head(c, following if goes_on else -1)


@inner
def _open_entitled(c: Columns) -> None:
    """Gather the first of every cohort whose owner may still use enough as its own."""
    heads, count = c.heads, 0
    for i in range(c.scalars[S_STANDING]):
        cohort = c.standing[i]
        example = c.cohorts[C_EXAMPLE, cohort]
        is_covered = could_be_own(c.jobs, c.rights, example) and entitled_types(c, example) != 0
        if is_covered or c.jobs[J_ODD, example] == 1:
            count += 1
            heads[count] = first_of(c, cohort)
    order_heads(c, count)


@inner
def _start_own(c: Columns, job: int, types: int) -> bool:
    if c.scalars[S_KIND + IDLE] == 0 or failed_already(c.jobs, c.memo, job):
        return False
    count = find_place(c, job, types)
    if count > 0:
        start(c, job, OWN, count, 0)
        return True
    if types == c.jobs[J_TYPES, job]:
        remember_failure(c, job)
    return False


@inner
def _claim_once(c: Columns, job: int, types: int) -> bool:
    """Claim, unless the same shape found nothing to claim in this pass, or all that is lent,
    cleaned and idle together is too little.
    """
    s, shape, stamp = c.scalars, c.jobs[J_SHAPE, job], c.memo[M_STAMP, STAMP_CLAIMS]
    coming = s[S_KIND + LOAN] + s[S_KIND + SCAVENGE] + s[S_KIND + DRAINING]
    if coming == 0 or coming + s[S_KIND + IDLE] < c.jobs[J_GPUS, job] * c.jobs[J_MILLI, job]:
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
def _loan_class(c: Columns, job: int, kind: int) -> int:
    """A gang that fits into what nobody is entitled to disturbs no lender: it scavenges."""
    types, milli = c.types, c.jobs[J_GPUS, job] * c.jobs[J_MILLI, job]
    left = types[T_CAPACITY, kind] - types[T_ENTITLED, kind] - types[T_SCAVENGED, kind]
    left -= c.rights[E_OWN, 0, kind]
    return SCAVENGE if milli <= left else LOAN


@inner
def _line_up(c: Columns) -> tuple[np.ndarray, np.ndarray]:
    """Chain the cohorts that may borrow behind their owners; return a heap of owners by charge."""
    s, jobs, head = c.scalars, c.jobs, c.scratch[X_HEAD]
    head[: s[S_ACCOUNTS]] = -1
    for i in range(s[S_STANDING]):
        example = c.cohorts[C_EXAMPLE, c.standing[i]]
        is_hopeful = jobs[J_ODD, example] == 1 or not failed_already(jobs, c.memo, example)
        if is_hopeful and may_borrow(c, example):
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
        sink_owner(charges, owners, at, count)
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
        sink_owner(charges, owners, 0, count)


@inner
def _lend_next(c: Columns, owner: int) -> bool:
    """Lend to the owner's next gang that fits; tell whether there was one."""
    jobs = c.jobs
    job = next_turn(c, owner)
    while job >= 0:
        cohort, following, placed = jobs[J_COHORT, job], next_of(c, job), False
        is_next = is_lendable(jobs, job, c.scalars[S_NOW]) and is_ready(c, job)
        if is_next:
            placed = _start_as(c, job, LOAN)
        if placed or not is_next or jobs[J_ODD, job] == 1:
            pass_turn(c, cohort, following)
        else:
            pass_turn(c, cohort, -1)
        if placed:
            return True
        job = next_turn(c, owner)
    return False


@inner
def _show_cleaning(c: Columns, draining: np.ndarray, owner: int, shown: int) -> None:
    """Let an owner see the devices that are being cleaned after its own gangs, or hide them
    again.

    Args:
        draining: the nodes with any device that is being cleaned.
    """
    devices, nodes = c.devices, c.nodes
    before, after = (1, 2) if shown == 1 else (2, 1)
    for node in draining:
        touched, first = False, nodes[N_FIRST, node]
        for d in range(first, first + nodes[N_GPUS, node]):
            mine = devices[D_OWNER, d] == owner + 1 and devices[D_HOLD, d] == 0
            if mine and devices[D_CLEANING, d] == before:
                devices[D_CLEANING, d], touched = after, True
        if touched:
            refresh_node(c, node)


@inner
def _draining(c: Columns, owners: np.ndarray) -> np.ndarray:
    """Return the nodes that are being cleaned; mark the owners of what is cleaned there."""
    nodes, devices = c.nodes, c.devices
    found, count = np.empty(nodes.shape[1], dtype=np.int64), 0
    for node in range(nodes.shape[1]):
        if nodes[N_DRAINING, node] == 0:
            continue
        found[count] = node
        count += 1
        first = nodes[N_FIRST, node]
        for d in range(first, first + nodes[N_GPUS, node]):
            if devices[D_CLEANING, d] == 1 and devices[D_OWNER, d] > 0:
                owners[devices[D_OWNER, d] - 1] = 1
    return found[:count]


@inner
def _succeed(c: Columns, kind: int) -> None:
    """Start an owner's next gangs on devices its last ones just left: the same owner needs no
    cleaning.

    Args:
        kind: ``OWN`` for entitled gangs, ``LOAN`` for those that borrow.
    """
    s, jobs, head = c.scalars, c.jobs, c.scratch[X_HEAD]
    if s[S_KIND + DRAINING] == 0 or s[S_STANDING] == 0 or (kind == LOAN and c.policy[P_LEND] == 0):
        return
    freed, stamp = s[S_FREED], c.memo[M_STAMP, STAMP_PASS]
    least = c.memo[M_LEAST, :FAMILIES].copy()
    owners = np.zeros(s[S_ACCOUNTS], dtype=np.int64)
    draining = _draining(c, owners)
    head[: s[S_ACCOUNTS]] = -1
    for i in range(s[S_STANDING]):
        example = c.cohorts[C_EXAMPLE, c.standing[i]]
        if owners[jobs[J_OWNER, example]] == 1:
            may = could_be_own(jobs, c.rights, example) if kind == OWN else may_borrow(c, example)
            if may or jobs[J_ODD, example] == 1:
                chain_cohort(c, c.standing[i])
    for owner in range(owners.size):
        if owners[owner] == 0 or head[owner] < 0:
            continue
        _show_cleaning(c, draining, owner, 1)
        new_stamp(c)
        c.memo[M_LEAST, :FAMILIES] = 1 << 60
        _succeed_as(c, owner, kind)
        _show_cleaning(c, draining, owner, 2)
    # What others could see did not grow meanwhile, so what failed for them still fails.
    c.memo[M_STAMP, STAMP_PASS], s[S_FREED] = stamp, freed
    c.memo[M_LEAST, :FAMILIES] = least


@inner
def _succeed_as(c: Columns, owner: int, kind: int) -> None:
    """Start every gang of the owner that fits, in the line's order."""
    jobs = c.jobs
    job = next_turn(c, owner)
    while job >= 0:
        cohort, following = jobs[J_COHORT, job], next_of(c, job)
        is_next = jobs[J_CLAIM_DUE, job] < 0 and is_ready(c, job)
        if kind == LOAN:
            is_next = is_next and is_lendable(jobs, job, c.scalars[S_NOW])
        placed = is_next and _start_as(c, job, kind)
        goes_on = placed or not is_next or jobs[J_ODD, job] == 1
        pass_turn(c, cohort, following if goes_on else -1)
        job = next_turn(c, owner)


@inner
def _start_as(c: Columns, job: int, kind: int) -> bool:
    """Start a gang where it fits, as own if it is entitled, or as a loan."""
    if kind == OWN:
        types = entitled_types(c, job)
        return bool(types != 0 and _start_own(c, job, types))
    if failed_already(c.jobs, c.memo, job):
        return False
    count = find_place(c, job, c.jobs[J_TYPES, job])
    if count == 0:
        remember_failure(c, job)
        return False
    start(c, job, _loan_class(c, job, c.nodes[N_TYPE, c.picks[0, 0]]), count, 0)
    return True


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
