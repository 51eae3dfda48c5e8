"""What would let a waiting gang start now: the placing kernel asked again with one wish relaxed.

A lower data grade is never tried: what may not leave its site may not be traded for time.
"""

import numpy as np

from dure.core.columns import *
from dure.core.columns import Columns
from dure.core.entitled import entitled_types
from dure.core.kernel import inner, kernel
from dure.core.limits import before_head_s, on_reserved_s
from dure.core.line import estimate_within, limit_of
from dure.core.placement import find_own_place, find_place, widest_level
from dure.core.probing import Probe, movable, probe_of
from dure.core.shapes import size_at_start
from dure.core.starting import is_ready
from dure.core.why import may_borrow, types_open

# In the order in which they are told.
RELAXATIONS = (
    "allow_preemption",
    "any_accelerator",
    "looser_locality",
    "smaller",
    "shorter_limit",
)
(ALLOW_PREEMPTION, ANY_ACCELERATOR, LOOSER_LOCALITY, SMALLER, SHORTER_LIMIT) = range(5)
# Of each: 1 if it would start now, the accelerator type it would get, how many GPUs; of a shorter
# limit the longest that suffices, in seconds.
(B_STARTS, B_TYPE, B_GPUS, B_LIMIT, B_COUNT) = range(5)


@inner
def _try(p: Columns, of: np.ndarray) -> None:
    """Fill in whether the probe's gang 0, as it is now, would start, as its owner's own first."""
    own = entitled_types(p, 0) if p.policy[P_POLICY] == DURE else 0
    is_own = p.policy[P_POLICY] == DURE and not may_borrow(p, 0)
    others = 0 if is_own else types_open(p, 0)
    if (own != 0 and find_own_place(p, 0, own) > 0) or find_place(p, 0, others) > 0:
        of[B_STARTS] = 1
        of[B_TYPE] = p.nodes[N_TYPE, p.picks[0, 0]]
        of[B_GPUS] = p.jobs[J_SIZE, 0]


@inner
def _halve(p: Columns) -> bool:
    """Ask for half the GPUs in the same shape; tell whether there is such a half."""
    jobs, gpus, nodes = p.jobs, p.jobs[J_GPUS, 0], p.jobs[J_NODES, 0]
    if gpus < 2 or jobs[J_SIZE, 0] < gpus or (nodes > 0 and nodes % 2 == 1):
        return False
    if jobs[J_SEGMENT, 0] > 0 and gpus // 2 % jobs[J_SEGMENT, 0] != 0:
        return False
    if nodes <= 0 and jobs[J_GPN, 0] > 0 and gpus // 2 % jobs[J_GPN, 0] != 0:
        return False
    if nodes > 0 and gpus % 2 == 1:
        return False
    jobs[J_GPUS, 0], jobs[J_NODES, 0] = gpus // 2, nodes // 2
    # CPU and memory are asked for each GPU.
    jobs[J_CPU, 0], jobs[J_MEMORY, 0] = (jobs[J_CPU, 0] + 1) // 2, (jobs[J_MEMORY, 0] + 1) // 2
    return True


@inner
def _is_first(c: Columns, job: int) -> bool:
    """Tell whether no gang before this one in the line is ready to start."""
    for i in range(c.scalars[S_Q_HEAD], c.scalars[S_Q_TAIL]):
        if c.queue[i] == job:
            return True
        if c.jobs[J_STATE, c.queue[i]] == PENDING and is_ready(c, c.queue[i]):
            return False
    return False


@kernel
def _relax(c: Columns, p: Columns, job: int, out: IntArray) -> None:
    out[:] = 0
    waits_turn = c.policy[P_POLICY] == FIFO or c.policy[P_POLICY] == EASY
    if not is_ready(c, job) or c.jobs[J_CLAIM_DUE, job] >= 0:
        return
    if waits_turn and not _is_first(c, job):
        return
    for wish in range(SHORTER_LIMIT):
        for column in range(J_COUNT):
            p.jobs[column, 0] = c.jobs[column, job]
        if wish == ALLOW_PREEMPTION:
            if p.jobs[J_PREEMPTIBLE, 0] == 1 or c.policy[P_POLICY] != DURE:
                continue
            p.jobs[J_PREEMPTIBLE, 0] = 1
        elif wish == ANY_ACCELERATOR:
            p.jobs[J_TYPES, 0] = (1 << c.types.shape[1]) - 1
            if p.jobs[J_TYPES, 0] == c.jobs[J_TYPES, job]:
                continue
        elif wish == LOOSER_LOCALITY:
            if widest_level(c, job) == AT_ANY:
                continue
            p.jobs[J_LOCALITY, 0] = LOCALITY_ANY
        elif not _halve(p):
            continue
        p.jobs[J_SIZE, 0] = size_at_start(p, 0)
        _try(p, out[wish])


@kernel
def _shorten(c: Columns, p: Columns, job: int, of: np.ndarray) -> None:
    """Fill in the longest limit with which a gang would start now, if its own is longer.

    Args:
        p: a pool of the probe's own.
    """
    jobs = c.jobs
    if not is_ready(c, job) or jobs[J_CLAIM_DUE, job] >= 0:
        return
    for column in range(J_COUNT):
        p.jobs[column, 0] = jobs[column, job]
    types = types_open(c, job)
    if c.policy[P_POLICY] == EASY:
        limit_s = before_head_s(c, p, job, types)
    elif jobs[J_ODD, job] == 1:
        return
    else:
        limit_s = on_reserved_s(c, p, types)
    if 0 < limit_s < limit_of(c, job):
        find_place(p, 0, types)
        of[B_STARTS], of[B_LIMIT] = 1, estimate_within(c, job, limit_s)
        of[B_TYPE], of[B_GPUS] = p.nodes[N_TYPE, p.picks[0, 0]], jobs[J_SIZE, job]


def _keeps_gaps(c: Columns) -> bool:
    """Tell whether short gangs may run where others may not."""
    if c.policy[P_POLICY] == EASY:
        return True
    claimants = c.claims[: c.scalars[S_CLAIMS], 0]
    return bool((c.jobs[J_CLAIM_DUE, claimants] == FOREVER_S).any())


def relaxed(c: Columns, job: int, probe: Probe | None = None) -> IntArray:
    """Say what would let a waiting gang start now, shape (relaxation, B_COUNT).

    Args:
        c: stays as it is.
        probe: made of ``c``, if one is at hand.
    """
    out = np.zeros((len(RELAXATIONS), B_COUNT), dtype=np.int64)
    probe = probe or probe_of(c)
    _relax(c, probe.usual, job, out)
    if _keeps_gaps(c):
        asker = c.but(scratch=np.zeros_like(c.scratch))
        _shorten(asker, movable(probe.usual), job, out[SHORTER_LIMIT])
    return out
