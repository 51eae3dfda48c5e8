"""A program that appends to a ledger for ever and prints each acknowledged record, to be killed."""

import sys
from pathlib import Path

from dure.core.ledger_record import KIND_EVENTS, Entry
from dure.ledger.sqlite import SqliteLedger


def payload(seq: int) -> bytes:
    """Return what record ``seq`` holds; now and then a long one, spread over many pages."""
    return b"\x01%d/" % seq * (4_000 if seq % 7 == 0 else 3)


def append_for_ever(path: Path) -> None:
    print("started", flush=True)
    ledger = SqliteLedger(path)
    seq = ledger.head()[0]
    while True:
        seq = ledger.append([Entry(KIND_EVENTS, seq, payload(seq + 1))], expect=seq)
        print(seq, flush=True)
        if seq % 5 == 0:
            ledger.put_projection("pool", 1, seq, payload(seq))


if __name__ == "__main__":
    append_for_ever(Path(sys.argv[1]))
