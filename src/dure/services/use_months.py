"""What projects and providers used, borrowed and lent by month, followed from the ledger."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import msgspec
import numpy as np

from dure.core import columns as col
from dure.core.calendar import month_of, month_window_s
from dure.core.columns import IntArray
from dure.core.state import CycleRecord, State
from dure.services.programme_views import MonthUse
from dure.services.standing import Follower
from dure.services.stories import Stay
from dure.services.views import NEVER_S

# Whose idle GPUs a loan stands on is a matter of proportion; a look an hour settles it.
LENT_STEP_S = 3_600
# Months of Korean civil time begin at full hours of UTC.
STEP_S = 3_600
Cell = tuple[str, str]
# The first three are the engine's kinds of use.
(_LENT, _LOST) = (col.SCAVENGE + 1, col.SCAVENGE + 2)


@dataclass(slots=True)
class _Right:
    """A size that an allocation had, from ``since_s`` until it was changed."""

    index: int
    account: int
    milli: int
    from_s: int
    to_s: int
    since_s: int
    until_s: int = col.FOREVER_S


class _Memory(NamedTuple):
    sums: list[tuple[str, str, list[int]]]
    rights: list[_Right]
    lent_at_s: int
    lent: list[int]
    at_providers: list[tuple[str, str, str, int]]


class UseMonths(Follower):
    """Sums by (month, who) in milli-GPU-seconds; who is a project, or a provider without one."""

    def reset(self) -> None:
        self._sums: dict[Cell, list[int]] = defaultdict(lambda: [0] * 5)
        self._at_providers: dict[tuple[str, str, str], int] = defaultdict(int)
        self._rights: list[_Right] = []
        self._lent_at_s = -1
        self._lent: IntArray = np.zeros(0, dtype=np.int64)

    def follow(self, state: State, record: CycleRecord) -> None:
        facts = record.observed
        if len(facts) and (facts[:, 0] == col.K_ALLOCATED).any():
            for kind, at_s, to_s, index, account, _, milli, from_s in facts.tolist():
                if kind == col.K_ALLOCATED:
                    self._allocate(_Right(index, account, milli, from_s, to_s, at_s))
        if state.now_s >= self._lent_at_s + LENT_STEP_S:
            self._book_lent(state)

    def keep(self) -> bytes:
        sums = [(month, who, amounts) for (month, who), amounts in self._sums.items()]
        return msgspec.msgpack.encode(
            _Memory(
                sums,
                self._rights,
                self._lent_at_s,
                self._lent.tolist(),
                [(*cell, amount) for cell, amount in self._at_providers.items()],
            )
        )

    def begin_from(self, state: State, kept: bytes) -> None:
        memory = msgspec.msgpack.decode(kept, type=_Memory)
        self.begin_at(state)
        self.reset()
        self._sums.update({(month, who): amounts for month, who, amounts in memory.sums})
        self._at_providers.update({cell[:3]: cell[3] for cell in memory.at_providers})
        self._rights, self._lent_at_s = memory.rights, memory.lent_at_s
        self._lent = np.array(memory.lent, dtype=np.int64)

    def closed(self, state: State, job: int, stay: Stay) -> None:
        """Book a stay that is over."""
        who = owner_name(state, job)
        if not who:
            return
        month = ""
        for month, seconds in months_between(stay.from_s, stay.to_s):
            for kind, milli in stay.by_kind():
                self._sums[month, who][kind] += milli * seconds
        for cell, amount in _at_providers(state, who, stay, stay.from_s, stay.to_s):
            self._at_providers[cell] += amount
        for from_s, to_s in stay.unmeasured():
            for cell, amount in _at_providers(state, who, stay, from_s, to_s):
                self._at_providers[cell] -= amount
        if stay.lost_milli_s and month:
            # What a stop lost is told in the month of the stop.
            self._sums[month, who][_LOST] += stay.lost_milli_s

    def rows(
        self, state: State, open_stays: Sequence[tuple[int, Stay]], now_s: int
    ) -> list[MonthUse]:
        """Return every month so far, what still runs included, by month, then who."""
        sums = {cell: list(amounts) for cell, amounts in list(self._sums.items())}
        for job, stay in open_stays:
            who = owner_name(state, job)
            for month, seconds in months_between(stay.from_s, now_s):
                for kind, milli in stay.by_kind() if who else ():
                    sums.setdefault((month, who), [0] * 5)[kind] += milli * seconds
        entitled = self._entitled(state, now_s)
        for cell in entitled:
            sums.setdefault(cell, [0] * 5)
        return [
            MonthUse(
                month,
                who,
                entitled.get((month, who), 0) // col.WHOLE,
                *(amount // col.WHOLE for amount in amounts),
            )
            for (month, who), amounts in sorted(sums.items())
        ]

    def at_provider(
        self,
        state: State,
        open_stays: Sequence[tuple[int, Stay]],
        now_s: int,
        *,
        month: str,
        provider: str,
    ) -> dict[str, int]:
        """Return the GPU-seconds used on a provider's nodes in a month, by who used them.

        It is what a provider counts: from the moment its nodes began an attempt to the moment they
        were done with it, by their receipts; from the order to now for what still runs.
        """
        sums = dict(self._at_providers)
        for job, stay in open_stays:
            if who := owner_name(state, job):
                for cell, amount in _at_providers(state, who, stay, stay.from_s, now_s):
                    sums[cell] = sums.get(cell, 0) + amount
        return {
            who: amount // col.WHOLE
            for (in_month, at, who), amount in sums.items()
            if (in_month, at) == (month, provider) and amount >= col.WHOLE
        }

    def _allocate(self, right: _Right) -> None:
        for other in self._rights:
            if other.index == right.index and other.until_s == col.FOREVER_S:
                other.until_s = right.since_s
        self._rights.append(right)

    def _entitled(self, state: State, now_s: int) -> dict[Cell, int]:
        found: dict[Cell, int] = defaultdict(int)
        for right in list(self._rights):
            from_s = max(right.from_s, right.since_s)
            to_s = min(right.to_s, right.until_s, now_s)
            who = state.accounts[right.account].name
            for month, seconds in months_between(from_s, to_s):
                found[month, who] += right.milli * seconds
        return found

    def _book_lent(self, state: State) -> None:
        """Share what is lent among those whose entitlement stands idle, in proportion."""
        now_s, before_s = state.now_s, self._lent_at_s
        if before_s >= 0 and self._lent.any():
            for month, seconds in months_between(before_s, now_s):
                for account in np.flatnonzero(self._lent).tolist():
                    who = state.accounts[account].name
                    self._sums[month, who][_LENT] += int(self._lent[account]) * seconds
        c, count = state.c, int(state.c.scalars[col.S_ACCOUNTS])
        idle = c.rights[col.E_ENTITLED, :count] - c.rights[col.E_OWN, :count]
        idle = np.maximum(idle, 0).sum(axis=1)
        idle[c.accounts[col.A_KIND, :count] == col.ACCOUNT_POOL] = 0
        total, lent = int(idle.sum()), int(c.scalars[col.S_LENT])
        self._lent = idle * min(lent, total) // total if total else np.zeros_like(idle)
        self._lent_at_s = now_s


def owner_name(state: State, job: int) -> str:
    """Return the project of a job, else the provider on whose capacity it runs, else ""."""
    jobs = state.c.jobs
    project = int(jobs[col.J_PROJECT, job])
    if project:
        return state.accounts[project].name
    owner = state.accounts[int(jobs[col.J_OWNER, job])]
    return owner.name if owner.kind == col.ACCOUNT_PROVIDER else ""


def _at_providers(
    state: State, who: str, stay: Stay, from_s: int, to_s: int
) -> Iterator[tuple[tuple[str, str, str], int]]:
    """Yield ((month, provider, who), milli-GPU-seconds) of a time on the nodes of a stay."""
    counts = Counter(state.pool.provider[node] for node in stay.nodes)
    for month, seconds in months_between(from_s, to_s):
        for provider, nodes in counts.items():
            yield (month, provider, who), stay.milli * seconds * nodes // len(stay.nodes)


def months_between(from_s: int, to_s: int) -> Iterator[tuple[str, int]]:
    """Yield (month, seconds of it) for an interval; nothing for an empty one."""
    while from_s < to_s and from_s != NEVER_S:
        month, month_to_s = _month_at(from_s // STEP_S)
        end_s = min(to_s, month_to_s)
        yield month, end_s - from_s
        from_s = end_s


@lru_cache(maxsize=4096)
def _month_at(step: int) -> tuple[str, int]:
    """Return the month of a moment, in steps that no month begins within, and its end."""
    month = month_of(step * STEP_S)
    return month, month_window_s(month)[1]
