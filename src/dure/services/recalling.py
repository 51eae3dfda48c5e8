"""The monthly check, the recall of what stands unused, and the handover to the next in line."""

from collections.abc import Mapping
from typing import Literal

from dure.core.calendar import month_window_s
from dure.core.calls.pullback import recall_policy_of
from dure.core.events import Event
from dure.core.events.programme import (
    AllocationRecalled,
    HandedOver,
    RecallAnswered,
    RecallNoticed,
    RecallWithdrawn,
    UseChecked,
)
from dure.core.programme import Refusal
from dure.core.recall import RecallPolicy, Verdict, Waiting, check_use, next_in_line
from dure.services.access import Actor, require
from dure.services.allocating import granted, shrunk
from dure.services.office import Office
from dure.services.programme_states import AllocationState, RecallState
from dure.services.programme_tables import ProgrammeTables


class Recalling(Office):
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
            self._write(events)
            return events

    def carry_out_recalls(self, actor: Actor) -> tuple[Event, ...]:
        """Carry out every recall that is due and not disputed."""
        events: list[Event] = []
        for recall in sorted(self.tables.recalls):
            answer = self.carry_out_recall(actor, recall)
            events += () if isinstance(answer, Refusal) else answer
        return tuple(events)

    def hand_over(self, actor: Actor, call: str, accelerator: str) -> tuple[Event, ...] | Refusal:
        """Give what a call has free to the next in line, and the next, until nobody fits."""
        require(actor, "handover.carry_out")
        with self._reading() as tables:
            if call not in tables.decided_at_s:
                return Refusal.CALL_IS_NOT_DECIDED
            events: list[Event] = []
            while True:
                answer = self._hand_over_once(tables, call, accelerator, actor.user)
                if isinstance(answer, Refusal):
                    return tuple(events) or answer
                # Written one by one: the next turn sees what this one took.
                self._write(answer)
                events += answer

    def hand_over_all(self, actor: Actor) -> tuple[Event, ...]:
        """Hand over what every decided call has free."""
        events: list[Event] = []
        for call in sorted(self.tables.decided_at_s):
            for accelerator in sorted(self.tables.calls[call].capacity):
                answer = self.hand_over(actor, call, accelerator)
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

    def policy_of(self, call: str) -> RecallPolicy:
        """Return how a call has use checked now; of an allocation without one, the usual way."""
        terms = self.tables.calls.get(call)
        if terms is None:
            return self.recall_policy
        return recall_policy_of(terms, self.recall_policy, at_s=self.clock.now_s())

    def _withdrawal(self, state: RecallState, cause: str, by: str) -> RecallWithdrawn:
        noticed = state.noticed
        return RecallWithdrawn(
            noticed.recall, noticed.project, cause, at_s=self.clock.now_s(), by=by
        )

    def _hand_over_once(
        self, tables: ProgrammeTables, call: str, accelerator: str, by: str
    ) -> tuple[Event, ...] | Refusal:
        free_gpus = tables.free_gpus(call, accelerator)
        line = tables.waitlist(call, accelerator)
        places = {state.submitted.application: place for place, state in enumerate(line, start=1)}
        waiting = [
            Waiting(state.submitted.application, state.decided.gpus, place)
            for place, state in enumerate(line, start=1)
            if state.decided is not None
        ]
        chosen = next_in_line(waiting, free_gpus=free_gpus)
        if isinstance(chosen, Refusal):
            return chosen
        state = tables.applications[chosen.waiting.application]
        now_s = self.clock.now_s()
        from_s = max(now_s, tables.calls[call].starts_at_s)
        terms = tables.calls[call]
        allocation = granted(state, terms, chosen.waiting.gpus, from_s, "handover", now_s, by)
        handed = HandedOver(
            call,
            chosen.waiting.application,
            state.submitted.project,
            accelerator,
            chosen.waiting.gpus,
            allocation.allocation,
            tuple(tables.sources((call, accelerator), chosen.waiting.gpus)),
            places[chosen.waiting.application],
            chosen.skipped,
            at_s=now_s,
            by=by,
        )
        return handed, allocation


def _size(state: AllocationState) -> tuple[int, str]:
    return state.gpus, state.granted.allocation
