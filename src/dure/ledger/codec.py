"""Named events as bytes: one version byte, then JSON tagged with the event's class.

Events written today are read in ten years, so classes and fields are only ever added.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any, Union

import msgspec

from dure.core.errors import LedgerError
from dure.core.events import Event

VERSION = 1


@cache
def _encoder() -> msgspec.json.Encoder:
    # A set of strings has another order in every process; a ledger must not.
    return msgspec.json.Encoder(order="deterministic")


@cache
def _known() -> frozenset[type[Event]]:
    # Read at the first call, so that every module of events has been loaded by then.
    from dure.core.events import EVENTS

    return frozenset(EVENTS)


@cache
def _decoder() -> msgspec.json.Decoder[list[Any]]:
    classes = sorted(_known(), key=lambda one: one.__name__)
    either = Union[tuple(classes)] if classes else Event  # noqa: UP007
    return msgspec.json.Decoder(list[either])  # type: ignore[valid-type]


def encode_events(events: Sequence[Event]) -> bytes:
    """Write events as the payload of one record.

    Raises:
        LedgerError: if one is of a class not listed in ``EVENTS``: it could never be read again.
    """
    known = _known()
    for event in events:
        if type(event) not in known:
            raise LedgerError(
                f"{type(event).__name__} is not listed in dure.core.events.EVENTS; "
                "a ledger takes only what it can read again. List it there."
            )
    return bytes([VERSION]) + _encoder().encode(events)


def decode_events(payload: bytes) -> list[Event]:
    """Read what ``encode_events`` wrote, in this version of Dure or an earlier one.

    Raises:
        LedgerError: if the version or a class is unknown, or a field does not fit.
    """
    if not payload or payload[0] != VERSION:
        found = f"codec version {payload[0]}" if payload else "an empty payload"
        raise LedgerError(
            f"named events: found {found}, expected version {VERSION}. A newer Dure wrote this, "
            "or the record holds something else."
        )
    try:
        return _decoder().decode(memoryview(payload)[1:])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as wrong:
        raise LedgerError(
            f"named events: {wrong}. A newer Dure wrote this, or the record is damaged."
        ) from wrong
