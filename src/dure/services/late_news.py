"""What happened while the engine was away is booked at its own moments, before it plans again."""

from dure.core.ledger_record import KIND_CYCLE, Entry
from dure.core.record import pack
from dure.core.state import CycleRecord
from dure.services.driver_hands import DriverHands
from dure.services.pools import PoolRuntime


def book_past(pool: PoolRuntime, hands: DriverHands, until_s: int) -> int:
    """Record ends up to ``until_s``, oldest first, without planning; return how many moments.

    A job that ended an hour ago used its GPUs until then and not until now. What to do with them
    is decided now, by the next cycle.
    """
    pool.catch_up()
    moments = 0
    while (past := hands.observe_past(pool.state, until_s)) is not None:
        at_s, facts = past
        if len(facts):
            record = CycleRecord(at_s, planned=False, observed=facts)
            pool.ledger.append([Entry(KIND_CYCLE, at_s, pack(record))], expect=pool.seen)
            pool.catch_up()
        hands.acknowledge()
        moments += 1
    return moments
