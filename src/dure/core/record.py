"""How a cycle's record becomes bytes: a fixed header, names, then columns of little-endian
int64.
"""

import struct
from dataclasses import astuple

import msgspec
import numpy as np

from dure.core.columns import FACT_WIDTH
from dure.core.errors import DureError
from dure.core.state import ASKED, Account, CycleRecord, Jobs, Listed

VERSION = 2
# Records of version 1 bring jobs without the columns that came later; 0 is none in each.
_BROUGHT = {1: 24, VERSION: ASKED}
# version, planned, at_s, jobs, observed, decided, bytes of names
_HEADER = struct.Struct("<BBqIIII")
_INT64 = np.dtype("<i8")
_ROW = 8 * FACT_WIDTH


def pack(record: CycleRecord) -> bytes:
    """Encode a record; equal records give equal bytes."""
    names = b""
    if record.jobs.names or record.accounts:
        accounts = [astuple(a) for a in record.accounts]
        names = msgspec.msgpack.encode((accounts, record.jobs.names))
    header = _HEADER.pack(
        VERSION,
        record.planned,
        record.at_s,
        len(record.jobs.names),
        len(record.observed),
        len(record.decided),
        len(names),
    )
    columns = record.jobs.columns.astype(_INT64, copy=False).tobytes() if names else b""
    observed = record.observed.astype(_INT64, copy=False).tobytes()
    decided = record.decided.astype(_INT64, copy=False).tobytes()
    return b"".join((header, names, columns, observed, decided))


def unpack(payload: bytes) -> CycleRecord:
    """Decode a record.

    Raises:
        DureError: a version that this program does not know, or a length that does not add up.
    """
    if len(payload) < _HEADER.size or payload[0] not in _BROUGHT:
        raise DureError(
            f"a cycle's record starts with {payload[:1].hex() or 'nothing'}; expected version "
            f"{VERSION:02x}. It was written by a newer Dure, or it is damaged."
        )
    _, planned, at_s, jobs, observed, decided, names_size = _HEADER.unpack_from(payload)
    at = _HEADER.size
    brought = _BROUGHT[payload[0]]
    columns_size = 8 * brought * jobs
    if len(payload) != at + names_size + columns_size + _ROW * (observed + decided):
        raise DureError("a cycle's record has a length that its header does not give: damaged.")
    record = CycleRecord(at_s, bool(planned))
    if names_size:
        accounts, names = msgspec.msgpack.decode(
            payload[at : at + names_size], type=tuple[list[Listed], list[str]]
        )
        at += names_size
        columns = np.zeros((ASKED, jobs), dtype=np.int64)
        given = np.frombuffer(payload, _INT64, brought * jobs, at)
        columns[:brought] = given.reshape(brought, jobs)
        at += columns_size
        record.accounts = [Account.listed(one) for one in accounts]
        record.jobs = Jobs(names, columns)
    record.observed = _facts(payload, at, observed)
    record.decided = _facts(payload, at + _ROW * observed, decided)
    return record


def _facts(payload: bytes, at: int, count: int) -> np.ndarray:
    table = np.frombuffer(payload, _INT64, FACT_WIDTH * count, at)
    return table.reshape(count, FACT_WIDTH).astype(np.int64)
