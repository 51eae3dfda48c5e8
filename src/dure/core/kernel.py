"""How kernels are compiled: once, kept beside the source, without the interpreter's lock.

Compile time is a newcomer's waiting time, so two things keep it short: kernels that only kernels
call get no wrappers for Python, and those that are called with many different constants get one
explicit signature (Numba would compile them anew for every combination of constants).
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

from numba import njit, types
from numba.core import config

from dure.core.columns_type import COLUMNS

# Loops here are short and full of branches: vectorising them costs seconds and gains nothing.
config.LOOP_VECTORIZE = False  # type: ignore[attr-defined]
config.SLP_VECTORIZE = False  # type: ignore[attr-defined]

_Kernel = TypeVar("_Kernel", bound=Callable[..., Any])
_INNER: Any = {"cache": True, "nogil": True, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}


def kernel(function: _Kernel) -> _Kernel:
    """Compile a function that Python calls."""
    return cast(_Kernel, njit(cache=True, nogil=True)(function))


def inner(function: _Kernel) -> _Kernel:
    """Compile a function that only kernels call."""
    return cast(_Kernel, njit(**_INNER)(function))


def inner_of_ints(count: int) -> Callable[[_Kernel], _Kernel]:
    """Return a decorator for an inner kernel of ``Columns`` and ``count`` integers."""

    def compile_once(function: _Kernel) -> _Kernel:
        """Compile for this one signature, at once: nothing is inferred at a call."""
        signature = types.void(COLUMNS, *[types.int64] * count)
        return cast(_Kernel, njit(signature, **_INNER)(function))

    return compile_once
