"""Where a gang can stand: narrowest domain, whole leaves first, tightest last leaf (DESIGN section
4).

``find_place`` writes the choice to ``picks`` (node, mask, milli of each device) and returns how
many
nodes it takes, or 0. It never moves the state.
"""

from dure.core.columns import *
from dure.core.columns import Columns
from dure.core.hazard import next_calm
from dure.core.kernel import inner
from dure.core.moves import share_of, stands_aside
from dure.core.pace import next_choice
from dure.core.shapes import each_of


@inner
def slots(c: Columns, job: int, node: int) -> int:
    """Count the node's devices that the job could use now, its CPU and memory considered."""
    nodes, jobs, devices = c.nodes, c.jobs, c.devices
    milli = jobs[J_MILLI, job]
    count = nodes[N_FREE, node]
    if milli < WHOLE:
        count = 0
        if nodes[N_CORDONED, node] > 0 or stands_aside(c, node):
            return 0
        first = nodes[N_FIRST, node]
        for d in range(first, first + nodes[N_GPUS, node]):
            usable = devices[D_DOWN, d] == 0 and devices[D_CLEANING, d] != 1
            if usable and devices[D_HOLD, d] == 0 and devices[D_FREE, d] >= milli:
                count += 1
    for need, size, free in (
        (jobs[J_CPU, job], nodes[N_CPU, node], nodes[N_CPU_FREE, node]),
        (jobs[J_MEMORY, job], nodes[N_MEMORY, node], nodes[N_MEMORY_FREE, node]),
    ):
        if need > 0 and size > 0:
            while count > 0 and share_of(need, count, jobs[J_GPUS, job]) > free:
                count -= 1
    return count


@inner
def is_open_to(c: Columns, owner: int, shelf: int) -> bool:
    """Tell whether an owner's own work may stand on a shelf: not in cells of others, and of one who
    was promised cells, in these alone.
    """
    holder = c.shelves[H_HOLDER, shelf]
    if c.rights[E_CELLS, owner, c.shelves[H_TYPE, shelf]] > 0:
        return bool(holder == owner + 1)
    return bool(holder == 0)


@inner
def stands_open(c: Columns, job: int) -> bool:
    """Tell whether a running gang stands where it may as its owner's own."""
    is_open, row = True, c.jobs[J_ROWS, job]
    while row >= 0:
        shelf = c.nodes[N_SHELF, c.rows[R_NODE, row]]
        is_open = is_open and is_open_to(c, c.jobs[J_OWNER, job], shelf)
        row = c.rows[R_NEXT_OF_JOB, row]
    return is_open


@inner
def seek_own(c: Columns, is_own: bool) -> None:
    """Look for places of own work from now on, or of any."""
    c.scalars[S_AS_OWN] = 1 if is_own and c.scalars[S_CELLS] > 0 else 0


@inner
def suits(c: Columns, job: int, shelf: int) -> bool:
    """Tell whether a shelf's kind, grade, provider and holder may serve the job."""
    shelves, jobs = c.shelves, c.jobs
    if not jobs[J_TYPES, job] >> shelves[H_TYPE, shelf] & 1:
        return False
    if jobs[J_GRADE, job] > shelves[H_GRADE, shelf]:
        return False
    if c.policy[P_POLICY] == SILOED:
        provider = jobs[J_PROVIDER, job]
        return bool(provider < 0 or provider == shelves[H_PROVIDER, shelf])
    return bool(c.scalars[S_AS_OWN] == 0 or is_open_to(c, jobs[J_OWNER, job], shelf))


@inner
def shape_of(c: Columns, job: int, node_gpus: int) -> tuple[int, int, int]:
    """Return (nodes, devices on each, devices on one more) that the gang takes on such nodes."""
    jobs = c.jobs
    gpus, nodes, each = jobs[J_SIZE, job], jobs[J_NODES, job], each_of(c.jobs, job)
    if nodes > 0 and gpus == jobs[J_GPUS, job]:
        return nodes, each, 0
    if each > 0:
        return gpus // each, each, 0
    if gpus < node_gpus:
        return 1, gpus, 0
    whole, segment = node_gpus, jobs[J_SEGMENT, job]
    if 0 < segment < node_gpus:
        # No segment stands on two nodes.
        whole = node_gpus // segment * segment
    return gpus // whole, whole, gpus % whole


@inner
def span_of(c: Columns, job: int, each: int) -> int:
    """Return how many nodes of one shelf each segment of a gang fills, ``each`` devices a node.

    It is 1 where a node holds whole segments, and 0 where nodes cannot be filled by whole ones.
    """
    segment = c.jobs[J_SEGMENT, job]
    if segment <= each:
        return 1
    return int(segment // each) if segment % each == 0 else 0


@inner
def widest_level(c: Columns, job: int) -> int:
    """Return the widest domain over which the job agrees to spread at this moment."""
    jobs = c.jobs
    kind = jobs[J_LOCALITY, job]
    if kind == LOCALITY_REQUIRED:
        return int(jobs[J_LEVEL, job])
    waited_s = c.scalars[S_NOW] - jobs[J_SUBMIT, job]
    if kind == LOCALITY_PREFERRED and waited_s < jobs[J_PATIENCE, job]:
        return int(jobs[J_LEVEL, job])
    return AT_ANY


@inner
def domain_of(c: Columns, shelf: int, level: int) -> int:
    """Return the shelf's domain at a level: leaf, pod, cluster, site; everything is one at
    ``any``.
    """
    if level == AT_ANY:
        return 0
    return int(c.shelves[H_LEAF + level - AT_LEAF, shelf])


@inner
def is_plain(c: Columns, job: int) -> bool:
    """Tell whether a job takes whole devices and has no limits of CPU or memory."""
    jobs = c.jobs
    return bool(jobs[J_MILLI, job] == WHOLE and jobs[J_CPU, job] == 0 and jobs[J_MEMORY, job] == 0)


@inner
def _count_fits(c: Columns, job: int, group: int, each: int, plain: bool, row: int) -> int:
    """Write to scratch how many nodes of each shelf have ``each`` usable devices; return all."""
    fit, total = c.scratch[row], 0
    for shelf in range(c.groups[G_FROM, group], c.groups[G_TO, group]):
        fit[shelf] = 0
        if not suits(c, job, shelf):
            continue
        if plain:
            for k in range(each, c.shelves[H_GPUS, shelf] + 1):
                fit[shelf] += c.hist[shelf, k]
        else:
            for node in range(c.shelves[H_FROM, shelf], c.shelves[H_TO, shelf]):
                if slots(c, job, node) >= each:
                    fit[shelf] += 1
        total += fit[shelf]
    return total


@inner
def _choose_domain(c: Columns, group: int, level: int, need: int, extra: int) -> int:
    """Return the domain of a level that the need fills best, the lowest on a tie, or -1.

    A remainder (``extra`` > 0) needs one node more, in the same domain.
    """
    fit, sums = c.scratch[X_FIT], c.scratch[X_DOMAIN]
    rest, rest_sums = c.scratch[X_FIT_REST], c.scratch[X_DOMAIN_REST]
    first, last = c.groups[G_FROM, group], c.groups[G_TO, group]
    for shelf in range(first, last):
        domain = domain_of(c, shelf, level)
        sums[domain], rest_sums[domain] = 0, 0
    for shelf in range(first, last):
        domain = domain_of(c, shelf, level)
        sums[domain] += fit[shelf]
        rest_sums[domain] += rest[shelf] if extra > 0 else 0
    best = -1
    for shelf in range(first, last):
        domain = domain_of(c, shelf, level)
        if extra > 0 and rest_sums[domain] <= need:
            continue
        if sums[domain] >= need and (
            best < 0 or sums[domain] < sums[best] or (sums[domain] == sums[best] and domain < best)
        ):
            best = domain
    return best


@inner
def mask_on(c: Columns, job: int, node: int, count: int) -> int:
    """Choose ``count`` usable devices of a node: the fullest that fit, then the lowest."""
    devices, milli = c.devices, c.jobs[J_MILLI, job]
    first, gpus = c.nodes[N_FIRST, node], c.nodes[N_GPUS, node]
    mask = 0
    for _ in range(count):
        best = -1
        for d in range(gpus):
            i = first + d
            if mask >> d & 1 or devices[D_DOWN, i] > 0 or devices[D_CLEANING, i] == 1:
                continue
            if devices[D_HOLD, i] > 0 or devices[D_FREE, i] < milli:
                continue
            if best < 0 or devices[D_FREE, i] < devices[D_FREE, first + best]:
                best = d
        mask |= 1 << best
    return mask


@inner
def _pick(c: Columns, job: int, node: int, devices: int, at: int) -> None:
    c.picks[at, 0], c.picks[at, 1] = node, mask_on(c, job, node, devices)
    c.picks[at, 2] = c.jobs[J_MILLI, job]


@inner
def _usable(c: Columns, job: int, node: int, plain: bool) -> int:
    return int(c.nodes[N_FREE, node]) if plain else slots(c, job, node)


@inner
def _pick_from_shelf(
    c: Columns, job: int, shelf: int, each: int, want: int, at: int, plain: bool
) -> None:
    """Pick ``want`` nodes of a shelf, those that fit tightest first, of those the ones that failed
    least.
    """
    got = 0
    for exact in range(each, c.shelves[H_GPUS, shelf] + 1):
        if plain and c.hist[shelf, exact] == 0:
            continue
        if plain and c.policy[P_HAZARD_S] > 0:
            node = next_calm(c, shelf, exact, -1)
            while node >= 0 and got < want:
                _pick(c, job, node, each, at + got)
                got, node = got + 1, next_calm(c, shelf, exact, node)
            continue
        for node in range(c.shelves[H_FROM, shelf], c.shelves[H_TO, shelf]):
            if got == want:
                return
            if _usable(c, job, node, plain) == exact:
                _pick(c, job, node, each, at + got)
                got += 1


@inner
def _fill_domain(
    c: Columns, job: int, group: int, level: int, domain: int, each: int, need: int, span: int
) -> None:
    """Pick ``need`` segments of ``span`` nodes in a domain: leaves that are taken whole, then the
    tightest leaf.
    """
    fit, at, plain = c.scratch[X_FIT], 0, is_plain(c, job)
    while need > 0:
        whole, tight = -1, -1
        for shelf in range(c.groups[G_FROM, group], c.groups[G_TO, group]):
            if fit[shelf] == 0 or domain_of(c, shelf, level) != domain:
                continue
            if fit[shelf] <= need and (whole < 0 or fit[shelf] > fit[whole]):
                whole = shelf
            if fit[shelf] >= need and (tight < 0 or fit[shelf] < fit[tight]):
                tight = shelf
        shelf = tight if tight >= 0 else whole
        got = min(need, fit[shelf])
        _pick_from_shelf(c, job, shelf, each, got * span, at, plain)
        at, need = at + got * span, need - got
        fit[shelf] = 0


@inner
def _pick_single(c: Columns, job: int, group: int, each: int, plain: bool) -> int:
    """Pick one node, the one that has least to spare; among equals on the leaf most broken
    already.
    """
    best_node, best_spare, best_whole = -1, 1 << 60, 1 << 60
    least = each * c.jobs[J_MILLI, job]
    for shelf in range(c.groups[G_FROM, group], c.groups[G_TO, group]):
        gpus = c.shelves[H_GPUS, shelf]
        whole = c.hist[shelf, gpus]
        if not suits(c, job, shelf):
            continue
        if plain:
            tightest = -1
            for exact in range(each, gpus + 1):
                if c.hist[shelf, exact] > 0:
                    tightest = exact
                    break
            if tightest < 0 or tightest > best_spare:
                continue
            if tightest == best_spare and whole >= best_whole:
                continue
            for node in range(c.shelves[H_FROM, shelf], c.shelves[H_TO, shelf]):
                if c.nodes[N_FREE, node] == tightest:
                    best_node, best_spare, best_whole = node, tightest, whole
                    break
            continue
        for node in range(c.shelves[H_FROM, shelf], c.shelves[H_TO, shelf]):
            # What is idle bounds what is usable, and takes one look instead of one a device.
            idle = c.nodes[N_IDLE, node]
            if least <= idle < best_spare and slots(c, job, node) >= each:
                best_node, best_spare = node, idle
    if best_node < 0:
        return 0
    _pick(c, job, best_node, each, 0)
    return 1


@inner
def _pick_remainder(
    c: Columns, job: int, group: int, level: int, domain: int, count: int, extra: int, plain: bool
) -> None:
    """Pick the node that takes a gang's last few devices, the nearest, then the tightest."""
    best_node, best_far, best_spare = -1, 2, 1 << 60
    leaf = c.shelves[H_LEAF, c.nodes[N_SHELF, c.picks[count - 1, 0]]]
    for i in range(count):
        c.scratch[X_NODE, c.picks[i, 0]] = 1
    for shelf in range(c.groups[G_FROM, group], c.groups[G_TO, group]):
        if not suits(c, job, shelf) or domain_of(c, shelf, level) != domain:
            continue
        far = 0 if c.shelves[H_LEAF, shelf] == leaf else 1
        if far > best_far:
            continue
        for node in range(c.shelves[H_FROM, shelf], c.shelves[H_TO, shelf]):
            usable = _usable(c, job, node, plain)
            if usable < extra or c.scratch[X_NODE, node] == 1:
                continue
            if far < best_far or usable < best_spare:
                best_node, best_far, best_spare = node, far, usable
    for i in range(count):
        c.scratch[X_NODE, c.picks[i, 0]] = 0
    _pick(c, job, best_node, extra, count)


@inner
def place_in_group(c: Columns, job: int, group: int) -> int:
    """Choose a place among nodes of one kind; return how many rows of ``picks``, 0 if none."""
    need, each, extra = shape_of(c, job, c.groups[G_GPUS, group])
    if each > c.groups[G_GPUS, group]:
        return 0
    plain = is_plain(c, job)
    if need == 1 and extra == 0:
        return _pick_single(c, job, group, each, plain)
    widest, span = widest_level(c, job), span_of(c, job, each)
    if widest == AT_NODE or span == 0:
        return 0
    if _count_fits(c, job, group, each, plain, X_FIT) < need:
        return 0
    if span > 1:
        c.scratch[X_FIT, c.groups[G_FROM, group] : c.groups[G_TO, group]] //= span
    if extra > 0 and _count_fits(c, job, group, extra, plain, X_FIT_REST) <= need:
        return 0
    for level in range(AT_LEAF, widest + 1):
        domain = _choose_domain(c, group, level, need // span, extra)
        if domain >= 0:
            _fill_domain(c, job, group, level, domain, each, need // span, span)
            if extra == 0:
                return need
            _pick_remainder(c, job, group, level, domain, need, extra, plain)
            return need + 1
    return 0


@inner
def find_place(c: Columns, job: int, types: int) -> int:
    """Choose where the job could start now, and end soonest.

    Args:
        types: mask of the accelerator types that may be used, a part of what the job accepts.

    Returns:
        How many rows of ``picks`` are filled; 0 if the job fits nowhere.
    """
    group = next_choice(c, job, types, -1)
    while group >= 0:
        count = place_in_group(c, job, group)
        if count > 0:
            return count
        group = next_choice(c, job, types, group)
    return 0


@inner
def find_own_place(c: Columns, job: int, types: int) -> int:
    """Choose where the job could start now as its owner's own; see ``find_place``."""
    seek_own(c, True)
    count = find_place(c, job, types)
    seek_own(c, False)
    return int(count)
