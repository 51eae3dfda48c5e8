"""Replay: decide recorded cycles again, and compare byte for byte."""

from collections.abc import Callable
from dataclasses import dataclass

from dure.core.forgetting import JobRows
from dure.core.genesis import unpack_pool
from dure.core.ledger_record import KIND_CYCLE, KIND_POOL
from dure.core.plan import replan
from dure.core.record import unpack
from dure.core.state import State
from dure.services.ports import Ledger


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a replay found: cycles decided again, and the records whose plan came out
    differently.
    """

    cycles: int
    decisions: int
    different: tuple[int, ...]


def replay(
    ledger: Ledger,
    from_seq: int,
    to_seq: int | None,
    tell: Callable[[int], None] | None = None,
) -> Replayed:
    """Fold a ledger up to ``from_seq``, then decide each cycle up to ``to_seq`` anew.

    Args:
        from_seq: the first record to decide again, >= 1.
        to_seq: the last one; None for the ledger's end.
        tell: called now and then with the record's number.
    """
    state: State | None = None
    cycles, decisions, different = 0, 0, []
    for record in ledger.read(0, to_seq):
        if tell is not None and record.seq % 1024 == 0:
            tell(record.seq)
        if record.kind == KIND_POOL:
            state = _founded(record.payload)
        if record.kind != KIND_CYCLE or state is None:
            continue
        cycle = unpack(record.payload)
        if record.seq < from_seq or not cycle.planned:
            state.fold(cycle)
            continue
        decided = replan(state, cycle)
        cycles, decisions = cycles + 1, decisions + len(decided)
        if decided.tobytes() != cycle.decided.tobytes():
            different.append(record.seq)
            # The recorded plan is what happened; ours moved the state elsewhere.
            state = _folded(ledger, record.seq)
    return Replayed(cycles, decisions, tuple(different))


def _founded(payload: bytes) -> State:
    """Return the state that a ledger begins with; nobody asks it about jobs that are over."""
    state = State(*unpack_pool(payload))
    state.archive = _drop
    return state


def _drop(_over: JobRows) -> None:
    pass


def _folded(ledger: Ledger, upto: int) -> State:
    state: State | None = None
    for record in ledger.read(0, upto):
        if record.kind == KIND_POOL:
            state = _founded(record.payload)
        elif record.kind == KIND_CYCLE and state is not None:
            state.fold(unpack(record.payload))
    assert state is not None
    return state
