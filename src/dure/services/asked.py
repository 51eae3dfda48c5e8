"""What people asked of a pool's jobs, and which allocations it knows: named events, folded."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import msgspec

from dure.core.errors import InputError
from dure.core.events import Event
from dure.core.events.idle import IdleTaken
from dure.core.events.programme import (
    AllocationChanged,
    AllocationEnded,
    AllocationGranted,
    ApplicationSubmitted,
)
from dure.core.events.work import JobCancelRequested, JobRequested
from dure.core.orders import NO_RECIPE, ArrayPlace, Recipe
from dure.services.conditions import Condition, Conditions
from dure.services.requests import JobRequest, parse_job_json
from dure.services.requests.arrays import array_indices, at_once

Decode = Callable[[bytes], Sequence[Event]]
# All that may wait at a time (``pool_desk.WAITING_MAX``): each view reads them.
READ_MAX = 100_000
# No request without these bytes has an array; that is seen without reading it.
ARRAY_MARK = '"array":'
# None without these comes after another, or is bounded.
AFTER_MARK, LIMIT_MARK = '"after', "%"


@dataclass(frozen=True, slots=True)
class Asked:
    """One job as it was handed in.

    Attributes:
        text: its request as JSON. Most jobs of a long ledger are over and are never asked for
            again, so it is read only when it is.
    """

    job: str
    user: str
    project: str
    provider: str
    at_s: int
    key: str
    text: str
    array: ArrayPlace | None = None

    @property
    def submission(self) -> str:
        """What brought it: its array, or itself."""
        return self.array.job if self.array else self.job

    @property
    def request(self) -> JobRequest | None:
        """The request; None if it cannot be read any more."""
        return _read(self.text)

    def recipe(self) -> Recipe:
        """Return what an attempt of it runs; nothing if its request cannot be read any more."""
        request = self.request
        if request is None:
            return NO_RECIPE
        sha256 = request.workdir_sha256
        workdir = f"{self.user}/{sha256}" if sha256 else ""
        return replace(request.recipe(self.array), project=self.project, workdir=workdir)


@lru_cache(maxsize=READ_MAX)
def _read(text: str) -> JobRequest | None:
    try:
        return parse_job_json(text, "job")
    except InputError:
        # Written by a version that knew other fields; the engine refuses it by name.
        return None


def array_of(text: str) -> str:
    """Return the indices of a request's job array as they were written, "" if it has none."""
    if ARRAY_MARK not in text:
        return ""
    request = _read(text)
    return request.array if request else ""


@dataclass(slots=True)
class Right:
    """An allocation with its newest size; its place in the list of all never changes."""

    allocation: str
    project: str
    accelerator: str
    gpus: int
    from_s: int
    to_s: int
    shape: str = ""


class Demand:
    """The requests and rights of one pool. Folding an event twice changes nothing.

    It is fed both by the book (people's threads) and by the engine's reading of the ledger, so
    that whoever comes first knows the job.
    """

    def __init__(self) -> None:
        self.jobs: dict[str, Asked] = {}
        self.elements: dict[str, tuple[str, ...]] = {}  # of a job array
        self.conditions: dict[str, Condition] = {}  # of a submission
        self.job_of_key: dict[tuple[str, str], str] = {}
        self.cancelled: set[str] = set()
        self.rights: dict[str, Right] = {}
        self.held = Conditions(self.conditions, self.cancelled)
        self.groups: dict[str, str] = {}  # of a project
        # Jobs told to leave the GPUs that they hold idle: (when told, by when).
        self.leaving: dict[str, tuple[int, int]] = {}

    def fold(self, event: Event) -> None:
        """Take in one event; those of others are passed over."""
        match event:
            case JobRequested():
                self._requested(event)
            case JobCancelRequested():
                self.cancelled.add(event.job)
            case IdleTaken():
                self.leaving[event.job] = (event.at_s, event.stop_by_s)
            case ApplicationSubmitted():
                self.groups[event.project] = event.group
            case AllocationGranted():
                if event.allocation not in self.rights:
                    self.rights[event.allocation] = Right(
                        event.allocation,
                        event.project,
                        event.accelerator,
                        event.gpus,
                        event.from_s,
                        event.to_s,
                        event.shape,
                    )
            case AllocationChanged():
                if event.allocation in self.rights:
                    self.rights[event.allocation].gpus = event.gpus
            case AllocationEnded():
                if event.allocation in self.rights:
                    self.rights[event.allocation].gpus = 0
            case _:
                pass

    def jobs_of(self, job: str) -> tuple[str, ...]:
        """Return the jobs that a submission brought: the elements of an array, or itself."""
        return self.elements.get(job, (job,))

    def reading(self, decode: Decode) -> Decode:
        """Return ``decode`` with a look of ours at every event that passes through it."""

        def read(payload: bytes) -> Sequence[Event]:
            events = decode(payload)
            for event in events:
                self.fold(event)
            return events

        return read

    def _requested(self, event: JobRequested) -> None:
        if event.job in self.jobs or event.job in self.elements:
            return
        whole = Asked(
            event.job,
            event.by,
            event.project,
            event.provider,
            event.at_s,
            event.key,
            event.request,
        )
        if array := array_of(event.request):
            elements = {one.job: one for one in _elements(whole, array)}
            self.elements[event.job] = tuple(elements)
            self.jobs |= elements
        else:
            self.jobs[event.job] = whole
        if AFTER_MARK in event.request or (array and LIMIT_MARK in array):
            self._bind(event.job, whole.request)
        if event.key:
            self.job_of_key[event.by, event.key] = event.job

    def _bind(self, job: str, request: JobRequest | None) -> None:
        """Note what a submission waits for, unless the engine knows how to by itself."""
        if request is None:
            return
        found = Condition(
            jobs=self.jobs_of(job),
            after=self._all_of(request.after),
            after_any=self._all_of(request.after_any),
            after_start=self._all_of(request.after_start),
            at_once=at_once(request.array),
        )
        is_after_one = len(found.after) <= 1 and found.after == request.after
        is_more = found.after_any or found.after_start or found.at_once
        if not is_after_one or is_more or any(map(self._is_bound, found.after)):
            self.conditions[job] = found

    def _all_of(self, names: Sequence[str]) -> tuple[str, ...]:
        """Return jobs, those of arrays one by one."""
        return tuple(one for name in names for one in self.jobs_of(name))

    def _is_bound(self, job: str) -> bool:
        """Tell whether a job may not be with the engine yet when one that follows it is."""
        return job in self.jobs and self.jobs[job].submission in self.conditions


def _elements(whole: Asked, array: str) -> list[Asked]:
    """Return the jobs of an array, by index."""
    indices = array_indices(array, f"job {whole.job}")
    return [
        replace(
            whole,
            job=f"{whole.job}_{index}",
            array=ArrayPlace(whole.job, index, len(indices), indices[0], indices[-1]),
        )
        for index in indices
    ]


def jobs_in(event: JobRequested) -> int:
    """Return how many jobs a submission brings: one, or the elements of its array."""
    array = array_of(event.request)
    return len(array_indices(array, f"job {event.job}")) if array else 1


def request_text(request: JobRequest) -> str:
    """Return a request as the event keeps it."""
    return msgspec.json.encode(request).decode()
