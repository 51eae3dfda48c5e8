"""Shaped rights: an allocation of cells, each so many usable nodes in one leaf (DESIGN section 4).

A cell takes a whole leaf: from then on no other owner's own work starts there, so that the holder's
gang finds it whole, but for loans, which leave in time. What a leaf must be able to lose to faults
(its spares) is never promised. Each cell takes the tightest leaf that is free all the time: what
fits there fits in every larger one, so no other choice could seat more.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np

from dure.core import columns as col
from dure.core.columns import Columns, IntArray

_SHAPE = re.compile(r"([1-9][0-9]{0,4})x([1-9][0-9]{0,4})")


class SeatRefusal(Enum):
    """Why a shaped right cannot be promised. The values are stable."""

    SHAPE_IS_UNREADABLE = "ShapeIsUnreadable"
    SHAPE_DOES_NOT_ADD_UP = "ShapeDoesNotAddUp"
    NO_LEAF_LEFT = "NoLeafLeft"


@dataclass(frozen=True, slots=True)
class Shape:
    """So many cells, each of so many nodes of one leaf; written ``4x30``."""

    cells: int
    nodes: int


def shape_named(text: str) -> Shape | SeatRefusal:
    """Read a shape as an allocation gives it."""
    found = _SHAPE.fullmatch(text)
    if found is None:
        return SeatRefusal.SHAPE_IS_UNREADABLE
    return Shape(int(found[1]), int(found[2]))


class Seats:
    """Which leaves are promised, from when to when; of a pool as ``PoolColumns`` lays it out.

    Args:
        nodes, shelves: the pool's columns.
    """

    def __init__(self, nodes: IntArray, shelves: IntArray) -> None:
        self._shelves = shelves
        spares = np.zeros(shelves.shape[1], dtype=np.int64)
        np.add.at(spares, nodes[col.N_SHELF], (nodes[col.N_SPARE] > 0).astype(np.int64))
        self.usable: IntArray = shelves[col.H_TO] - shelves[col.H_FROM] - spares
        self._taken: list[tuple[int, int, int]] = []

    @classmethod
    def of(cls, c: Columns, *, but: int = -1) -> "Seats":
        """Return the seats of a running pool, with what it promised already, but to one."""
        seats = cls(c.nodes, c.shelves)
        for index, shelf, _ in c.cells[: c.scalars[col.S_CELLS]].tolist():
            if index == but:
                continue
            from_s, to_s = c.allocs[[col.L_FROM, col.L_TO], index].tolist()
            seats.take([shelf], from_s=from_s, to_s=to_s)
        return seats

    def take(self, shelves: Sequence[int], *, from_s: int, to_s: int) -> None:
        """Note that leaves are promised."""
        self._taken += [(shelf, from_s, to_s) for shelf in shelves]

    def seat(
        self, shape: Shape, *, kind: int, gpus: int, from_s: int, to_s: int
    ) -> list[int] | SeatRefusal:
        """Promise leaves for all cells of a right, the tightest first, the lowest on a tie.

        Args:
            kind: index of the accelerator type.
            gpus: of the whole right.

        Returns:
            The shelf of each cell.
        """
        of_kind = self._shelves[col.H_TYPE] == kind
        each = self._shelves[col.H_GPUS] * shape.cells * shape.nodes
        if not (of_kind & (each == gpus)).any():
            return SeatRefusal.SHAPE_DOES_NOT_ADD_UP
        taken = {at for at, begun_s, over_s in self._taken if begun_s < to_s and from_s < over_s}
        fits = np.flatnonzero(of_kind & (each == gpus) & (self.usable >= shape.nodes))
        free = sorted((int(self.usable[at]), at) for at in fits.tolist() if at not in taken)
        if len(free) < shape.cells:
            return SeatRefusal.NO_LEAF_LEFT
        chosen = [at for _, at in free[: shape.cells]]
        self.take(chosen, from_s=from_s, to_s=to_s)
        return chosen

    def whole_milli(self, shelves: Sequence[int]) -> int:
        """Return what whole leaves hold, but for spares: so much nobody else can be promised."""
        at = list(shelves)
        return int((self.usable[at] * self._shelves[col.H_GPUS, at]).sum()) * col.WHOLE
