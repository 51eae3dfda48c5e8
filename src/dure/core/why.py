"""Which gate keeps each waiting gang from starting, with its numbers: one compiled, read-only pass.

A gang is asked about through a *probe*: columns that share the pool's matrices, with jobs, scratch
and picks of their own. So the very kernel that places gangs (``fits_now``) tries one, as it is or
with one wish relaxed, and nothing of the state, nor of what a plan remembers, moves.
"""

from collections.abc import Sequence

import numpy as np

from dure.core.breaker import shut_until
from dure.core.columns import *
from dure.core.columns import Columns
from dure.core.entitled import entitled_types
from dure.core.fitting import fits_now
from dure.core.gates import *
from dure.core.kernel import inner, kernel
from dure.core.moves import cordon
from dure.core.placement import (
    domain_of,
    find_place,
    seek_own,
    shape_of,
    slots,
    suits,
    widest_level,
)
from dure.core.probing import probe_of
from dure.core.starting import is_ready

# Verdicts of one pass, by demand: the key's two halves, gate, need, have, nodes, the probe's own.
(V_SHAPE, V_TYPES, V_GATE, V_NEED, V_HAVE, V_NODES_NEED, V_NODES_HAVE, V_COUNT) = range(8)


@inner
def room_idle(p: Columns, group: int) -> int:
    """Return the free milli-GPU on nodes of one kind that suit the probe's gang 0."""
    idle = 0
    for shelf in range(p.groups[G_FROM, group], p.groups[G_TO, group]):
        if suits(p, 0, shelf):
            idle += p.scratch[X_SHADOW, shelf]
    return idle


@inner
def _most_idle(p: Columns, types: int) -> int:
    """Return the free milli-GPU of the kind of node that has most for the gang."""
    most = 0
    for group in range(p.groups.shape[1]):
        if types >> p.groups[G_TYPE, group] & 1:
            _, each, _ = shape_of(p, 0, p.groups[G_GPUS, group])
            if each <= p.groups[G_GPUS, group]:
                most = max(most, room_idle(p, group))
    return int(most)


@inner
def count_idle(p: Columns) -> None:
    """Write to the probe's scratch how much stands free on each shelf."""
    for shelf in range(p.shelves.shape[1]):
        idle = 0
        for node in range(p.shelves[H_FROM, shelf], p.shelves[H_TO, shelf]):
            idle += p.nodes[N_IDLE, node]
        p.scratch[X_SHADOW, shelf] = idle


@inner
def _nodes_that_fit(p: Columns, group: int, each: int, level: int) -> int:
    """Return how many nodes of the best domain have ``each`` usable devices for the gang."""
    sums, best = p.scratch[X_DOMAIN], 0
    first, last = p.groups[G_FROM, group], p.groups[G_TO, group]
    is_plain = p.jobs[J_MILLI, 0] == WHOLE and p.jobs[J_CPU, 0] == 0 and p.jobs[J_MEMORY, 0] == 0
    for shelf in range(first, last):
        sums[domain_of(p, shelf, level)] = 0
    for shelf in range(first, last):
        if not suits(p, 0, shelf):
            continue
        fit = 0
        if is_plain:
            for k in range(each, p.shelves[H_GPUS, shelf] + 1):
                fit += p.hist[shelf, k]
        else:
            for node in range(p.shelves[H_FROM, shelf], p.shelves[H_TO, shelf]):
                fit += 1 if slots(p, 0, node) >= each else 0
        domain = domain_of(p, shelf, level)
        sums[domain] += fit
        best = max(best, sums[domain])
    return int(best)


@inner
def _measure(p: Columns, types: int, level: int, v: np.ndarray) -> int:
    """Fill in need and have of the kind of node that comes closest; return the most milli free."""
    most, least_short = -1, 1 << 60
    for group in range(p.groups.shape[1]):
        if not types >> p.groups[G_TYPE, group] & 1:
            continue
        need, each, extra = shape_of(p, 0, p.groups[G_GPUS, group])
        if each > p.groups[G_GPUS, group]:
            continue
        idle = room_idle(p, group)
        most = max(most, idle)
        total = need + (1 if extra > 0 else 0)
        have = _nodes_that_fit(p, group, each, max(level, AT_LEAF))
        if extra > 0 and have >= need:
            # The last few devices stand on a node more.
            have = _nodes_that_fit(p, group, extra, max(level, AT_LEAF))
        have = min(have, total - 1)
        if total - have < least_short:
            least_short = total - have
            v[V_NODES_NEED], v[V_NODES_HAVE] = total, have
    v[V_HAVE] = max(most, 0)
    return int(most)


@inner
def _room_gate(c: Columns, p: Columns, u: Columns, types: int, v: np.ndarray) -> None:
    """Fill in why the probe's gang 0 finds no place: the one wish that is in its way, if any."""
    jobs = p.jobs
    v[V_NEED] = jobs[J_SIZE, 0] * jobs[J_MILLI, 0]
    v[V_NODES_NEED], v[V_NODES_HAVE] = 0, 0
    free, kept = c.scalars[S_KIND + IDLE], u.scalars[S_KIND + IDLE]
    level = widest_level(p, 0)
    if free >= v[V_NEED] and fits_now(p, 0, types):
        v[V_GATE], v[V_HAVE] = BEHIND, v[V_NEED]
        return
    if kept < v[V_NEED]:
        # However it is asked for: the whole pool has not that much to give.
        v[V_GATE], v[V_HAVE] = NO_ROOM, _most_idle(p, types)
        return
    idle = _measure(p, types, level, v)
    v[V_GATE] = SCATTERED if idle >= v[V_NEED] else NO_ROOM
    if level != AT_ANY:
        asked, jobs[J_LOCALITY, 0] = jobs[J_LOCALITY, 0], LOCALITY_ANY
        fits = fits_now(p, 0, types)
        jobs[J_LOCALITY, 0] = asked
        if fits:
            v[V_GATE] = TOO_NARROW
            return
    cpu, memory = jobs[J_CPU, 0], jobs[J_MEMORY, 0]
    if cpu > 0 or memory > 0:
        jobs[J_CPU, 0], jobs[J_MEMORY, 0] = 0, 0
        fits = fits_now(p, 0, types)
        jobs[J_CPU, 0], jobs[J_MEMORY, 0] = cpu, memory
        if fits:
            v[V_GATE] = CPU_OR_MEMORY
            return
    grade = jobs[J_GRADE, 0]
    if grade > 0:
        jobs[J_GRADE, 0] = 0
        fits = fits_now(p, 0, types)
        jobs[J_GRADE, 0] = grade
        if fits:
            v[V_GATE] = GRADE
            return
    # What is on trial counts as free already, so the sums alone do not tell.
    count = find_place(u, 0, types) if kept > free or c.breakers.max() > 0 else 0
    if count > 0:
        v[V_GATE] = SHUT if _is_shut(c, u.picks[:count, 0]) else HELD
    elif v[V_GATE] == NO_ROOM:
        v[V_NODES_NEED], v[V_NODES_HAVE] = 0, 0


@inner
def _is_shut(c: Columns, nodes: np.ndarray) -> bool:
    """Tell whether the provider of any of these nodes is shut, or on trial."""
    is_shut = False
    for node in nodes:
        is_shut = is_shut or shut_until(c, node) > 0
    return is_shut


@inner
def _show_kept(u: Columns) -> None:
    """Count what is held for claimants and what is shut as free, in a pool of the probe's own."""
    for node in range(u.nodes.shape[1]):
        until_s = shut_until(u, node)
        if u.nodes[N_HELD, node] == 0 and until_s == 0:
            continue
        first = u.nodes[N_FIRST, node]
        for d in range(first, first + u.nodes[N_GPUS, node]):
            u.devices[D_HOLD, d] = 0
        if u.nodes[N_PROBATION, node] <= until_s:
            u.nodes[N_PROBATION, node] = 0
        cordon(u, node, OF_BREAKER, 0)


@inner
def _key_of(c: Columns, job: int, level: int) -> int:
    """Return what stands for a demand that has no shape: it changes while its gang waits."""
    mixed = np.uint64(1469598103934665603)
    jobs = c.jobs
    for asked in (
        jobs[J_GPUS, job],
        jobs[J_SIZE, job],
        jobs[J_MILLI, job],
        jobs[J_NODES, job],
        jobs[J_GPN, job],
        jobs[J_TYPES, job],
        jobs[J_GRADE, job],
        jobs[J_CPU, job],
        jobs[J_MEMORY, job],
        jobs[J_PROVIDER, job],
        jobs[J_SEGMENT, job],
        level,
    ):
        mixed ^= np.uint64(asked + 1)
        mixed *= np.uint64(1099511628211)
        mixed ^= mixed >> np.uint64(29)
    return -1 - int(np.int64(mixed >> np.uint64(1)))


@inner
def _verdict(
    c: Columns, p: Columns, u: Columns, job: int, types: int, table: np.ndarray, found: np.ndarray
) -> int:
    """Return the row of ``found`` for a gang's demand on some types; worked out once a pass.

    Args:
        table: open addressing, -1 where nothing is; its length is a power of two.
        found: verdicts, shape (V_COUNT, demand); column 0 counts those in use.
    """
    shape = c.jobs[J_SHAPE, job]
    if shape == 0:
        shape = _key_of(c, job, widest_level(c, job))
    if p.scalars[S_AS_OWN] == 1:
        # Where there are cells, it depends on whose own work it is.
        shape += (c.jobs[J_OWNER, job] + 1) << 40
    mixed = np.uint64(shape) * np.uint64(0x9E3779B97F4A7C15) ^ np.uint64(types + 1)
    mixed *= np.uint64(0xBF58476D1CE4E5B9)
    at = int(mixed >> np.uint64(33)) & (table.size - 1)
    while table[at] >= 0:
        row = table[at]
        if found[row, V_SHAPE] == shape and found[row, V_TYPES] == types:
            return int(row)
        at = (at + 1) & (table.size - 1)
    found[0, 0] += 1
    row = found[0, 0]
    table[at] = row
    v = found[row]
    v[V_SHAPE], v[V_TYPES] = shape, types
    for column in range(J_COUNT):
        p.jobs[column, 0] = c.jobs[column, job]
    _room_gate(c, p, u, types, v)
    return int(row)


@inner
def _of_rights(c: Columns, job: int, w: np.ndarray) -> None:
    """Fill in the gate of a gang that may only run as its owner's own, and has no right left."""
    jobs, owner, entitled, left = c.jobs, c.jobs[J_OWNER, job], 0, 0
    for kind in range(c.rights.shape[2]):
        if jobs[J_TYPES, job] >> kind & 1:
            right = c.rights[E_ENTITLED, owner, kind]
            entitled = max(entitled, right)
            taken = c.rights[E_OWN, owner, kind] + c.rights[E_CLAIMED, owner, kind]
            left = max(left, right - taken)
    if entitled == 0 or jobs[J_CLASS_ASKED, job] > 1 + OWN:
        w[W_GATE] = NO_ALLOCATION
        for i in range(c.scalars[S_ALLOCS]):
            mine = c.allocs[L_ACCOUNT, i] == owner and jobs[J_TYPES, job] >> c.allocs[L_TYPE, i] & 1
            from_s = c.allocs[L_FROM, i]
            if mine and from_s > c.scalars[S_NOW] and (w[W_UNTIL] < 0 or from_s < w[W_UNTIL]):
                w[W_UNTIL] = from_s
        return
    w[W_GATE] = TOO_LARGE if w[W_NEED] > entitled else RIGHTS_IN_USE
    w[W_HAVE] = entitled if w[W_GATE] == TOO_LARGE else left


@inner
def types_open(c: Columns, job: int) -> int:
    """Return on which of its types a gang may start at this moment, be there room or not."""
    if c.policy[P_POLICY] != DURE:
        return int(c.jobs[J_TYPES, job])
    if may_borrow(c, job) and c.jobs[J_ELIGIBLE, job] <= c.scalars[S_NOW]:
        return int(c.jobs[J_TYPES, job])
    return int(entitled_types(c, job))


@inner
def may_borrow(c: Columns, job: int) -> bool:
    """Tell whether a gang may ever run on what others leave idle."""
    asked_own = c.jobs[J_CLASS_ASKED, job] == 1 + OWN
    return bool(c.policy[P_LEND] == 1 and c.jobs[J_PREEMPTIBLE, job] == 1 and not asked_own)


@inner
def _gate_of(
    c: Columns,
    p: Columns,
    u: Columns,
    job: int,
    table: np.ndarray,
    found: np.ndarray,
    w: np.ndarray,
) -> None:
    """Fill in one gang's column."""
    jobs = c.jobs
    w[W_JOB], w[W_NEED] = job, jobs[J_SIZE, job] * jobs[J_MILLI, job]
    w[W_HAVE], w[W_NODES_NEED], w[W_NODES_HAVE], w[W_UNTIL] = 0, 0, 0, NEVER_S
    w[W_TYPES] = jobs[J_TYPES, job]
    if not is_ready(c, job):
        w[W_GATE] = FOR_JOB
        return
    if jobs[J_CLAIM_DUE, job] >= 0:
        w[W_GATE], w[W_UNTIL] = FOR_RETURN, jobs[J_CLAIM_DUE, job]
        return
    types, borrows = types_open(c, job), may_borrow(c, job)
    if types == 0:
        if borrows:
            w[W_GATE], w[W_UNTIL] = AFTER_RECLAIM, jobs[J_ELIGIBLE, job]
        else:
            _of_rights(c, job, w)
        return
    is_own = c.policy[P_POLICY] == DURE and not borrows
    seek_own(p, is_own)
    seek_own(u, is_own)
    v = found[_verdict(c, p, u, job, types, table, found)]
    w[W_TYPES] = types
    w[W_GATE], w[W_HAVE] = v[V_GATE], v[V_HAVE]
    w[W_NODES_NEED], w[W_NODES_HAVE] = v[V_NODES_NEED], v[V_NODES_HAVE]
    if v[V_GATE] == HELD:
        for i in range(c.scalars[S_CLAIMS]):
            w[W_UNTIL] = max(w[W_UNTIL], jobs[J_CLAIM_DUE, c.claims[i, 0]])
    elif v[V_GATE] == SHUT:
        w[W_UNTIL] = c.breakers.max()


@kernel
def _explain(
    c: Columns,
    p: Columns,
    u: Columns,
    chosen: IntArray,
    table: np.ndarray,
    found: np.ndarray,
    out: IntArray,
) -> int:
    """Fill a column of ``out`` for each gang in the line, or for those chosen; return how many."""
    s, count, ahead = c.scalars, 0, 0
    count_idle(p)
    if s[S_KIND + RESERVED] > 0 or c.breakers.any():
        _show_kept(u)
    for i in range(s[S_Q_HEAD], s[S_Q_TAIL]):
        job = c.queue[i]
        if c.jobs[J_STATE, job] != PENDING:
            continue
        wanted = chosen.size == 0
        for other in chosen:
            wanted = wanted or other == job
        if wanted:
            _gate_of(c, p, u, job, table, found, out[:, count])
            out[W_AHEAD, count] = ahead
            count += 1
            if count == chosen.size:
                break
        ahead += 1
    return count


def _run(c: Columns, chosen: IntArray, most: int) -> IntArray:
    """Explain up to ``most`` gangs."""
    probe = probe_of(c)
    size = 1 << max(4, (2 * most).bit_length())
    table = np.full(size, -1, dtype=np.int64)
    found = np.zeros((most + 2, V_COUNT), dtype=np.int64)
    out = np.empty((WHY_COUNT, most), dtype=np.int64)
    return out[:, : _explain(c, *probe, chosen, table, found, out)]


def explain_all(c: Columns) -> IntArray:
    """Say of every waiting gang which gate binds: columns ``W_*``, shape (WHY_COUNT, waiting gang).

    Gangs stand in the order of the line. ``c`` stays as it is, workspace and all.
    """
    most = int(c.scalars[S_Q_TAIL] - c.scalars[S_Q_HEAD])
    return _run(c, np.zeros(0, dtype=np.int64), most)


def explain_some(c: Columns, jobs: Sequence[int]) -> IntArray:
    """Say the same of a few gangs, each once, those that wait, in the order of the line."""
    chosen = np.array(jobs, dtype=np.int64)
    assert chosen.size, "no gang to explain"
    return _run(c, chosen, chosen.size)


def explain(c: Columns, job: int) -> IntArray:
    """Say the same of one gang, shape (WHY_COUNT,); ``W_GATE`` is 0 if it does not wait."""
    found = explain_some(c, [job])
    return found[:, 0] if found.shape[1] else np.zeros(WHY_COUNT, dtype=np.int64)
