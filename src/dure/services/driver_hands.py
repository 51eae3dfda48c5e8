"""A backend that really runs jobs, as the cycle sees it: facts become orders, receipts facts.

``look`` and ``settle`` speak to the backend and may take their time; ``observe``, ``acknowledge``
and ``carry_out`` belong to a cycle and only compute. Orders may be repeated: a backend knows an
attempt by its number. An attempt of the backend is a start; a gang that changes class while it
runs opens a new attempt in the engine's books and keeps its processes.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from dure.core import columns as col
from dure.core.columns import IntArray
from dure.core.errors import DriverError
from dure.core.orders import EXIT_SAVED, LOST_REASONS, NO_RECIPE, Receipt, StartOrder
from dure.core.plan import facts_of
from dure.core.state import CycleRecord, State
from dure.services.asked import Demand
from dure.services.node_watch import NodeWatch
from dure.services.ports import Driver
from dure.services.reading import is_leaving, stop_fact
from dure.services.standing import Standing

log = logging.getLogger("dure.hands")

# A backend that cannot start a job (its disk is full, say) is asked so often, then the job fails.
START_TRIES_MAX = 20
# A machine that lost a job (it was switched off, say) runs it again so often, then the job fails.
LOST_MAX = 3
CLEAN_TRIES_MAX = 50
Evidence = Callable[[Mapping[str, object]], None]
Key = tuple[str, int]


@dataclass(slots=True)
class _Orders:
    """What one or more cycles decided and the backend has not been told yet, in order."""

    starts: list[StartOrder] = field(default_factory=list)
    notices: list[tuple[str, int, int]] = field(default_factory=list)
    stops: list[Key] = field(default_factory=list)


class DriverHands:
    """Hands over a ``Driver`` port.

    Args:
        driver: the backend.
        demand: what each job runs.
        evidence: takes one line about each cleaning.
        pool: the pool's name, a part of every order's id.
        standing: of this pool; it must follow the pool's records.
    """

    def __init__(
        self,
        driver: Driver,
        demand: Demand,
        evidence: Evidence,
        *,
        pool: str,
        standing: Standing | None = None,
    ) -> None:
        self._driver, self._demand, self._evidence, self._pool = driver, demand, evidence, pool
        self.standing = standing or Standing()
        self._watch = NodeWatch(self.standing)
        self._orders = _Orders()
        self._news: dict[Key, Receipt] = {}
        self._shown: list[Receipt] = []
        self._done: list[Receipt] = []
        self._start_tries: dict[Key, int] = {}
        self._clean_tries: dict[Key, int] = {}
        self._failed: dict[Key, str] = {}
        self._failed_shown: list[Key] = []

    @property
    def troubles(self) -> int:
        """How many attempts the backend could not start, or not clean up after, at first asking."""
        tries = [*list(self._start_tries.values()), *list(self._clean_tries.values())]
        return sum(one > 1 for one in tries)

    # --- outside a cycle -------------------------------------------------------------------

    def look(self) -> bool:
        """Ask the backend what ended, and clean up after it; True if a cycle has news to observe.

        An end is told only when nothing of the attempt is left, or its nodes are closed, so that
        its devices cannot be handed on uncleaned.
        """
        for receipt in self._driver.observe():
            key = (receipt.job, receipt.attempt)
            if key not in self._news and self._is_safe(key):
                self._news[key] = receipt
        # After the ends: a node that could not be cleaned after one of them is closed by now.
        self._watch.look(self._driver.nodes())
        return bool(self._news or self._failed)

    def has_unheard(self, state: State) -> bool:
        """Tell whether a cancellation must be said again, or nodes are not as the state has
        them.
        """
        return bool(self.standing.unheard(state) or self._watch.facts(state, 0))

    def settle(self) -> None:
        """Tell the backend what the last cycles decided; ``repeat`` tries again what fails."""
        done, self._done = self._done, []
        orders, self._orders = self._orders, _Orders()
        if done:
            self._driver.acknowledge(done)
        for order in orders.starts:
            self._start(order)
        for job, attempt, stop_by_s in orders.notices:
            self._driver.notify(job, attempt, stop_by_s=stop_by_s)
        for job, attempt in orders.stops:
            self._driver.stop(job, attempt)

    def repeat(self, state: State) -> None:
        """Order again everything that stands: after a start of ours, and now and then."""
        orders = self._orders
        for job in running_jobs(state):
            key = self._key(state, job)
            if key in self._news or key in self._failed or any(_key(r) == key for r in self._done):
                continue
            orders.starts.append(self._start_order(state, job, placed_now(state, job)))
            self._pass_on(state, job)

    def observe_past(self, state: State, until_s: int) -> tuple[int, IntArray] | None:
        """Return the oldest ends up to ``until_s`` as facts of their moment, None if none are left.

        They happened while nobody looked; the books must not count the time since as use.
        """
        known = {r.at_s for r in self._news.values() if state.now_s <= r.at_s <= until_s}
        if not known:
            return None
        at_s, self._failed_shown = min(known), []
        self._shown = [self._news[key] for key in sorted(self._news)]
        self._shown = [receipt for receipt in self._shown if receipt.at_s == at_s]
        rows = [row for receipt in self._shown for row in self._facts(state, receipt, at_s)]
        return at_s, facts_of(rows)

    # --- inside a cycle --------------------------------------------------------------------

    def observe(self, state: State, now_s: int) -> IntArray:
        """Return the ends and receipts that are not in the ledger yet, by job and attempt."""
        self._shown = [self._news[key] for key in sorted(self._news)]
        # Nodes first: one that is closed because of an end must not take work in the same cycle.
        rows = self._watch.facts(state, now_s)
        rows += [row for receipt in self._shown for row in self._facts(state, receipt, now_s)]
        self._failed_shown = sorted(self._failed)
        for name, attempt in self._failed_shown:
            reason = self._failed[name, attempt]
            log.error("job %s: attempt %d cannot be started: %s", name, attempt, reason)
            job = state.job_index[name]
            ended = (col.K_ENDED, now_s, job, self._attempt(state, job), col.FAILED, 1)
            rows.append((*ended, now_s, now_s))
        rows += [(col.K_CANCELLED, now_s, job) for job in self.standing.unheard(state)]
        return facts_of(rows)

    def acknowledge(self) -> None:
        """What ``observe`` returned is in the ledger now."""
        for receipt in self._shown:
            del self._news[_key(receipt)]
            self._start_tries.pop(_key(receipt), None)
            self._clean_tries.pop(_key(receipt), None)
        self._done += self._shown
        self._shown = []
        for key in self._failed_shown:
            del self._failed[key]
            self._start_tries.pop(key, None)
        self._failed_shown = []

    def carry_out(self, state: State, record: CycleRecord) -> None:
        """Turn a recorded plan into orders; ``settle`` sends them."""
        placed: dict[int, list[tuple[int, int]]] = {}
        told: dict[int, None] = {}
        for kind, _, job, a, b, *_ in record.decided.tolist():
            if kind == col.K_STARTED:
                placed[job] = []
            elif kind == col.K_PLACED:
                placed[job].append((a, b))
            elif kind in (col.K_NOTICED, col.K_RESIZE_DUE, col.K_STOP_ORDERED):
                told[job] = None
        for job, rows in placed.items():
            if is_running(state, job):
                self._orders.starts.append(self._start_order(state, job, rows))
        for job in told:
            if is_running(state, job):
                self._pass_on(state, job)

    def _pass_on(self, state: State, job: int) -> None:
        """Tell a borrower when to leave; stop whoever has to be stopped."""
        jobs, (name, attempt) = state.c.jobs, self._key(state, job)
        is_stopping = jobs[col.J_STATE, job] == col.STOPPING
        cancelled = jobs[col.J_STOP_CAUSE, job] == col.BY_CANCEL
        stop_at_s = int(jobs[col.J_STOP_AT, job])
        if not is_stopping and is_leaving(state, self._demand, job):
            stop_at_s = self._demand.leaving[name][1]
        if stop_at_s >= 0 and not cancelled:
            self._orders.notices.append((name, attempt, stop_at_s))
        if is_stopping:
            self._orders.stops.append((name, attempt))

    def _start_order(self, state: State, job: int, rows: Sequence[tuple[int, int]]) -> StartOrder:
        name, attempt = self._key(state, job)
        asked = self._demand.jobs.get(name)
        return StartOrder(
            action_id=f"{self._pool}:{name}~{attempt}",
            job=name,
            attempt=attempt,
            devices=devices_of(state, rows),
            gpu_milli=int(state.c.jobs[col.J_MILLI, job]),
            recipe=asked.recipe() if asked else NO_RECIPE,
            gang_class=col.KINDS[int(state.c.jobs[col.J_CLASS, job])],
        )

    def _key(self, state: State, job: int) -> Key:
        """Return the job's name and the attempt that its backend knows."""
        return state.job_names[job], self.standing.started_as(job)

    def _attempt(self, state: State, job: int) -> int:
        return int(state.c.jobs[col.J_ATTEMPT, job])

    def _start(self, order: StartOrder) -> None:
        key = (order.job, order.attempt)
        try:
            self._driver.start(order)
        except DriverError as wrong:
            tries = self._start_tries[key] = self._start_tries.get(key, 0) + 1
            log.warning("%s (try %d of %d)", wrong, tries, START_TRIES_MAX)
            if tries >= START_TRIES_MAX:
                self._failed[key] = str(wrong)

    def _is_safe(self, key: Key) -> bool:
        """Tell whether nobody can come upon what an attempt left."""
        try:
            found = dict(self._driver.clean(*key))
        except (DriverError, OSError) as wrong:
            found = {"job": key[0], "attempt": key[1], "is_clean": False, "wrong": str(wrong)}
        tries = self._clean_tries[key] = self._clean_tries.get(key, 0) + 1
        if found["is_clean"] or tries % CLEAN_TRIES_MAX == 1:
            self._evidence(found)
        if not found["is_clean"] and tries % CLEAN_TRIES_MAX == 1:
            log.error("job %s, attempt %d cannot be cleaned up yet: %s", *key, found)
        return bool(found["is_clean"] or found.get("withheld"))

    def _facts(self, state: State, receipt: Receipt, now_s: int) -> list[tuple[int, ...]]:
        """Translate a receipt; one of an attempt that does not run here any more says nothing.

        The last two numbers of an end are what its nodes measured, for who meters: from, to; the
        engine's own books do not look at them.
        """
        job = state.job_index.get(receipt.job)
        if job is None or not is_running(state, job):
            return []
        if self.standing.started_as(job) != receipt.attempt:
            return []
        attempt = self._attempt(state, job)
        measured = (receipt.began_at_s, receipt.at_s) if receipt.began_at_s else (0, 0)
        lost = receipt.reason in LOST_REASONS and self.standing.times_lost(job) < LOST_MAX
        if receipt.kind == "stopped" or receipt.exit_code == EXIT_SAVED or lost:
            left = (col.K_VACATED, now_s, job, attempt, int(receipt.saved), int(lost), *measured)
            if is_leaving(state, self._demand, job):
                # It saved and left before it was stopped; it has been lent out all the same.
                return [stop_fact(state, job, now_s), left]
            return [left]
        fine = receipt.kind == "ended" and receipt.exit_code == 0
        end = col.COMPLETED if fine else col.FAILED
        return [(col.K_ENDED, now_s, job, attempt, end, receipt.exit_code, *measured)]


def _key(receipt: Receipt) -> Key:
    return receipt.job, receipt.attempt


def is_running(state: State, job: int) -> bool:
    """Tell whether a job stands on devices."""
    return int(state.c.jobs[col.J_STATE, job]) in (col.RUNNING, col.STOPPING)


def running_jobs(state: State) -> list[int]:
    """Return the jobs that stand on devices, in the order of their submission."""
    running = state.c.running[: state.c.scalars[col.S_RUNNING]].tolist()
    return sorted(running)


def placed_now(state: State, job: int) -> list[tuple[int, int]]:
    """Return (node, device mask) for each row on which a job stands, by node."""
    rows, found = state.c.rows, []
    row = int(state.c.jobs[col.J_ROWS, job])
    while row >= 0:
        found.append((int(rows[col.R_NODE, row]), int(rows[col.R_MASK, row])))
        row = int(rows[col.R_NEXT_OF_JOB, row])
    return sorted(found)


def devices_of(state: State, rows: Sequence[tuple[int, int]]) -> tuple[tuple[str, int], ...]:
    """Spell out masks: (node's name, device of the node), in order."""
    return tuple(
        (state.node_names[node], device)
        for node, mask in rows
        for device in range(mask.bit_length())
        if mask >> device & 1
    )
