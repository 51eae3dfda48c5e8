"""An empty pool's columns, and longer ones for a pool that fills."""

import numpy as np

from dure.core import columns as col
from dure.core.columns import Columns, IntArray
from dure.core.forgetting import forget_passes
from dure.core.policy import Policy
from dure.core.pool import Pool, pool_columns


def empty_columns(pool: Pool, policy: Policy) -> Columns:
    """Return the columns of a pool in which nobody has asked for anything yet."""
    parts = pool_columns(pool, spares_pct=policy.spares_kept_pct)
    nodes, shelves = parts.nodes.shape[1], parts.shelves.shape[1]
    devices, types = parts.devices.shape[1], len(pool.types)
    scalars = np.zeros(col.SCALARS, dtype=np.int64)
    scalars[col.S_NOW], scalars[col.S_ROWS_FREE] = -1, -1
    scalars[col.S_KIND + col.IDLE], scalars[col.S_FREED] = devices * col.WHOLE, 1
    scalars[col.S_SPARES] = (parts.nodes[col.N_SPARE] > 0).sum()
    capacity = np.zeros((col.T_COUNT, types), dtype=np.int64)
    np.add.at(
        capacity[col.T_CAPACITY],
        parts.nodes[col.N_TYPE],
        parts.nodes[col.N_GPUS] * col.WHOLE,
    )
    capacity[col.T_SPEED] = [pool.rate_of(kind).speed_milli for kind in pool.types]
    capacity[col.T_EXCHANGE] = [pool.rate_of(kind).exchange_milli for kind in pool.types]

    columns = Columns(
        scalars=scalars,
        policy=policy.vector(),
        nodes=parts.nodes,
        shelves=parts.shelves,
        hist=parts.hist,
        devices=parts.devices,
        groups=parts.groups,
        breakers=zeros(col.BREAKER_COUNT, len(pool.providers)),
        jobs=zeros(col.J_COUNT, 256),
        rows=zeros(col.R_COUNT, devices + 256),
        queue=zeros(1024),
        fresh=zeros(1024),
        running=zeros(256),
        hurt=zeros(64, 2),
        alarms=zeros(1024, 3),
        due=zeros(1024, 3),
        accounts=zeros(col.A_COUNT, 16),
        rights=zeros(col.E_COUNT, 16, types),
        types=capacity,
        allocs=zeros(col.L_COUNT, 16),
        cells=zeros(16, col.Z_COUNT),
        claims=zeros(256, 2),
        booked=zeros(col.DATES_MAX, col.B_COUNT),
        shapes=np.full(512, -1, dtype=np.int64),
        families=zeros(3, col.FAMILIES),
        alike=np.full(512, -1, dtype=np.int64),
        cohorts=zeros(258, col.C_COUNT),
        tree=zeros(col.W_COUNT, 256),
        standing=zeros(258),
        heads=zeros(258),
        memo=zeros(col.M_COUNT, 1024),
        marks=zeros(256),
        scratch=zeros(col.X_COUNT, max(nodes, shelves, 256) + 64),
        stairs=zeros(2 * parts.groups.shape[1] + 1, col.DATES_MAX + 8),
        picks=zeros(nodes + 64, 3),
        facts=zeros(4096, col.FACT_WIDTH),
    )
    forget_passes(columns)
    return columns


def zeros(*shape: int) -> IntArray:
    """Return a column of zeros."""
    return np.zeros(shape, dtype=np.int64)


def wider(array: IntArray, size: int) -> IntArray:
    """Return the array with its last axis (its first, for tables of rows) at least ``size``
    long.
    """
    axis = array.ndim - 1
    shape = list(array.shape)
    shape[axis] = max(size, shape[axis])
    larger = np.zeros(shape, dtype=np.int64)
    larger[..., : array.shape[axis]] = array
    return larger


def longer(array: IntArray, size: int) -> IntArray:
    """Return a table of rows with room for at least ``size`` of them."""
    larger = np.zeros((max(size, array.shape[0]), *array.shape[1:]), dtype=np.int64)
    larger[: array.shape[0]] = array
    return larger
