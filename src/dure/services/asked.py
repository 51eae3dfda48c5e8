"""What people asked of a pool's jobs, and which allocations it knows: named events, folded."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import msgspec

from dure.core.errors import InputError
from dure.core.events import Event
from dure.core.events.programme import (
    AllocationChanged,
    AllocationEnded,
    AllocationGranted,
    ApplicationSubmitted,
)
from dure.core.events.work import JobCancelRequested, JobRequested
from dure.core.orders import NO_RECIPE, ArrayPlace, Recipe
from dure.services.requests import JobRequest, parse_job_json
from dure.services.requests.arrays import array_indices

Decode = Callable[[bytes], Sequence[Event]]


@dataclass(frozen=True, slots=True)
class Asked:
    """One job as it was handed in. ``request`` is None if it cannot be read any more."""

    job: str
    user: str
    project: str
    provider: str
    at_s: int
    key: str
    request: JobRequest | None
    array: ArrayPlace | None = None

    def recipe(self) -> Recipe:
        """Return what an attempt of it runs; nothing if its request cannot be read any more."""
        return self.request.recipe(self.array) if self.request else NO_RECIPE


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
        self.job_of_key: dict[tuple[str, str], str] = {}
        self.cancelled: set[str] = set()
        self.rights: dict[str, Right] = {}
        self.groups: dict[str, str] = {}  # of a project

    def fold(self, event: Event) -> None:
        """Take in one event; those of others are passed over."""
        match event:
            case JobRequested():
                self._requested(event)
            case JobCancelRequested():
                self.cancelled.add(event.job)
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
        try:
            request = parse_job_json(event.request, f"job {event.job}")
        except InputError:
            # Written by a version that knew other fields; the engine refuses it by name.
            request = None
        whole = Asked(
            event.job, event.by, event.project, event.provider, event.at_s, event.key, request
        )
        if request is not None and request.array:
            elements = {one.job: one for one in _elements(whole, request.array)}
            self.elements[event.job] = tuple(elements)
            self.jobs |= elements
        else:
            self.jobs[event.job] = whole
        if event.key:
            self.job_of_key[event.by, event.key] = event.job


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


def request_text(request: JobRequest) -> str:
    """Return a request as the event keeps it."""
    return msgspec.json.encode(request).decode()
