"""How Numba sees ``Columns``: one pointer, to the table of where each matrix stands.

In a kernel ``c.jobs`` reads an address and two lengths from that table. Handed over as 27 matrices
``Columns`` would cost a fifth of a microsecond a call, and most of the time to compile.
"""

from typing import Any

from llvmlite import ir
from numba import types
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


def _dimensions(name: str) -> int:
    return 3 if name in TABLES else 2 if name in MATRICES else 1


class _ColumnsType(types.Type):
    def __init__(self) -> None:
        super().__init__(name="Columns")


COLUMNS = _ColumnsType()
_WORD = ir.IntType(64)
_MATRIX_TYPES = {name: types.Array(types.int64, _dimensions(name), "C") for name in MATRIX_NAMES}


@typeof_impl.register(Columns)
def _typeof_columns(value: Columns, context: Any) -> _ColumnsType:
    return COLUMNS


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

    def generic_resolve(self, type_: Any, name: str) -> Any:  # type: ignore[override]
        """Tell Numba the type of a matrix; of a name that is none, nothing."""
        return _MATRIX_TYPES.get(name)


@lower_getattr_generic(_ColumnsType)
def _lower_matrix(context: Any, builder: Any, type_: _ColumnsType, table: Any, name: str) -> Any:
    """Make a matrix of what the table says; nobody counts references to it."""
    row = MATRIX_NAMES.index(name) * TABLE_WIDTH
    matrix_type = _MATRIX_TYPES[name]

    def word(at: int) -> Any:
        """Load a word of the matrix's row in the table."""
        loaded = builder.load(builder.gep(table, [_WORD(row + at)]))
        # The table stays as it is while a kernel runs: read once, kept in a register.
        loaded.set_metadata("invariant.load", builder.module.add_metadata([]))
        return loaded

    matrix = make_array(matrix_type)(context, builder)
    shape = [word(1 + axis) for axis in range(matrix_type.ndim)]
    strides: list[Any] = []
    size = _WORD(8)
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
