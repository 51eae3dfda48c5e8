"""The health rule: what is closed, what is asked for, who may open it again."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dure.core.errors import PolicyError
from dure.core.events import Event
from dure.core.events.health import (
    DeviceErred,
    HealthBreakerTripped,
    NodeRepaired,
    TicketClosed,
    TicketOpened,
    TicketRenewed,
)
from dure.core.events.work import NodeDrained, NodeResumed
from dure.core.health import (
    CLOSED,
    HEALTH,
    HELD,
    OPEN,
    PROBATION,
    Health,
    HealthPolicy,
    Ticket,
    released,
    repaired,
)
from dure.core.health_rule import plan_health
from dure.core.measured import Signal
from dure.core.xids import XIDS, Action

NOW_S = 1_790_000_000
POLICY = HealthPolicy()
HOUR_S, DAY_S = 3_600, 86_400


class Clinic:
    """A provider's nodes, the rule, and a clock."""

    def __init__(self, nodes: int = 100) -> None:
        self.health = Health()
        self.provider_of = {f"n{place:03}": "p" for place in range(nodes)}
        self.heard_s: dict[str, int] = {}
        self.now_s = NOW_S
        self.events: list[Event] = []

    def see(self, *signals: Signal, after_s: int = 15, upto_s: int | None = None) -> list[Event]:
        self.now_s += after_s
        events = plan_health(
            self.health,
            signals,
            self.heard_s,
            self.provider_of,
            POLICY,
            upto_s=self.now_s if upto_s is None else upto_s,
            now_s=self.now_s,
        )
        self.take(events)
        return events

    def take(self, events: list[Event]) -> None:
        for event in events:
            self.health.fold(event)
        self.events += events

    def err(self, xid: int, node: str = "n000", device: int = 0, job: str = "", *, ago_s: int = 0,
            after_s: int = 15) -> list[Event]:  # fmt: skip
        at_s = self.now_s + after_s - ago_s
        return self.see(Signal(at_s, node, device, xid, job), after_s=after_s)

    def repair(self, node: str = "n000", done: Action = Action.RESET_GPU) -> None:
        self.now_s += 60
        ticket = self.ticket(node)
        self.take(repaired(ticket, POLICY, done=done.value, note="", by="park", now_s=self.now_s))

    def ticket(self, node: str = "n000") -> Ticket:
        ticket = self.health.open_ticket(node)
        assert ticket is not None
        return ticket

    def is_closed(self, node: str = "n000") -> bool:
        mine = [one for one in self.events if isinstance(one, NodeDrained | NodeResumed)]
        newest = [one for one in mine if one.node == node and one.who == HEALTH]
        return bool(newest) and isinstance(newest[-1], NodeDrained)


def kinds(events: list[Event]) -> list[str]:
    return [type(one).__name__ for one in events]


def test_the_catalogue_is_as_published() -> None:
    published = {
        Action.RESTART_APP: {13, 31, 68, 69, 94},
        Action.RESET_GPU: {62, 64, 95, 109, 110, 119, 120, 140, 143, 48},
        Action.RESTART_NODE: {79},
        Action.IGNORE: {43, 63, 92, 45},
        Action.INSPECT: {74, *range(144, 151)},
    }

    assert {
        action: {xid for xid, entry in XIDS.items() if entry.action is action}
        for action in published
    } == published


@pytest.mark.parametrize(
    ("xid", "asked"), [(79, "RESTART_NODE"), (95, "RESET_GPU"), (48, "RESET_GPU"), (74, "INSPECT")]
)
def test_a_fatal_error_closes_its_node_at_once_and_asks_for_the_repair(
    xid: int, asked: str
) -> None:
    clinic = Clinic()

    events = clinic.err(xid, device=3, job="j1")

    assert kinds(events) == ["DeviceErred", "TicketOpened", "NodeDrained"]
    ticket = clinic.ticket()
    assert (ticket.action, ticket.device, ticket.xid, ticket.state) == (asked, 3, xid, OPEN)
    assert clinic.is_closed()


@pytest.mark.parametrize("xid", [43, 63, 92, 45, 94, 68])
def test_what_calls_for_nothing_or_for_the_job_closes_no_node(xid: int) -> None:
    clinic = Clinic()

    assert kinds(clinic.err(xid)) == ["DeviceErred"]
    assert kinds(clinic.err(xid, after_s=HOUR_S)) == ["DeviceErred"]


@pytest.mark.parametrize("xid", [13, 31])
def test_a_programs_error_on_several_gpus_is_the_programs_own(xid: int) -> None:
    clinic = Clinic()
    for place in range(4):
        clinic.err(xid, node=f"n00{place}", job="j1")

    again = clinic.err(xid, node="n000", job="j1", after_s=HOUR_S)

    assert kinds(again) == ["DeviceErred"]
    assert clinic.health.tickets == {}


@pytest.mark.parametrize("xid", [13, 31])
def test_a_programs_error_twice_on_one_gpu_within_a_day_is_the_gpus(xid: int) -> None:
    clinic = Clinic()
    clinic.err(xid, job="j1")
    clinic.err(xid, job="j2", after_s=2 * DAY_S)
    assert clinic.health.tickets == {}

    clinic.err(xid, job="j3", after_s=HOUR_S)

    assert clinic.ticket().action == "DIAGNOSE"


def test_an_error_that_nobody_listed_must_come_again_to_count() -> None:
    clinic = Clinic()
    assert kinds(clinic.err(999)) == ["DeviceErred"]
    assert kinds(clinic.err(999, after_s=HOUR_S)) == ["DeviceErred"]

    clinic.err(999, after_s=60)

    assert clinic.ticket().action == "INSPECT"


def test_a_storm_of_one_error_is_one_error() -> None:
    clinic = Clinic()
    storm = [Signal(NOW_S + place % 60, "n000", 0, 95) for place in range(5_000)]
    fatal = Signal(NOW_S + 30, "n001", 0, 79)

    events = clinic.see(*sorted([*storm, fatal]), after_s=60)

    assert Counter(kinds(events)) == {"DeviceErred": 2, "TicketOpened": 2, "NodeDrained": 2}


def test_the_same_error_is_repaired_twice_at_most_then_somebody_looks() -> None:
    clinic, asked = Clinic(), []
    for _ in range(3):
        clinic.err(79, after_s=HOUR_S)
        asked.append(clinic.ticket().action)
        clinic.repair(done=Action.RESTART_NODE)

    assert asked == ["RESTART_NODE", "RESTART_NODE", "INSPECT"]
    # Another error has not been tried, and a week later neither has this one.
    clinic.err(95, after_s=HOUR_S)
    assert clinic.ticket().action == "RESET_GPU"
    clinic.repair()
    clinic.see(after_s=8 * DAY_S)
    clinic.err(79)
    assert clinic.ticket().action == "RESTART_NODE"


def test_after_a_repair_the_node_works_on_probation_and_is_trusted_when_it_lasts() -> None:
    clinic = Clinic()
    clinic.err(95)
    clinic.repair()
    assert (clinic.ticket().state, clinic.is_closed()) == (PROBATION, False)

    # On probation nothing has to come again.
    clinic.err(999, after_s=HOUR_S)
    assert (clinic.ticket().state, clinic.is_closed()) == (OPEN, True)
    clinic.repair()
    ticket = clinic.ticket()
    events = clinic.see(after_s=DAY_S + 1, upto_s=NOW_S)
    assert events == [], "nobody looked, so nobody knows"
    clinic.see()

    assert (ticket.state, clinic.health.open_ticket("n000")) == (CLOSED, None)


def test_an_old_fault_does_not_undo_a_repair_and_an_old_sign_of_health_no_fault() -> None:
    clinic = Clinic()
    clinic.err(95)
    clinic.repair()

    # A site that was cut off tells an hour late what happened before the repair.
    late = clinic.err(79, ago_s=HOUR_S)
    assert kinds(late) == ["DeviceErred"]
    assert not clinic.is_closed()

    clinic.err(79, after_s=HOUR_S)
    clinic.heard_s["n000"] = clinic.now_s
    assert clinic.see() == []
    assert clinic.is_closed(), "being heard repairs nothing"


def test_a_silent_node_is_closed_when_it_lasts_and_opened_when_it_is_heard() -> None:
    clinic = Clinic()
    heard_s = clinic.heard_s["n000"] = clinic.now_s
    clinic.heard_s["n001"] = clinic.now_s + 1_000

    assert clinic.see(after_s=POLICY.persist_s - 1) == []
    assert kinds(clinic.see(after_s=1)) == ["TicketOpened", "NodeDrained"]
    assert clinic.ticket().cause == "silent"
    # A sample from before the silence that comes late is no sign of life.
    clinic.heard_s["n000"] = heard_s + 1
    assert clinic.see() == []
    clinic.heard_s["n000"] = clinic.now_s
    assert kinds(clinic.see()) == ["TicketClosed", "NodeResumed"]
    assert not clinic.is_closed()


def test_a_meter_that_is_away_makes_no_node_silent() -> None:
    clinic = Clinic()
    clinic.heard_s = dict.fromkeys(clinic.provider_of, clinic.now_s)

    assert clinic.see(after_s=HOUR_S, upto_s=clinic.now_s) == []


def test_a_silent_node_that_failed_is_not_opened_by_being_heard() -> None:
    clinic = Clinic()
    clinic.heard_s["n000"] = clinic.now_s
    clinic.see(after_s=POLICY.persist_s)
    renewed = clinic.err(79)
    assert kinds(renewed) == ["DeviceErred", "TicketRenewed"]
    clinic.heard_s["n000"] = clinic.now_s

    assert clinic.see() == []
    assert clinic.is_closed()


def test_a_repair_that_left_the_node_silent_is_noticed() -> None:
    clinic = Clinic()
    clinic.heard_s["n000"] = clinic.now_s
    clinic.see(after_s=POLICY.persist_s)
    clinic.repair(done=Action.RESTART_NODE)

    events = clinic.see(after_s=POLICY.persist_s)

    assert kinds(events) == ["TicketRenewed", "NodeDrained"]


def test_the_breaker_closes_no_more_than_five_percent_without_a_person() -> None:
    clinic = Clinic(nodes=100)
    storm = [Signal(NOW_S + 1, f"n{place:03}", 0, 79) for place in range(60)]

    events = clinic.see(*storm)

    assert Counter(kinds(events)) == {
        "DeviceErred": 60, "TicketOpened": 60, "NodeDrained": 5, "HealthBreakerTripped": 1,
    }  # fmt: skip
    held = [one for one in clinic.health.tickets.values() if one.state == HELD]
    assert len(held) == 55
    assert clinic.err(79, node="n099", after_s=HOUR_S)[-1:] != [], "time alone resets nothing"
    assert not clinic.is_closed("n099")

    clinic.take(released(clinic.health, "p", by="noh", now_s=clinic.now_s))

    assert all(clinic.is_closed(f"n{place:03}") for place in range(60))
    assert not [one for one in clinic.health.tickets.values() if one.state == HELD]


def test_on_a_few_nodes_the_breaker_lets_one_be_closed() -> None:
    clinic = Clinic(nodes=4)

    clinic.see(*(Signal(NOW_S + 1, f"n00{place}", 0, 79) for place in range(3)))

    assert [clinic.is_closed(f"n00{place}") for place in range(3)] == [True, False, False]


def test_a_node_that_nobody_knows_changes_nothing() -> None:
    assert Clinic().err(79, node="stranger") == []


def test_a_rule_without_time_is_refused() -> None:
    with pytest.raises(PolicyError):
        HealthPolicy(persist_s=0)


signals = st.builds(
    Signal,
    at_s=st.integers(NOW_S, NOW_S + 3 * HOUR_S),
    node=st.sampled_from([f"n{place:03}" for place in range(40)]),
    device=st.integers(0, 1),
    xid=st.sampled_from([13, 31, 43, 79, 94, 95, 999]),
    job=st.sampled_from(["", "j1", "j2"]),
)


@given(st.lists(st.lists(signals, max_size=12), max_size=12), st.data())
def test_whatever_comes_the_breaker_holds_and_the_books_agree(
    batches: list[list[Signal]], data: st.DataObject
) -> None:
    clinic = Clinic(nodes=40)
    for batch in batches:
        clinic.see(*sorted(batch), after_s=data.draw(st.integers(1, 900)))
        tickets = [one for one in clinic.health.tickets.values() if one.state == OPEN]
        if tickets and data.draw(st.booleans()):
            clinic.repair(tickets[0].node)

    firsts = [
        one.at_s
        for before, one in zip([None, *clinic.events], clinic.events, strict=False)
        if isinstance(one, NodeDrained) and isinstance(before, TicketOpened)
    ]
    window_s = POLICY.breaker_window_s
    assert all(sum(at_s - window_s < one <= at_s for one in firsts) <= 2 for at_s in firsts)
    for node in clinic.provider_of:
        ticket = clinic.health.open_ticket(node)
        assert clinic.is_closed(node) == (ticket is not None and ticket.state == OPEN)
    again = Health()
    for event in clinic.events:
        again.fold(event)
    assert again == clinic.health
    unknown = (DeviceErred, HealthBreakerTripped, NodeRepaired, TicketClosed, TicketRenewed)
    assert {type(one) for one in clinic.events} <= {
        *unknown, TicketOpened, NodeDrained, NodeResumed,
    }  # fmt: skip
