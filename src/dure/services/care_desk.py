"""The desk beside a pool: what is measured there, sick nodes, GPUs held idle."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from dure.core.errors import PolicyError
from dure.core.events.idle import Answer, IdleAnswered, IdleRuleSet
from dure.core.events.programme import UseDiffers
from dure.core.health import CLOSED, OPEN, PROBATION, Health, HealthPolicy, Ticket
from dure.core.health import released as release_events
from dure.core.health import repaired as repair_events
from dure.core.idle_held import (
    OVER,
    AnswerRefusal,
    Case,
    IdleCases,
    IdlePolicy,
    answer_case,
)
from dure.core.two_sided import Compared, compare_books
from dure.core.xids import Action
from dure.services.access import Actor, may, may_any, require
from dure.services.book import Book
from dure.services.measured_use import JobUse, job_use, measured_by_owner
from dure.services.metering import Metering
from dure.services.ports import Clock
from dure.services.views import PoolView

# What a provider may say that it did.
DONE = tuple(one.value for one in Action if one not in (Action.IGNORE, Action.RESTART_APP))
NOTE_LENGTH_MAX = 2_000


class CareAnswer(Enum):
    """What became of a wish. The values are stable."""

    DONE = "done"
    NOT_FOUND = "not_found"
    NOT_OPEN = "not_open"


@dataclass(frozen=True, slots=True)
class MeterFigures:
    """How measuring goes, for ``/metrics``."""

    samples: int
    lag_s: int
    troubles: int
    lost: int
    torn: int
    set_aside: Mapping[str, int]
    tickets: Mapping[str, int]
    idle_cases: Mapping[str, int]


class CareDesk:
    """Answers for one pool; every reading shows what the actor may see.

    Args:
        book: ``health`` and ``cases`` are views of it.
        wake: tells the engine that there is something to read.
        used_at: GPU-seconds by project, of a provider and a month.
    """

    def __init__(
        self,
        metering: Metering,
        book: Book,
        health: Health,
        cases: IdleCases,
        view: Callable[[], PoolView],
        clock: Clock,
        wake: Callable[[], None],
        used_at: Callable[[str, str], Mapping[str, int]],
        *,
        policy: HealthPolicy,
    ) -> None:
        self._used_at = used_at
        self._metering, self._book, self._health, self._cases = metering, book, health, cases
        self._view, self._clock, self._wake, self._policy = view, clock, wake, policy

    def tickets(self, *, by: Actor) -> Sequence[Ticket]:
        """Return the tickets that the actor may see, those that need somebody first."""
        seen = [
            one
            for one in self._health.tickets.values()
            if may(by, "ticket.read", owner=one.provider)
        ]
        return sorted(seen, key=lambda one: (one.state == CLOSED, -one.opened_at_s, one.ticket))

    def tripped(self) -> Sequence[str]:
        """Return the providers whose breaker a person must reset."""
        return sorted(self._health.tripped)

    def repair(self, ticket: str, *, done: str, note: str, by: Actor) -> CareAnswer:
        """Take a provider's word that a node is repaired; it works again, on probation."""
        with self._book.lock:
            self._book.catch_up()
            found = self._health.tickets.get(ticket)
            if found is None or not may(by, "ticket.read", owner=found.provider):
                return CareAnswer.NOT_FOUND
            require(by, "ticket.repair", owner=found.provider)
            if found.state in (PROBATION, CLOSED) or done not in DONE:
                return CareAnswer.NOT_OPEN
            events = repair_events(
                found,
                self._policy,
                done=done,
                note=note[:NOTE_LENGTH_MAX],
                by=by.user,
                now_s=self._clock.now_s(),
            )
            self._book.append(events)
        self._wake()
        return CareAnswer.DONE

    def reset_breaker(self, provider: str, *, by: Actor) -> CareAnswer:
        """Let the health rule close nodes of a provider again; those held are closed now."""
        require(by, "breaker.reset")
        with self._book.lock:
            self._book.catch_up()
            if provider not in self._health.tripped:
                return CareAnswer.NOT_FOUND
            now_s = self._clock.now_s()
            self._book.append(release_events(self._health, provider, by=by.user, now_s=now_s))
        self._wake()
        return CareAnswer.DONE

    def cases(self, *, by: Actor) -> Sequence[Case]:
        """Return the notices that the actor may see, open ones first, newest first."""
        seen = [
            one
            for one in self._cases.cases.values()
            if may_any(by, "job.read", (one.noticed.user, one.noticed.project))
        ]
        return sorted(seen, key=lambda one: (one.state == OVER, -one.noticed.at_s, one.case))

    def case_of(self, job: str) -> Case | None:
        """Return a job's newest notice; whoever asks must be one who may see the job."""
        return self._cases.newest(job)

    def policy_of(self, project: str) -> IdlePolicy:
        return self._cases.policy(project)

    def answer(
        self, job: str, answer: Answer, *, text: str, by: Actor
    ) -> IdleAnswered | AnswerRefusal:
        """Take the word of a job's people on its idle GPUs."""
        with self._book.lock:
            self._book.catch_up()
            case = self._cases.newest(job)
            if case is None:
                return AnswerRefusal.NO_OPEN_CASE
            owners = (case.noticed.user, case.noticed.project)
            if not may_any(by, "idle.answer", owners):
                require(by, "idle.answer", owner=case.noticed.project)
            taken = answer_case(
                self._cases,
                case,
                answer=answer,
                text=text[:NOTE_LENGTH_MAX],
                by=by.user,
                now_s=self._clock.now_s(),
            )
            if isinstance(taken, IdleAnswered):
                self._book.append([taken])
        return taken

    def set_rule(
        self,
        project: str,
        *,
        threshold_milli: int,
        window_s: int,
        grace_s: int,
        notice_s: int,
        by: Actor,
    ) -> None:
        """Set a project's rule, or everybody else's for "". Raises PolicyError."""
        require(by, "idle.rule")
        IdlePolicy(
            threshold_milli=threshold_milli, window_s=window_s, grace_s=grace_s, notice_s=notice_s
        )
        if len(project) > 200:
            raise PolicyError("a project's name has at most 200 characters.")
        self._book.append(
            [
                IdleRuleSet(
                    at_s=self._clock.now_s(),
                    by=by.user,
                    project=project,
                    threshold_milli=threshold_milli,
                    window_s=window_s,
                    grace_s=grace_s,
                    notice_s=notice_s,
                )
            ]
        )

    def job_use(self, job: str, *, from_s: int, to_s: int) -> JobUse:
        """Return what a job was measured to use; whoever asks must be one who may see it."""
        return job_use(self._metering.store, job, from_s=from_s, to_s=to_s)

    def measured(self, month: str) -> Mapping[str, tuple[int, int]]:
        """Return (mean utilisation in thousandths, GPU-seconds measured) by project or
        provider.
        """
        return measured_by_owner(self._metering.store, self._view(), month)

    def compare(
        self, provider: str, month: str, theirs: Mapping[str, int], *, source: str, by: Actor
    ) -> list[Compared] | CareAnswer:
        """Hold a provider's accounting of a month against our ledger; raise what differs.

        Args:
            theirs: GPU-seconds by project. source: the accounting's SHA-256, kept as evidence.
        """
        require(by, "use.compare", owner=provider)
        if provider not in self._view().nodes.providers:
            return CareAnswer.NOT_FOUND
        rows = compare_books(self._used_at(provider, month), theirs)
        now_s = self._clock.now_s()
        self._book.append(
            [
                UseDiffers(
                    at_s=now_s,
                    by=by.user,
                    month=month,
                    provider=provider,
                    who=row.who,
                    ours_gpu_s=row.ours_gpu_s,
                    theirs_gpu_s=row.theirs_gpu_s,
                    difference_milli=row.difference_milli,
                    source=source,
                )
                for row in rows
                if row.differs
            ]
        )
        return rows

    def figures(self) -> MeterFigures:
        progress, store = self._metering.progress, self._metering.store
        tickets: dict[str, int] = dict.fromkeys((OPEN, "held", PROBATION), 0)
        for ticket in self._health.tickets.values():
            if ticket.state != CLOSED:
                tickets[ticket.state] += 1
        cases: dict[str, int] = dict.fromkeys(("noticed", "answered", "taken"), 0)
        for case in self._cases.cases.values():
            if case.state != OVER:
                cases[case.state] += 1
        return MeterFigures(
            samples=progress.samples,
            lag_s=max(0, self._clock.now_s() - progress.upto_s),
            troubles=progress.troubles,
            lost=store.lost,
            torn=store.torn,
            set_aside={one.value: count for one, count in self._metering.sieve.aside.items()},
            tickets=tickets,
            idle_cases=cases,
        )
