"""Reclaims as rows, and how long returns took, followed from the ledger."""

from collections import deque
from dataclasses import dataclass
from typing import NamedTuple

import msgspec
import numpy as np

from dure.core import columns as col
from dure.core.state import CycleRecord, State
from dure.services.standing import Follower
from dure.services.views import NEVER_S, Lending, ReclaimRow

ROWS_MAX = 5_000
# The promise: never later than this after the moment it is due.
LATE_S = 30
# Returns that the quantiles are taken over: the latest so many.
TIMES_MAX = 100_000


@dataclass(slots=True)
class Reclaim:
    """One notice to one borrower, by job numbers; moments are ``NEVER_S`` until they happen."""

    lender: str
    claimant: int
    borrower: int
    gpus: int
    asked_at_s: int
    due_at_s: int
    stop_at_s: int
    vacated_at_s: int = NEVER_S
    started_at_s: int = NEVER_S
    outcome: str = "open"


class _Memory(NamedTuple):
    """``hidden`` are open and older than the rows that are shown."""

    hidden: list[Reclaim]
    rows: list[Reclaim]
    counts: dict[str, int]
    late: int
    took_s: list[int]


class Returns(Follower):
    """Every reclaim of late, and the figures of all."""

    def reset(self) -> None:
        self._rows: deque[Reclaim] = deque(maxlen=ROWS_MAX)
        self._of_borrower: dict[int, list[Reclaim]] = {}
        self._of_claimant: dict[int, list[Reclaim]] = {}
        self._counts = {"open": 0, "returned": 0, "withdrawn": 0, "fault": 0}
        self._late = 0
        self._took_s: deque[int] = deque(maxlen=TIMES_MAX)
        self._figures: tuple[int, int, int, int] = (0, 0, 0, 0)

    def follow(self, state: State, record: CycleRecord) -> None:
        for facts in (record.observed, record.decided):
            # Most cycles have nothing for us, and a twin has millions of them.
            if len(facts) and (self._of_claimant or (facts[:, 0] == col.K_NOTICED).any()):
                self._take_in(state, facts.tolist())

    def keep(self) -> bytes:
        known = {id(one) for one in self._rows}
        waiting = [one for group in self._of_claimant.values() for one in group]
        hidden = [one for one in waiting if id(one) not in known]
        memory = _Memory(hidden, list(self._rows), self._counts, self._late, list(self._took_s))
        return msgspec.msgpack.encode(memory)

    def begin_from(self, state: State, kept: bytes) -> None:
        memory = msgspec.msgpack.decode(kept, type=_Memory)
        self.begin_at(state)
        self.reset()
        self._rows.extend(memory.rows)
        self._counts, self._late = memory.counts, memory.late
        self._took_s.extend(memory.took_s)
        for one in (*memory.hidden, *memory.rows):
            if one.outcome == "open":
                self._of_borrower.setdefault(one.borrower, []).append(one)
                self._of_claimant.setdefault(one.claimant, []).append(one)

    def rows(self, state: State) -> list[ReclaimRow]:
        """Return the rows, newest first."""
        cleaning_s, names = state.policy.cleaning_s, state.job_names
        return [
            ReclaimRow(
                one.lender,
                names[one.claimant],
                names[one.borrower],
                one.gpus,
                one.asked_at_s,
                one.due_at_s,
                one.vacated_at_s,
                NEVER_S if one.vacated_at_s == NEVER_S else one.vacated_at_s + cleaning_s,
                one.started_at_s,
                one.outcome,
            )
            for one in reversed(self._rows)
        ]

    def open_of_borrower(self, job: int) -> Reclaim | None:
        """Return the reclaim that a borrower is under notice for."""
        return next((one for one in self._of_borrower.get(job, ()) if one.outcome == "open"), None)

    def expected_start_s(self, state: State, claimant: int) -> int:
        """Return when the last borrower will have left and its devices are clean."""
        left = [
            one.stop_at_s if one.vacated_at_s == NEVER_S else one.vacated_at_s
            for one in self._of_claimant.get(claimant, ())
        ]
        if not left:
            return NEVER_S
        return max(left) + state.policy.cleaning_s + state.policy.start_s

    def lending(self, state: State, *, loan_gpu_s: int, scavenge_gpu_s: int) -> Lending:
        count, p50, p99, most = self._figures
        if count != self._counts["returned"] and self._took_s:
            took = np.array(self._took_s)
            quantiles = np.quantile(took, (0.5, 0.99), method="nearest")
            p50, p99, most = int(quantiles[0]), int(quantiles[1]), int(took.max())
            self._figures = (self._counts["returned"], p50, p99, most)
        return Lending(
            state.policy.return_s,
            loan_gpu_s,
            scavenge_gpu_s,
            sum(self._counts.values()),
            self._counts["returned"],
            self._counts["withdrawn"],
            self._late,
            p50,
            p99,
            most,
        )

    def _take_in(self, state: State, facts: list[list[int]]) -> None:
        for kind, at_s, job, a, b, c, d, e in facts:
            # An own gang that is moved for a larger one returns nothing to a lender.
            if kind == col.K_NOTICED and c < 2:
                self._notice(state, Reclaim(_lender(state, a), a, job, d // col.WHOLE, at_s, e, b))
            elif kind in (col.K_STOPPED, col.K_ENDED):
                for one in self._of_borrower.get(job, ()):
                    if one.outcome == "open" and one.vacated_at_s == NEVER_S:
                        one.vacated_at_s = at_s
            elif kind == col.K_CLAIM_ENDED or (
                kind == col.K_CANCELLED and job in self._of_claimant
            ):
                outcome = a if kind == col.K_CLAIM_ENDED else col.CLAIM_CANCELLED
                for one in self._of_claimant.pop(job, ()):
                    self._settle(one, outcome, at_s)

    def _notice(self, state: State, one: Reclaim) -> None:
        self._rows.append(one)
        self._counts["open"] += 1
        self._of_borrower.setdefault(one.borrower, []).append(one)
        self._of_claimant.setdefault(one.claimant, []).append(one)

    def _settle(self, one: Reclaim, claim_outcome: int, at_s: int) -> None:
        if claim_outcome == col.CLAIM_FAULT:
            one.outcome = "fault"
        elif claim_outcome == col.CLAIM_CANCELLED or one.vacated_at_s == NEVER_S:
            # The claimant does not need these GPUs any more; whoever has not left stays.
            one.outcome = "withdrawn"
        else:
            one.outcome, one.started_at_s = "returned", at_s
            self._took_s.append(at_s - one.asked_at_s)
            self._late += at_s > one.due_at_s + LATE_S
        self._counts["open"] -= 1
        self._counts[one.outcome] += 1
        waiting = [other for other in self._of_borrower[one.borrower] if other is not one]
        if waiting:
            self._of_borrower[one.borrower] = waiting
        else:
            del self._of_borrower[one.borrower]


def _lender(state: State, claimant: int) -> str:
    """Return who calls back: the claimant's owner; "" is the pool as a whole."""
    return state.accounts[int(state.c.jobs[col.J_OWNER, claimant])].name
