"""The supply: nodes with their typed devices and their place in the topology, as columns."""

from collections.abc import Sequence
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
    WHOLE,
    IntArray,
)
from dure.core.errors import PolicyError

GRADES = ("O", "S", "C")  # open, sensitive, classified; a site serves its grade and those before it
GPUS_PER_NODE_MAX = 63  # a node's devices are bits of one integer
TYPES_MAX = 62


@dataclass(frozen=True)
class Pool:
    """Nodes, one entry each, in the order of the input.

    Attributes:
        gpus: devices of each node, 1..63.
        cpu_milli, memory_mib: 0 is not limited.
        use: ``public`` or ``own`` (the provider's).
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
    order: IntArray = field(init=False)
    types: tuple[str, ...] = field(init=False)
    providers: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        count = len(self.node)
        if count == 0:
            raise PolicyError("the pool has no nodes; it needs at least one.")
        if int(self.gpus.min()) < 1 or int(self.gpus.max()) > GPUS_PER_NODE_MAX:
            raise PolicyError(
                f"a node has 1..{GPUS_PER_NODE_MAX} devices; found {self.gpus.max()}."
            )
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
        """Return the mask of types for ``"A|B"``; all for an empty string; 0 if none is known."""
        if not accepted:
            return (1 << len(self.types)) - 1
        return sum(1 << self.types.index(t) for t in set(accepted.split("|")) if t in self.types)


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
