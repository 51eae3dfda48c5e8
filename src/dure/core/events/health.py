"""Named events of nodes' health: errors, tickets of repairs, the breaker."""

from dure.core.events.base import Event


class DeviceErred(Event, frozen=True, kw_only=True):
    """A GPU's driver reported an error.

    Attributes:
        at_s: when it was told; ``erred_at_s``: when it happened, by the meter.
        xid: the error's number; ``action``: what it calls for (``core.xids.Action``).
        job: what ran there, "" if nothing did or nobody knows.
    """

    node: str
    device: int
    xid: int
    erred_at_s: int
    action: str
    job: str = ""


class TicketOpened(Event, frozen=True, kw_only=True):
    """A provider is asked to repair a node; it takes no new work meanwhile.

    Attributes:
        cause: ``xid`` or ``silent`` (the node said nothing for too long).
        fault_at_s: when the fault happened.
        action: what is asked for. before: repairs of the same error that did not help.
        held: the breaker is open, so a person decides whether the node is closed.
    """

    ticket: str
    node: str
    provider: str
    cause: str
    fault_at_s: int
    action: str
    device: int = -1
    xid: int = 0
    before: int = 0
    held: bool = False


class TicketRenewed(Event, frozen=True, kw_only=True):
    """The same node failed again while its ticket was open, or on probation after it."""

    ticket: str
    node: str
    fault_at_s: int
    action: str
    device: int = -1
    xid: int = 0
    before: int = 0


class NodeRepaired(Event, frozen=True, kw_only=True):
    """A repair was done: the node works again, on probation until ``until_s``.

    Attributes:
        done: what was done, one of the actions. note: the provider's words.
    """

    ticket: str
    node: str
    done: str
    until_s: int
    note: str = ""


class TicketClosed(Event, frozen=True, kw_only=True):
    """A node stayed healthy through its probation, or a silent one was heard again."""

    ticket: str
    node: str


class HealthBreakerTripped(Event, frozen=True, kw_only=True):
    """Too many of a provider's nodes were to be closed at once: the rule closes no more."""

    provider: str
    nodes: int
    of_nodes: int
    within_s: int


class HealthBreakerReset(Event, frozen=True, kw_only=True):
    """A person looked and lets the rule close nodes of the provider again."""

    provider: str


EVENTS: tuple[type[Event], ...] = (
    DeviceErred,
    TicketOpened,
    TicketRenewed,
    NodeRepaired,
    TicketClosed,
    HealthBreakerTripped,
    HealthBreakerReset,
)
