"""What must hold of dates: the list is of those who wait, in order, and nobody is put off."""

import numpy as np

from dure.core import columns as col
from dure.core.checked import Checked
from dure.core.columns import IntArray


def dates_broken(k: Checked) -> list[str]:
    """Return a sentence for each broken rule about dates."""
    c, s = k.state.c, k.state.c.scalars
    job, date_s, group, _, lasts_s = c.booked[: s[col.S_BOOKED]].T
    jobs = c.jobs[:, : s[col.S_JOBS]]
    dated = np.flatnonzero(jobs[col.J_DATE] >= 0)
    if not np.array_equal(np.sort(job), dated):
        return ["a date is listed twice, or not at all"]
    found = []
    if (jobs[col.J_STATE, job] != col.PENDING).any() or (jobs[col.J_CLAIM_DUE, job] >= 0).any():
        found.append("a date of a job that does not wait for one")
    if not np.array_equal(np.lexsort((job, date_s)), np.arange(job.size)):
        found.append("the dates do not stand in order")
    as_listed = (jobs[col.J_DATE, job] == date_s) & (jobs[col.J_DATE_GROUP, job] == group)
    if not (as_listed & (lasts_s == _limit_s(jobs[:, job]) + k.state.policy.cleaning_s)).all():
        found.append("the list of dates says something else than its jobs")
    if (jobs[col.J_PROMISED, job] < date_s).any():
        found.append("a date was put off")
    return found + _ends_broken(k)


def _limit_s(jobs: IntArray) -> IntArray:
    """Return how long jobs may run by their own word: elastic ones what is left, on their size."""
    estimate_s, size, gpus = jobs[col.J_ESTIMATE], jobs[col.J_SIZE], jobs[col.J_GPUS]
    left_s = np.maximum(estimate_s - jobs[col.J_SAVED], 0)
    at_least_s = -(-left_s * gpus // np.maximum(size, 1))
    limit_s = np.where(size < gpus, at_least_s, estimate_s)
    return np.where(estimate_s >= 0, limit_s, col.UNKNOWN_S + 1)


def _ends_broken(k: Checked) -> list[str]:
    """A node says when the last gang on it ends by its own word and it is clean again."""
    c = k.state.c
    limit_s = _limit_s(c.jobs[:, k.job])
    ends_s = np.zeros(c.nodes.shape[1], dtype=np.int64)
    until_s = c.jobs[col.J_RUN_SINCE, k.job] + limit_s + k.state.policy.cleaning_s
    np.maximum.at(ends_s, k.node, until_s)
    busy = c.nodes[col.N_ROWS] >= 0
    if (ends_s != c.nodes[col.N_ENDS])[busy].any():
        return ["a node ends at another time than the gangs on it declared"]
    return []
