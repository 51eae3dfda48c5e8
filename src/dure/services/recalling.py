"""The monthly check, and the recall of what stands unused."""

from collections.abc import Mapping
from typing import Literal

from dure.core.calendar import month_window_s
from dure.core.events import Event
from dure.core.events.programme import (
    AllocationRecalled,
    RecallAnswered,
    RecallNoticed,
    RecallWithdrawn,
    UseChecked,
)
from dure.core.programme import Refusal
from dure.core.recall import Verdict, check_use
from dure.services.access import Actor, require
from dure.services.granting import shrunk
from dure.services.programme_states import AllocationState, RecallState
from dure.services.promoting import Promoting


class Recalling(Promoting):
    """The use cases around an allocation that its project does not use."""

    def check_use(
        self,
        actor: Actor,
        month: str,
        used_gpu_s: Mapping[str, int],
        *,
        lost_gpu_s: Mapping[str, int] | None = None,
    ) -> tuple[UseChecked, ...] | Refusal:
        """Hold a month's own use of every project against its entitlement.

        Args:
            actor: for the office.
            month: ``2026-04``; of the current month, what has passed of it.
            used_gpu_s: own use within the month by project; absent is none.
            lost_gpu_s: what faults took from entitlements; it does not count against a project.

        Returns:
            A check for each project that held an allocation and was not checked for this month
            yet, by project; USE_IS_CHECKED if all were.
        """
        require(actor, "use.check")
        lost = lost_gpu_s or {}
        with self._reading() as tables:
            now_s = self.clock.now_s()
            from_s, to_s = month_window_s(month)
            to_s = min(to_s, now_s)
            events: list[UseChecked] = []
            held = 0
            for project, names in sorted(tables.of_project.items()):
                allocations = [tables.allocations[name] for name in names]
                if sum(one.held_s(from_s, to_s) for one in allocations) == 0:
                    continue
                held += 1
                if all(check.month != month for check in tables.checks[project]):
                    entitled = sum(one.entitled_gpu_s(from_s, to_s) for one in allocations)
                    entitled = max(0, entitled - lost.get(project, 0))
                    window = (from_s, to_s, used_gpu_s.get(project, 0), entitled)
                    events.append(self._check(project, allocations, month, window, actor.user))
            if held and not events:
                return Refusal.USE_IS_CHECKED
            self._write(events)
            return tuple(events)

    def notify_recall(self, actor: Actor, project: str) -> RecallNoticed | Refusal:
        """Tell a project that its last check takes back part of its largest allocation."""
        require(actor, "recall.notify")
        with self._reading() as tables:
            checks = tables.checks.get(project, [])
            if not checks or checks[-1].verdict != Verdict.RECALL.value:
                return Refusal.NOTHING_TO_RECALL
            check = checks[-1]
            recall = f"r-{project}-{check.month}"
            if recall in tables.recalls:
                return Refusal.RECALL_IS_NOTICED
            now_s = self.clock.now_s()
            held = tables.of_project[project]
            names = [name for name in held if tables.allocations[name].is_active(now_s)] or held
            largest = max(names, key=lambda name: (tables.allocations[name].gpus, name))
            state = tables.allocations[largest]
            gpus = min(check.take_gpus, state.gpus)
            if gpus == 0:
                return Refusal.NOTHING_TO_RECALL
            event = RecallNoticed(
                recall,
                state.granted.call,
                project,
                largest,
                state.granted.accelerator,
                gpus,
                check.month,
                check.percent,
                now_s + self.policy_of(state.granted.call).notice_s,
                at_s=now_s,
                by=actor.user,
            )
            self._write([event])
            return event

    def notify_recalls(self, actor: Actor) -> tuple[RecallNoticed, ...]:
        """Notify every project whose last check takes something back."""
        answers = [self.notify_recall(actor, project) for project in sorted(self.tables.checks)]
        return tuple(one for one in answers if isinstance(one, RecallNoticed))

    def answer_recall(
        self, actor: Actor, recall: str, answer: Literal["accepted", "objected"], *, text: str = ""
    ) -> RecallAnswered | Refusal:
        """Accept a recall, so that it may come at once; or object, so that the office decides."""
        with self._reading() as tables:
            state = tables.recalls.get(recall)
            if state is None:
                return Refusal.RECALL_IS_UNKNOWN
            application = tables.allocations[state.noticed.allocation].granted.application
            self._require_team(actor, "recall.answer", tables.applications[application])
            if state.outcome or self.clock.now_s() >= state.noticed.due_at_s:
                return Refusal.RECALL_IS_OVER
            event = RecallAnswered(
                recall,
                state.noticed.project,
                answer,
                text,
                at_s=self.clock.now_s(),
                by=actor.user,
            )
            self._write([event])
            return event

    def withdraw_recall(
        self, actor: Actor, recall: str, *, cause: str
    ) -> RecallWithdrawn | Refusal:
        """Follow an objection: nothing is taken."""
        require(actor, "recall.withdraw")
        with self._reading() as tables:
            state = tables.recalls.get(recall)
            if state is None:
                return Refusal.RECALL_IS_UNKNOWN
            if state.outcome:
                return Refusal.RECALL_IS_OVER
            event = self._withdrawal(state, cause, actor.user)
            self._write([event])
            return event

    def carry_out_recall(
        self, actor: Actor, recall: str, *, upheld: bool = False
    ) -> tuple[Event, ...] | Refusal:
        """Take the noticed GPUs back, less what the project has returned by itself since.

        They go to the next in line at once; the answer ends with those events.

        Args:
            actor: for the office.
            recall: due, or accepted by the project.
            upheld: the office heard the project's objection and decided against it.
        """
        require(actor, "recall.carry_out")
        with self._reading() as tables:
            state = tables.recalls.get(recall)
            if state is None:
                return Refusal.RECALL_IS_UNKNOWN
            if state.outcome:
                return Refusal.RECALL_IS_OVER
            now_s, noticed = self.clock.now_s(), state.noticed
            if state.answer == "objected" and not upheld:
                return Refusal.RECALL_IS_DISPUTED
            if now_s < noticed.due_at_s and state.answer != "accepted":
                return Refusal.RECALL_IS_NOT_DUE
            allocation = tables.allocations[noticed.allocation]
            gpus = min(noticed.gpus - state.returned_gpus, allocation.gpus)
            events: tuple[Event, ...]
            if gpus <= 0:
                events = (self._withdrawal(state, "returned", actor.user),)
            else:
                recalled = AllocationRecalled(
                    recall,
                    noticed.call,
                    noticed.project,
                    noticed.allocation,
                    noticed.accelerator,
                    gpus,
                    allocation.gpus - gpus,
                    at_s=now_s,
                    by=actor.user,
                )
                events = (
                    recalled,
                    *shrunk(tables, allocation, gpus, "recall", now_s, actor.user),
                )
            return self._write_and_promote(events, noticed.call)

    def carry_out_recalls(self, actor: Actor) -> tuple[Event, ...]:
        """Carry out every recall that is due and not disputed."""
        events: list[Event] = []
        for recall in sorted(self.tables.recalls):
            answer = self.carry_out_recall(actor, recall)
            events += () if isinstance(answer, Refusal) else answer
        return tuple(events)

    def _check(
        self,
        project: str,
        allocations: list[AllocationState],
        month: str,
        window: tuple[int, int, int, int],
        by: str,
    ) -> UseChecked:
        from_s, to_s, used, entitled = window
        before = self.tables.checks[project]
        gpus = sum(one.gpus for one in allocations)
        check = check_use(
            gpus=gpus,
            used_gpu_s=used,
            entitled_gpu_s=entitled,
            held_s=max(one.held_s(from_s, to_s) for one in allocations),
            below_before=before[-1].checks_below if before else 0,
            policy=self.policy_of(max(allocations, key=_size).granted.call),
        )
        return UseChecked(
            project,
            month,
            from_s,
            to_s,
            gpus,
            used,
            entitled,
            check.percent,
            check.verdict.value,
            check.checks_below,
            check.take_gpus,
            at_s=self.clock.now_s(),
            by=by,
        )

    def _withdrawal(self, state: RecallState, cause: str, by: str) -> RecallWithdrawn:
        noticed = state.noticed
        return RecallWithdrawn(
            noticed.recall, noticed.project, cause, at_s=self.clock.now_s(), by=by
        )


def _size(state: AllocationState) -> tuple[int, str]:
    return state.gpus, state.granted.allocation
