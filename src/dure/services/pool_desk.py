"""Desks of pools: look at the newest view; where people work, submit, cancel and read along."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

import msgspec

from dure.core.columns import CORDONERS, OF_OPERATOR, OF_PROVIDER
from dure.core.errors import InputError
from dure.core.events import Event
from dure.core.events.work import JobCancelRequested, JobRequested, NodeDrained, NodeResumed
from dure.core.site_words import NoLine
from dure.services.access import Actor, Role, require
from dure.services.asked import Demand, jobs_in, request_text
from dure.services.book import Book
from dure.services.desks import (
    CancelAnswer,
    DrainAnswer,
    Output,
    Refused,
    Submission,
    Submitted,
    WorkForm,
)
from dure.services.ports import Clock, Line, Lines
from dure.services.programme_views import FieldProblem
from dure.services.publishing import Publisher
from dure.services.requests import JobRequest, checked, parse_job_yaml, parse_sbatch
from dure.services.views import Numbers, PoolView, closers

OUTPUT_BYTES_MAX = 65_536
# What may wait in one pool at a time, so that a script gone wild fills no ledger.
WAITING_MAX = 100_000
TEXT_LENGTH_MAX = 524_288
STREAMS = ("out", "err")
ENDED = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "REFUSED")
STANDING = ("RUNNING", "STOPPING")
# Beyond the end of anything that a job prints.
_BEHIND = 1 << 60


class Printed(Protocol):
    """Where a backend keeps what attempts print."""

    def output(
        self, job: str, attempt: int, *, stream: str = "out", from_byte: int = 0
    ) -> tuple[bytes, int]:
        """Return some bytes from a place on, and the place after them."""
        ...


class WatchedPool:
    """A pool that people look at; its jobs are its own people's (an imagined one)."""

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher

    def view(self) -> PoolView:
        return self._publisher.view()

    def takes_jobs(self) -> bool:
        return False

    def submit(self, submission: Submission, *, by: Actor) -> Submitted | Refused:
        return _refused("PoolTakesNoJobs")

    def elements(self, job: str) -> tuple[str, ...]:
        return ()

    def cancel(self, job: str, *, by: Actor) -> CancelAnswer:
        return CancelAnswer.NOT_FOUND

    def drain(self, node: str, *, reason: str, by: Actor) -> DrainAnswer:
        return DrainAnswer.NOT_FOUND

    def resume(self, node: str, *, by: Actor) -> DrainAnswer:
        return DrainAnswer.NOT_FOUND

    def output(self, job: str, *, offset: int) -> Output | None:
        return None

    def has_sessions(self) -> bool:
        return False

    def line(self, job: str) -> Line | NoLine | None:
        return None


class WorkingPool:
    """A pool that runs people's jobs.

    Args:
        book: its ledger as people write to it; ``demand`` is one of its views.
        printed: where output is kept.
        wake: tells the engine that there is something to read.
        awaits_acceptance: tells of a node that was delivered and not accepted; only the acceptance
            opens it.
        lines: ways to interactive sessions; None where these cannot be reached.
    """

    def __init__(
        self,
        publisher: Publisher,
        book: Book,
        demand: Demand,
        clock: Clock,
        printed: Printed,
        wake: Callable[[], None],
        awaits_acceptance: Callable[[str], bool] = lambda _: False,
        lines: Lines | None = None,
    ) -> None:
        self._lines = lines
        self._awaits_acceptance = awaits_acceptance
        self._publisher, self._book, self._demand = publisher, book, demand
        self._clock, self._printed, self._wake = clock, printed, wake

    def view(self) -> PoolView:
        return self._publisher.view()

    def takes_jobs(self) -> bool:
        return True

    def submit(self, submission: Submission, *, by: Actor) -> Submitted | Refused:
        """Take a job; it is durable when this returns."""
        request = _parsed(submission)
        project = submission.project or request.project
        require(by, "job.submit", owner=project or by.user)
        if submission.project and request.project not in ("", submission.project):
            names = {"project": submission.project, "other": request.project}
            return _refused("ProjectsDiffer", field="project", numbers=names)
        if request.workdir and not request.workdir_sha256:
            return _refused(
                "WorkdirIsNotSent", field="workdir", numbers={"workdir": request.workdir}
            )
        if request.interactive and self._lines is None:
            return _refused("PoolHasNoSessions", field="interactive")
        arrival = JobRequested(
            at_s=self._clock.now_s(),
            by=by.user,
            job="",
            project=project,
            request=request_text(request),
            key=submission.key,
            provider="" if project else by.provider,
        )
        answer = self._book.decide(lambda before: self._take(arrival, request, before))
        self._wake()
        if isinstance(answer, Refused):
            return answer
        return replace(answer, jobs=self._demand.jobs_of(answer.job))

    def _take(
        self, arrival: JobRequested, request: JobRequest, before: Sequence[Event]
    ) -> tuple[Sequence[Event], Submitted | Refused]:
        """Give a job its number, after those that came before it in the same moment."""
        known = self._demand.job_of_key.get((arrival.by, arrival.key)) if arrival.key else None
        if known is not None:
            return (), self._again(known, request, arrival.project)
        number = len(self._demand.jobs) + 1
        for one in before:
            if not isinstance(one, JobRequested):
                continue
            number += jobs_in(one)
            if arrival.key and (one.by, one.key) == (arrival.by, arrival.key):
                is_same = (one.request, one.project) == (arrival.request, arrival.project)
                repeat = Submitted(one.job, (), is_repeat=True)
                return (), repeat if is_same else _refused("KeyIsUsed", numbers={"job": one.job})
        refusal = self._refusal(request)
        if refusal is not None:
            return (), refusal
        job = f"{self._publisher.title.name}-{number}"
        return [msgspec.structs.replace(arrival, job=job)], Submitted(job, ())

    def elements(self, job: str) -> tuple[str, ...]:
        return self._demand.elements.get(job, ())

    def cancel(self, job: str, *, by: Actor) -> CancelAnswer:
        """Ask that a job end; asking twice changes nothing."""
        with self._book.lock:
            self._book.catch_up()
            story = self.view().story(job)
            if story is None or job not in self._demand.jobs:
                return CancelAnswer.NOT_FOUND
            if story.row.state in ENDED:
                return CancelAnswer.ALREADY_ENDED
            if job not in self._demand.cancelled:
                self._book.append(
                    [JobCancelRequested(at_s=self._clock.now_s(), by=by.user, job=job)]
                )
        self._wake()
        waits = story.row.state == "PENDING"
        return CancelAnswer.CANCELLED if waits else CancelAnswer.STOPPING

    def drain(self, node: str, *, reason: str, by: Actor) -> DrainAnswer:
        """Close a node to new work; asking twice changes nothing."""
        place = self._place_of(node, by)
        if place is None:
            return DrainAnswer.NOT_FOUND
        who = _side_of(by)
        self._write(
            NodeDrained(at_s=self._clock.now_s(), by=by.user, node=node, who=who, reason=reason)
        )
        return DrainAnswer.CLOSED

    def resume(self, node: str, *, by: Actor) -> DrainAnswer:
        """Lift what the asker's side had asked for; say whether others still keep it closed."""
        place = self._place_of(node, by)
        if place is None:
            return DrainAnswer.NOT_FOUND
        if self._awaits_acceptance(node):
            return DrainAnswer.STILL_CLOSED
        who = _side_of(by)
        others = set(closers(int(self.view().closed_by[place]))) - {who}
        self._write(NodeResumed(at_s=self._clock.now_s(), by=by.user, node=node, who=who))
        return DrainAnswer.STILL_CLOSED if others else DrainAnswer.OPENED

    def _place_of(self, node: str, by: Actor) -> int | None:
        """Return a node's place in the view. Raises Forbidden unless the actor may drain it."""
        nodes = self.view().nodes
        if node not in nodes.ids:
            return None
        place = nodes.ids.index(node)
        require(by, "node.drain", owner=nodes.providers[nodes.provider[place]])
        return place

    def _write(self, event: Event) -> None:
        self._book.decide(lambda _: ([event], None))
        self._wake()

    def output(self, job: str, *, offset: int) -> Output | None:
        """Return a part of what all attempts printed, one after the other.

        Of each attempt comes its standard output, and once it is over its standard error.

        Args:
            offset: first byte; negative counts from the end.
        """
        story = self.view().story(job)
        if story is None or job not in self._demand.jobs:
            return None
        last = max((one.attempt for one in story.attempts), default=0)
        is_over = story.row.state in ENDED
        return Printout(self._printed, job, last, is_over=is_over).part(offset)

    def has_sessions(self) -> bool:
        return self._lines is not None

    def line(self, job: str) -> Line | NoLine | None:
        """Return a stream to a session that runs, None if there is none (yet)."""
        story = self.view().story(job)
        if self._lines is None or story is None or story.row.state not in STANDING:
            return None
        attempt = max((one.attempt for one in story.attempts), default=0)
        return self._lines.reach(job, attempt) if attempt else None

    def _again(self, job: str, request: JobRequest, project: str) -> Submitted | Refused:
        jobs = self._demand.jobs_of(job)
        asked = self._demand.jobs[jobs[0]]
        if asked.request != request or asked.project != project:
            return _refused("KeyIsUsed", numbers={"job": job})
        return Submitted(job, jobs, is_repeat=True)

    def _refusal(self, request: JobRequest) -> Refused | None:
        for name in ("after", "after_any", "after_start"):
            for job in getattr(request, name):
                if job not in self._demand.jobs and job not in self._demand.elements:
                    return _refused("AfterIsUnknown", field=name, numbers={"job": job})
        if self.view().waiting_jobs >= WAITING_MAX:
            return _refused("QueueIsFull", numbers={"jobs": WAITING_MAX})
        return None


class Printout:
    """Everything that a job printed, as one growing text: what was read once never changes."""

    def __init__(self, printed: Printed, job: str, attempts: int, *, is_over: bool) -> None:
        self._printed, self._job, self._is_over = printed, job, is_over
        # Standard error of an attempt is put after its output, so it must not come before the end.
        self._parts = [
            (attempt, stream)
            for attempt in range(1, attempts + 1)
            for stream in STREAMS
            if stream == "out" or attempt < attempts or is_over
        ]

    def part(self, offset: int) -> Output:
        """Return up to ``OUTPUT_BYTES_MAX`` bytes from ``offset`` on, never half a letter."""
        sizes = [self._read(*part, _BEHIND)[1] for part in self._parts]
        total = sum(sizes)
        begin = min(offset, total) if offset >= 0 else max(0, total + offset)
        content, passed = b"", 0
        for part, size in zip(self._parts, sizes, strict=True):
            skip = begin + len(content) - passed
            if 0 <= skip < size and len(content) < OUTPUT_BYTES_MAX:
                content += self._read(*part, skip)[0][: size - skip]
            passed += size
        content = content[:OUTPUT_BYTES_MAX]
        is_end = begin + len(content) >= total
        if not is_end or not self._is_over:
            content = _whole_letters(content)
        end = begin + len(content)
        return Output(content.decode(errors="replace"), begin, end, is_end and self._is_over)

    def _read(self, attempt: int, stream: str, from_byte: int) -> tuple[bytes, int]:
        return self._printed.output(self._job, attempt, stream=stream, from_byte=from_byte)


def _whole_letters(content: bytes) -> bytes:
    """Leave out the beginning of a letter whose rest has not come yet (UTF-8, at most 3 bytes)."""
    for back in range(1, min(4, len(content)) + 1):
        byte = content[-back]
        if byte & 0xC0 != 0x80:
            wanted = 4 if byte >= 0xF0 else 3 if byte >= 0xE0 else 2 if byte >= 0xC0 else 1
            return content[:-back] if wanted > back and len(content) > back else content
    return content


def _side_of(by: Actor) -> str:
    """Return in whose name a person closes nodes: a provider's, or the agency's."""
    is_office = bool(by.roles & {Role.OPERATOR, Role.ADMIN})
    return CORDONERS[OF_OPERATOR if is_office else OF_PROVIDER]


def _parsed(submission: Submission) -> JobRequest:
    """Read the text. Raises InputError by line and field."""
    if len(submission.text) > TEXT_LENGTH_MAX:
        raise InputError(
            "job",
            found=f"{len(submission.text)} characters",
            expected=f"at most {TEXT_LENGTH_MAX}",
            next_step="Keep data in files and name them in the script.",
        )
    read = parse_job_yaml if submission.form is WorkForm.YAML else parse_sbatch
    request = read(submission.text, "job")
    sent = {"submit_dir": submission.submit_dir, "workdir_sha256": submission.workdir_sha256}
    given = {name: text for name, text in sent.items() if text}
    request = msgspec.structs.replace(request, **given)
    return checked(request, lambda name: f"job {name}")


def _refused(code: str, *, field: str = "", numbers: Numbers | None = None) -> Refused:
    return Refused((FieldProblem(field, code, numbers or {}),))
