"""Work for nodes that stand aside, on probation or as spares: small gangs that lose little if the
node fails again, or is needed.
"""

import numpy as np

from dure.core.columns import *
from dure.core.columns import Columns
from dure.core.entitled import entitled_types
from dure.core.kernel import inner
from dure.core.moves import stands_aside
from dure.core.placement import is_open_to, is_plain, shape_of, suits
from dure.core.sparing import idle_mask
from dure.core.starting import is_ready, start
from dure.core.stopping import loan_class
from dure.core.turns import is_lendable

LOOKS = 256  # gangs of the line that one pass asks; a probation needs somebody, not everybody


@inner
def fill_aside(c: Columns) -> None:
    """Start waiting gangs that may be tried on nodes that stand aside, in the line's order."""
    s, looks = c.scalars, 0
    if s[S_PROBATION] + s[S_SPARES] == 0 or s[S_Q_HEAD] == s[S_Q_TAIL]:
        return
    aside, count, idle = np.empty(c.nodes.shape[1], dtype=np.int64), 0, 0
    for node in range(c.nodes.shape[1]):
        if stands_aside(c, node) and c.nodes[N_IDLE, node] >= WHOLE:
            aside[count] = node
            count += 1
            idle += c.nodes[N_IDLE, node]
    i = s[S_Q_HEAD]
    while idle >= WHOLE and i < s[S_Q_TAIL] and looks < LOOKS:
        job = c.queue[i]
        i += 1
        if c.jobs[J_STATE, job] != PENDING:
            continue
        looks += 1
        if loses_little(c, job) and c.jobs[J_CLAIM_DUE, job] < 0 and is_ready(c, job):
            idle -= _try(c, job, aside[:count])


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
def _try(c: Columns, job: int, aside: np.ndarray) -> int:
    """Start a gang on the first of these nodes with room; return the milli that it takes.

    Nobody's own work is put on a spare: it would not leave when the spare is needed.
    """
    own = entitled_types(c, job)
    may_borrow = c.policy[P_LEND] > 0 and is_lendable(c.jobs, job, c.scalars[S_NOW])
    for node in aside:
        kind, shelf = c.nodes[N_TYPE, node], c.nodes[N_SHELF, node]
        is_own = own >> kind & 1 and c.nodes[N_SPARE, node] == 0
        is_own = is_own and is_open_to(c, c.jobs[J_OWNER, job], shelf)
        if not suits(c, job, shelf) or not (is_own or may_borrow):
            continue
        need, each, extra = shape_of(c, job, c.nodes[N_GPUS, node])
        mask = idle_mask(c, node, each) if need == 1 and extra == 0 else 0
        if mask:
            c.picks[0, 0], c.picks[0, 1], c.picks[0, 2] = node, mask, WHOLE
            start(c, job, OWN if is_own else loan_class(c, each * WHOLE, kind), 1, 0)
            return int(each * WHOLE)
    return 0
