"""Which nodes to close for their health, what repair to ask for, and when to trust them again.

Pure rules over what meters saw. Guards (of NVSentinel, gpud, Minder):

* what is not fatal by itself must last (``persist_s``) before anything is done;
* the same error is repaired by a reset or restart twice at most, then somebody has to look;
* XID 13 and 31 on different GPUs under one job are the job's own fault;
* an old sign of health never clears a newer fault, an old fault nothing that was repaired since;
* of one provider no more than ``breaker_pct`` of the nodes are closed within ``breaker_window_s``
  unless a person says so.
"""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass

from dure.core.events import Event
from dure.core.events.health import (
    DeviceErred,
    HealthBreakerTripped,
    TicketClosed,
    TicketOpened,
    TicketRenewed,
)
from dure.core.events.work import NodeResumed
from dure.core.health import (
    HEALTH,
    HELD,
    OPEN,
    PROBATION,
    SILENT,
    XID,
    Health,
    HealthPolicy,
    closing,
)
from dure.core.measured import Signal
from dure.core.xids import OF_PROGRAMS, UNLISTED, Action, xid_entry

BY = "rule:health"
_REPEATABLE = (Action.RESET_GPU, Action.RESTART_NODE)


@dataclass(frozen=True, slots=True)
class _Fault:
    """Something that a node must be closed for."""

    node: str
    at_s: int
    cause: str
    action: Action
    device: int = -1
    xid: int = 0


def plan_health(
    health: Health,
    signals: Sequence[Signal],
    heard_s: Mapping[str, int],
    provider_of: Mapping[str, str],
    policy: HealthPolicy,
    *,
    upto_s: int,
    now_s: int,
) -> list[Event]:
    """Decide what follows from new errors and from who was heard of.

    Args:
        signals: errors since the last call, oldest first.
        heard_s: each node's newest sample; a node that was never heard of is not missed.
        provider_of: the pool's nodes.
        upto_s: what happened up to then was read; a meter that is away makes no node silent.
    """
    planner = _Planner(deepcopy(health), provider_of, policy, now_s)
    for signal in signals:
        planner.take(signal)
    for node in sorted(heard_s):
        planner.listen(node, heard_s[node], upto_s)
    planner.close_probations(upto_s)
    return planner.events


class _Planner:
    """One call of ``plan_health``."""

    def __init__(
        self, health: Health, provider_of: Mapping[str, str], policy: HealthPolicy, now_s: int
    ) -> None:
        self._health, self._providers, self._policy = health, provider_of, policy
        self._now_s = now_s
        self.events: list[Event] = []

    def take(self, signal: Signal) -> None:
        """Record an error, and close its node if it calls for that."""
        if signal.node not in self._providers or self._is_repeat(signal):
            return
        entry = xid_entry(signal.xid)
        before = list(self._health.errors.get((signal.node, signal.device, signal.xid), ()))
        self._decide(
            DeviceErred(
                at_s=self._now_s,
                by=BY,
                node=signal.node,
                device=signal.device,
                xid=signal.xid,
                erred_at_s=signal.at_s,
                action=entry.action.value,
                job=signal.job,
            )
        )
        action = entry.action
        if signal.xid in OF_PROGRAMS and self._is_the_gpus_own(signal, before):
            action = Action.DIAGNOSE
        elif entry is UNLISTED and not self._came_again(signal, before):
            return
        if action in (Action.IGNORE, Action.RESTART_APP):
            return
        self._fail(
            _Fault(signal.node, signal.at_s, XID, action, signal.device, signal.xid),
        )

    def listen(self, node: str, heard_s: int, upto_s: int) -> None:
        """Miss a node that fell silent; close the ticket of one that was only silent."""
        ticket = self._health.open_ticket(node)
        silent_since_s = max(heard_s, self._health.repaired_at_s(node))
        if upto_s - silent_since_s >= self._policy.persist_s:
            if node in self._providers and (ticket is None or ticket.state == PROBATION):
                self._fail(_Fault(node, silent_since_s + 1, SILENT, Action.DIAGNOSE))
            return
        if ticket is None or ticket.cause != SILENT or ticket.state not in (OPEN, HELD):
            return
        # Heard before it fell silent says nothing.
        if heard_s > ticket.fault_at_s:
            was_closed = ticket.state == OPEN
            self._decide(TicketClosed(at_s=self._now_s, by=BY, ticket=ticket.ticket, node=node))
            if was_closed:
                self._decide(NodeResumed(at_s=self._now_s, by=BY, node=node, who=HEALTH))

    def close_probations(self, upto_s: int) -> None:
        """Trust nodes again that stayed healthy, as far as anybody looked."""
        for ticket in list(self._health.tickets.values()):
            if ticket.state == PROBATION and ticket.until_s <= min(upto_s, self._now_s):
                self._decide(
                    TicketClosed(at_s=self._now_s, by=BY, ticket=ticket.ticket, node=ticket.node)
                )

    def _is_repeat(self, signal: Signal) -> bool:
        newest = self._health.errors.get((signal.node, signal.device, signal.xid))
        if not newest:
            return False
        # On probation everything counts anew; so does what a restart should have ended.
        if newest[-1][0] <= self._health.repaired_at_s(signal.node):
            return False
        return signal.at_s - newest[-1][0] < self._repeat_s(signal)

    def _repeat_s(self, signal: Signal) -> int:
        """A storm is one error; one that must come again to count is counted sooner."""
        counts = signal.xid in OF_PROGRAMS or xid_entry(signal.xid) is UNLISTED
        return min(15, self._policy.repeat_s) if counts else self._policy.repeat_s

    def _is_the_gpus_own(self, signal: Signal, before: Sequence[tuple[int, str]]) -> bool:
        since_s = signal.at_s - self._policy.programs_s
        here = [one for one in before if one[0] > since_s]
        places = self._health.places.get((signal.job, signal.xid), {})
        elsewhere = any(
            place != (signal.node, signal.device) and at_s > since_s
            for place, at_s in places.items()
        )
        return bool(here) and not (signal.job and elsewhere)

    def _came_again(self, signal: Signal, before: Sequence[tuple[int, str]]) -> bool:
        if self._on_probation(signal.node):
            return True
        return any(0 <= signal.at_s - at_s <= self._policy.persist_s for at_s, _ in before)

    def _on_probation(self, node: str) -> bool:
        ticket = self._health.open_ticket(node)
        return ticket is not None and ticket.state == PROBATION

    def _fail(self, fault: _Fault) -> None:
        if fault.at_s <= self._health.repaired_at_s(fault.node):
            return
        action, before = fault.action, self._repairs_before(fault)
        if action in _REPEATABLE and before >= self._policy.repairs_max:
            action = Action.INSPECT
        ticket = self._health.open_ticket(fault.node)
        if ticket is None:
            self._open(fault, action, before)
            return
        if fault.at_s <= ticket.fault_at_s:
            return
        was_working = ticket.state == PROBATION
        self._decide(
            TicketRenewed(
                at_s=self._now_s,
                by=BY,
                ticket=ticket.ticket,
                node=fault.node,
                fault_at_s=fault.at_s,
                action=_graver(ticket.action, action).value if not was_working else action.value,
                device=fault.device,
                xid=fault.xid,
                before=before,
            )
        )
        if was_working:
            # It works and failed: trust is over, whatever the breaker says of others.
            self._decide(closing(fault.node, action.value, BY, self._now_s))

    def _repairs_before(self, fault: _Fault) -> int:
        since_s = fault.at_s - self._policy.repairs_s
        again = {one.value for one in _REPEATABLE}
        return sum(
            1
            for xid, at_s, done in self._health.repairs.get(fault.node, ())
            if xid == fault.xid and at_s > since_s and done in again
        )

    def _open(self, fault: _Fault, action: Action, before: int) -> None:
        provider = self._providers[fault.node]
        held = self._is_held(provider)
        self._decide(
            TicketOpened(
                at_s=self._now_s,
                by=BY,
                ticket=f"t-{len(self._health.tickets) + 1}",
                node=fault.node,
                provider=provider,
                cause=fault.cause,
                fault_at_s=fault.at_s,
                action=action.value,
                device=fault.device,
                xid=fault.xid,
                before=before,
                held=held,
            )
        )
        if not held:
            self._decide(closing(fault.node, action.value, BY, self._now_s))

    def _is_held(self, provider: str) -> bool:
        """Tell whether the breaker keeps us from closing one more; trip it if it is too many."""
        if provider in self._health.tripped:
            return True
        since_s = self._now_s - self._policy.breaker_window_s
        closed = [one for one in self._health.closings.get(provider, ()) if one > since_s]
        nodes = sum(1 for one in self._providers.values() if one == provider)
        most = max(1, nodes * self._policy.breaker_pct // 100)
        if len(closed) < most:
            return False
        self._decide(
            HealthBreakerTripped(
                at_s=self._now_s,
                by=BY,
                provider=provider,
                nodes=len(closed) + 1,
                of_nodes=nodes,
                within_s=self._policy.breaker_window_s,
            )
        )
        return True

    def _decide(self, event: Event) -> None:
        self._health.fold(event)
        self.events.append(event)


def _graver(one: str, other: Action) -> Action:
    order = list(Action)
    return max(Action(one), other, key=order.index)
