"""How kernels are compiled: once, kept beside the source, without the interpreter's lock.

Compile time is a newcomer's waiting time, so two things keep it short: kernels that only kernels
call get no wrappers for Python, and those that are called with many different constants get one
explicit signature (Numba would compile them anew for every combination of constants).
"""

from collections.abc import Callable
from typing import Any

from numba import njit, types
from numba.core import config

from dure.core.columns import MATRICES, TABLES, Columns

# Loops here are short and full of branches: vectorising them costs seconds and gains nothing.
config.LOOP_VECTORIZE = False  # type: ignore[attr-defined]
config.SLP_VECTORIZE = False  # type: ignore[attr-defined]

kernel = njit(cache=True, nogil=True)
_INNER: Any = {"cache": True, "nogil": True, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}
inner = njit(**_INNER)


def _dimensions(name: str) -> int:
    return 3 if name in TABLES else 2 if name in MATRICES else 1


_COLUMNS = types.NamedTuple(  # type: ignore[no-untyped-call]
    [types.Array(types.int64, _dimensions(name), "C") for name in Columns._fields], Columns
)


def inner_of_ints(count: int) -> Callable[[Any], Any]:
    """Return a decorator for an inner kernel of ``Columns`` and ``count`` integers, giving
    nothing.
    """
    compiled: Callable[[Any], Any] = njit(types.void(_COLUMNS, *[types.int64] * count), **_INNER)
    return compiled
