"""Which accelerator a job takes, and how fast its work is done there.

Durations, estimates and progress are counted in seconds of the job's reference, the first type that
it named, or a device of speed 1000; and on all its devices: work goes with how many it has.
"""

from dure.core.columns import *
from dure.core.columns import Columns
from dure.core.kernel import inner


@inner
def _speeds(c: Columns, job: int) -> tuple[int, int]:
    """Return the speeds of the type the job stands on, and of its reference."""
    first = c.jobs[J_PREFERRED, job] & PREFERRED_MASK
    reference = c.types[T_SPEED, first - 1] if first > 0 else WHOLE
    return int(c.types[T_SPEED, c.jobs[J_PLACED_TYPE, job]]), int(reference)


@inner
def run_s_of(c: Columns, job: int, work_s: int) -> int:
    """Return how long work takes where the job stands, rounded up."""
    speed, reference = _speeds(c, job)
    used, whole = c.jobs[J_USED, job], c.jobs[J_GPUS, job] * c.jobs[J_MILLI, job]
    if 0 < used < whole:
        work_s = -(-work_s * whole // used)
    # In two parts, because the product of long work and a speed is beyond 63 bits.
    return work_s // speed * reference + (work_s % speed * reference + speed - 1) // speed


@inner
def work_s_of(c: Columns, job: int, run_s: int) -> int:
    """Return the work done in a time where the job stands, rounded down."""
    speed, reference = _speeds(c, job)
    used, whole = c.jobs[J_USED, job], c.jobs[J_GPUS, job] * c.jobs[J_MILLI, job]
    work_s = run_s // reference * speed + run_s % reference * speed // reference
    return work_s * used // whole if 0 < used < whole else work_s


@inner
def ends_by_word_s(c: Columns, job: int) -> int:
    """Return when a running gang ends by its own word, where it stands and with what it has.

    What an elastic gang did with other devices counts as done.
    """
    jobs, work_s = c.jobs, c.jobs[J_ESTIMATE, job]
    if work_s < 0:
        work_s = UNKNOWN_S + 1
    elif jobs[J_SIZE, job] < jobs[J_GPUS, job]:
        work_s = max(0, work_s - jobs[J_SAVED, job])
    return int(jobs[J_STARTED, job] + run_s_of(c, job, work_s))


@inner
def _rank(c: Columns, job: int, kind: int) -> int:
    """Return a type's place among those that the job named; the others come after."""
    preferred, rank = c.jobs[J_PREFERRED, job], 0
    while preferred > 0 and (preferred & PREFERRED_MASK) - 1 != kind:
        preferred >>= PREFERRED_BITS
        rank += 1
    return rank if preferred > 0 else PREFERRED_MOST


@inner
def next_choice(c: Columns, job: int, types: int, after: int) -> int:
    """Return the kind of node to try after another (-1: the first), or -1 if that was the last.

    What starts now ends soonest on the fastest type; of equally fast ones the job's preference
    decides, then the pool's order.
    """
    groups, best, best_speed, best_rank = c.groups, -1, 0, 0
    speed_after, rank_after = 1 << 60, -1
    if after >= 0:
        speed_after = c.types[T_SPEED, groups[G_TYPE, after]]
        rank_after = _rank(c, job, groups[G_TYPE, after])
    for group in range(groups.shape[1]):
        kind = groups[G_TYPE, group]
        if not types >> kind & 1:
            continue
        speed, rank = c.types[T_SPEED, kind], _rank(c, job, kind)
        if (-speed, rank, group) <= (-speed_after, rank_after, after):
            continue
        if best < 0 or (-speed, rank, group) < (-best_speed, best_rank, best):
            best, best_speed, best_rank = group, speed, rank
    return best
