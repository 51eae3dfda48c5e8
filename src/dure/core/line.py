"""The waiting line by cohorts: gangs alike in everything that decides, but for their order.

What does not fit for the first of a cohort fits for none of it, so a pass goes through the first
ones alone, in the line's order (a heap of heads), however long the line is. Each cohort is a search
tree over the jobs themselves (a treap, its priorities a hash of the job's number), which also knows
the least estimate in each of its parts: EASY asks for the first gang that is short enough.

For odd gangs the first says nothing of the next: for those that come after another job, and those
with a preferred locality. They have cohorts of their own, whose jobs are asked one by one.
"""

from dure.core.columns import *
from dure.core.columns import Columns
from dure.core.kernel import inner, kernel

_LOW = 0xFFFFFFFF
SAID_S_MAX = 10**8  # three years; products with GPUs and weights stay below 63 bits


@inner
def is_before(c: Columns, i: int, j: int) -> bool:
    """Tell whether job ``i`` stands before job ``j`` in the line: by key, then by number."""
    a, b = c.jobs[J_KEY, i], c.jobs[J_KEY, j]
    return bool(a < b or (a == b and i < j))


@inner
def limit_of(c: Columns, job: int) -> int:
    """Return how long the job may run by its own word, in seconds."""
    jobs, estimate_s = c.jobs, c.jobs[J_ESTIMATE, job]
    if estimate_s >= 0 and jobs[J_SIZE, job] < jobs[J_GPUS, job]:
        # It may have its minimum all the time. What it has done counts: whoever goes on with other
        # devices ends no later than it said before.
        left_s = max(0, estimate_s - jobs[J_SAVED, job])
        return int(-(-left_s * jobs[J_GPUS, job] // jobs[J_SIZE, job]))
    return int(estimate_s if estimate_s >= 0 else UNKNOWN_S + 1)


@inner
def estimate_within(c: Columns, job: int, limit_s: int) -> int:
    """Return the longest estimate with which a job would run no longer than ``limit_s``."""
    jobs = c.jobs
    if jobs[J_SIZE, job] == jobs[J_GPUS, job]:
        return limit_s
    return int(jobs[J_SAVED, job] + limit_s * jobs[J_SIZE, job] // jobs[J_GPUS, job])


@inner
def declared_left(c: Columns, job: int) -> int:
    """Return the GPU-seconds that the job has still to run by its own word."""
    jobs = c.jobs
    said_s = jobs[J_ESTIMATE, job]
    if said_s < 0:
        said_s = c.policy[P_UNDECLARED_S]
    left_s = max(0, min(said_s, SAID_S_MAX) - jobs[J_SAVED, job])
    return int(left_s * jobs[J_GPUS, job] * jobs[J_MILLI, job] // WHOLE)


@inner
def _priority(job: int) -> int:
    x = ((job + 1) * 2654435761) & _LOW
    x = ((x ^ (x >> 15)) * 2246822519) & _LOW
    return x ^ (x >> 13)


@inner
def _recount(c: Columns, job: int) -> None:
    tree, least = c.tree, limit_of(c, job)
    for side in (W_LEFT, W_RIGHT):
        below = tree[side, job]
        if below > 0:
            least = min(least, tree[W_LEAST, below - 1])
    tree[W_LEAST, job] = least


@inner
def _link(c: Columns, cohort: int, above: int, side: int, below: int) -> None:
    if above < 0:
        c.cohorts[cohort, C_ROOT] = below
    else:
        c.tree[side, above] = below


@inner
def _describe(c: Columns, cohort: int, job: int) -> None:
    """Write down what all of a cohort have in common with this one of them."""
    jobs, row = c.jobs, c.cohorts[cohort]
    asked = jobs[J_CLASS_ASKED, job]
    row[C_SHAPE], row[C_FAMILY] = jobs[J_SHAPE, job], jobs[J_FAMILY, job]
    row[C_GPUS], row[C_MILLI] = jobs[J_SIZE, job], jobs[J_SIZE, job] * jobs[J_MILLI, job]
    row[C_TYPES], row[C_OWNER] = jobs[J_TYPES, job], jobs[J_OWNER, job]
    row[C_FLAGS] = IS_ODD if jobs[J_ODD, job] == 1 else 0
    if asked != 1 + LOAN and asked != 1 + SCAVENGE:
        row[C_FLAGS] |= MAY_OWN
    if jobs[J_PREEMPTIBLE, job] == 1 and asked != 1 + OWN:
        row[C_FLAGS] |= MAY_BORROW
    row[C_EXAMPLE] = job


@inner
def join_cohort(c: Columns, job: int) -> None:
    """Put a waiting job into its cohort; O(log n)."""
    tree, path, cohort = c.tree, c.scratch[X_PATH], c.jobs[J_COHORT, job]
    limit_s, priority = limit_of(c, job), _priority(job)
    above, side, at = -1, W_LEFT, c.cohorts[cohort, C_ROOT]
    if at == 0:
        s = c.scalars
        c.standing[s[S_STANDING]] = cohort
        s[S_STANDING] += 1
        _describe(c, cohort, job)
        c.cohorts[cohort, C_PLACE] = s[S_STANDING]
    while at > 0 and _priority(at - 1) > priority:
        above = at - 1
        tree[W_LEAST, above] = min(tree[W_LEAST, above], limit_s)
        side = W_LEFT if is_before(c, job, above) else W_RIGHT
        at = tree[side, above]
    _link(c, cohort, above, side, job + 1)
    # What stood here is parted into who comes before the job and who comes after it.
    lower, lower_side, upper, upper_side, depth = job, W_LEFT, job, W_RIGHT, 0
    while at > 0:
        node = at - 1
        path[depth] = node
        depth += 1
        if is_before(c, node, job):
            tree[lower_side, lower] = at
            lower, lower_side, at = node, W_RIGHT, tree[W_RIGHT, node]
        else:
            tree[upper_side, upper] = at
            upper, upper_side, at = node, W_LEFT, tree[W_LEFT, node]
    tree[lower_side, lower] = 0
    tree[upper_side, upper] = 0
    for i in range(depth - 1, -1, -1):
        _recount(c, path[i])
    _recount(c, job)


@inner
def leave_cohort(c: Columns, job: int) -> None:
    """Take a job out of its cohort; O(log n)."""
    tree, path, cohort = c.tree, c.scratch[X_PATH], c.jobs[J_COHORT, job]
    above, side, depth, at = -1, W_LEFT, 0, c.cohorts[cohort, C_ROOT]
    while at > 0 and at - 1 != job:
        above = at - 1
        path[depth] = above
        depth += 1
        side = W_LEFT if is_before(c, job, above) else W_RIGHT
        at = tree[side, above]
    if at == 0:
        return
    a, b = tree[W_LEFT, job], tree[W_RIGHT, job]
    while a > 0 and b > 0:
        if _priority(a - 1) > _priority(b - 1):
            _link(c, cohort, above, side, a)
            above, side, a = a - 1, W_RIGHT, tree[W_RIGHT, a - 1]
        else:
            _link(c, cohort, above, side, b)
            above, side, b = b - 1, W_LEFT, tree[W_LEFT, b - 1]
        path[depth] = above
        depth += 1
    _link(c, cohort, above, side, a if a > 0 else b)
    for i in range(depth - 1, -1, -1):
        _recount(c, path[i])
    if c.cohorts[cohort, C_ROOT] == 0:
        s, place = c.scalars, c.cohorts[cohort, C_PLACE] - 1
        s[S_STANDING] -= 1
        last = c.standing[s[S_STANDING]]
        c.standing[place] = last
        c.cohorts[last, C_PLACE] = place + 1
        c.cohorts[cohort, C_PLACE] = 0


@inner
def first_of(c: Columns, cohort: int) -> int:
    """Return a cohort's first job, or -1."""
    at, found = c.cohorts[cohort, C_ROOT], -1
    while at > 0:
        found = at - 1
        at = c.tree[W_LEFT, found]
    return found


@inner
def first_within(c: Columns, cohort: int, limit_s: int) -> int:
    """Return a cohort's first job that may run ``limit_s`` seconds at most, or -1."""
    tree, at = c.tree, c.cohorts[cohort, C_ROOT]
    if at == 0 or tree[W_LEAST, at - 1] > limit_s:
        return -1
    while True:
        left, job = tree[W_LEFT, at - 1], at - 1
        if left > 0 and tree[W_LEAST, left - 1] <= limit_s:
            at = left
        elif limit_of(c, job) <= limit_s:
            return int(job)
        else:
            at = tree[W_RIGHT, job]


@inner
def next_of(c: Columns, job: int) -> int:
    """Return who follows a job (one of the cohort, waiting) in its cohort, or -1."""
    at, found = c.cohorts[c.jobs[J_COHORT, job], C_ROOT], -1
    while at > 0:
        node = at - 1
        if is_before(c, job, node):
            found, at = node, c.tree[W_LEFT, node]
        else:
            at = c.tree[W_RIGHT, node]
    return found


# --- heads: a binary heap of jobs in the line's order; heads[0] is how many -----------------------
@inner
def _sink(c: Columns, at: int) -> None:
    heads, job = c.heads, c.heads[at]
    count = heads[0]
    while 2 * at <= count:
        child = 2 * at
        if child < count and is_before(c, heads[child + 1], heads[child]):
            child += 1
        if not is_before(c, heads[child], job):
            break
        heads[at] = heads[child]
        at = child
    heads[at] = job


@inner
def order_heads(c: Columns, count: int) -> None:
    """Make ``count`` jobs, which stand in ``heads`` from 1 on, a heap."""
    c.heads[0] = count
    for at in range(count // 2, 0, -1):
        _sink(c, at)


@inner
def replace_head(c: Columns, job: int) -> None:
    """Have another job stand for the first head's cohort, or nobody (-1)."""
    heads = c.heads
    if job < 0:
        job = heads[heads[0]]
        heads[0] -= 1
        if heads[0] == 0:
            return
    heads[1] = job
    _sink(c, 1)


@kernel
def gather_cohorts(c: Columns) -> None:
    """Fill the cohorts, empty as yet, with everyone who waits."""
    s = c.scalars
    s[S_STANDING] = 0
    for i in range(s[S_Q_HEAD], s[S_Q_TAIL]):
        if c.jobs[J_STATE, c.queue[i]] == PENDING:
            join_cohort(c, c.queue[i])
