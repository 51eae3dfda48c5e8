"""The programme as screens see it: rows of ``programme_views`` from the folded tables.

What a project runs and used is the engine's to know; it comes through ``UseSource``.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from dure.core.calls.model import Call
from dure.core.events.programme import ApplicationSubmitted
from dure.core.programme import Problem, Refusal
from dure.reports.messages import has, text
from dure.services.access import Actor
from dure.services.desks import Applied, Refused
from dure.services.form_rows import form_of
from dure.services.programme import Programme
from dure.services.programme_states import AllocationState, ApplicationState
from dure.services.programme_views import (
    AllocationRow,
    ApplicationRow,
    CallRow,
    CheckRow,
    ComparedFigure,
    FieldProblem,
    MonthUse,
    ProjectPage,
    ProjectRow,
    RecallRow,
    ReviewRow,
    RoundRow,
    WaitRow,
)
from dure.services.recall_rows import recall_row
from dure.services.review_rows import review_rows
from dure.services.views import Name
from dure.services.waitlisting import Waitlist

_AWARDED = ("allocated", "signed")


class UseSource(Protocol):
    """What the engine knows of projects."""

    def now(self, project: str) -> tuple[int, int]:
        """Return (GPUs running, jobs waiting) at this moment."""
        ...

    def months(self) -> Sequence[MonthUse]:
        """Return the use of every month so far, a row a project and a row a provider."""
        ...


class NoUse:
    """A programme without an engine: nothing runs and nothing was used."""

    def now(self, project: str) -> tuple[int, int]:
        return 0, 0

    def months(self) -> Sequence[MonthUse]:
        return ()


class ProgrammeScreen:
    """Answers the ``ProgrammeDesk`` of ``desks`` for one programme.

    Args:
        programme: the use cases and tables.
        use: what projects run and used.
        providers: names of the pool's providers.
        published: by call, figures of reality to set beside the result.
    """

    def __init__(
        self,
        programme: Programme,
        *,
        use: UseSource | None = None,
        providers: Mapping[str, Name] | None = None,
        published: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        self._programme, self._tables = programme, programme.tables
        self._source: UseSource = use or NoUse()
        self._providers, self._published = providers or {}, published or {}
        self._waitlist = Waitlist(self._tables, programme.policy_of)

    def now_s(self) -> int:
        return self._programme.clock.now_s()

    def calls(self) -> Sequence[CallRow]:
        return [self._call_row(call) for call in list(self._tables.calls.values())]

    def call(self, call: str) -> CallRow | None:
        published = self._tables.calls.get(call)
        return None if published is None else self._call_row(published)

    def compared(self, call: str) -> Sequence[ComparedFigure]:
        if call not in self._published or call not in self._tables.decided_at_s:
            return ()
        report = self._programme.round_report(call, self._published[call])
        assert not isinstance(report, Refusal)
        rows: Any = report["compared"]
        return [
            ComparedFigure(row["figure"], row["ours"], row["published"], _unit(row["figure"]))
            for row in rows
        ]

    def check_answers(self, call: str, answers: Mapping[str, str]) -> Sequence[FieldProblem]:
        return _problems(self._programme.check_form(call, answers))

    def apply(
        self, call: str, answers: Mapping[str, str], *, by: Actor, key: str
    ) -> Applied | Refused:
        inbox = self._tables.inboxes.get(call)
        before = inbox.repeated(by.user, key) if inbox is not None else ""
        answer = self._programme.apply(by, call, answers, key=key)
        if isinstance(answer, ApplicationSubmitted):
            return Applied(answer.application, is_repeat=answer.application == before)
        return Refused(_problems(answer))

    def applications(self) -> Sequence[ApplicationRow]:
        return [_application_row(state) for state in list(self._tables.applications.values())]

    def reviews(self) -> Sequence[ReviewRow]:
        return review_rows(self._tables)

    def review(
        self, application: str, marks: Mapping[str, int], *, by: Actor
    ) -> ReviewRow | Refused:
        answer = self._programme.review(by, application, marks)
        if isinstance(answer, Refusal):
            return Refused((FieldProblem("", answer.value, {}),))
        return next(row for row in review_rows(self._tables, application=application)
                    if row.reviewer == by.user)  # fmt: skip

    def projects(self) -> Sequence[ProjectRow]:
        used = self._used()
        return [
            self._project_row(state, used.get(state.submitted.project, (0, 0)))
            for state in list(self._tables.applications.values())
            if self._is_project(state)
        ]

    def _is_project(self, state: ApplicationState) -> bool:
        """Tell whether an award is a team's; a provider's makes no project."""
        call = self._tables.calls[state.submitted.call]
        return state.status in _AWARDED and call.kind == "demand"

    def project(self, project: str) -> ProjectPage | None:
        states = [
            state
            for state in list(self._tables.applications.values())
            if state.submitted.project == project and self._is_project(state)
        ]
        if not states:
            return None
        state = states[-1]
        months = tuple(one for one in self._source.months() if one.who == project)
        row = self._project_row(state, self._used().get(project, (0, 0)))
        kind = f"choice.work_kind.{state.submitted.work.kind}"
        return ProjectPage(
            row,
            Name(text("ko", kind), text("en", kind)),
            ((state.submitted.lead, "lead"),),
            tuple(self._allocation_rows(project, months)),
            months,
            tuple(one for one in self.checks() if one.project == project),
            tuple(one for one in self.recalls() if one.project == project),
        )

    def waitlist(self) -> Sequence[WaitRow]:
        return self._waitlist.rows(self.now_s())

    def checks(self) -> Sequence[CheckRow]:
        return [
            CheckRow(one.project, one.month, one.percent, line, one.verdict, one.at_s)
            for project, checks in list(self._tables.checks.items())
            for line in [self._warn_below_percent(project)]
            for one in checks
        ]

    def _warn_below_percent(self, project: str) -> int:
        """Return the line of the call that a project's last allocation is of."""
        names = self._tables.of_project[project]
        call = self._tables.allocations[names[-1]].granted.call if names else ""
        return self._programme.policy_of(call).warn_below_percent

    def recalls(self) -> Sequence[RecallRow]:
        return [recall_row(name, state) for name, state in list(self._tables.recalls.items())]

    def use(self, month: str) -> Sequence[MonthUse]:
        return [one for one in self._source.months() if one.month == month]

    def provider_name(self, provider: str) -> Name:
        return self._providers.get(provider, Name(provider, provider))

    def _used(self) -> dict[str, tuple[int, int]]:
        """Return (own, entitled) GPU-seconds of all months by project or provider."""
        used: dict[str, tuple[int, int]] = {}
        for one in self._source.months():
            own, entitled = used.get(one.who, (0, 0))
            used[one.who] = own + one.own_gpu_s, entitled + one.entitled_gpu_s
        return used

    def _call_row(self, call: Call) -> CallRow:
        now_s = self.now_s()
        states = [self._tables.applications[name] for name in self._tables.of_call[call.call]]
        selected = [
            state.decided
            for state in states
            if state.decided is not None and state.decided.decision == "selected"
        ]
        if now_s < call.opens_at_s:
            status = "upcoming"
        elif now_s < call.closes_at_s:
            status = "open"
        else:
            status = "decided" if call.call in self._tables.decided_at_s else "closed"
        row = RoundRow(
            str(call.round),
            Name(f"{call.round}차", f"Round {call.round}"),
            call.opens_at_s,
            call.closes_at_s,
            tuple(call.capacity.items()),
            sum(not state.is_withdrawn for state in states),
            sum(state.submitted.gpus for state in states if not state.is_withdrawn),
            len(selected),
            sum(state.waits for state in states),
            sum(one.gpus for one in selected),
            status,
        )
        return CallRow(
            call.call,
            Name(call.name.ko, call.name.en),
            Name(_offer("ko", call), _offer("en", call)),
            call.kind,
            status,
            (row,),
            form_of(call),
            tuple(
                (_criterion(name, call), weight)
                for name, weight in sorted(call.rubric.items(), key=lambda one: (-one[1], one[0]))
            ),
            tuple(call.caps.items()),
            call.months_max,
            call.synthetic,
        )

    def _project_row(self, state: ApplicationState, used: tuple[int, int]) -> ProjectRow:
        submitted, now_s = state.submitted, self.now_s()
        allocations = [
            self._tables.allocations[name] for name in self._tables.of_project[submitted.project]
        ]
        running_gpus, waiting_jobs = self._source.now(submitted.project)
        own, entitled = used
        begun = any(one.granted.from_s <= now_s for one in allocations)
        active = any(one.is_active(now_s) for one in allocations)
        return ProjectRow(
            submitted.project,
            Name(submitted.title_ko, submitted.title_en),
            submitted.organisation,
            submitted.group,
            "active" if active else "ended" if begun else "signed",
            sum(one.gpus for one in allocations),
            submitted.accelerator,
            running_gpus,
            waiting_jobs,
            min(100, 100 * own // entitled) if entitled else 0,
            submitted.synthetic,
        )

    def _allocation_rows(self, project: str, months: Sequence[MonthUse]) -> Sequence[AllocationRow]:
        """Return a project's allocations; its use is told at the first, since jobs draw on all."""
        now_s = self.now_s()
        own = sum(one.own_gpu_s for one in months)
        lent = sum(one.lent_gpu_s for one in months)
        states = [self._tables.allocations[name] for name in self._tables.of_project[project]]
        return [
            AllocationRow(
                state.granted.allocation,
                project,
                state.granted.accelerator,
                state.gpus,
                state.granted.from_s,
                state.granted.to_s,
                state.entitled_gpu_s(state.granted.from_s, now_s),
                own if place == 0 else 0,
                lent if place == 0 else 0,
                _allocation_status(state, now_s),
                state.granted.application,
            )
            for place, state in enumerate(states)
        ]


def _application_row(state: ApplicationState) -> ApplicationRow:
    submitted, decided = state.submitted, state.decided
    return ApplicationRow(
        submitted.application,
        submitted.call,
        submitted.call,
        submitted.title_ko,
        submitted.organisation,
        submitted.group,
        submitted.lead,
        submitted.accelerator,
        submitted.gpus,
        decided.gpus if decided and (state.awarded_gpus or state.allocation) else 0,
        submitted.at_s,
        state.status,
        decided.reason if decided else "",
        tuple(decided.numbers.items()) if decided else (),
        decided.rank if decided else 0,
        decided.score_milli if decided else -1,
        decided.raw_milli if decided else -1,
        decided.half_milli if decided else 0,
    )


def _allocation_status(state: AllocationState, now_s: int) -> str:
    if state.gpus == 0 or now_s >= state.granted.to_s:
        return "ended"
    return "active" if now_s >= state.granted.from_s else "upcoming"


def _problems(problems: Sequence[Problem]) -> tuple[FieldProblem, ...]:
    return tuple(FieldProblem(one.field, one.refusal.value, one.numbers) for one in problems)


def _criterion(name: str, call: Call) -> Name:
    if name in call.criteria:
        return Name(call.criteria[name].ko, call.criteria[name].en)
    key = f"criterion.{name}"
    return Name(text("ko", key), text("en", key)) if has(key) else Name(name, name)


def _offer(lang: Any, call: Call) -> str:
    if call.kind == "supply":
        return text(
            lang,
            "call_offer.supply",
            budget_krw=call.budget_krw,
            kinds=", ".join(call.accelerators),
            months=call.months_max,
        )
    offered = ", ".join(f"{kind} {gpus:,}" for kind, gpus in call.capacity.items())
    return text(lang, "call_offer.summary", offered=offered, months=call.months_max)


def _unit(figure: str) -> str:
    if "gpus" in figure:
        return "gpus"
    return "nodes" if "servers" in figure else "applications"
