"""A state as bytes, so that a pool with a long history starts without folding all of it.

What comes back is what folding the records would have given; what plans only remember for speed (memo,
marks, scratch) starts empty, as after a fold.
"""

import zlib
from typing import NamedTuple

import msgspec
import numpy as np

from dure.core import columns as col
from dure.core.columns import WORKSPACE, IntArray
from dure.core.errors import DureError
from dure.core.policy import Policy
from dure.core.pool import Pool
from dure.core.shapes import spread_shapes
from dure.core.state import Account, State

VERSION = 1
# Columns hold small numbers mostly; the first of these that holds a row's values is used.
_SIZES = tuple(np.dtype(name) for name in ("<i1", "<i2", "<i4", "<i8"))
_LEVEL = 1


class _Row(NamedTuple):
    """A row of numbers: where it belongs, which of ``_SIZES``, and its bytes."""

    field: str
    place: int
    size: int
    content: bytes


def pack_state(state: State) -> bytes:
    """Encode a state; the pool and the policy are the ledger's first record and left out."""
    rows: list[_Row] = []
    shapes: dict[str, tuple[int, ...]] = {}
    for name in _kept_fields():
        array = _in_use(state, name)
        shapes[name] = array.shape
        for place, row in enumerate(array.reshape(array.shape[0], -1) if array.ndim > 1 else [array]):
            rows.append(_packed(name, place, row))
    accounts = [(one.name, one.kind, one.weight) for one in state.accounts]
    body = msgspec.msgpack.encode((shapes, rows, state.job_names, accounts))
    return bytes([VERSION]) + zlib.compress(body, _LEVEL)


def unpack_state(payload: bytes, pool: Pool, policy: Policy) -> State:
    """Decode a state.

    Raises:
        DureError: a version that this program does not know, damage, or another pool's state.
    """
    if payload[:1] != bytes([VERSION]):
        raise DureError(
            f"a state starts with {payload[:1].hex() or 'nothing'}; expected version {VERSION:02x}."
        )
    try:
        shapes, rows, names, accounts = msgspec.msgpack.decode(
            zlib.decompress(payload[1:]),
            type=tuple[
                dict[str, tuple[int, ...]], list[_Row], list[str], list[tuple[str, int, int]]
            ],
        )
    except (msgspec.DecodeError, zlib.error) as broken:
        raise DureError(f"a state is damaged: {broken}") from broken
    state = State(pool, policy)
    for account in accounts[1:]:
        state.add_account(Account(*account))
    arrays = {name: np.zeros(shape, dtype=np.int64) for name, shape in shapes.items()}
    for row in rows:
        array = arrays[row.field]
        flat = array.reshape(array.shape[0], -1)[row.place] if array.ndim > 1 else array
        flat[:] = np.frombuffer(row.content, _SIZES[row.size])
    _put_back(state, arrays, names)
    return state


def _kept_fields() -> tuple[str, ...]:
    return (*(name for name in col.Columns._fields if name not in WORKSPACE), "families")


def _in_use(state: State, name: str) -> IntArray:
    """Return the part of a field that is in use; the rest is room."""
    c, s = state.c, state.c.scalars
    array: IntArray = getattr(c, name)
    lengths = {
        "jobs": s[col.S_JOBS],
        "rows": s[col.S_ROWS_TOP],
        "accounts": s[col.S_ACCOUNTS],
        "allocs": s[col.S_ALLOCS],
    }
    firsts = {
        "queue": s[col.S_Q_TAIL],
        "running": s[col.S_RUNNING],
        "alarms": s[col.S_ALARMS],
        "claims": s[col.S_CLAIMS],
        "fresh": 0,
        "hurt": 0,
    }
    if name in lengths:
        return array[:, : lengths[name]]
    if name == "rights":
        return array[:, : s[col.S_ACCOUNTS]]
    return array[: firsts[name]] if name in firsts else array


def _packed(field: str, place: int, row: IntArray) -> _Row:
    low, high = (int(row.min()), int(row.max())) if row.size else (0, 0)
    for size, kind in enumerate(_SIZES):
        limits = np.iinfo(kind)
        if limits.min <= low and high <= limits.max:
            return _Row(field, place, size, np.ascontiguousarray(row, dtype=kind).tobytes())
    raise AssertionError("every int64 fits the last size")


def _put_back(state: State, arrays: dict[str, IntArray], names: list[str]) -> None:
    """Fill a new state's columns, made as long as they must be."""
    state.reserve_jobs(len(names))
    state.job_names.extend(names)
    state.job_index.update((name, i) for i, name in enumerate(names))
    state.c.scalars[:] = arrays["scalars"]
    state.make_room(0)
    for name, array in arrays.items():
        whole: IntArray = getattr(state.c, name)
        part = tuple(slice(0, size) for size in array.shape)
        if any(size > room for size, room in zip(array.shape, whole.shape, strict=True)):
            raise DureError(f"a state's {name} is of shape {array.shape}, not of this pool.")
        whole[part] = array
    _recognise_again(state)


def _recognise_again(state: State) -> None:
    """Fill the table of shapes: the first job of each shape stands for it."""
    jobs, count = state.c.jobs, len(state.job_names)
    shape = jobs[col.J_SHAPE, :count]
    _, first = np.unique(shape, return_index=True)
    first = np.sort(first[shape[first] > 0])
    before = state.c._replace(shapes=first.astype(np.int64))
    state.c.shapes[:] = -1
    spread_shapes(before, state.c.shapes)
