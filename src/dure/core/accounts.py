"""Time passes: every GPU-second is booked to a kind, every account's use and credit grow."""

from dure.core.breaker import ease_breaker
from dure.core.columns import *
from dure.core.columns import Columns
from dure.core.facts import count_rights
from dure.core.hazard import release
from dure.core.kernel import inner, kernel
from dure.core.moves import pop_alarms

DECAY_PARTS = 10_000


@inner
def _book_accounts(c: Columns, passed_s: int) -> None:
    """Charge borrowers and credit lenders for ``passed_s`` seconds (Karma: lending earns, borrowing
    spends; what is lent in all is shared among the lenders in proportion to what each leaves idle).
    """
    s, accounts, rights = c.scalars, c.accounts, c.rights
    if s[S_LENT] == 0:
        return
    idle_all = 0
    for a in range(s[S_ACCOUNTS]):
        if accounts[A_KIND, a] != ACCOUNT_POOL:
            for t in range(rights.shape[2]):
                idle_all += max(0, rights[E_ENTITLED, a, t] - rights[E_OWN, a, t])
    lent = min(s[S_LENT], idle_all)
    for a in range(s[S_ACCOUNTS]):
        if accounts[A_KIND, a] == ACCOUNT_POOL:
            continue
        borrowed = accounts[A_BORROWED, a]
        accounts[A_TODAY, a] += borrowed * passed_s
        earned = 0
        if lent > 0:
            idle = 0
            for t in range(rights.shape[2]):
                idle += max(0, rights[E_ENTITLED, a, t] - rights[E_OWN, a, t])
            earned = idle * lent // idle_all
        accounts[A_CREDIT, a] += (earned - borrowed) * passed_s


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
