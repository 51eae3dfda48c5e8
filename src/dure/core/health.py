"""Nodes' health as named events tell it, the rule's numbers, and what a person may do about it.

A node is closed in the name of ``health`` alone: what a person or another rule closed is not ours
to open. What is decided from errors and silence stands in ``core.health_rule``.
"""

from dataclasses import dataclass, field

from dure.core.errors import PolicyError
from dure.core.events import Event
from dure.core.events.health import (
    DeviceErred,
    HealthBreakerReset,
    HealthBreakerTripped,
    NodeRepaired,
    TicketClosed,
    TicketOpened,
    TicketRenewed,
)
from dure.core.events.work import NodeDrained, NodeResumed

HEALTH = "health"
DAY_S = 86_400
SILENT, XID = "silent", "xid"
# The rule looks no further back than this many errors of a kind on one GPU.
ERRORS_KEPT = 8
OPEN, HELD, PROBATION, CLOSED = "open", "held", "probation", "closed"


@dataclass(frozen=True, slots=True)
class HealthPolicy:
    """The rule's numbers.

    Attributes:
        persist_s: what is not fatal by itself must last so long, or come again within it.
        repeat_s: the same error of the same GPU within it is one error.
        programs_s: two errors of a program's kind on one GPU within it are the GPU's.
        repairs_max: resets or restarts for the same error within ``repairs_s``; then inspection.
        breaker_pct, breaker_window_s: so many of a provider's nodes are closed in this time.
        probation_s: from a repair until the node is trusted.
    """

    persist_s: int = 240
    repeat_s: int = 600
    programs_s: int = DAY_S
    repairs_max: int = 2
    repairs_s: int = 7 * DAY_S
    breaker_pct: int = 5
    breaker_window_s: int = 600
    probation_s: int = DAY_S

    def __post_init__(self) -> None:
        if min(self.persist_s, self.repeat_s, self.repairs_max, self.breaker_pct) < 1:
            raise PolicyError("a time, a count or a percentage of the health rule is below 1.")


@dataclass(slots=True)
class Ticket:
    """One repair that a provider was asked for.

    Attributes:
        state: open, held (by the breaker), probation (repaired) or closed.
        fault_at_s: the newest fault. until_s: end of the probation.
    """

    ticket: str
    node: str
    provider: str
    cause: str
    device: int
    xid: int
    action: str
    state: str
    opened_at_s: int
    fault_at_s: int
    before: int = 0
    repaired_at_s: int = -1
    until_s: int = -1
    done: str = ""
    note: str = ""


@dataclass(slots=True)
class Health:
    """What is known of nodes' health: named events, folded."""

    tickets: dict[str, Ticket] = field(default_factory=dict)
    tripped: set[str] = field(default_factory=set)
    # Of each node: its ticket that is not closed; repairs done as (xid, moment, what).
    ticket_of: dict[str, str] = field(default_factory=dict)
    repairs: dict[str, list[tuple[int, int, str]]] = field(default_factory=dict)
    # Moments at which the rule closed a provider's nodes.
    closings: dict[str, list[int]] = field(default_factory=dict)
    # Newest errors as (moment, job) by (node, device, xid); of a job's, where each was last.
    errors: dict[tuple[str, int, int], list[tuple[int, str]]] = field(default_factory=dict)
    places: dict[tuple[str, int], dict[tuple[str, int], int]] = field(default_factory=dict)

    def fold(self, event: Event) -> None:
        """Take in one event; those of others are passed over."""
        match event:
            case DeviceErred():
                newest = self.errors.setdefault((event.node, event.device, event.xid), [])
                newest.append((event.erred_at_s, event.job))
                del newest[:-ERRORS_KEPT]
                places = self.places.setdefault((event.job, event.xid), {})
                places[event.node, event.device] = event.erred_at_s
            case TicketOpened():
                self._opened(event)
            case TicketRenewed():
                self._renewed(event)
            case NodeDrained() if event.who == HEALTH:
                ticket = self.tickets.get(self.ticket_of.get(event.node, ""))
                if ticket is not None:
                    ticket.state = OPEN
                    self.closings.setdefault(ticket.provider, []).append(event.at_s)
            case NodeRepaired():
                self._repaired(event)
            case TicketClosed():
                self.tickets[event.ticket].state = CLOSED
                self.ticket_of.pop(event.node, None)
            case HealthBreakerTripped():
                self.tripped.add(event.provider)
            case HealthBreakerReset():
                self.tripped.discard(event.provider)
                self.closings.pop(event.provider, None)
            case _:
                pass

    def open_ticket(self, node: str) -> Ticket | None:
        """Return a node's ticket that is not closed yet."""
        return self.tickets.get(self.ticket_of.get(node, ""))

    def repaired_at_s(self, node: str) -> int:
        """Return when a node was last repaired, -1 if never."""
        return max((at_s for _, at_s, _ in self.repairs.get(node, ())), default=-1)

    def _opened(self, event: TicketOpened) -> None:
        self.tickets[event.ticket] = Ticket(
            event.ticket,
            event.node,
            event.provider,
            event.cause,
            event.device,
            event.xid,
            event.action,
            HELD if event.held else OPEN,
            event.at_s,
            event.fault_at_s,
            event.before,
        )
        self.ticket_of[event.node] = event.ticket

    def _renewed(self, event: TicketRenewed) -> None:
        ticket = self.tickets[event.ticket]
        ticket.fault_at_s, ticket.action = event.fault_at_s, event.action
        ticket.device, ticket.before = event.device, event.before
        if event.xid:
            ticket.xid, ticket.cause = event.xid, XID

    def _repaired(self, event: NodeRepaired) -> None:
        ticket = self.tickets[event.ticket]
        ticket.state, ticket.repaired_at_s, ticket.until_s = PROBATION, event.at_s, event.until_s
        ticket.done, ticket.note = event.done, event.note
        repairs = self.repairs.setdefault(event.node, [])
        repairs.append((ticket.xid, event.at_s, event.done))
        del repairs[:-32]


def repaired(
    ticket: Ticket,
    policy: HealthPolicy,
    *,
    done: str,
    note: str,
    by: str,
    now_s: int,
) -> list[Event]:
    """Return what follows from a repair: the node works again, on probation; what a person or
    another rule closed stays closed.
    """
    until_s = now_s + policy.probation_s
    found: list[Event] = [
        NodeRepaired(
            at_s=now_s,
            by=by,
            ticket=ticket.ticket,
            node=ticket.node,
            done=done,
            until_s=until_s,
            note=note,
        )
    ]
    if ticket.state == OPEN:
        found.append(NodeResumed(at_s=now_s, by=by, node=ticket.node, who=HEALTH))
    return found


def released(health: Health, provider: str, *, by: str, now_s: int) -> list[Event]:
    """Return what follows when a person resets a provider's breaker: nodes held are closed."""
    held = [
        one for one in health.tickets.values() if one.provider == provider and one.state == HELD
    ]
    return [
        HealthBreakerReset(at_s=now_s, by=by, provider=provider),
        *(closing(one.node, one.action, by, now_s) for one in held),
    ]


def closing(node: str, action: str, by: str, now_s: int) -> NodeDrained:
    """Return the event that closes a node in the rule's name."""
    return NodeDrained(at_s=now_s, by=by, node=node, who=HEALTH, reason=action)
