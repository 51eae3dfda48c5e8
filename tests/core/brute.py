"""Oracles in plain Python: where a job could stand, found by trying everything that differs."""

from collections import Counter

from dure.core import columns as col
from dure.core.state import State

LEVEL_ROWS = {
    col.AT_LEAF: col.H_LEAF,
    col.AT_POD: col.H_POD,
    col.AT_CLUSTER: col.H_CLUSTER,
    col.AT_SITE: col.H_SITE,
}


def is_aside(node: list[int]) -> bool:
    """Tell whether a node is on probation or a spare."""
    return bool(node[col.N_PROBATION] or node[col.N_SPARE])


def least_gpus(state: State, job: int) -> int:
    """Return the devices a gang needs to start: an elastic one its minimum, in whole parts."""
    asked = {name: int(state.c.jobs[getattr(col, f"J_{name}"), job]) for name in _ELASTIC}
    gpus, each = asked["GPUS"], asked["GPN"]
    if asked["NODES"] > 0:
        each = gpus // asked["NODES"]
    is_elastic = (
        state.policy.name == "dure"
        and state.policy.lend
        and 0 < asked["MIN_GPUS"] < gpus
        and asked["PREEMPTIBLE"] == 1
        and asked["CLASS_ASKED"] != 1 + col.OWN
        and (asked["CKPT_EVERY"] > 0 or asked["CKPT_TAKES"] >= 0)
        and asked["MILLI"] == col.WHOLE
        and asked["CPU"] == asked["MEMORY"] == asked["SEGMENT"] == 0
    )
    if not is_elastic:
        return gpus
    sizes = range(asked["MIN_GPUS"], gpus + 1)
    return next(size for size in sizes if each <= 0 or size % each == 0)


_ELASTIC = (
    *("GPUS", "GPN", "NODES", "MIN_GPUS", "PREEMPTIBLE", "CLASS_ASKED"),
    *("MILLI", "CKPT_EVERY", "CKPT_TAKES", "CPU", "MEMORY", "SEGMENT"),
)


class Look:
    """A state read into Python's own lists, for oracles that ask it again and again.

    Args:
        state: the state; later changes of it are not seen.
        as_if_empty: count devices that jobs, cleaning and holds occupy as free.
    """

    def __init__(self, state: State, *, as_if_empty: bool = False) -> None:
        c = state.c
        self.state, self.jobs = state, c.jobs
        self.nodes, self.shelves = c.nodes.T.tolist(), c.shelves.T.tolist()
        self.free: list[list[int]] = []
        for node in self.nodes:
            first = node[col.N_FIRST]
            part = c.devices[:, first : first + node[col.N_GPUS]]
            free = part[col.D_FREE].copy()
            if as_if_empty:
                free[:] = col.WHOLE
            else:
                free[(part[col.D_CLEANING] > 0) | (part[col.D_HOLD] > 0)] = 0
            free[part[col.D_DOWN] > 0] = 0
            if node[col.N_CORDONED] or (is_aside(node) and not as_if_empty):
                free[:] = 0
            self.free.append(free.tolist())
            if as_if_empty:
                node[col.N_CPU_FREE], node[col.N_MEMORY_FREE] = node[col.N_CPU], node[col.N_MEMORY]

    def asked(self, row: int, job: int) -> int:
        return int(self.jobs[row, job])

    def usable(self, job: int, node: int) -> int:
        """Count the node's devices that the job could use."""
        milli, gpus = self.asked(col.J_MILLI, job), self.asked(col.J_GPUS, job)
        count = sum(free >= milli for free in self.free[node])
        row = self.nodes[node]
        for need, size, left in (
            (self.asked(col.J_CPU, job), row[col.N_CPU], row[col.N_CPU_FREE]),
            (self.asked(col.J_MEMORY, job), row[col.N_MEMORY], row[col.N_MEMORY_FREE]),
        ):
            while need and size and count and -(-need * count // gpus) > left:
                count -= 1
        return count

    def suits(self, job: int, node: int) -> bool:
        row = self.nodes[node]
        shelf = self.shelves[row[col.N_SHELF]]
        provider = self.asked(col.J_PROVIDER, job)
        silo = self.state.policy.name == "siloed" and provider >= 0
        return (
            bool(self.asked(col.J_TYPES, job) >> row[col.N_TYPE] & 1)
            and self.asked(col.J_GRADE, job) <= shelf[col.H_GRADE]
            and (not silo or provider == shelf[col.H_PROVIDER])
        )

    def parts(self, job: int, node_gpus: int) -> list[int]:
        """Return how many devices the gang takes on each node of that size, largest part first."""
        gpus, nodes = least_gpus(self.state, job), self.asked(col.J_NODES, job)
        each = self.asked(col.J_GPN, job)
        if nodes > 0:
            each = self.asked(col.J_GPUS, job) // nodes
        if each > 0:
            return [each] * (gpus // each)
        if gpus < node_gpus:
            return [gpus]
        segment = self.asked(col.J_SEGMENT, job)
        if segment and segment < node_gpus:
            node_gpus -= node_gpus % segment
        return [node_gpus] * (gpus // node_gpus) + [gpus % node_gpus] * (gpus % node_gpus > 0)

    def widest(self, job: int, now_s: int) -> int:
        kind, level = self.asked(col.J_LOCALITY, job), self.asked(col.J_LEVEL, job)
        waited_s = now_s - self.asked(col.J_SUBMIT, job)
        if kind == col.LOCALITY_REQUIRED:
            return level
        if kind == col.LOCALITY_PREFERRED and waited_s < self.asked(col.J_PATIENCE, job):
            return level
        return col.AT_ANY

    def domain(self, node: int, level: int) -> int:
        if level == col.AT_NODE:
            return node
        shelf = self.shelves[self.nodes[node][col.N_SHELF]]
        return 0 if level == col.AT_ANY else shelf[LEVEL_ROWS[level]]

    def room_in(self, job: int, nodes: list[int], parts: list[int]) -> bool:
        """Tell whether the parts find a node each: largest part to the emptiest node."""
        usable = sorted((self.usable(job, node) for node in nodes), reverse=True)
        return len(usable) >= len(parts) and all(
            have >= part for have, part in zip(usable, parts, strict=False)
        )

    def has_room(self, job: int, nodes: list[int], parts: list[int]) -> bool:
        """Tell the same where each segment, if it is larger than a part, needs one shelf."""
        segment = self.asked(col.J_SEGMENT, job)
        if len(parts) == 1 or segment <= parts[0]:
            return self.room_in(job, nodes, parts)
        if segment % parts[0]:
            return False
        usable = [n for n in nodes if self.usable(job, n) >= parts[0]]
        shelves = Counter(self.nodes[node][col.N_SHELF] for node in usable)
        span = segment // parts[0]
        return sum(count // span for count in shelves.values()) * span >= len(parts)

    def narrowest(self, job: int, types: int, now_s: int) -> tuple[tuple[int, int], int] | None:
        """Return the best (type, size) of node and the narrowest level with room for the job."""
        speed = self.state.c.types[col.T_SPEED].tolist()
        packed, named = self.asked(col.J_PREFERRED, job), list[int]()
        while packed:
            named, packed = [*named, packed % 64 - 1], packed // 64
        kinds: dict[tuple[int, int], list[int]] = {}
        for node, row in enumerate(self.nodes):
            if types >> row[col.N_TYPE] & 1 and self.suits(job, node):
                kinds.setdefault((row[col.N_TYPE], row[col.N_GPUS]), []).append(node)
        # The fastest first; of equally fast ones by the job's wish, then as the pool lists them.
        wished = {kind: named.index(kind) if kind in named else len(named) for kind, _ in kinds}
        for kind, nodes in sorted(kinds.items(), key=lambda k: (-speed[k[0][0]], wished[k[0][0]])):
            parts = self.parts(job, kind[1])
            widest = self.widest(job, now_s) if len(parts) > 1 else col.AT_NODE
            for level in range(col.AT_NODE, widest + 1):
                domains: dict[int, list[int]] = {}
                for node in nodes:
                    domains.setdefault(self.domain(node, level), []).append(node)
                if any(self.has_room(job, part, parts) for part in domains.values()):
                    return kind, level
        return None

    def fits(self, job: int, types: int | None = None) -> bool:
        """Tell whether the job could start now on these types (all that it accepts, if none)."""
        accepted = self.asked(col.J_TYPES, job) if types is None else types
        return self.narrowest(job, accepted, self.state.now_s) is not None


def is_ready(state: State, job: int) -> bool:
    after = int(state.c.jobs[col.J_AFTER, job])
    if after < 0:
        return True
    there = after < len(state.job_names)
    return there and int(state.c.jobs[col.J_STATE, after]) == col.COMPLETED


def entitled_types(state: State, job: int) -> int:
    """Return the accepted types of which the job's owner may still use enough as its own."""
    c, jobs = state.c, state.c.jobs
    if int(jobs[col.J_CLASS_ASKED, job]) > 1 + col.OWN:
        return 0
    owner, milli = int(jobs[col.J_OWNER, job]), least_gpus(state, job) * int(jobs[col.J_MILLI, job])
    mask = 0
    for kind in range(c.rights.shape[2]):
        taken = int(c.rights[col.E_OWN, owner, kind] + c.rights[col.E_CLAIMED, owner, kind])
        if owner == 0 or taken + milli <= int(c.rights[col.E_ENTITLED, owner, kind]):
            mask |= 1 << kind
    return mask & int(jobs[col.J_TYPES, job])


def startable_types(state: State, job: int) -> int:
    """Return the types on which the rules would let a waiting job start this second, room given."""
    jobs = state.c.jobs
    if not is_ready(state, job) or int(jobs[col.J_CLAIM_DUE, job]) >= 0:
        return 0
    accepted = int(jobs[col.J_TYPES, job])
    if state.policy.name != "dure":
        return accepted
    may_borrow = (
        state.policy.lend
        and int(jobs[col.J_PREEMPTIBLE, job]) == 1
        and int(jobs[col.J_CLASS_ASKED, job]) != 1 + col.OWN
        and int(jobs[col.J_ELIGIBLE, job]) <= state.now_s
    )
    return accepted if may_borrow else entitled_types(state, job)


def waiting(state: State) -> list[int]:
    """Return the jobs that stand in the line, in its order."""
    c, s = state.c, state.c.scalars
    line = c.queue[s[col.S_Q_HEAD] : s[col.S_Q_TAIL]].tolist()
    return [job for job in line if int(c.jobs[col.J_STATE, job]) == col.PENDING]


def waits_in_vain(state: State) -> list[int]:
    """Return the waiting jobs that could start this very second by the rules (greedy, dure)."""
    look = Look(state)
    if not any(any(free) for free in look.free):
        return []
    found = [job for job in waiting(state) if look.fits(job, startable_types(state, job))]
    return [job for job in found if ends_before_dates(state, job)]


def ends_before_dates(state: State, job: int) -> bool:
    """Tell whether a job would be gone, by its own word, before anybody's date."""
    dates = state.c.jobs[col.J_DATE, : len(state.job_names)]
    estimate_s, gpus = (int(state.c.jobs[row, job]) for row in (col.J_ESTIMATE, col.J_GPUS))
    limit_s = estimate_s if estimate_s >= 0 else col.UNKNOWN_S + 1
    least = least_gpus(state, job)
    if estimate_s >= 0 and least < gpus:
        # By its word it may have its minimum all the time.
        left_s = max(0, estimate_s - int(state.c.jobs[col.J_SAVED, job]))
        limit_s = -(-left_s * gpus // least)
    ends_s = state.now_s + limit_s + state.policy.cleaning_s
    return not (dates >= 0).any() or ends_s <= int(dates[dates >= 0].min())
