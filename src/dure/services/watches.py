"""What follows from measuring, as a pool's listeners: sick nodes are closed, idle GPUs noticed."""

from collections.abc import Callable, Mapping, Sequence

import polars as pl

from dure.core.events import Event
from dure.core.events.idle import IdleStopped, IdleTaken
from dure.core.events.work import NodeDrained, NodeResumed
from dure.core.health import Health, HealthPolicy
from dure.core.health_rule import plan_health
from dure.core.idle_held import IdleCases, RunningJob, UnitUse, plan_idle
from dure.core.measured import HOST, Signal
from dure.reports.rollups import FIVE_MIN_S
from dure.services.book import Book
from dure.services.metering import Progress
from dure.services.ports import TelemetryStore
from dure.services.views import PoolView

# A period of five minutes is whole so long after its end.
SETTLED_S = 30
# What the engine should hear of at once.
_FOR_THE_ENGINE = (NodeDrained, NodeResumed, IdleTaken, IdleStopped)


class HealthWatch:
    """Closes nodes by the health rule, and opens tickets.

    Args:
        book: the pool's ledger as rules write to it; ``health`` is one of its views.
        wake: tells the engine that there is something to read.
    """

    def __init__(
        self,
        book: Book,
        health: Health,
        view: Callable[[], PoolView],
        wake: Callable[[], None],
        *,
        policy: HealthPolicy,
    ) -> None:
        self._book, self._health, self._view, self._wake = book, health, view, wake
        self._policy = policy

    def hear(self, progress: Progress, signals: Sequence[Signal], now_s: int) -> None:
        """Decide what follows from one reading of the meter."""
        with self._book.lock:
            self._book.catch_up()
            events = plan_health(
                self._health,
                signals,
                progress.heard_s,
                providers_of(self._view()),
                self._policy,
                upto_s=progress.upto_s,
                now_s=now_s,
            )
            self._book.append(events)
        _wake_for(events, self._wake)


class IdleWatch:
    """Notices GPUs that a running job holds idle, and takes them back in the end."""

    def __init__(
        self,
        book: Book,
        cases: IdleCases,
        store: TelemetryStore,
        view: Callable[[], PoolView],
        wake: Callable[[], None],
    ) -> None:
        self._book, self._cases, self._store = book, cases, store
        self._view, self._wake = view, wake
        self._window_to_s = 0
        self._uses: Mapping[str, Sequence[UnitUse]] = {}

    def hear(self, progress: Progress, signals: Sequence[Signal], now_s: int) -> None:
        """Look at each window that is whole; see to what is due at any time."""
        to_s = (min(progress.upto_s, now_s) - SETTLED_S) // FIVE_MIN_S * FIVE_MIN_S
        running = running_jobs(self._view())
        if to_s > self._window_to_s:
            self._uses = uses_of(self._store, self._cases, running, to_s)
            self._window_to_s = to_s
        with self._book.lock:
            self._book.catch_up()
            events = plan_idle(
                self._cases, running, self._uses, window_to_s=self._window_to_s, now_s=now_s
            )
            self._book.append(events)
        _wake_for(events, self._wake)


def providers_of(view: PoolView) -> dict[str, str]:
    """Return each node's provider."""
    nodes = view.nodes
    return {
        node: nodes.providers[provider]
        for node, provider in zip(nodes.ids, nodes.provider.tolist(), strict=True)
    }


def running_jobs(view: PoolView) -> dict[str, RunningJob]:
    """Return what stands on GPUs, by name."""
    found = {}
    for index, state in enumerate(view.jobs.state):
        if state == "RUNNING":
            row = view.jobs.row(index)
            found[row.job] = RunningJob(row.job, row.project, row.user, row.gpus, row.start_at_s)
    return found


def uses_of(
    store: TelemetryStore, cases: IdleCases, running: Mapping[str, RunningJob], to_s: int
) -> dict[str, list[UnitUse]]:
    """Return what each running job's GPUs were used at most over its project's window.

    A job on counted slots has no GPU that could be measured; its processes' time stands for it,
    spread over its slots.
    """
    windows = {job: cases.policy(one.project).window_s for job, one in running.items()}
    if not windows:
        return {}
    wanted = pl.DataFrame(
        {
            "job": list(windows),
            "begin_s": [to_s - window_s for window_s in windows.values()],
            "slots": [one.gpus for one in running.values()],
        }
    )
    rolled = store.rolled(to_s - max(windows.values()), to_s, length_s=FIVE_MIN_S)
    rows = rolled.join(wanted, on="job").filter(pl.col("from_s") >= pl.col("begin_s"))
    is_host = pl.col("device") == HOST
    has_gpus = (pl.col("busy_samples") > 0).any().over("job")
    by_time = pl.col("cpu_ms_sum") // pl.col("covers_s").clip(1) // pl.col("slots")
    rows = rows.with_columns(
        pl.when(is_host).then(by_time.clip(0, 1_000)).otherwise("busy_milli_max").alias("busy")
    ).filter(is_host != has_gpus, pl.col("busy").is_not_null())
    table = (
        rows.group_by("job", "node", "device")
        .agg(pl.col("busy").max(), pl.col("samples").sum(), pl.col("covers_s").sum())
        .sort("job", "node", "device")
    )
    found: dict[str, list[UnitUse]] = {}
    for job, node, device, busy, samples, covers_s in table.iter_rows():
        found.setdefault(job, []).append(UnitUse(node, device, busy, samples, covers_s))
    return found


def _wake_for(events: Sequence[Event], wake: Callable[[], None]) -> None:
    if any(isinstance(event, _FOR_THE_ENGINE) for event in events):
        wake()
