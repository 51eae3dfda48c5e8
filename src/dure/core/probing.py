"""A probe: columns that share a pool's matrices, with one gang of their own to ask about."""

from typing import NamedTuple

import numpy as np

from dure.core.columns import J_COUNT, RESERVED, S_KIND, X_COUNT, Columns


class Probe(NamedTuple):
    """Two views of a pool to ask what if: as it is, and with what is held or shut counted free."""

    usual: Columns
    open: Columns


def probe_of(c: Columns) -> Probe:
    """Return views of the pool with one gang (0) to ask about."""
    nodes = c.nodes.shape[1] + 64
    own = {
        "jobs": np.zeros((J_COUNT, 1), dtype=np.int64),
        "scalars": c.scalars.copy(),
        "scratch": np.zeros((X_COUNT, nodes), dtype=np.int64),
        "picks": np.zeros((nodes, 3), dtype=np.int64),
    }
    usual = c.but(**own)
    if c.scalars[S_KIND + RESERVED] == 0 and not c.breakers.any():
        return Probe(usual, usual)
    return Probe(usual, movable(usual))


def movable(asking: Columns) -> Columns:
    """Return the same view with devices of its own, to show some of them as free."""
    moved = ("scalars", "nodes", "devices", "hist")
    return asking.but(**{name: getattr(asking, name).copy() for name in moved})
