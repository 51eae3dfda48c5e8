"""One cycle of a pool, live or in the twin: read, decide, write, carry out."""

from dure.core.check import violations
from dure.core.errors import ConflictError, DureError
from dure.core.ledger_record import KIND_CYCLE, Entry
from dure.core.plan import Plan, plan_cycle
from dure.core.record import pack
from dure.services.pools import PoolRuntime

RETRIES = 5


class BrokenInvariantError(DureError):
    """A plan would break what must always hold; nothing was written, nothing will be carried
    out.
    """


def run_once(pool: PoolRuntime, now_s: int, *, check: bool = True) -> Plan:
    """Read what is new, plan, check, append one record, carry it out outside the transaction.

    Args:
        now_s: the pool's clock.
        check: whether the invariants are checked before the plan is written (always, live).

    Raises:
        BrokenInvariantError: the plan is wrong; it was not written.
        ConflictError: others kept writing; nothing was planned.
    """
    for attempt in range(RETRIES):
        pool.catch_up()
        observed = pool.gather(now_s)
        plan = plan_cycle(pool.state, observed, now_s)
        if check and (broken := violations(pool.state)):
            pool.refold()
            raise BrokenInvariantError("; ".join(broken[:5]))
        entry = Entry(KIND_CYCLE, now_s, pack(plan.record))
        try:
            pool.seen = pool.ledger.append([entry], expect=pool.seen)
        except ConflictError:
            # The plan moved our state, so it goes with the plan.
            pool.refold()
            if attempt == RETRIES - 1:
                raise
            continue
        break
    pool.inbox.clear()
    pool.forget_events()
    pool.hands.acknowledge()
    for listen in pool.listeners:
        listen(pool.state, plan.record)
    pool.hands.carry_out(pool.state, plan.record)
    return plan
