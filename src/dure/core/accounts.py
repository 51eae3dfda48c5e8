"""Time passes: every GPU-second is booked to a kind, every account's use and credit grow."""

import numpy as np

from dure.core.alarms import pop_alarms
from dure.core.breaker import ease_breaker
from dure.core.columns import *
from dure.core.columns import Columns
from dure.core.hazard import release
from dure.core.kernel import inner, kernel
from dure.core.keys import lose_patience
from dure.core.rights import count_rights

DECAY_PARTS = 10_000


@inner
def _idle_of(rights: IntArray, account: int, kind: int) -> int:
    """Return the milli-GPU of a type that an account is entitled to and does not use itself."""
    return int(max(0, rights[E_ENTITLED, account, kind] - rights[E_OWN, account, kind]))


@inner
def _book_accounts(c: Columns, passed_s: int) -> None:
    """Charge borrowers and credit lenders for ``passed_s`` seconds, in exchange units (Karma:
    lending earns, borrowing spends; what is lent of a type is shared among its lenders in
    proportion to what each leaves idle of it).
    """
    s, accounts, rights, types = c.scalars, c.accounts, c.rights, c.types
    if s[S_LENT] == 0:
        return
    idle_all = np.zeros(rights.shape[2], dtype=np.int64)
    for a in range(s[S_ACCOUNTS]):
        if accounts[A_KIND, a] != ACCOUNT_POOL:
            for t in range(rights.shape[2]):
                idle_all[t] += _idle_of(rights, a, t)
    for a in range(s[S_ACCOUNTS]):
        if accounts[A_KIND, a] == ACCOUNT_POOL:
            continue
        earned = 0
        for t in range(rights.shape[2]):
            lent = min(types[T_LENT, t], idle_all[t])
            if lent > 0:
                part = _idle_of(rights, a, t) * lent // idle_all[t]
                earned += part * types[T_EXCHANGE, t] // WHOLE
        accounts[A_TODAY, a] += accounts[A_OWES, a] * passed_s
        accounts[A_CREDIT, a] += (earned - accounts[A_OWES, a]) * passed_s


@inner
def _end_day(c: Columns) -> None:
    """Fold today's use into the decayed use: old use counts half after the half-life."""
    accounts, decay = c.accounts, c.policy[P_DECAY]
    for a in range(c.scalars[S_ACCOUNTS]):
        accounts[A_DECAYED, a] = (
            accounts[A_DECAYED, a] // DECAY_PARTS * decay + accounts[A_TODAY, a]
        )
        accounts[A_TODAY, a] = 0
        accounts[A_CREDIT, a] = accounts[A_CREDIT, a] // DECAY_PARTS * decay


@inner
def _book(c: Columns, passed_s: int) -> None:
    s = c.scalars
    for kind in range(7):
        s[S_SUM + kind] += s[S_KIND + kind] * passed_s
    s[S_BESIDE_SUM] += s[S_BESIDE] * passed_s
    s[S_RESERVED_BESIDE_SUM] += s[S_RESERVED_BESIDE] * passed_s
    _book_accounts(c, passed_s)


@kernel
def advance(c: Columns, now_s: int) -> None:
    """Let the pool's clock reach ``now_s``; a clock that went back counts as standing still."""
    s, day_s = c.scalars, c.policy[P_DAY_S]
    if s[S_NOW] < 0:
        s[S_NOW], s[S_STARTED_AT], s[S_DAY] = now_s, now_s, now_s // day_s
    if now_s > s[S_NOW]:
        s[S_EARLIER] = s[S_NOW]
    while now_s // day_s > s[S_DAY]:
        day_end_s = (s[S_DAY] + 1) * day_s
        _book(c, day_end_s - s[S_NOW])
        s[S_NOW] = day_end_s
        s[S_DAY] += 1
        _end_day(c)
    if now_s > s[S_NOW]:
        _book(c, now_s - s[S_NOW])
        s[S_NOW] = now_s


@inner
def take_due(c: Columns) -> None:
    """Take out the alarms that are due, before a plan decides and before a fold applies
    decisions.
    """
    s = c.scalars
    pop_alarms(c, s[S_NOW])
    rights = False
    for i in range(s[S_DUE]):
        if c.due[i, 1] == ALARM_RIGHTS:
            rights = True
        elif c.due[i, 1] == ALARM_RETRY:
            s[S_FREED] |= FREED_RIGHTS
        elif c.due[i, 1] == ALARM_PROBATION:
            release(c, c.due[i, 2])
        elif c.due[i, 1] == ALARM_BREAKER:
            ease_breaker(c, c.due[i, 2])
    if rights:
        count_rights(c, s[S_NOW])
    lose_patience(c)
