"""The supply: nodes with their typed devices and their place in the topology, as columns."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from dure.core.columns import (
    D_COUNT,
    D_FREE,
    G_COUNT,
    G_FROM,
    G_GPUS,
    G_TO,
    G_TYPE,
    GRADES,
    H_CLUSTER,
    H_COUNT,
    H_FROM,
    H_GPUS,
    H_GRADE,
    H_GROUP,
    H_LEAF,
    H_POD,
    H_PROVIDER,
    H_SITE,
    H_TO,
    H_TYPE,
    IS_SPARE,
    N_COUNT,
    N_CPU,
    N_CPU_FREE,
    N_FAILED_AT,
    N_FIRST,
    N_FREE,
    N_GPUS,
    N_IDLE,
    N_MEMORY,
    N_MEMORY_FREE,
    N_ROWS,
    N_SHELF,
    N_SPARE,
    N_TYPE,
    PREFERRED_BITS,
    PREFERRED_MOST,
    WHOLE,
    IntArray,
)
from dure.core.errors import PolicyError

GPUS_PER_NODE_MAX = 63  # a node's devices are bits of one integer
TYPES_MAX = 62
USES = ("public", "own")
AT_LEAST = ">="
SPEED_MILLI = (50, 50_000)  # one a thousand times as fast as another: products stay below 63 bits
EXCHANGE_MILLI = (1, 100_000)
AMOUNT_MAX = 2**53
_COLUMNS = (
    "provider",
    "cluster",
    "leaf",
    "pod",
    "site",
    "accelerator",
    "gpus",
    "cpu_milli",
    "memory_mib",
    "grade",
    "use",
    "in_service_at_s",
)
_LIMITS = (
    ("gpus", 1, GPUS_PER_NODE_MAX),
    ("cpu_milli", 0, AMOUNT_MAX),
    ("memory_mib", 0, AMOUNT_MAX),
    ("in_service_at_s", 0, AMOUNT_MAX),
)


@dataclass(frozen=True, slots=True)
class Rate:
    """What a device of a type is worth beside others.

    Attributes:
        speed_milli: work done in a second, of a device of speed 1000.
        exchange_milli: what a GPU-hour counts when it is lent or borrowed, 1000 is one unit.
    """

    speed_milli: int = WHOLE
    exchange_milli: int = WHOLE


@dataclass(frozen=True)
class Pool:
    """Nodes, one entry each, in the order of the input.

    Attributes:
        gpus: devices of each node, 1..63.
        cpu_milli, memory_mib: 0 is not limited.
        use: ``public`` or ``own`` (the provider's).
        rates: of accelerator types; one that is absent is as fast and as dear as any.
    """

    node: Sequence[str]
    provider: Sequence[str]
    cluster: Sequence[str]
    leaf: Sequence[str]
    pod: Sequence[str]
    site: Sequence[str]
    accelerator: Sequence[str]
    gpus: IntArray
    cpu_milli: IntArray
    memory_mib: IntArray
    grade: Sequence[str]
    use: Sequence[str]
    in_service_at_s: IntArray
    rates: Mapping[str, Rate] = field(default_factory=dict)
    order: IntArray = field(init=False)
    types: tuple[str, ...] = field(init=False)
    providers: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        count = len(self.node)
        _refuse_impossible(self)
        types = tuple(dict.fromkeys(self.accelerator))
        if len(types) > TYPES_MAX:
            raise PolicyError(f"the pool has {len(types)} accelerator types; at most {TYPES_MAX}.")
        object.__setattr__(self, "types", types)
        object.__setattr__(self, "providers", tuple(dict.fromkeys(self.provider)))
        ranks = [
            _rank(column)
            for column in (
                list(zip(self.accelerator, self.gpus.tolist(), strict=True)),
                self.site,
                self.cluster,
                list(zip(self.cluster, self.pod, strict=True)),
                list(zip(self.cluster, self.pod, self.leaf, strict=True)),
                list(zip(self.grade, self.provider, strict=True)),
            )
        ]
        order = np.lexsort((np.arange(count), *reversed(ranks)))
        object.__setattr__(self, "order", order.astype(np.int64))

    @property
    def names(self) -> list[str]:
        """Node names in the engine's order."""
        return [self.node[i] for i in self.order]

    def type_mask(self, accepted: str) -> int:
        """Return the mask of types for ``"A|B"``; all for an empty string; 0 if none is known.

        ``">=A"`` is A and every type that is at least as fast.
        """
        if not accepted:
            return (1 << len(self.types)) - 1
        mask = 0
        for name in accepted.split("|"):
            named = name.removeprefix(AT_LEAST)
            if named not in self.types:
                continue
            least = self.rate_of(named).speed_milli
            for place, kind in enumerate(self.types):
                is_enough = name != named and self.rate_of(kind).speed_milli >= least
                mask |= 1 << place if kind == named or is_enough else 0
        return mask

    def preference(self, accepted: str) -> int:
        """Return the types that ``accepted`` names, in its order, packed as ``J_PREFERRED``.

        The first is the one that the job's duration and estimate are for. Up to ten are kept, those
        that the pool does not have left out.
        """
        names = dict.fromkeys(name.removeprefix(AT_LEAST) for name in accepted.split("|"))
        known = [self.types.index(name) for name in names if name in self.types]
        places = enumerate(known[:PREFERRED_MOST])
        return sum(kind + 1 << PREFERRED_BITS * place for place, kind in places)

    def rate_of(self, accelerator: str) -> Rate:
        """Return what a device of a type is worth."""
        return self.rates.get(accelerator, _USUAL)


_USUAL = Rate()


def _refuse_impossible(pool: Pool) -> None:
    """Raise PolicyError for the first value that no pool can have, by its node and field.

    Levels are fields, so the supply tree has no cycles; what can still be wrong in it is a cluster
    that stands in two sites. Pods and leaves are named within their cluster.
    """
    if len(pool.node) == 0:
        raise PolicyError("the pool has no nodes; it needs at least one.")
    for name in _COLUMNS:
        if len(getattr(pool, name)) != len(pool.node):
            found = len(getattr(pool, name))
            raise PolicyError(f"{name} has {found} entries for {len(pool.node)} nodes.")
    for name in ("node", "provider", "cluster", "leaf", "pod", "site", "accelerator"):
        if "" in getattr(pool, name):
            raise PolicyError(f"{name} of a node is empty; every node needs one.")
    for name, allowed in (("grade", GRADES), ("use", USES)):
        for node, value in zip(pool.node, getattr(pool, name), strict=True):
            if value not in allowed:
                expected = f"one of {', '.join(allowed)}"
                raise PolicyError(f"{name} of node {node} is {value!r}; it must be {expected}.")
    for name, least, most in _LIMITS:
        values = getattr(pool, name)
        for place in np.flatnonzero((values < least) | (values > most))[:1]:
            said = f"{name} of node {pool.node[place]} is {values[place]}"
            raise PolicyError(f"{said}; it must be {least}..{most}.")
    for accelerator in set(pool.accelerator):
        if "|" in accelerator:
            raise PolicyError(f"accelerator is {accelerator!r}; a node has devices of one type.")
    if len(set(pool.node)) != len(pool.node):
        twice = next(name for name in pool.node if list(pool.node).count(name) > 1)
        raise PolicyError(
            f"node {twice} stands twice in the pool; each node has a name of its own."
        )
    for accelerator, rate in pool.rates.items():
        for name, (least, most) in (("speed", SPEED_MILLI), ("exchange", EXCHANGE_MILLI)):
            milli = getattr(rate, f"{name}_milli")
            if not least <= milli <= most:
                said = f"{name}_milli of {accelerator} is {milli}"
                raise PolicyError(f"{said}; it must be {least}..{most}.")
    site_of: dict[str, str] = {}
    for cluster, site in zip(pool.cluster, pool.site, strict=True):
        if site_of.setdefault(cluster, site) != site:
            raise PolicyError(
                f"cluster {cluster} stands in two sites, {site_of[cluster]} and {site}; "
                "give each part a name of its own."
            )


def _rank(column: Sequence[object]) -> IntArray:
    """Number values by first appearance."""
    seen: dict[object, int] = {}
    return np.array([seen.setdefault(value, len(seen)) for value in column], dtype=np.int64)


@dataclass(frozen=True)
class PoolColumns:
    """The pool as the kernels read it; node order is ``Pool.order``."""

    nodes: IntArray
    shelves: IntArray
    hist: IntArray
    devices: IntArray
    groups: IntArray


def spare_nodes(count: int, *, spares_pct: int) -> IntArray:
    """Return 1 for each spare of ``count`` nodes in the engine's order, 0 for all others.

    They stand as far apart as can be, so that each leaf has its part of them, give or take one.
    """
    up_to = (np.arange(count + 1) * spares_pct + 50) // 100
    is_spare: IntArray = np.diff(up_to)
    return is_spare


def pool_columns(pool: Pool, *, spares_pct: int = 0) -> PoolColumns:
    """Lay the pool out as columns: every device whole, free and healthy; spares stand aside."""
    order = pool.order
    gpus = pool.gpus[order]
    kind = np.array([pool.types.index(t) for t in pool.accelerator], dtype=np.int64)[order]
    group = _rank(list(zip(kind.tolist(), gpus.tolist(), strict=True)))
    cluster = _pick(pool.cluster, order)
    pod = _rank(list(zip(cluster, _pick(pool.pod, order), strict=True)))
    leaf = _rank(list(zip(cluster, pod.tolist(), _pick(pool.leaf, order), strict=True)))
    grade = np.array([GRADES.index(g) for g in pool.grade], dtype=np.int64)[order]
    provider = np.array([pool.providers.index(p) for p in pool.provider], dtype=np.int64)[order]
    place = (group, _rank(_pick(pool.site, order)), _rank(cluster), pod, leaf, grade, provider)
    changes = np.ones(len(gpus), dtype=bool)
    changes[1:] = np.any([c[1:] != c[:-1] for c in place], axis=0)
    shelf = np.cumsum(changes) - 1
    starts = np.flatnonzero(changes)
    nodes = np.zeros((N_COUNT, len(gpus)), dtype=np.int64)
    spare = spare_nodes(len(gpus), spares_pct=spares_pct)
    free = np.where(spare > 0, 0, gpus)
    nodes[N_GPUS], nodes[N_SHELF], nodes[N_TYPE], nodes[N_FREE] = gpus, shelf, kind, free
    nodes[N_SPARE] = IS_SPARE * spare
    nodes[N_FIRST] = np.cumsum(gpus) - gpus
    nodes[N_ROWS], nodes[N_FAILED_AT], nodes[N_IDLE] = -1, -1, gpus * WHOLE
    nodes[N_CPU] = nodes[N_CPU_FREE] = pool.cpu_milli[order]
    nodes[N_MEMORY] = nodes[N_MEMORY_FREE] = pool.memory_mib[order]
    shelves = np.zeros((H_COUNT, len(starts)), dtype=np.int64)
    shelves[H_FROM], shelves[H_TO] = starts, np.append(starts[1:], len(gpus))
    rows = (H_GROUP, H_SITE, H_CLUSTER, H_POD, H_LEAF, H_GRADE, H_PROVIDER)
    for row, column in zip(rows, place, strict=True):
        shelves[row] = column[starts]
    shelves[H_GPUS], shelves[H_TYPE] = gpus[starts], kind[starts]
    hist = np.zeros((len(starts), int(gpus.max()) + 1), dtype=np.int64)
    np.add.at(hist, (shelf, free), 1)
    devices = np.zeros((D_COUNT, int(gpus.sum())), dtype=np.int64)
    devices[D_FREE] = WHOLE
    groups = np.zeros((G_COUNT, int(group.max()) + 1), dtype=np.int64)
    group_starts = np.flatnonzero(np.append(True, np.diff(shelves[H_GROUP]) != 0))
    groups[G_FROM], groups[G_TO] = group_starts, np.append(group_starts[1:], len(starts))
    groups[G_GPUS], groups[G_TYPE] = shelves[H_GPUS, group_starts], shelves[H_TYPE, group_starts]
    return PoolColumns(nodes, shelves, hist, devices, groups)


def _pick(column: Sequence[str], order: IntArray) -> list[str]:
    return [column[i] for i in order]
