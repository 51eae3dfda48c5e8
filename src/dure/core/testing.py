"""Work for nodes on probation: small gangs that would lose little if the node failed again."""

from dure.core.columns import *
from dure.core.columns import Columns
from dure.core.entitled import entitled_types, loan_class
from dure.core.kernel import inner
from dure.core.placement import is_plain, shape_of, suits
from dure.core.starting import is_ready, start
from dure.core.turns import is_lendable

LOOKS = 256  # gangs of the line that one pass asks; a probation needs somebody, not everybody


@inner
def try_lemons(c: Columns) -> None:
    """Start waiting gangs that may be tried on nodes on probation, in the line's order."""
    s, looks = c.scalars, 0
    if s[S_PROBATION] == 0 or s[S_Q_HEAD] == s[S_Q_TAIL]:
        return
    idle = 0
    for node in range(c.nodes.shape[1]):
        if c.nodes[N_PROBATION, node] > 0:
            idle += c.nodes[N_IDLE, node]
    i = s[S_Q_HEAD]
    while idle >= WHOLE and i < s[S_Q_TAIL] and looks < LOOKS:
        job = c.queue[i]
        i += 1
        if c.jobs[J_STATE, job] != PENDING:
            continue
        looks += 1
        if loses_little(c, job) and c.jobs[J_CLAIM_DUE, job] < 0 and is_ready(c, job):
            idle -= _try(c, job)


@inner
def loses_little(c: Columns, job: int) -> bool:
    """Tell whether a gang is one for a node on probation: preemptible, on one node, and saved now
    and then, or fit for scavenging anyway.
    """
    jobs = c.jobs
    if jobs[J_PREEMPTIBLE, job] == 0 or not is_plain(c, job):
        return False
    saves = jobs[J_CKPT_EVERY, job] > 0 or jobs[J_CKPT_TAKES, job] >= 0
    return bool(saves or jobs[J_CLASS_ASKED, job] == 1 + SCAVENGE)


@inner
def _try(c: Columns, job: int) -> int:
    """Start a gang on the first node on probation with room; return the milli that it takes."""
    own = entitled_types(c, job)
    may_borrow = c.policy[P_LEND] > 0 and is_lendable(c.jobs, job, c.scalars[S_NOW])
    for node in range(c.nodes.shape[1]):
        if c.nodes[N_PROBATION, node] == 0 or c.nodes[N_CORDONED, node] > 0:
            continue
        kind, shelf = c.nodes[N_TYPE, node], c.nodes[N_SHELF, node]
        is_own = own >> kind & 1
        if not suits(c, job, shelf) or not (is_own or may_borrow):
            continue
        need, each, extra = shape_of(c, job, c.nodes[N_GPUS, node])
        mask = _healthy_idle(c, node, each) if need == 1 and extra == 0 else 0
        if mask:
            c.picks[0, 0], c.picks[0, 1], c.picks[0, 2] = node, mask, WHOLE
            start(c, job, OWN if is_own else loan_class(c, job, kind), 1, 0)
            return int(each * WHOLE)
    return 0


@inner
def _healthy_idle(c: Columns, node: int, each: int) -> int:
    """Return the mask of the node's first ``each`` devices that anyone could use, or 0."""
    devices, first, mask, found = c.devices, c.nodes[N_FIRST, node], 0, 0
    for d in range(c.nodes[N_GPUS, node]):
        i = first + d
        is_free = devices[D_FREE, i] == WHOLE and devices[D_DOWN, i] == 0
        if found < each and is_free and devices[D_CLEANING, i] == 0 and devices[D_HOLD, i] == 0:
            mask |= 1 << d
            found += 1
    return mask if found == each else 0
