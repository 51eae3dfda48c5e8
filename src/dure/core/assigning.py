"""Who reviews what: the best fit of areas and wishes at even loads, as a flow of least cost.

A transport problem: each application takes ``each`` units, each reviewer gives between two bounds,
a pair one at most. Its linear programme has whole solutions, so HiGHS's simplex gives one; on one
thread with fixed options, the same each time. Equal pairs are told apart by a hash of their names,
so that panels mix and reviewers' severity can be told apart.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import highspy
import numpy as np
from numpy.typing import NDArray

from dure.core.affinity import affinity_milli
from dure.core.conflicts import Entry, Reviewer
from dure.core.programme import Refusal

IntArray = NDArray[np.int64]
# What a wish is worth beside an affinity of 0 .. 1000; "conflict" closes the pair.
BIDS = {"eager": 600, "willing": 200, "not": -800}
CLOSED_BID = "conflict"
# So much at most tells equal pairs apart.
MIX_MILLI = 50
# Larger calls are served in parts of so many applications, loads carried on: bounded work.
BLOCK = 600
# Loads may differ by twice so much, and no further, before reviewers are too few.
SLACK = (0, 1, 2, 4, 8, 16, 64, 1024)


@dataclass(frozen=True, slots=True)
class Pairing:
    """Who may review what, and how well it fits.

    Attributes:
        fit: shape (application, reviewer); more is better.
        is_open: same shape; False where a conflict or an earlier stage closes the pair.
        load: reviews that each reviewer has already.
    """

    applications: tuple[str, ...]
    reviewers: tuple[str, ...]
    fit: IntArray
    is_open: NDArray[np.bool_]
    load: IntArray


def pairing(
    entries: Sequence[Entry],
    reviewers: Sequence[Reviewer],
    *,
    closed: Mapping[str, frozenset[str]],
    bids: Mapping[tuple[str, str], str] | None = None,
    load: Mapping[str, int] | None = None,
) -> Pairing:
    """Weigh every pair.

    Args:
        closed: application -> reviewers who may not review it.
        bids: (application, reviewer) -> eager, willing, not or conflict.
        load: reviews that a reviewer has already.
    """
    names = [one.name for one in reviewers]
    fit = affinity_milli([one.text for one in entries], [" ".join(one.areas) for one in reviewers])
    is_open = np.ones(fit.shape, dtype=bool)
    for row, entry in enumerate(entries):
        shut = closed.get(entry.application, frozenset())
        for column, name in enumerate(names):
            bid = (bids or {}).get((entry.application, name), "")
            is_open[row, column] = name not in shut and bid != CLOSED_BID
            fit[row, column] += BIDS.get(bid, 0) + _mix_milli(entry.application, name)
    return Pairing(
        tuple(one.application for one in entries),
        tuple(names),
        fit,
        is_open,
        np.array([(load or {}).get(name, 0) for name in names], dtype=np.int64),
    )


def assign_panels(pairs: Pairing, *, each: int) -> dict[str, tuple[str, ...]] | Refusal:
    """Give every application ``each`` reviewers at even loads, the sum of fits greatest.

    Returns:
        Reviewers by application, in order of their names; or REVIEWERS_ARE_TOO_FEW.
    """
    assert each >= 1
    if not pairs.applications:
        return {}
    if pairs.is_open.sum(axis=1).min(initial=len(pairs.reviewers)) < each or not pairs.reviewers:
        return Refusal.REVIEWERS_ARE_TOO_FEW
    load, chosen = pairs.load.copy(), dict[str, tuple[str, ...]]()
    for first in range(0, len(pairs.applications), BLOCK):
        part = slice(first, first + BLOCK)
        taken = _evenly(pairs.fit[part], pairs.is_open[part], load, each)
        if taken is None:
            return Refusal.REVIEWERS_ARE_TOO_FEW
        load += taken.sum(axis=0)
        for row, application in enumerate(pairs.applications[part]):
            panel = [pairs.reviewers[column] for column in np.flatnonzero(taken[row])]
            chosen[application] = tuple(sorted(panel))
    return chosen


def _evenly(
    fit: IntArray, is_open: NDArray[np.bool_], load: IntArray, each: int
) -> IntArray | None:
    """Return the best choice at the evenest loads that conflicts allow, None if there is none."""
    total = int(load.sum()) + each * fit.shape[0]
    low, high = total // load.size, -(-total // load.size)
    for slack in SLACK:
        taken = _flow(
            fit,
            is_open,
            np.maximum(low - slack - load, 0),
            np.maximum(high + slack - load, 0),
            each,
        )
        if taken is not None:
            return taken
    return None


def _flow(
    fit: IntArray, is_open: NDArray[np.bool_], least: IntArray, most: IntArray, each: int
) -> IntArray | None:
    rows, columns = np.nonzero(is_open)
    count, applications = rows.size, fit.shape[0]
    problem = highspy.HighsLp()
    problem.num_col_, problem.num_row_ = count, applications + fit.shape[1]
    problem.col_cost_ = -fit[rows, columns].astype(float)
    problem.col_lower_, problem.col_upper_ = np.zeros(count), np.ones(count)
    problem.row_lower_ = np.concatenate([np.full(applications, float(each)), least.astype(float)])
    problem.row_upper_ = np.concatenate([np.full(applications, float(each)), most.astype(float)])
    problem.a_matrix_.format_ = highspy.MatrixFormat.kColwise
    problem.a_matrix_.start_ = np.arange(0, 2 * count + 1, 2, dtype=np.int32)
    problem.a_matrix_.index_ = np.column_stack([rows, applications + columns]).ravel()
    problem.a_matrix_.value_ = np.ones(2 * count)
    solver = highspy.Highs()
    options: dict[str, bool | int | str] = {"output_flag": False, "threads": 1, "parallel": "off",
                                            "random_seed": 0, "solver": "simplex"}  # fmt: skip
    for name, value in options.items():
        solver.setOptionValue(name, value)
    solver.passModel(problem)
    solver.run()
    if solver.getModelStatus() != highspy.HighsModelStatus.kOptimal:
        return None
    taken = np.zeros(fit.shape, dtype=np.int64)
    taken[rows, columns] = np.rint(np.array(solver.getSolution().col_value))
    assert (taken.sum(axis=1) == each).all(), "a transport problem has whole solutions"
    return taken


def _mix_milli(application: str, reviewer: str) -> int:
    digest = hashlib.blake2b(f"{application}:{reviewer}".encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big") % MIX_MILLI
