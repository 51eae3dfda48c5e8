"""What each side of the line refuses: forged, old, repeated, foreign."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from dure.core.sealing import BY_CENTRE, key_bytes, seal, site_key
from dure.core.site_words import (
    PushRefusal,
    answer_of,
    encoded,
)
from dure.services.sites import Sealed
from tests.sites.both import NODE, Both, a_push, order
from tests.sites.line import SECRET, SITE, AgentSide, Line, ends, node_named
from tests.sites.machines import Machines


@pytest.fixture
def both(tmp_path: Path) -> Both:
    return Both(tmp_path)


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
