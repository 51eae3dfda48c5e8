"""Who is entitled to what: providers' own capacity, and shares of a surplus by water-filling."""

from collections.abc import Mapping, Sequence

import numpy as np

from dure.core.columns import FOREVER_S, WHOLE, IntArray
from dure.core.pool import Pool, spare_nodes

Right = tuple[str, str, int, int, int]  # account, accelerator type, milli, from_s, to_s


def provider_rights(
    pool: Pool, allocated_milli: Mapping[str, int], *, spares_pct: int = 0
) -> list[Right]:
    """Return what each provider is entitled to for work that no project's allocation covers.

    Where the pool says which nodes are for a provider's own use, that is its capacity there. Where
    it
    does not, a provider owns all its nodes, less its part of what is allocated to projects.

    Args:
        allocated_milli: most milli-GPU allocated at any moment, by accelerator type.
        spares_pct: nodes in a hundred that are kept for faults: nobody is promised those.
    """
    says_use = "own" in pool.use
    owned: dict[tuple[str, str], int] = {}
    total: dict[str, int] = {}
    kept = np.zeros_like(pool.gpus)
    kept[pool.order] = spare_nodes(len(pool.node), spares_pct=spares_pct)
    gpus_promised = np.where(kept > 0, 0, pool.gpus).tolist()
    for provider, kind, gpus, use in zip(
        pool.provider, pool.accelerator, gpus_promised, pool.use, strict=True
    ):
        total[kind] = total.get(kind, 0) + gpus * WHOLE
        if provider and (use == "own" or not says_use):
            owned[provider, kind] = owned.get((provider, kind), 0) + gpus * WHOLE
    rights: list[Right] = []
    for (provider, kind), milli in owned.items():
        if not says_use:
            left = max(0, total[kind] - allocated_milli.get(kind, 0))
            milli = milli * left // max(total[kind], 1) // WHOLE * WHOLE
        if milli > 0:
            rights.append((provider, kind, milli, 0, FOREVER_S))
    return rights


def allocated_most(rights: Sequence[Right]) -> dict[str, int]:
    """Return the most milli-GPU that is allocated at any one moment, by accelerator type."""
    most: dict[str, int] = {}
    for kind in {right[1] for right in rights}:
        edges = sorted(
            edge
            for _, of, milli, from_s, to_s in rights
            if of == kind
            for edge in ((from_s, 1, milli), (to_s, 0, -milli))
        )
        level = 0
        for _, _, change in edges:
            level += change
            most[kind] = max(most.get(kind, 0), level)
    return most


def max_min_shares(demand: IntArray, weight: IntArray, *, capacity: int) -> IntArray:
    """Share a capacity by weighted max-min: nobody gets more than asked, the rest goes on by
    weight.

    Exact in integers: shares add up to ``min(capacity, sum of demand)``; what does not divide goes
    one by one to the largest remainders, the lowest index first.

    Args:
        demand: shape (claimant,), >= 0.
        weight: shape (claimant,), >= 1.
        capacity: >= 0.
    """
    share = np.zeros_like(demand)
    open_ = demand > 0
    left = min(int(capacity), int(demand.sum()))
    while left > 0:
        total = int(weight[open_].sum())
        # The claimants that their part of what is left would satisfy are served in full.
        full = open_ & ((demand - share) * total <= left * weight)
        if not full.any():
            break
        given = int((demand - share)[full].sum())
        share[full] = demand[full]
        open_ &= ~full
        left -= given
    if left > 0:
        total = int(weight[open_].sum())
        index = np.flatnonzero(open_)
        part = left * weight[index] // total
        rest = left - int(part.sum())
        by_remainder = np.lexsort((index, -(left * weight[index] % total)))
        part[by_remainder[:rest]] += 1
        share[index] += part
    return share


def hierarchical_shares(
    demand: IntArray, weight: IntArray, group: IntArray, group_weight: IntArray, *, capacity: int
) -> IntArray:
    """Share first between groups (the programme's classes), then inside each, by weighted max-min.

    Args:
        demand, weight, group: shape (claimant,); ``group`` indexes ``group_weight``.
    """
    wanted = np.zeros_like(group_weight)
    np.add.at(wanted, group, demand)
    by_group = max_min_shares(wanted, group_weight, capacity=capacity)
    share = np.zeros_like(demand)
    for g in range(group_weight.size):
        members = group == g
        share[members] = max_min_shares(demand[members], weight[members], capacity=int(by_group[g]))
    return share


def decayed_use_gpu_s(use_gpu_s: IntArray, age_days: IntArray, *, half_life_days: int) -> IntArray:
    """Weigh each project's past use so that old use counts for less.

    Args:
        use_gpu_s: GPU-seconds used, shape (project, period), >= 0; a row adds up to < 9e14.
        age_days: age of each period, shape (period,), >= 0; 0 is now.
        half_life_days: use this old counts half, >= 1.

    Returns:
        Weighed GPU-seconds, shape (project,), rounded down.

    Source:
        flux-accounting, doc/components/job-usage-calculation.rst (decay D = 0.5).
    """
    weight = np.rint(10_000 * 0.5 ** (age_days / half_life_days)).astype(np.int64)
    weighed: IntArray = use_gpu_s @ weight // 10_000
    return weighed
