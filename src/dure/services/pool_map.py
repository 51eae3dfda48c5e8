"""The pool's map: nodes in the order in which people look for them, and what stands on each."""

from collections.abc import Mapping, Sequence

import numpy as np

from dure.core import columns as col
from dure.core.columns import IntArray
from dure.core.moves import bits_of
from dure.core.pool import Pool
from dure.core.state import State
from dure.services.views import NEVER_S, NO_JOB, ByteArray, Int32Array, Name, NodeColumns, SupplyRow


class PoolMap:
    """Everything about a pool's nodes that does not change, and ways to count what does.

    Args:
        names: providers and clusters as people call them; an id is its own name otherwise.
    """

    def __init__(self, pool: Pool, names: Mapping[str, Name]) -> None:
        self.pool, self._names = pool, names
        order = pool.order
        columns = [_codes([column[i] for i in order]) for column in _texts(pool)]
        (providers, provider), (clusters, cluster), (leaves, leaf), (kinds, kind) = columns
        public = np.array([pool.use[i] != "own" for i in order], dtype=np.uint8)
        first = np.arange(order.size)
        # Leaf names repeat from cluster to cluster; node names are unique and settle every tie.
        self.nodes_in_order = np.lexsort((first, leaf, cluster, provider))
        at = self.nodes_in_order
        gpus, node_names = pool.gpus[order], pool.names
        self.nodes = NodeColumns(
            ids=[node_names[i] for i in at],
            providers=providers,
            clusters=clusters,
            leaves=leaves,
            accelerators=kinds,
            provider=provider[at].astype(np.int32),
            cluster=cluster[at].astype(np.int32),
            leaf=leaf[at].astype(np.int32),
            accelerator=kind[at].astype(np.int32),
            gpus=gpus[at].astype(np.int32),
            is_public=public[at],
            sites=[pool.site[order[i]] for i in at],
            grades=[pool.grade[order[i]] for i in at],
        )
        begin = np.cumsum(gpus) - gpus
        self._devices = np.concatenate([np.arange(begin[i], begin[i] + gpus[i]) for i in at])
        self._cluster, self._gpus = cluster, gpus
        self._parts = self._cluster_parts(public)
        self.gpus = int(gpus.sum())
        self.public_gpus = int(gpus[public == 1].sum())

    def _cluster_parts(self, public: ByteArray) -> list[tuple[int, int, str, str, int, int, int]]:
        """Return (provider, cluster, type, use, nodes, gpus, public gpus) of each cluster."""
        nodes, parts = self.nodes, []
        for cluster in range(len(nodes.clusters)):
            mine = np.flatnonzero(nodes.cluster == cluster)
            kinds = dict.fromkeys(nodes.accelerators[i] for i in nodes.accelerator[mine].tolist())
            shared = nodes.is_public[mine] == 1
            use = "public" if shared.all() else "mixed" if shared.any() else "own"
            gpus = nodes.gpus[mine]
            parts.append(
                (
                    int(nodes.provider[mine[0]]),
                    cluster,
                    "|".join(kinds),
                    use,
                    mine.size,
                    int(gpus.sum()),
                    int(gpus[shared].sum()),
                )
            )
        return parts

    def name(self, identifier: str) -> Name:
        return self._names.get(identifier, Name(identifier, identifier))

    def devices(self, state: State, place_of: IntArray) -> tuple[ByteArray, Int32Array, IntArray]:
        """Return what each device does, its job's row, and milli by kind and cluster.

        Args:
            place_of: row of each job that stands on devices, by job; shape (job,).
        """
        c = state.c
        kind, job = _free_kinds(state), np.full(c.devices.shape[1], NO_JOB, dtype=np.int32)
        by_node = np.zeros((7, c.nodes.shape[1]), dtype=np.int64)
        for milli, row in (
            (col.IDLE, col.N_IDLE),
            (col.RESERVED, col.N_RESERVED),
            (col.DRAINING, col.N_DRAINING),
            (col.DOWN, col.N_DOWN_MILLI),
        ):
            by_node[milli] = c.nodes[row]
        rows = live_rows(state)
        if rows.size:
            who, node, mask, lent = (
                c.rows[row, rows] for row in (col.R_JOB, col.R_NODE, col.R_MASK, col.R_LENT)
            )
            kinds, each = c.jobs[col.J_CLASS, who], c.rows[col.R_MILLI, rows]
            np.add.at(by_node, (kinds, node), bits_of(mask & ~lent) * each)
            np.add.at(by_node[col.LOAN], node, bits_of(lent) * each)
            width = int(c.nodes[col.N_GPUS].max())
            bit, of = np.nonzero((mask[None, :] >> np.arange(width)[:, None]) & 1)
            device = c.nodes[col.N_FIRST, node[of]] + bit
            is_lent = lent[of] >> bit & 1 == 1
            kind[device] = np.where(is_lent, col.LOAN, kinds[of])
            job[device] = place_of[who[of]]
        by_cluster = np.zeros((7, len(self.nodes.clusters)), dtype=np.int64)
        for row in range(7):
            np.add.at(by_cluster[row], self._cluster, by_node[row])
        return kind[self._devices], job[self._devices], by_cluster

    def closed_by(self, state: State) -> ByteArray:
        """Return who keeps new work off each node, a bit for each of ``CLOSERS``."""
        nodes = state.c.nodes[:, self.nodes_in_order]
        on_probation = (nodes[col.N_PROBATION] > 0) << len(col.CORDONERS)
        bits: ByteArray = (nodes[col.N_CORDONED] | on_probation).astype(np.uint8)
        return bits

    def supply(self, state: State, by_cluster: IntArray) -> list[SupplyRow]:
        """Return each provider followed by its clusters."""
        rows: list[SupplyRow] = []
        shut = dict(zip(self.pool.providers, state.c.breakers.max(axis=0).tolist(), strict=True))
        for index, provider in enumerate(self.nodes.providers):
            parts = [part for part in self._parts if part[0] == index]
            kinds = by_cluster[:, [part[1] for part in parts]]
            uses = {part[3] for part in parts}
            rows.append(
                SupplyRow(
                    provider,
                    "",
                    self.name(provider),
                    "|".join(dict.fromkeys(part[2] for part in parts)),
                    uses.pop() if len(uses) == 1 else "mixed",
                    sum(part[4] for part in parts),
                    sum(part[5] for part in parts),
                    sum(part[6] for part in parts),
                    tuple(kinds.sum(axis=1).tolist()),
                    shut[provider] or NEVER_S,
                )
            )
            for place, (_, cluster, kind, use, nodes, gpus, public) in enumerate(parts):
                name = self.nodes.clusters[cluster]
                milli = tuple(kinds[:, place].tolist())
                rows.append(
                    SupplyRow(
                        provider, name, self.name(name), kind, use, nodes, gpus, public, milli
                    )
                )
        return rows


def _texts(pool: Pool) -> tuple[Sequence[str], ...]:
    return pool.provider, pool.cluster, pool.leaf, pool.accelerator


def _codes(column: Sequence[str]) -> tuple[list[str], IntArray]:
    """Number words by first appearance: (words, code of each row)."""
    seen: dict[str, int] = {}
    codes = np.array([seen.setdefault(word, len(seen)) for word in column], dtype=np.int64)
    return list(seen), codes


def _free_kinds(state: State) -> ByteArray:
    """Return what each device would be if no job stood on it."""
    devices, nodes = state.c.devices, state.c.nodes
    kind = np.full(devices.shape[1], col.IDLE, dtype=np.uint8)
    kind[devices[col.D_HOLD] > 0] = col.RESERVED
    cordoned = np.repeat(nodes[col.N_CORDONED] > 0, nodes[col.N_GPUS])
    kind[(devices[col.D_CLEANING] > 0) | cordoned] = col.DRAINING
    kind[devices[col.D_DOWN] > 0] = col.DOWN
    return kind


def live_rows(state: State) -> IntArray:
    """Return the indices of the placement rows in use."""
    c = state.c
    row = c.jobs[col.J_ROWS, c.running[: c.scalars[col.S_RUNNING]]]
    found = []
    while (row := row[row >= 0]).size:
        found.append(row)
        row = c.rows[col.R_NEXT_OF_JOB, row]
    return np.concatenate(found) if found else np.zeros(0, dtype=np.int64)
