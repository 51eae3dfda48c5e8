"""What an agent may say, and what becomes of a site that is out of reach."""

from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from dure.core.errors import DriverError
from dure.core.orders import NodeReport, Receipt
from dure.core.sealing import BY_AGENT, key_bytes, seal
from dure.core.site_words import (
    MIRROR_BYTES_MAX,
    Answer,
    Ended,
    Printed,
    Push,
    answer_of,
)
from dure.services.sites import Sealed
from tests.sites.both import IN_POOL, NODE, Both, a_push, order
from tests.sites.line import SITE, ends, node_named


@pytest.fixture
def both(tmp_path: Path) -> Both:
    return Both(tmp_path)


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


def test_a_refusal_of_an_order_given_before_takes_nothing_back(both: Both) -> None:
    both.machines.wrong = "no disk left"
    both.driver.start(order("one"))
    both.turn(2)
    (refused,) = [
        one
        for one in (msgspec.json.decode(said.body, type=Push) for said in both.line.said)
        if one.refused
    ]
    with pytest.raises(DriverError):
        both.driver.start(order("one"))
    both.machines.wrong = ""
    both.driver.start(order("one"))
    again = a_push(both, refused=refused.refused, taken=0)

    answer = both.centre.sites.exchange(SITE, both.sealed(again))

    assert isinstance(answer, Sealed)
    assert [type(one.order).__name__ for one in answer_of(answer.body).orders] == ["Start"]


def test_an_end_that_was_heard_and_forgotten_is_not_heard_again(both: Both) -> None:
    both.driver.start(order("one"))
    both.turn()
    both.machines.end("one")
    both.turn()
    told = msgspec.json.decode(both.line.said[-1].body, type=Push).reports
    both.driver.acknowledge(both.driver.observe())
    both.turn(2)

    answer = both.centre.sites.exchange(SITE, both.sealed(a_push(both, reports=told)))

    assert isinstance(answer, Sealed) and len(told) == 1
    assert answer_of(answer.body).orders == []


def test_an_end_waits_for_what_it_printed(both: Both, tmp_path: Path) -> None:
    both.driver.start(order("one"))
    both.turn()
    printed = tmp_path / "site" / "jobs" / "one" / "attempt-1.out"
    printed.parent.mkdir(parents=True)
    printed.write_text("a line\n" * 60_000)
    both.machines.end("one")
    for _ in range(2):
        both.turn()
        assert both.driver.observe() == []
    both.turn(3)

    assert ends(both.driver.observe()) == [("one", 1, "ended")]
    mirror = tmp_path / "centre" / "jobs" / "one" / "attempt-1.out"
    assert mirror.read_bytes() == printed.read_bytes()


def test_of_endless_output_the_first_part_is_mirrored(both: Both, tmp_path: Path) -> None:
    both.driver.start(order("one"))
    both.turn()
    printed = tmp_path / "site" / "jobs" / "one" / "attempt-1.err"
    printed.parent.mkdir(parents=True)
    printed.write_bytes(b"x" * (MIRROR_BYTES_MAX + 1_000_000))
    both.machines.end("one")
    both.turn(60)

    assert ends(both.driver.observe()) == [("one", 1, "ended")]
    mirror = tmp_path / "centre" / "jobs" / "one" / "attempt-1.err"
    assert mirror.stat().st_size == MIRROR_BYTES_MAX


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
