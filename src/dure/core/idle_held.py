"""GPUs that a running job holds and leaves idle: notice, answer, and taking them back.

A job holds idle if any of its GPUs was used below the project's threshold for the whole window,
the grace after its start left out. Its people are told, with the evidence; they justify it, ask
for time or let go. If they say nothing and the job does not work again, it is told to save, is
stopped, and waits again; its GPUs are lent meanwhile.
"""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from enum import Enum

from dure.core.errors import PolicyError
from dure.core.events import Event
from dure.core.events.idle import (
    Answer,
    IdleAnswered,
    IdleNoticed,
    IdleRuleSet,
    IdleStopped,
    IdleTaken,
    IdleWithdrawn,
)

BY = "rule:idle-held"
NOTICED, ANSWERED, TAKEN, OVER = "noticed", "answered", "taken", "over"
# A window counts if this part of it was measured, percent: a gap is no proof of idleness.
MEASURED_PCT = 90


@dataclass(frozen=True, slots=True)
class IdlePolicy:
    """The rule's numbers for one project.

    Attributes:
        threshold_milli: below this utilisation a GPU is idle, thousandths; 0: the rule is off.
        window_s: for so long, whole periods of five minutes. grace_s: not counted after a start.
        notice_s: from the notice until the GPUs are taken. save_s: for the job to save.
        extend_s: what asking for time gives; ``extends_max`` times a run.
        justify_s: so long a justification holds.
    """

    threshold_milli: int = 50
    window_s: int = 3_600
    grace_s: int = 1_800
    notice_s: int = 1_800
    save_s: int = 120
    extend_s: int = 7_200
    extends_max: int = 2
    justify_s: int = 7 * 86_400

    def __post_init__(self) -> None:
        if not 0 <= self.threshold_milli <= 1_000:
            raise PolicyError(
                f"the threshold is {self.threshold_milli} thousandths; "
                "0 (off) to 1000 are possible."
            )
        if self.window_s < 300 or self.window_s % 300 or min(self.grace_s, self.notice_s) < 0:
            raise PolicyError("the window is whole periods of 300 s; no time is below 0.")


@dataclass(frozen=True, slots=True)
class RunningJob:
    """A job that stands on GPUs, since when, and whose it is."""

    job: str
    project: str
    user: str
    gpus: int
    since_s: int


@dataclass(frozen=True, slots=True)
class UnitUse:
    """What one GPU of a job was used over a window, at most.

    Attributes:
        measured_s: seconds of the window that were measured.
    """

    node: str
    device: int
    busy_milli_max: int
    samples: int
    measured_s: int


@dataclass(slots=True)
class Case:
    """One notice and what came of it."""

    case: str
    noticed: IdleNoticed
    state: str = NOTICED
    answer: str = ""
    answered_by: str = ""
    text: str = ""
    until_s: int = -1
    stop_by_s: int = -1
    cause: str = ""
    extends: int = 0


@dataclass(slots=True)
class IdleCases:
    """Rules and cases: named events, folded."""

    default: IdlePolicy = field(default_factory=IdlePolicy)
    rules: dict[str, IdlePolicy] = field(default_factory=dict)
    cases: dict[str, Case] = field(default_factory=dict)
    # Of each job: its newest case.
    case_of: dict[str, str] = field(default_factory=dict)

    def policy(self, project: str) -> IdlePolicy:
        """Return the project's own rule, else the one set for all, else the default."""
        return self.rules.get(project) or self.rules.get("") or self.default

    def fold(self, event: Event) -> None:
        """Take in one event; those of others are passed over."""
        match event:
            case IdleRuleSet():
                self.rules[event.project] = IdlePolicy(
                    threshold_milli=event.threshold_milli,
                    window_s=event.window_s,
                    grace_s=event.grace_s,
                    notice_s=event.notice_s,
                )
            case IdleNoticed():
                before = self.cases.get(self.case_of.get(event.job, ""))
                extends = before.extends if before is not None else 0
                self.cases[event.case] = Case(event.case, event, extends=extends)
                self.case_of[event.job] = event.case
            case IdleAnswered():
                case = self.cases[event.case]
                case.state, case.answer, case.answered_by = ANSWERED, event.answer, event.by
                case.text, case.until_s = event.text, event.until_s
                case.extends += event.answer == "extended"
            case IdleWithdrawn():
                case = self.cases[event.case]
                case.state, case.cause = OVER, event.cause
            case IdleTaken():
                case = self.cases[event.case]
                case.state, case.stop_by_s = TAKEN, event.stop_by_s
            case IdleStopped():
                case = self.cases[event.case]
                case.state, case.cause = OVER, "stopped"
            case _:
                pass

    def newest(self, job: str) -> Case | None:
        """Return a job's newest case."""
        return self.cases.get(self.case_of.get(job, ""))


class AnswerRefusal(Enum):
    """Why an answer was not taken. The values are stable: reports count them."""

    NO_OPEN_CASE = "IdleCaseIsClosed"
    NO_REASON = "IdleReasonIsMissing"
    NO_TIME_LEFT = "IdleTimeIsUsed"


def answer_case(
    cases: IdleCases, case: Case, *, answer: Answer, text: str, by: str, now_s: int
) -> IdleAnswered | AnswerRefusal:
    """Take an answer of the job's people, or say why not."""
    policy = cases.policy(case.noticed.project)
    if case.state not in (NOTICED, ANSWERED) or case.answer == "released":
        return AnswerRefusal.NO_OPEN_CASE
    if answer == "justified" and not text.strip():
        return AnswerRefusal.NO_REASON
    if answer == "extended" and case.extends >= policy.extends_max:
        return AnswerRefusal.NO_TIME_LEFT
    lasts_s = {"justified": policy.justify_s, "extended": policy.extend_s, "released": 0}[answer]
    return IdleAnswered(
        at_s=now_s,
        by=by,
        case=case.case,
        job=case.noticed.job,
        answer=answer,
        until_s=now_s + lasts_s,
        text=text,
    )


def idle_units(uses: Sequence[UnitUse], policy: IdlePolicy) -> list[UnitUse]:
    """Return the GPUs that were idle for the whole window, the idlest first."""
    least_s = policy.window_s * MEASURED_PCT // 100
    idle = [
        one
        for one in uses
        if one.busy_milli_max < policy.threshold_milli and one.measured_s >= least_s
    ]
    return sorted(idle, key=lambda one: (one.busy_milli_max, one.node, one.device))


def plan_idle(
    cases: IdleCases,
    running: Mapping[str, RunningJob],
    uses: Mapping[str, Sequence[UnitUse]],
    *,
    window_to_s: int,
    now_s: int,
) -> list[Event]:
    """Decide whom to tell, what to withdraw, what to take.

    Args:
        cases: not changed. running: all jobs that stand on GPUs, by name.
        uses: of jobs that were measured, over their project's window, which ends at
            ``window_to_s``.
    """
    cases, events = deepcopy(cases), []
    for case in [one for one in cases.cases.values() if one.state != OVER]:
        event = _moved_on(cases, case, running, uses, window_to_s, now_s)
        if event is not None:
            cases.fold(event)
            events.append(event)
    for job in sorted(uses):
        if job in running:
            noticed = _noticed(cases, running[job], uses[job], window_to_s, now_s)
            if noticed is not None:
                cases.fold(noticed)
                events.append(noticed)
    return events


def _moved_on(
    cases: IdleCases,
    case: Case,
    running: Mapping[str, RunningJob],
    uses: Mapping[str, Sequence[UnitUse]],
    window_to_s: int,
    now_s: int,
) -> Event | None:
    name, job = case.noticed.job, running.get(case.noticed.job)
    policy = cases.policy(case.noticed.project)
    # One that was stopped for another reason and runs again has begun anew.
    if job is None or job.since_s > case.noticed.at_s:
        if case.state == TAKEN:
            return IdleStopped(at_s=now_s, by=BY, case=case.case, job=name)
        return IdleWithdrawn(at_s=now_s, by=BY, case=case.case, job=name, cause="ended")
    if case.state == TAKEN:
        if now_s < case.stop_by_s:
            return None
        return IdleStopped(at_s=now_s, by=BY, case=case.case, job=name)
    if case.answer == "released":
        return _taken(case, policy, now_s)
    if name not in uses:
        # Nobody measured: that proves neither work nor idleness.
        return None
    is_idle = bool(idle_units(uses[name], policy))
    if not is_idle and window_to_s > case.noticed.to_s and case.answer != "justified":
        return IdleWithdrawn(at_s=now_s, by=BY, case=case.case, job=name, cause="busy")
    if case.state == ANSWERED and now_s >= case.until_s:
        # Whoever answered is told again before anything is taken.
        return IdleWithdrawn(at_s=now_s, by=BY, case=case.case, job=name, cause="expired")
    if case.state == NOTICED and now_s >= case.noticed.due_at_s:
        return _taken(case, policy, now_s)
    return None


def _taken(case: Case, policy: IdlePolicy, now_s: int) -> IdleTaken:
    stop_by_s = now_s + policy.save_s
    return IdleTaken(at_s=now_s, by=BY, case=case.case, job=case.noticed.job, stop_by_s=stop_by_s)


def _noticed(
    cases: IdleCases,
    job: RunningJob,
    uses: Sequence[UnitUse],
    window_to_s: int,
    now_s: int,
) -> IdleNoticed | None:
    policy, newest = cases.policy(job.project), cases.newest(job.job)
    if newest is not None:
        is_leaving = newest.cause == "stopped" and job.since_s <= newest.noticed.at_s
        if newest.state != OVER or is_leaving:
            return None
    from_s = window_to_s - policy.window_s
    if from_s < job.since_s + policy.grace_s:
        return None
    idle = idle_units(uses, policy)
    if not idle:
        return None
    return IdleNoticed(
        at_s=now_s,
        by=BY,
        case=f"i-{len(cases.cases) + 1}",
        job=job.job,
        project=job.project,
        user=job.user,
        gpus=len(idle),
        gpus_held=job.gpus,
        node=idle[0].node,
        device=idle[0].device,
        busy_milli_max=idle[0].busy_milli_max,
        threshold_milli=policy.threshold_milli,
        samples=idle[0].samples,
        from_s=from_s,
        to_s=window_to_s,
        due_at_s=now_s + policy.notice_s,
    )
