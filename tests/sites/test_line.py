"""What each side of the line refuses: forged, old, repeated, foreign; and a site out of reach."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from dure.core.errors import DriverError
from dure.core.orders import NodeReport, Receipt, Recipe, StartOrder
from dure.core.sealing import BY_AGENT, BY_CENTRE, key_bytes, seal, site_key
from dure.core.site_words import (
    Answer,
    Ended,
    Printed,
    Push,
    PushRefusal,
    answer_of,
    encoded,
)
from dure.services.sites import Sealed
from tests.sites.line import SECRET, SITE, AgentSide, CentreSide, Line, ends, node_named
from tests.sites.machines import Machines

NODE = "n1"
IN_POOL = "seoul.n1"


def order(job: str) -> StartOrder:
    return StartOrder(f"here:{job}~1", job, 1, ((IN_POOL, 0),), 1000, Recipe(script="true"))


class Both:
    """The two sides, and machines that a test plays."""

    def __init__(self, folder: Path) -> None:
        self.centre = CentreSide(folder / "centre", {NODE: 4})
        self.line = Line(self.centre, self.centre.key)
        self.machines = Machines()
        self.site = AgentSide(
            folder / "site", self.line, lambda: self.machines, [node_named(NODE, 4)]
        )
        self.driver.observe()
        self.driver.observe()
        self.turn(2)

    @property
    def driver(self):  # type: ignore[no-untyped-def]
        return self.centre.driver

    def turn(self, times: int = 1) -> None:
        for _ in range(times):
            self.site.agent.turn()

    def sealed(self, push: Push, *, key: str = "", site: str = SITE) -> Sealed:
        body = encoded(push)
        own = key_bytes(key or self.centre.key)
        return Sealed(body, seal(own, by=BY_AGENT, site=site, body=body))


@pytest.fixture
def both(tmp_path: Path) -> Both:
    return Both(tmp_path)


def a_push(both: Both, **more: object) -> Push:
    said = msgspec.json.decode(both.line.said[-1].body, type=Push)
    return msgspec.structs.replace(said, count=said.count + 1, **more)


# --- what the centre refuses ---------------------------------------------------------------------


def test_without_the_right_key_there_is_no_such_site(both: Both) -> None:
    push = a_push(both)
    right = both.sealed(push)
    guessed = "0" * 64

    assert both.centre.refusal(replace(right, seal=guessed)) is None
    assert both.centre.refusal(replace(right, seal="")) is None
    assert both.centre.refusal(replace(right, body=right.body + b" ")) is None
    assert both.centre.refusal(both.sealed(push, key=site_key(SECRET, SITE, 2))) is None
    # A key of another site, and the right key for a site that is not its own.
    other = both.centre.enrolments.enrol("busan", by="test")
    assert both.centre.refusal(both.sealed(push, key=other)) is None
    assert both.centre.refusal(both.sealed(push, site="busan"), "busan") is None
    # What the centre itself once sealed is no push.
    body = right.body
    ours = seal(key_bytes(both.centre.key), by=BY_CENTRE, site=SITE, body=body)
    assert both.centre.refusal(Sealed(body, ours)) is None
    assert isinstance(both.centre.sites.exchange(SITE, right), Sealed)


def test_a_push_that_was_said_before_is_stale(both: Both) -> None:
    for said in list(both.line.said[1:]):
        assert both.centre.refusal(said) is PushRefusal.STALE
    both.turn()

    assert both.site.agent.trouble == ""


def test_after_a_new_start_of_the_engine_an_old_push_says_nothing(both: Both) -> None:
    both.driver.start(order("one"))
    both.turn(2)
    both.machines.end("one")
    both.turn(2)
    old = both.line.said[-2:]
    both.centre.begin()
    both.driver.observe()
    both.driver.observe()

    for said in old:
        answer = both.centre.sites.exchange(SITE, said)
        assert isinstance(answer, Sealed)
        assert answer_of(answer.body).orders == []
    assert both.driver.observe() == []
    both.turn(3)
    assert ends(both.driver.observe()) == [("one", 1, "ended")]
    assert both.machines.started == [("one", 1)]


def test_a_second_agent_with_a_copy_of_the_key_is_refused_until_there_is_a_new_key(
    both: Both, tmp_path: Path
) -> None:
    second = AgentSide(tmp_path / "thief", both.line, Machines, [node_named(NODE, 4)])
    second.agent.turn()
    assert second.agent.trouble == f"refused: {PushRefusal.OTHER_AGENT}"

    key = both.centre.enrolments.enrol(SITE, by="test")
    line = Line(both.centre, key)
    second.line = line
    second.begin()
    for _ in range(3):
        second.agent.turn()
    both.turn()

    assert second.agent.trouble == ""
    assert both.site.agent.trouble == "refused: None"


def test_a_revoked_key_opens_nothing(both: Both) -> None:
    assert both.centre.enrolments.revoke(SITE, by="test")
    both.turn()

    assert both.site.agent.trouble == "refused: None"
    assert not both.centre.enrolments.revoke(SITE, by="test")


def test_before_the_engine_has_looked_round_nobody_is_let_in(both: Both) -> None:
    both.centre.begin()

    both.turn()

    assert both.site.agent.trouble == f"refused: {PushRefusal.NOT_LEADING}"


# --- what the agent refuses ----------------------------------------------------------------------


def forged(answer: Sealed, **more: object) -> Sealed:
    changed = msgspec.structs.replace(answer_of(answer.body), **more)
    return Sealed(encoded(changed), answer.seal)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda both, answer: forged(answer, kept=99), "has not the seal"),
        (lambda both, answer: replace(answer, seal=""), "has not the seal"),
        (lambda both, answer: both.line.answers[-2], "answers another push"),
    ],
)
def test_orders_that_are_forged_or_an_answer_to_something_else_are_not_carried_out(
    both: Both, change: Callable[[Both, Sealed], Sealed], why: str
) -> None:
    both.line.change = lambda answer: change(both, answer)
    both.driver.start(order("one"))

    both.turn()

    assert why in both.site.agent.trouble
    assert both.machines.started == []
    both.line.change = lambda answer: answer
    both.turn()
    assert both.machines.started == [("one", 1)]


def test_an_engine_of_an_older_generation_is_not_obeyed(both: Both, tmp_path: Path) -> None:
    both.driver.start(order("one"))
    both.turn()
    both.machines.started.clear()
    older = both.driver.generation
    both.centre.begin()
    both.driver.observe()
    both.driver.observe()
    both.turn(2)
    assert both.site.memory.generation == both.driver.generation == older + 1

    def as_before(answer: Sealed) -> Sealed:
        body = encoded(msgspec.structs.replace(answer_of(answer.body), generation=older))
        return Sealed(body, seal(key_bytes(both.centre.key), by=BY_CENTRE, site=SITE, body=body))

    both.line.change = as_before
    both.driver.start(order("two"))
    both.turn()
    # Also after a new start of the agent, which remembers.
    both.site.begin()
    both.turn(2)

    assert f"generation {older} answers" in both.site.agent.trouble
    assert ("two", 1) not in both.machines.started


def test_an_order_whose_number_was_passed_is_not_carried_out_again(both: Both) -> None:
    both.driver.start(order("one"))
    both.turn()
    again = both.line.answers[-1]

    def with_old_orders(answer: Sealed) -> Sealed:
        orders = answer_of(again.body).orders
        body = encoded(msgspec.structs.replace(answer_of(answer.body), orders=orders))
        return Sealed(body, seal(key_bytes(both.centre.key), by=BY_CENTRE, site=SITE, body=body))

    both.line.change = with_old_orders
    both.turn(3)

    assert answer_of(again.body).orders != []
    assert both.machines.started == [("one", 1)]


# --- what an agent may say -----------------------------------------------------------------------


def test_what_no_backend_could_say_is_set_aside_or_made_sound(both: Both, tmp_path: Path) -> None:
    both.driver.start(order("one"))
    both.turn(2)
    now_s = both.centre.clock.now_s()
    wild = Receipt("exploded", "one", 1, now_s + 10**9, 10**12, reason="x" * 10_000)
    reports = [
        Ended(1, replace(wild, job="../../etc"), {}),
        Ended(2, replace(wild, job="of-somebody-else"), {}),
        Ended(3, replace(wild, attempt=-1), {}),
        Ended(4, wild, {}),
    ]
    nodes = [NodeReport(NODE, "closed", "king"), NodeReport("elsewhere", "down")]
    printed = [
        Printed("of-somebody-else", 1, "out", 0, b"x"),
        Printed("one", 1, "err/../", 0, b"x"),
    ]
    push = a_push(both, reports=reports, nodes=nodes, printed=printed)

    assert isinstance(both.centre.sites.exchange(SITE, both.sealed(push)), Sealed)

    (receipt,) = both.driver.observe()
    assert receipt == Receipt("ended", "one", 1, now_s, 255, reason="x" * 500)
    assert both.driver.clean("one", 1)["is_clean"] is False
    assert both.driver.nodes() == [NodeReport(IN_POOL, "open")]
    assert not (tmp_path / "centre" / "jobs").exists()
    with pytest.raises(msgspec.MsgspecError):
        both.centre.sites.exchange(SITE, garbled(both))


def garbled(both: Both) -> Sealed:
    body = b'{"agent": 7'
    own = key_bytes(both.centre.key)
    return Sealed(body, seal(own, by=BY_AGENT, site=SITE, body=body))


def test_what_cannot_start_at_the_site_is_said_when_it_is_ordered_again(both: Both) -> None:
    both.machines.wrong = "no disk left"
    both.driver.start(order("one"))
    both.turn(2)

    with pytest.raises(DriverError, match="seoul cannot start it: no disk left"):
        both.driver.start(order("one"))
    both.machines.wrong = ""
    both.turn()
    # Whoever was told no has ordered nothing.
    assert both.machines.started == []
    both.driver.start(order("one"))
    both.turn()

    assert both.machines.started == [("one", 1)]


def test_a_gang_of_two_sites_and_one_of_none_are_refused(both: Both) -> None:
    for devices in (((IN_POOL, 0), ("busan.n1", 0)), (("busan.n1", 0),)):
        with pytest.raises(DriverError, match="one site runs a gang"):
            both.driver.start(replace(order("one"), devices=devices))


# --- a site out of reach -------------------------------------------------------------------------


def test_a_silent_site_is_closed_and_what_it_was_never_told_is_taken_back(both: Both) -> None:
    both.driver.start(order("told"))
    both.turn()
    both.line.is_cut = True
    both.driver.start(order("untold"))
    both.turn()
    assert both.driver.nodes() == [NodeReport(IN_POOL, "open")]

    both.centre.clock.at_s += 31
    both.machines.end("told", at_s=both.centre.clock.at_s - 10)
    both.turn()
    taken_back = both.driver.observe()
    closed, cleaned = both.driver.nodes(), both.driver.clean("untold", 1)
    both.driver.acknowledge(taken_back)
    both.line.is_cut = False
    both.turn(2)

    assert ends(taken_back) == [("untold", 1, "stopped")]
    assert taken_back[0].reason == "SiteOutOfReach"
    assert cleaned == {**cleaned, "job": "untold", "is_clean": True, "is_sent": False}
    assert closed == [NodeReport(IN_POOL, "closed", "health", "SiteOutOfReach")]
    assert both.driver.nodes() == [NodeReport(IN_POOL, "open")]
    assert ends(both.driver.observe()) == [("told", 1, "ended")]
    assert both.machines.started == [("told", 1)]


def test_an_order_whose_answer_was_lost_is_not_taken_back(both: Both) -> None:
    both.line.loses_answers = True
    both.driver.start(order("told"))
    both.turn()

    both.centre.clock.at_s += 31

    assert both.driver.observe() == []
    both.line.loses_answers = False
    both.turn()
    assert both.machines.started == [("told", 1)]


def test_ends_of_a_silent_hour_come_in_their_order_and_once(both: Both) -> None:
    jobs = [f"job-{number:02}" for number in range(30)]
    for job in jobs:
        both.driver.start(order(job))
    both.turn()
    both.line.is_cut = True
    ended = sorted(jobs, key=lambda job: job[::-1])
    for at_s, job in enumerate(ended):
        both.machines.end(job, at_s=100 + at_s)
        both.turn()
    both.centre.clock.at_s += 3600
    both.driver.observe()
    assert both.site.spooled() == 30

    both.line.is_cut = False
    both.site.begin()
    both.turn(3)
    came = both.driver.observe()
    both.driver.acknowledge(came)
    both.turn(2)

    (push,) = [
        one
        for one in (msgspec.json.decode(said.body, type=Push) for said in both.line.said)
        if one.reports
    ]
    assert [report.receipt.job for report in push.reports] == ended
    assert sorted(one.job for one in came) == jobs
    assert both.driver.observe() == []
    assert both.site.spooled() == 0
    assert [job for job, _ in both.machines.started] == jobs


def test_a_node_that_the_site_has_no_more_is_closed(both: Both) -> None:
    both.site._nodes = [node_named(NODE, 3)]
    both.site.begin()
    both.turn(2)

    assert both.driver.nodes() == [NodeReport(IN_POOL, "closed", "provider", "3 devices")]


def test_answers_name_the_engines_generation_before_anything_else(both: Both) -> None:
    stranger = a_push(both, generation=0)
    answer = both.centre.sites.exchange(SITE, both.sealed(stranger))

    assert isinstance(answer, Sealed)
    assert answer_of(answer.body) == Answer(
        generation=both.driver.generation, run=stranger.run, count=stranger.count
    )
