"""The pool's state as columns: int64 matrices, one row a quantity, one column a thing.

Kernels take one ``Columns`` and index it by the constants of ``core.layout``, which come along with
this module.
"""

from dataclasses import dataclass, field, fields

import numpy as np
from numpy.typing import NDArray

from dure.core.layout import *

IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class Columns:
    """Everything a kernel may read or move; what ``WORKSPACE`` names is not state.

    Attributes:
        address: of ``table``, which says where each matrix stands and how long its axes are:
            kernels get this one number, not 27 matrices (``core.kernel``).
    """

    scalars: IntArray
    policy: IntArray
    nodes: IntArray
    shelves: IntArray
    hist: IntArray
    devices: IntArray
    groups: IntArray
    breakers: IntArray
    jobs: IntArray
    rows: IntArray
    queue: IntArray
    fresh: IntArray
    running: IntArray
    hurt: IntArray
    alarms: IntArray
    due: IntArray
    accounts: IntArray
    rights: IntArray
    types: IntArray
    allocs: IntArray
    cells: IntArray
    claims: IntArray
    booked: IntArray
    shapes: IntArray
    families: IntArray
    alike: IntArray
    cohorts: IntArray
    tree: IntArray
    standing: IntArray
    heads: IntArray
    memo: IntArray
    marks: IntArray
    scratch: IntArray
    stairs: IntArray
    picks: IntArray
    facts: IntArray
    table: IntArray = field(init=False, repr=False)
    address: int = field(init=False, repr=False)

    def __post_init__(self) -> None:
        table = np.zeros((len(MATRIX_NAMES), TABLE_WIDTH), dtype=np.int64)
        for row, name in zip(table, MATRIX_NAMES, strict=True):
            matrix: IntArray = getattr(self, name)
            if matrix.dtype != np.int64 or not matrix.flags.c_contiguous:
                raise TypeError(f"{name}: {matrix.dtype}, expected contiguous int64.")
            row[0], row[1 : 1 + matrix.ndim] = matrix.ctypes.data, matrix.shape
        object.__setattr__(self, "table", table)
        object.__setattr__(self, "address", table.ctypes.data)

    def but(self, **matrices: IntArray) -> "Columns":
        """Return the same columns with some matrices exchanged."""
        return Columns(**{name: getattr(self, name) for name in MATRIX_NAMES} | matrices)

    def __deepcopy__(self, memo: object) -> "Columns":
        """Return a copy with an address of its own."""
        return Columns(**{name: getattr(self, name).copy() for name in MATRIX_NAMES})

    def __reduce__(self) -> tuple[type["Columns"], tuple[IntArray, ...]]:
        return Columns, tuple(getattr(self, name) for name in MATRIX_NAMES)


TABLE_WIDTH = 4  # an address and up to three lengths
MATRIX_NAMES = tuple(one.name for one in fields(Columns) if one.init)
WORKSPACE = frozenset(
    {"shapes", "families", "memo", "marks", "scratch", "picks", "facts", "due", "policy"}
    | {"alike", "cohorts", "tree", "standing", "heads", "stairs"}
)
STATE_FIELDS = tuple(name for name in MATRIX_NAMES if name not in WORKSPACE)
TABLES = frozenset({"rights"})  # three axes
_VECTORS = {"scalars", "policy", "queue", "fresh", "running", "shapes", "alike"}
_VECTORS |= {"standing", "heads", "marks"}
MATRICES = frozenset(MATRIX_NAMES) - TABLES - _VECTORS
