"""What people asked of a pool's jobs, and which allocations it knows: named events, folded."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

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
from dure.services.requests import JobRequest, parse_job_json

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

    def reading(self, decode: Decode) -> Decode:
        """Return ``decode`` with a look of ours at every event that passes through it."""

        def read(payload: bytes) -> Sequence[Event]:
            events = decode(payload)
            for event in events:
                self.fold(event)
            return events

        return read

    def _requested(self, event: JobRequested) -> None:
        if event.job in self.jobs:
            return
        try:
            request = parse_job_json(event.request, f"job {event.job}")
        except InputError:
            # Written by a version that knew other fields; the engine refuses it by name.
            request = None
        self.jobs[event.job] = Asked(
            event.job,
            event.by,
            event.project,
            event.provider,
            event.at_s,
            event.key,
            request,
        )
        if event.key:
            self.job_of_key[event.by, event.key] = event.job


def request_text(request: JobRequest) -> str:
    """Return a request as the event keeps it."""
    return msgspec.json.encode(request).decode()
