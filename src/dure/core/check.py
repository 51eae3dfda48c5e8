"""What must always hold of a state after a cycle (DESIGN section 5), not taken from counters.

Numbers in the docstrings are those of the list in DESIGN. Everything is done in columns: a pool of
1,642 nodes is checked in a few milliseconds, so that a live pool can check every plan.
"""

import numpy as np

from dure.core import columns as col
from dure.core.check_dates import dates_broken
from dure.core.check_promises import promises_broken
from dure.core.check_rights import rights_broken
from dure.core.checked import Checked, checked
from dure.core.columns import IntArray
from dure.core.moves import bits_of
from dure.core.state import State

_SIZES = (col.J_SIZE, col.J_GPUS)


def violations(state: State) -> list[str]:
    """Return a sentence for each invariant that the state breaks; empty if it is sound."""
    seen = checked(state)
    found: list[str] = []
    for part in (_rows, _devices, _kinds, _nodes, _accounts, _jobs, _places, _line):
        found += part(seen)
    return found + rights_broken(seen) + promises_broken(seen) + dates_broken(seen)


def _first(wrong: IntArray) -> int:
    return int(np.flatnonzero(wrong)[0])


def _rows(k: Checked) -> list[str]:
    """1: each placement row is of one running job and one node, and in both of their lists."""
    c, s, rows = k.state.c, k.state.c.scalars, k.rows
    found = []
    if np.unique(rows).size != rows.size:
        return ["a placement row stands in two lists"]
    gpus = c.nodes[col.N_GPUS, k.node]
    mask, milli = c.rows[col.R_MASK, rows], c.rows[col.R_MILLI, rows]
    if (mask <= 0).any() or (mask >> gpus != 0).any():
        found.append("a placement names a device that its node does not have")
    if (c.rows[col.R_LENT, rows] & ~mask).any():
        found.append("a placement lends a device that it does not have")
    if (milli != c.jobs[col.J_MILLI, k.job]).any():
        found.append("a placement takes another share of its devices than its job asked for")
    pairs = k.job * c.nodes.shape[1] + k.node
    if np.unique(pairs).size != pairs.size:
        found.append("a job stands twice on one node")
    row = c.nodes[col.N_ROWS]
    by_node: list[IntArray] = []
    while (row := row[row >= 0]).size and len(by_node) <= rows.size:
        by_node.append(row)
        row = c.rows[col.R_NEXT_OF_NODE, row]
    listed = np.concatenate(by_node) if by_node else np.zeros(0, dtype=np.int64)
    if not np.array_equal(np.sort(listed), np.sort(rows)):
        found.append(f"jobs list {rows.size} placements, nodes list {listed.size}")
    elif (np.bincount(k.node, minlength=c.nodes.shape[1]) == 0)[c.nodes[col.N_ROWS] >= 0].any():
        found.append("a node lists a placement of another node")
    if rows.size and int(rows.max()) >= s[col.S_ROWS_TOP]:
        found.append("a placement stands beyond the end of the table")
    return found


def _devices(k: Checked) -> list[str]:
    """1 and 2: one placement per device share. 15: none on a device that is dirty; none if down."""
    c, now_s = k.state.c, int(k.state.c.scalars[col.S_NOW])
    used = np.zeros(c.devices.shape[1], dtype=np.int64)
    np.add.at(used, k.device, c.rows[col.R_MILLI, k.row_of_device])
    found = []
    free, cleaning = c.devices[col.D_FREE], c.devices[col.D_CLEANING]
    wrong = (used + free != col.WHOLE) | (free < 0)
    if wrong.any():
        bad = _first(wrong)
        found.append(f"device {bad}: {used[bad]} milli placed, {free[bad]} free, of {col.WHOLE}")
    leaving = c.jobs[col.J_STATE, c.rows[col.R_JOB, k.row_of_device]] == col.STOPPING
    down = (c.devices[col.D_DOWN, k.device] > 0) & ~leaving
    if down.any():
        found.append(f"device {k.device[_first(down)]} is down and has a placement")
    if ((cleaning != 0) & ((cleaning != 1) | (free != col.WHOLE))).any():
        found.append("a device is being cleaned and has a placement")
    clean_at = c.devices[col.D_CLEAN_AT]
    if ((clean_at > now_s) & (cleaning == 0)).any():
        bad = _first((clean_at > now_s) & (cleaning == 0))
        found.append(f"device {bad} goes on to its next owner before it is clean")
    if ((clean_at <= now_s) & (cleaning > 0)).any():
        found.append("a device is clean and nobody was told")
    if (c.devices[col.D_DOWN] < 0).any():
        found.append("a device was repaired more often than it failed")
    return found


def _kinds(k: Checked) -> list[str]:
    """5: every milli-GPU is of exactly one kind, now and in the books."""
    c, s = k.state.c, k.state.c.scalars
    capacity = int(c.nodes[col.N_GPUS].sum()) * col.WHOLE
    now = s[col.S_KIND : col.S_KIND + 7]
    found = []
    if int(now.sum()) != capacity or (now < 0).any():
        found.append(f"kinds add up to {now.sum()} milli ({now.tolist()}), the pool has {capacity}")
    kind = c.jobs[col.J_CLASS, k.job]
    for part in (col.OWN, col.LOAN, col.SCAVENGE):
        held = int(k.milli[kind == part].sum())
        held += int(k.lent.sum()) * ((part == col.LOAN) - (part == col.OWN))
        if held != int(now[part]):
            found.append(f"{col.KINDS[part]}: placements hold {held}, count {now[part]}")
    for part, by_node in zip((col.IDLE, col.RESERVED, col.DRAINING, col.DOWN), k.free, strict=True):
        if int(by_node.sum()) != int(now[part]):
            found.append(f"{col.KINDS[part]}: devices hold {by_node.sum()}, count {now[part]}")
    sums = s[col.S_SUM : col.S_SUM + 7]
    passed_s = int(s[col.S_NOW] - s[col.S_STARTED_AT])
    if s[col.S_NOW] >= 0 and (int(sums.sum()) != capacity * passed_s or (sums < 0).any()):
        found.append(f"booked {sums.sum()} milli-s, capacity x time is {capacity * passed_s}")
    if s[col.S_LENT] != now[col.LOAN]:
        found.append("what is lent is not what runs on loan")
    return found


def _nodes(k: Checked) -> list[str]:
    """14: counters by node and shelf are what devices say. 2: CPU and memory are not overspent."""
    c, nodes = k.state.c, k.state.c.nodes
    found = []
    counted = (col.N_IDLE, col.N_RESERVED, col.N_DRAINING, col.N_DOWN_MILLI)
    for row, by_node in zip(counted, k.free, strict=True):
        if (nodes[row] != by_node).any():
            found.append(f"node {_first(nodes[row] != by_node)}: its free devices are miscounted")
    devices = c.devices
    whole = (devices[col.D_FREE] == col.WHOLE) & (devices[col.D_DOWN] == 0)
    whole &= (devices[col.D_CLEANING] == 0) & (devices[col.D_HOLD] == 0)
    first = nodes[col.N_FIRST]
    free = np.add.reduceat(whole.astype(np.int64), first)
    aside = (nodes[col.N_PROBATION] > 0) | (nodes[col.N_SPARE] > 0)
    free[(nodes[col.N_CORDONED] > 0) | aside] = 0
    if (free != nodes[col.N_FREE]).any():
        found.append("a node's count of free devices is wrong")
    if (
        np.add.reduceat((devices[col.D_HOLD] > 0).astype(np.int64), first) != nodes[col.N_HELD]
    ).any():
        found.append("a node's count of held devices is wrong")
    hist = np.zeros_like(c.hist)
    np.add.at(hist, (nodes[col.N_SHELF], free), 1)
    if (hist != c.hist).any():
        found.append("a leaf's count of free nodes is wrong")
    if int((nodes[col.N_PROBATION] > 0).sum()) != int(c.scalars[col.S_PROBATION]):
        found.append("nodes on probation are miscounted")
    if ((nodes[col.N_SPARE] > 0) != (nodes[col.N_SPARE] == col.IS_SPARE)).any():
        found.append("a spare was left open")
    if int((nodes[col.N_SPARE] > 0).sum()) != int(c.scalars[col.S_SPARES]):
        found.append("spares are miscounted")
    found += _breakers(k)
    for name, asked, size, left in (
        ("CPU", col.J_CPU, col.N_CPU, col.N_CPU_FREE),
        ("memory", col.J_MEMORY, col.N_MEMORY, col.N_MEMORY_FREE),
    ):
        used, held = _limits(k, asked)
        if (nodes[left] != nodes[size] - used - held).any():
            found.append(f"a node's count of free {name} is wrong")
        if ((nodes[size] > 0) & (used > nodes[size])).any():
            found.append(f"a node's {name} is given out twice")
    return found


def _breakers(k: Checked) -> list[str]:
    """No gang starts at a provider that is shut, and its nodes say that it is."""
    c = k.state.c
    until_s = c.breakers[col.BREAKER_OPEN, c.shelves[col.H_PROVIDER, c.nodes[col.N_SHELF]]]
    found = []
    if (((c.nodes[col.N_CORDONED] >> col.OF_BREAKER & 1) > 0) != (until_s > 0)).any():
        found.append("a node does not know whether its provider is shut")
    shut = until_s[k.node] > 0
    since_s = until_s[k.node] - k.state.policy.breaker_s
    # An elastic gang that gives up a part where it stands goes on; that is no new start.
    is_elastic = c.jobs[col.J_MIN_GPUS, k.job] > 0
    is_resized = c.jobs[col.J_STOP_CAUSE, k.job] == col.BY_RESIZE
    goes_on = is_elastic & (is_resized | (c.jobs[col.J_STOP_AT, k.job] >= 0))
    if (shut & ~goes_on & (c.jobs[col.J_RUN_SINCE, k.job] > since_s)).any():
        found.append("a gang started at a provider that is shut")
    return found


def _limits(k: Checked, asked: int) -> tuple[IntArray, IntArray]:
    """Return how much of a limited thing placements use and holds set aside, by node."""
    c = k.state.c
    used, held = np.zeros_like(c.nodes[0]), np.zeros_like(c.nodes[0])
    gpus = c.jobs[col.J_GPUS]
    part = -(-c.jobs[asked, k.job] * bits_of(c.rows[col.R_MASK, k.rows]) // gpus[k.job])
    np.add.at(used, k.node, part)
    node, job, count = k.holds
    np.add.at(held, node, -(-c.jobs[asked, job] * count // np.maximum(gpus[job], 1)))
    return used, held


def _accounts(k: Checked) -> list[str]:
    """2: what accounts use, borrow and owe is what their placements hold."""
    c = k.state.c
    own = np.zeros_like(c.rights[col.E_OWN])
    owner, kind = c.jobs[col.J_OWNER, k.job], c.nodes[col.N_TYPE, k.node]
    class_ = c.jobs[col.J_CLASS, k.job]
    is_own = class_ == col.OWN
    np.add.at(own, (owner[is_own], kind[is_own]), (k.milli - k.lent)[is_own])
    found = []
    if (own != c.rights[col.E_OWN]).any():
        found.append("an account's own use is not what its placements hold")
    borrowed = np.where(is_own, k.lent, k.milli)
    if (np.bincount(owner, borrowed, c.accounts.shape[1]) != c.accounts[col.A_BORROWED]).any():
        found.append("what an account borrows is not what its placements hold")
    each = c.jobs[col.J_MILLI, k.job]
    units = borrowed // np.maximum(each, 1) * (each * c.types[col.T_EXCHANGE, kind] // col.WHOLE)
    owed = np.bincount(owner, units, c.accounts.shape[1])
    if (owed != c.accounts[col.A_OWES]).any():
        found.append("what an account owes is not its placements in exchange units")
    for part, row in ((col.SCAVENGE, col.T_SCAVENGED), (col.LOAN, col.T_LENT)):
        milli = np.where(class_ == part, k.milli, k.lent if part == col.LOAN else 0)
        held = np.bincount(kind, milli, c.types.shape[1])
        if (held != c.types[row]).any():
            found.append(f"{col.KINDS[part]} of a type is not what its placements hold")
    return found


def _jobs(k: Checked) -> list[str]:
    """4 and 5: a running job is whole and listed once; each second of a job is queued or run."""
    c, s, now_s = k.state.c, k.state.c.scalars, int(k.state.c.scalars[col.S_NOW])
    jobs = c.jobs[:, : s[col.S_JOBS]]
    status = jobs[col.J_STATE]
    active = (status == col.RUNNING) | (status == col.STOPPING)
    used = np.bincount(k.job, k.milli, jobs.shape[1]).astype(np.int64)
    least, most = (np.where(active, jobs[row] * jobs[col.J_MILLI], 0) for row in _SIZES)
    found = []
    wrong = (used < least) | (used > most) | (jobs[col.J_USED] != used)
    if wrong.any():
        bad = _first(wrong)
        name = k.state.job_names[bad]
        found.append(f"job {name}: {used[bad]} milli placed, {least[bad]} to {most[bad]} due")
    lent = np.bincount(k.job, k.lent, jobs.shape[1]).astype(np.int64)
    if (lent != np.where(jobs[col.J_CLASS] == col.OWN, used - least, 0)).any():
        found.append("an own gang has other devices on loan than those beyond its size")
    running = c.running[: s[col.S_RUNNING]]
    if not np.array_equal(np.sort(running), np.flatnonzero(active)):
        found.append(f"{active.sum()} jobs run, {s[col.S_RUNNING]} are listed")
    elif (jobs[col.J_RUN_POS, running] != np.arange(running.size)).any():
        found.append("a running job is listed elsewhere than it thinks")
    numbers = jobs[col.J_NUMBER]
    if (np.diff(numbers, prepend=-1, append=s[col.S_LISTED]) <= 0).any():
        found.append("the jobs are not in the order of their numbers")
    there = k.submitted
    waiting = (status == col.PENDING) & there
    over = status > col.STOPPING
    if (over != (jobs[col.J_ENDED] >= 0)).any() and s[col.S_STARTED_AT] >= 0:
        found.append("a job that has ended has no end, or one that has not has one")
    spent_s = jobs[col.J_QUEUED_S] + jobs[col.J_RUN_S]
    spent_s = spent_s + np.where(active, now_s - jobs[col.J_STARTED], 0)
    spent_s = spent_s + np.where(waiting, now_s - jobs[col.J_QUEUED_SINCE], 0)
    wrong = there & (spent_s != np.where(over, jobs[col.J_ENDED], now_s) - jobs[col.J_SUBMIT])
    if wrong.any():
        bad = _first(wrong)
        found.append(f"job {k.state.job_names[bad]}: its seconds queued and run do not add up")
    stranded = waiting & (jobs[col.J_ATTEMPT] > 0) & (jobs[col.J_STOP_CAUSE] == col.BY_FAULT)
    if int(stranded.sum()) != int(s[col.S_STRANDED]):
        found.append("gangs that a fault stopped are miscounted")
    if ((jobs[col.J_ATTEMPT] > 0) != (jobs[col.J_FIRST_START] >= 0)).any():
        found.append("a job has an attempt and no start, or a start and no attempt")
    return found


def _places(k: Checked) -> list[str]:
    """13: data grades. And each gang stands where, and only when, its job agreed to run."""
    c, state = k.state.c, k.state
    jobs, job = c.jobs, k.job
    shelf = c.nodes[col.N_SHELF, k.node]
    found = []
    if (jobs[col.J_GRADE, job] > c.shelves[col.H_GRADE, shelf]).any():
        found.append("a job's data grade is above its node's")
    kind = c.nodes[col.N_TYPE, k.node]
    if (jobs[col.J_TYPES, job] >> kind & 1 == 0).any():
        found.append("a job stands on an accelerator that it does not accept")
    if (jobs[col.J_PLACED_TYPE, job] != kind).any():
        found.append("a gang stands on two kinds of accelerator")
    provider = jobs[col.J_PROVIDER, job]
    if (
        state.policy.name == "siloed"
        and ((provider >= 0) & (provider != c.shelves[col.H_PROVIDER, shelf])).any()
    ):
        found.append("a job stands outside its provider's silo")
    asked = jobs[col.J_CLASS_ASKED, job]
    if (
        state.policy.name == "dure"
        and ((asked > 1 + col.OWN) & (jobs[col.J_CLASS, job] == col.OWN)).any()
    ):
        found.append("a job that asked to borrow runs as its owner's own")
    each = np.where(jobs[col.J_NODES] > 0, jobs[col.J_GPUS] // np.maximum(jobs[col.J_NODES], 1), 0)
    each = np.where((jobs[col.J_NODES] <= 0) & (jobs[col.J_GPN] > 0), jobs[col.J_GPN], each)[job]
    if ((each > 0) & (bits_of(c.rows[col.R_MASK, k.rows]) != each)).any():
        found.append("a gang's part has another size than its job asked for")
    segment = jobs[col.J_SEGMENT, job]
    part = bits_of(c.rows[col.R_MASK, k.rows])
    small = (segment > 0) & (segment <= part)
    if (small & (part % np.maximum(segment, 1) != 0)).any():
        found.append("a segment stands on two nodes")
    pairs, at, count = np.unique(
        job * c.shelves.shape[1] + c.shelves[col.H_LEAF, shelf],
        return_index=True,
        return_counts=True,
    )
    if (((segment > part)[at]) & (count * part[at] % np.maximum(segment[at], 1) != 0)).any():
        found.append("a segment stands on two leaves")
    tied = jobs[col.J_LOCALITY, job] == col.LOCALITY_REQUIRED
    for level in range(col.AT_NODE, col.AT_ANY):
        at = np.flatnonzero(tied & (jobs[col.J_LEVEL, job] == level))
        if at.size:
            low = shelf[at] if level else k.node[at]
            domain = c.shelves[col.H_LEAF + level - col.AT_LEAF, low] if level else low
            pairs = np.unique(np.stack((job[at], domain)), axis=1)
            if np.unique(pairs[0]).size != pairs.shape[1]:
                found.append(f"a gang stands in more than one {col.LEVELS[level]}")
    after = jobs[col.J_AFTER, c.running[: c.scalars[col.S_RUNNING]]]
    if (jobs[col.J_STATE, after[after >= 0]] != col.COMPLETED).any():
        found.append("a job runs before the one that it comes after has ended well")
    return found


def _line(k: Checked) -> list[str]:
    """7 and 14: each waiting job stands in the line once, in its order; alarms are in order too."""
    c, s = k.state.c, k.state.c.scalars
    line = c.queue[s[col.S_Q_HEAD] : s[col.S_Q_TAIL]]
    line = line[c.jobs[col.J_STATE, line] == col.PENDING]
    status = c.jobs[col.J_STATE, : s[col.S_JOBS]]
    waiting = np.flatnonzero((status == col.PENDING) & k.submitted)
    found = []
    if not np.array_equal(np.sort(line), waiting):
        found.append(f"{waiting.size} jobs wait, {line.size} stand in the line")
    key = c.jobs[col.J_KEY, line]
    if ((key[1:] < key[:-1]) | ((key[1:] == key[:-1]) & (line[1:] < line[:-1]))).any():
        found.append("the line is out of order")
    passed = line[line < s[col.S_IMPATIENT]]
    if (c.jobs[col.J_KEY, passed] > c.jobs[col.J_SUBMIT, passed]).any():
        found.append("a job that waited long enough is still passed by later ones")
    after = c.jobs[col.J_AFTER, line]
    parent = after[(after >= 0) & (after < s[col.S_JOBS])]
    if (c.jobs[col.J_STATE, parent] > col.COMPLETED).any():
        found.append("a job waits for one that ended badly")
    alarms = c.alarms[: s[col.S_ALARMS]]
    if alarms.size and int(alarms[0, 0]) <= s[col.S_NOW]:
        found.append("an alarm is overdue")
    if len(alarms) > 1:
        child = np.arange(1, len(alarms))
        if (alarms[(child - 1) // 2, 0] > alarms[child, 0]).any():
            found.append("the alarms are out of order")
    return found
