"""What a submission waits for before the engine sees it: other jobs, and its own array's limit.

The engine itself knows "after one other job has completed". Everything beyond that (several jobs,
whole arrays, after any end, after the start, so many of an array at once) is kept here: such a job
stays among what was asked for, and is handed to the engine in the first cycle in which it may go.
That cycle's record lists it, so a replay needs to know nothing of conditions.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from dure.core import columns as col
from dure.core.state import State

# Where a job stands, by name: its state as the engine numbers it, NOT_YET if it has not seen it.
Standing = Callable[[str], int]
NOT_YET = -1


@dataclass(frozen=True, slots=True)
class Condition:
    """What the jobs of one submission wait for.

    Attributes:
        jobs: the submission's own: one, or the elements of an array by index.
        after: jobs that must have completed.
        after_any: that must be over, however they ended.
        after_start: that must have started, or be over.
        at_once: so many of ``jobs`` may be with the engine and not over; 0 for any number.
    """

    jobs: tuple[str, ...]
    after: tuple[str, ...] = ()
    after_any: tuple[str, ...] = ()
    after_start: tuple[str, ...] = ()
    at_once: int = 0

    def failed(self, standing: Standing) -> str | None:
        """Return a job that should have completed and never will, None if all still may."""
        return next((job for job in self.after if standing(job) > col.COMPLETED), None)

    def waits_for(self, standing: Standing) -> str | None:
        """Return the first job that is still to be waited for, None if there is none."""
        for jobs, least in (
            (self.after, col.COMPLETED),
            (self.after_any, col.COMPLETED),
            (self.after_start, col.RUNNING),
        ):
            for job in jobs:
                if standing(job) < least:
                    return job
        return None


class Opened(NamedTuple):
    """A job that goes to the engine now; ``after`` is the job that failed it, "" if none did."""

    job: str
    after: str


class Conditions:
    """All conditions of one pool's jobs, with a look at where those jobs stand.

    Args:
        found: every condition by submission; it grows as events are folded.
        cancelled: jobs that somebody asked to end; they go to the engine at once, to end there.
    """

    def __init__(self, found: Mapping[str, Condition], cancelled: set[str]) -> None:
        self._found, self._cancelled = found, cancelled
        self._state: State | None = None
        self._over: set[str] = set()

    def opened(self, state: State) -> list[Opened]:
        """Return the jobs that may go to the engine in this state, in the order they came."""
        if state is not self._state:
            # A state that was thrown away may have said of a job that it is over.
            self._state, self._over = state, set()
        standing = standing_in(state)
        opened: list[Opened] = []
        for name, condition in list(self._found.items()):
            if name not in self._over:
                opened += self._of(name, condition, standing)
        return opened

    def held(self, standing: Standing) -> Iterator[str]:
        """Yield the jobs that are not with the engine yet, in the order they came."""
        for name, condition in list(self._found.items()):
            if name not in self._over:
                yield from (job for job in condition.jobs if standing(job) == NOT_YET)

    def _of(self, name: str, condition: Condition, standing: Standing) -> Iterator[Opened]:
        stands = [standing(job) for job in condition.jobs]
        waiting = [job for job, at in zip(condition.jobs, stands, strict=True) if at == NOT_YET]
        if not waiting:
            if min(stands) >= col.COMPLETED:
                self._over.add(name)
            return
        gone = [job for job in waiting if job in self._cancelled]
        yield from (Opened(job, "") for job in gone)
        staying: Sequence[str] = [job for job in waiting if job not in self._cancelled]
        failed = condition.failed(standing)
        if failed is not None:
            # The engine refuses them, by the rule that it has for one.
            yield from (Opened(job, failed) for job in staying)
        elif condition.waits_for(standing) is None:
            busy = sum(NOT_YET < at < col.COMPLETED for at in stands)
            free = max(0, condition.at_once - busy) if condition.at_once else len(staying)
            yield from (Opened(job, "") for job in staying[:free])


def standing_in(state: State) -> Standing:
    """Return where jobs stand in a state."""
    states = state.c.jobs[col.J_STATE]

    def standing(job: str) -> int:
        column = state.job_index.get(job, -1)
        return int(states[column]) if column >= 0 else NOT_YET

    return standing
