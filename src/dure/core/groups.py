"""Who is lent to next: the group furthest below its floor, in it whoever has had least.

Groups are the programme's classes of projects. What is lent is filled up gang by gang: always for
the group that has had least for its floor's part, and in it for the account that has had least for
its weight (progressive filling, which ends where weighted max-min ends; ``quota`` has it in closed
form). A group that asks for nothing keeps nothing from the others.
"""

import numpy as np

from dure.core.columns import *
from dure.core.columns import Columns
from dure.core.kernel import inner
from dure.core.line import declared_left
from dure.core.pairs import sink_pair
from dure.core.turns import next_turn


@inner
def had(c: Columns, owner: int) -> int:
    """Return what an account has had, in milli-GPU-s: recent borrowing less credits earned."""
    accounts = c.accounts
    running = accounts[A_OWES, owner] * c.policy[P_HORIZON_S]
    used = accounts[A_DECAYED, owner] + accounts[A_TODAY, owner] - accounts[A_CREDIT, owner]
    return int(used + running)


@inner
def fair_charge(c: Columns, owner: int) -> int:
    """Return what puts an account behind others of its group."""
    return int(had(c, owner) // c.accounts[A_WEIGHT, owner])


@inner
def charge_of_next(c: Columns, owner: int) -> int:
    """Return the account's charge as it will be with its next gang: that counts as what runs does,
    or less, if it is over sooner by its own word.

    Source:
        weighted fair queueing: the packet that would be through first goes first (Demers, Keshav
        and Shenker, SIGCOMM'89).
    """
    job = next_turn(c, owner)
    kind, types = 0, c.jobs[J_TYPES, job]
    while not types >> kind & 1:
        kind += 1
    most = c.policy[P_HORIZON_S] * c.jobs[J_GPUS, job] * c.jobs[J_MILLI, job] // WHOLE
    gang = min(most, c.policy[P_ESTIMATE_WEIGHT] * declared_left(c, job))
    more = gang * c.types[T_EXCHANGE, kind]
    return int(fair_charge(c, owner) + more // c.accounts[A_WEIGHT, owner])


@inner
def line_up(c: Columns) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Line up the accounts whose gangs take turns (``core.turns``).

    Returns:
        Accounts and their charges, a heap a group; where each group's heap begins and how many it
        has; what each group has had.
    """
    count, groups, head = c.scalars[S_ACCOUNTS], c.policy[P_GROUPS], c.scratch[X_HEAD]
    places = np.zeros((2, groups), dtype=np.int64)
    group_had = np.zeros(groups, dtype=np.int64)
    for owner in range(count):
        group = c.accounts[A_GROUP, owner]
        places[1, group] += 1 if head[owner] >= 0 else 0
        group_had[group] += had(c, owner)
    for group in range(1, groups):
        places[0, group] = places[0, group - 1] + places[1, group - 1]
    total = places[0, groups - 1] + places[1, groups - 1]
    owners, charges = np.empty(total, dtype=np.int64), np.empty(total, dtype=np.int64)
    filled = places[0].copy()
    for owner in range(count):
        if head[owner] >= 0:
            at = filled[c.accounts[A_GROUP, owner]]
            owners[at], charges[at] = owner, charge_of_next(c, owner)
            filled[c.accounts[A_GROUP, owner]] += 1
    for group in range(groups):
        first, size = places[0, group], places[1, group]
        for at in range(size // 2 - 1, -1, -1):
            sink_pair(charges[first : first + size], owners[first : first + size], at, size)
    return owners, charges, places, group_had


@inner
def furthest_below(c: Columns, places: np.ndarray, group_had: np.ndarray) -> int:
    """Return the group with somebody left that has had least for its floor, or -1."""
    best, floors = -1, c.policy[P_FLOOR : P_FLOOR + places.shape[1]]
    for group in range(places.shape[1]):
        if places[1, group] == 0:
            continue
        if best < 0 or group_had[group] * floors[best] < group_had[best] * floors[group]:
            best = group
    return best


@inner
def may_go_on(c: Columns) -> np.ndarray:
    """Tell of each account whether its next loans may follow its last ones on the same devices.

    They need no cleaning then, which keeps devices at work; but nobody else's turn comes. So an
    account may, until it has had ``goes_on_s`` seconds of all that is lent more, by weight, than
    the one of its group that waits and has had least; and its group, by floors, than any other.
    """
    s, count, groups = c.scalars, c.scalars[S_ACCOUNTS], c.policy[P_GROUPS]
    may, least = np.ones(count, dtype=np.int64), np.full(groups, FOREVER_S, dtype=np.int64)
    for i in range(s[S_STANDING]):
        cohort = c.cohorts[c.standing[i]]
        if cohort[C_FLAGS] & MAY_BORROW:
            group = c.accounts[A_GROUP, cohort[C_OWNER]]
            least[group] = min(least[group], fair_charge(c, cohort[C_OWNER]))
    group_had = np.zeros(groups, dtype=np.int64)
    for owner in range(count):
        group_had[c.accounts[A_GROUP, owner]] += had(c, owner)
    group_least = FOREVER_S
    for group in range(groups):
        group_had[group] //= c.policy[P_FLOOR + group]
        if least[group] < FOREVER_S:
            group_least = min(group_least, group_had[group])
    lent = s[S_KIND + LOAN] + s[S_KIND + SCAVENGE] + s[S_KIND + IDLE] + s[S_KIND + DRAINING]
    more = lent * c.policy[P_GOES_ON_S]
    for owner in range(count):
        group, weight = c.accounts[A_GROUP, owner], c.accounts[A_WEIGHT, owner]
        is_ahead = fair_charge(c, owner) - least[group] > more // weight
        group_ahead = group_had[group] - group_least
        may[owner] = 0 if is_ahead or group_ahead > more // c.policy[P_FLOOR + group] else 1
    return may
