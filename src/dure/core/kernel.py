"""How kernels are compiled: once, kept beside the source, without the interpreter's lock.

Compile time is a newcomer's waiting time, so two things keep it short: kernels that only kernels
call get no wrappers for Python, and those that are called with many different constants get one
explicit signature (Numba would compile them anew for every combination of constants).

``Columns`` travel between kernels as one pointer, to the table of where each matrix stands; in a
kernel ``c.jobs`` reads an address and two lengths from it. Handed over as 27 matrices they would
cost a fifth of a microsecond a call, and most of the time to compile.
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

from llvmlite import ir
from numba import njit, types
from numba.core import config
from numba.core.imputils import lower_getattr_generic
from numba.core.typing.templates import AttributeTemplate
from numba.extending import (
    NativeValue,
    infer_getattr,
    models,
    register_model,
    typeof_impl,
    unbox,
)
from numba.np.arrayobj import make_array, populate_array

from dure.core.columns import MATRICES, MATRIX_NAMES, TABLE_WIDTH, TABLES, Columns

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


def _dimensions(name: str) -> int:
    return 3 if name in TABLES else 2 if name in MATRICES else 1


class _ColumnsType(types.Type):
    def __init__(self) -> None:
        super().__init__(name="Columns")


_COLUMNS = _ColumnsType()
_WORD = ir.IntType(64)
_MATRIX_TYPES = {name: types.Array(types.int64, _dimensions(name), "C") for name in MATRIX_NAMES}


@typeof_impl.register(Columns)
def _typeof_columns(value: Columns, context: Any) -> _ColumnsType:
    return _COLUMNS


@register_model(_ColumnsType)
class _ColumnsModel(models.PrimitiveModel):
    def __init__(self, manager: Any, type_: _ColumnsType) -> None:
        super().__init__(manager, type_, _WORD.as_pointer())


@unbox(_ColumnsType)
def _unbox_columns(type_: _ColumnsType, value: Any, c: Any) -> NativeValue:
    number = c.pyapi.object_getattr_string(value, "address")
    address = c.pyapi.long_as_longlong(number)
    c.pyapi.decref(number)
    return NativeValue(c.builder.inttoptr(address, _WORD.as_pointer()))


@infer_getattr
class _ColumnsAttributes(AttributeTemplate):
    key = _ColumnsType

    def generic_resolve(self, type_: _ColumnsType, name: str) -> types.Array | None:
        return _MATRIX_TYPES.get(name)


@lower_getattr_generic(_ColumnsType)
def _lower_matrix(context: Any, builder: Any, type_: _ColumnsType, table: Any, name: str) -> Any:
    """Make a matrix of what the table says; nobody counts references to it."""
    row = MATRIX_NAMES.index(name) * TABLE_WIDTH
    matrix_type = _MATRIX_TYPES[name]

    def word(at: int) -> Any:
        loaded = builder.load(builder.gep(table, [_WORD(row + at)]))
        # The table stays as it is while a kernel runs: read once, kept in a register.
        loaded.set_metadata("invariant.load", builder.module.add_metadata([]))
        return loaded

    matrix = make_array(matrix_type)(context, builder)
    shape = [word(1 + axis) for axis in range(matrix_type.ndim)]
    strides, size = [], _WORD(8)
    for length in reversed(shape):
        strides.insert(0, size)
        size = builder.mul(size, length)
    populate_array(
        matrix,
        data=builder.inttoptr(word(0), _WORD.as_pointer()),
        shape=shape,
        strides=strides,
        itemsize=_WORD(8),
        meminfo=None,
    )
    return matrix._getvalue()


def inner_of_ints(count: int) -> Callable[[_Kernel], _Kernel]:
    """Return a decorator for an inner kernel of ``Columns`` and ``count`` integers."""

    def compile_once(function: _Kernel) -> _Kernel:
        signature = types.void(_COLUMNS, *[types.int64] * count)
        return cast(_Kernel, njit(signature, **_INNER)(function))

    return compile_once
