"""What the programme's screens ask of the engine: what projects run now and used by month."""

from collections import defaultdict
from collections.abc import Sequence
from threading import Lock

from dure.services.programme_views import MonthUse
from dure.services.publishing import Publisher


class PoolUse:
    """Answers ``programme_screen.UseSource`` from a pool's newest view; worked out once a view."""

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher
        self._lock = Lock()
        self._now_of, self._months_of = -1, -1
        self._now: dict[str, tuple[int, int]] = {}
        self._months: Sequence[MonthUse] = ()

    def now(self, project: str) -> tuple[int, int]:
        """Return (GPUs running, jobs waiting) of a project."""
        view = self._publisher.view()
        with self._lock:
            if view.seq != self._now_of:
                found: dict[str, list[int]] = defaultdict(lambda: [0, 0])
                columns = zip(view.jobs.project, view.jobs.state, strict=True)
                for place, (name, state) in enumerate(columns):
                    if name and state == "PENDING":
                        found[name][1] += 1
                    elif name and state in ("RUNNING", "STOPPING"):
                        found[name][0] += view.jobs.row(place).gpus
                self._now = {name: (gpus, jobs) for name, (gpus, jobs) in found.items()}
                self._now_of = view.seq
            return self._now.get(project, (0, 0))

    def months(self) -> Sequence[MonthUse]:
        """Return the use of every month so far, a row a project and a row a provider."""
        view = self._publisher.view()
        with self._lock:
            if view.seq != self._months_of:
                self._months, self._months_of = self._publisher.months(), view.seq
            return self._months
