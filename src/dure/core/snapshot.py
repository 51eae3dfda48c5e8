"""A state as bytes, so that a pool with a long history starts without folding all of it.

What comes back is what folding the records would have given; what plans only remember for speed
(memo, marks, scratch) starts empty, as after a fold.
"""

import zlib
from dataclasses import astuple
from typing import NamedTuple

import msgspec
import numpy as np

from dure.core import columns as col
from dure.core.columns import IntArray
from dure.core.errors import DureError
from dure.core.forgetting import recognise_again
from dure.core.policy import Policy
from dure.core.pool import Pool
from dure.core.state import ASKED, Account, Jobs, Listed, State

VERSION = 6
# Columns hold small numbers mostly; the first of these that holds a row's values is used.
_SIZES = tuple(np.dtype(name) for name in ("<i1", "<i2", "<i4", "<i8"))
_LEVEL = 1
# Long and narrow tables are kept by column.
_NARROW = frozenset({"alarms", "claims", "cells", "booked"})
# Empty between two cycles.
_PASSING = frozenset({"fresh", "hurt"})
_KEPT = (*(name for name in col.STATE_FIELDS if name not in _PASSING), "families")


class _Row(NamedTuple):
    """A row of numbers: whose, which of ``_SIZES``, and its bytes."""

    field: str
    size: int
    content: bytes


def pack_state(state: State) -> bytes:
    """Encode a state between two cycles; its pool and policy are a ledger's first record."""
    rows: list[_Row] = []
    shapes: dict[str, tuple[int, ...]] = {}
    for name in _KEPT:
        array = _in_use(state, name)
        shapes[name] = array.shape
        rows += [_packed(name, row) for row in _rows(array)]
    accounts = [astuple(one) for one in state.accounts]
    badly = sorted(state.ended_badly)
    body = msgspec.msgpack.encode((shapes, rows, state.job_names, accounts, badly))
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
        shapes, rows, names, accounts, badly = msgspec.msgpack.decode(
            zlib.decompress(payload[1:]),
            type=tuple[dict[str, tuple[int, ...]], list[_Row], list[str], list[Listed], set[int]],
        )
        arrays = {name: np.zeros(shape, dtype=np.int64) for name, shape in shapes.items()}
        left = {name: iter(_rows(array)) for name, array in arrays.items()}
        for row in rows:
            next(left[row.field])[:] = np.frombuffer(row.content, _SIZES[row.size])
    except (msgspec.DecodeError, zlib.error, ValueError, LookupError, StopIteration) as broken:
        raise DureError(f"a state is damaged: {broken}") from broken
    state = State(pool, policy)
    for account in accounts[1:]:
        state.add_account(Account.listed(account))
    state.add_jobs(Jobs(names, np.zeros((ASKED, len(names)), dtype=np.int64)))
    state.ended_badly = badly
    _put_back(state, arrays)
    return state


def _in_use(state: State, name: str) -> IntArray:
    """Return the part of a field that is in use (the rest is room), long tables by column."""
    c, s = state.c, state.c.scalars
    array: IntArray = getattr(c, name)
    lengths = {
        "jobs": s[col.S_JOBS],
        "rows": s[col.S_ROWS_TOP],
        "accounts": s[col.S_ACCOUNTS],
        "allocs": s[col.S_ALLOCS],
        "queue": s[col.S_Q_TAIL],
        "running": s[col.S_RUNNING],
        "alarms": s[col.S_ALARMS],
        "claims": s[col.S_CLAIMS],
        "cells": s[col.S_CELLS],
        "booked": s[col.S_BOOKED],
    }
    if name == "rights":
        return array[:, : s[col.S_ACCOUNTS]]
    array = array.T if name in _NARROW else array
    return array[..., : lengths[name]] if name in lengths else array


def _rows(array: IntArray) -> list[IntArray]:
    return [row.reshape(-1) for row in array] if array.ndim > 1 else [array]


def _packed(field: str, row: IntArray) -> _Row:
    low, high = (int(row.min()), int(row.max())) if row.size else (0, 0)
    limits = [np.iinfo(kind) for kind in _SIZES]
    size = next(i for i, one in enumerate(limits) if one.min <= low and high <= one.max)
    return _Row(field, size, np.ascontiguousarray(row, dtype=_SIZES[size]).tobytes())


def _put_back(state: State, arrays: dict[str, IntArray]) -> None:
    """Fill a new state's columns, made long enough before."""
    state.c.scalars[:] = arrays["scalars"]
    state.make_room(0)
    for name, array in arrays.items():
        whole: IntArray = getattr(state.c, name)
        whole = whole.T if name in _NARROW else whole
        if any(size > room for size, room in zip(array.shape, whole.shape, strict=True)):
            raise DureError(f"a state's {name} is of shape {array.shape}: not of this pool.")
        whole[tuple(slice(0, size) for size in array.shape)] = array
    recognise_again(state.c)
