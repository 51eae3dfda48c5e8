"""The committee: proposed, moved, compared, signed; nothing decided on is stale."""

import msgspec
import pytest

from dure.core.calls.model import Lottery
from dure.core.events.judging import LotsDrawn, MinutesSigned, ShareOutProposed
from dure.core.events.programme import Decided, Work
from dure.core.lottery import lot_of
from dure.core.programme import Refusal
from dure.services.access import Actor, Forbidden, Role
from dure.services.committee import Move
from dure.services.judging_screen import JudgingScreen
from tests.portal.filled_judging import filled_desk
from tests.services.programme_desk import OPERATOR, STARTS_S, Desk, applicant

CALL = "2026-2"
A, B, C, D, E = (f"{CALL}-000{place}" for place in range(1, 6))
NAMES = ("김위원", "Lee, chair")


def proposed(desk: Desk) -> ShareOutProposed:
    answer = desk.programme.propose(OPERATOR, CALL)
    assert isinstance(answer, ShareOutProposed)
    return answer


def moved(desk: Desk, move: Move) -> ShareOutProposed:
    answer = desk.programme.move(OPERATOR, CALL, move)
    assert isinstance(answer, ShareOutProposed)
    return answer


def selected(proposal: ShareOutProposed) -> dict[str, tuple[int, int]]:
    return {name: (gpus, month) for name, what, _, gpus, month in proposal.awards
            if what == "selected"}  # fmt: skip


def test_a_proposal_is_signed_and_becomes_dated_allocations() -> None:
    desk = filled_desk()
    proposal = proposed(desk)

    events = desk.programme.sign_minutes(
        OPERATOR, CALL, number=1, digest=proposal.digest, names=NAMES
    )
    desk.grant()

    assert selected(proposal) == {B: (64, 0), C: (64, 6), D: (16, 0)}
    assert proposal.value == 1000 * (80 * 64 * 6 + 79 * 64 * 6 + 77 * 16 * 12)
    assert not isinstance(events, Refusal)
    assert events[0] == MinutesSigned(CALL, 1, proposal.digest, NAMES, at_s=events[0].at_s,
                                      by="operator")  # fmt: skip
    decided = [one for one in events if isinstance(one, Decided)]
    assert [(one.application, one.decision, one.from_month) for one in decided] == [
        (A, "waitlisted", 0),
        (B, "selected", 0),
        (C, "selected", 6),
        (D, "selected", 0),
        (E, "rejected", 0),
    ]
    starts = {row["project"]: row["from_s"] for row in desk.programme.allocation_rows()}
    assert starts[f"p-{B}"] == STARTS_S
    # Six calendar months after 1 March.
    assert starts[f"p-{C}"] == STARTS_S + (31 + 30 + 31 + 30 + 31 + 31) * 86_400
    assert desk.programme.hand_over_all(OPERATOR) == ()


def test_the_committee_sees_who_comes_in_who_goes_out_and_what_is_lost() -> None:
    desk = filled_desk()
    first = proposed(desk)

    pinned = moved(desk, Move(pin=(A,)))
    excluded = moved(desk, Move(exclude={D: "no data yet"}, release=(A,)))

    assert selected(pinned) == {A: (64, 0), D: (16, 0)}
    difference = desk.programme.compare(CALL, 1, 2)
    assert not isinstance(difference, Refusal)
    assert (difference.comes_in, difference.goes_out) == ((A,), (B, C))
    assert (
        difference.value_lost
        == first.value - pinned.value
        == 1000 * 64 * (80 * 6 + 79 * 6 - 84 * 9)
    )
    assert (excluded.pinned, excluded.excluded) == ((), {D: "no data yet"})
    assert D not in selected(excluded)
    assert set(selected(moved(desk, Move(line_milli=82_000, readmit=(D,))))) == {A}


def test_what_cannot_be_moved_or_signed_is_refused() -> None:
    desk = filled_desk()
    programme = desk.programme
    answers = [programme.move(OPERATOR, CALL, Move())]
    first = proposed(desk)
    second = moved(desk, Move(line_milli=78_000))
    signing = {"number": 2, "digest": second.digest, "names": NAMES}

    answers += [
        programme.decide(OPERATOR, CALL),
        programme.move(OPERATOR, CALL, Move(pin=("nobody",))),
        programme.move(OPERATOR, CALL, Move(line_milli=100_001)),
        programme.move(OPERATOR, CALL, Move(exclude={A: " "})),
        programme.move(OPERATOR, CALL, Move(pin=(A, B))),
        programme.sign_minutes(OPERATOR, CALL, **{**signing, "names": ("", "x")}),
        programme.sign_minutes(OPERATOR, CALL, **{**signing, "number": 3}),
        programme.sign_minutes(OPERATOR, CALL, **{**signing, "number": 1}),
        programme.sign_minutes(OPERATOR, CALL, **{**signing, "digest": first.digest}),
    ]
    programme.withdraw(applicant("lead1"), B)
    answers.append(programme.sign_minutes(OPERATOR, CALL, **signing))

    assert answers == [
        Refusal.PROPOSAL_IS_UNKNOWN,
        Refusal.RULE_NEEDS_MINUTES,
        Refusal.APPLICATION_IS_UNKNOWN,
        Refusal.LINE_IS_OUT_OF_RANGE,
        Refusal.EXCLUSION_NEEDS_REASON,
        Refusal.PIN_HAS_NO_ROOM,
        Refusal.MINUTES_NEED_NAMES,
        Refusal.PROPOSAL_IS_UNKNOWN,
        Refusal.PROPOSAL_IS_NOT_THE_LAST,
        Refusal.DIGEST_DIFFERS,
        Refusal.PROPOSAL_IS_STALE,
    ]
    assert CALL not in programme.tables.decided_at_s


def test_a_call_by_rank_may_be_put_before_the_committee_too() -> None:
    desk = filled_desk()
    desk.programme.tables.calls[CALL] = msgspec.structs.replace(
        desk.programme.tables.calls[CALL], rule="rank"
    )

    proposal = proposed(desk)

    assert selected(proposal) == {A: (64, 0), D: (16, 0)}
    assert proposal.value == proposal.rank_value <= proposal.bound


def test_nobody_but_the_office_proposes_and_signs() -> None:
    desk = filled_desk()
    auditor = Actor("a", frozenset({Role.AUDITOR}))

    with pytest.raises(Forbidden):
        desk.programme.propose(auditor, CALL)
    with pytest.raises(Forbidden):
        desk.programme.move(applicant("lead1"), CALL, Move())
    with pytest.raises(Forbidden):
        desk.programme.sign_minutes(auditor, CALL, number=1, digest="", names=NAMES)


def test_equal_programmes_propose_equal_digests() -> None:
    assert proposed(filled_desk()).digest == proposed(filled_desk()).digest


def test_reviewers_and_applicants_see_the_wish_beside_the_evidence() -> None:
    desk = filled_desk()
    desk.programme.tables.applications[A].submitted = msgspec.structs.replace(
        desk.programme.tables.applications[A].submitted,
        work=Work(kind="finetuning", method="lora", parameters_m=70_000, tokens_m=20_000),
    )

    found = JudgingScreen(desk.programme).sizing(A)

    assert found is not None
    assert (found.wish_gpus, found.evidence[0].gpus, found.is_wish_above) == (64, 2, True)
    assert JudgingScreen(desk.programme).sizing("nothing") is None


def test_a_call_with_a_lottery_is_decided_when_its_lots_are_drawn() -> None:
    desk = filled_desk()
    rules = desk.programme.tables.calls[CALL]
    desk.programme.tables.calls[CALL] = msgspec.structs.replace(
        rules, rule="rank", lottery=Lottery(within_milli=5_000)
    )
    programme = desk.programme

    answers = [
        programme.propose(OPERATOR, CALL),
        programme.draw_lots(OPERATOR, CALL, number="4 8 15", source=" "),
    ]
    draw = programme.draw_lots(OPERATOR, CALL, number="4 8 15", source="draw 1199, 2026-02-28")
    answers.append(programme.draw_lots(OPERATOR, CALL, number="4 8 16", source="another"))

    assert answers == [
        Refusal.LOTS_ARE_NOT_DRAWN,
        Refusal.DRAW_NEEDS_SOURCE,
        Refusal.LOTS_ARE_DRAWN,
    ]
    assert isinstance(draw, LotsDrawn)
    # The line is D's 77 points; B at 80 and C at 79 are within five, A at 84 is not.
    assert {name: edge for name, edge, _ in draw.lots} == {B: 82_000, C: 82_000, D: 82_000}
    assert [lot for _, _, lot in draw.lots] == sorted(lot_of("4 8 15", one) for one in (B, C, D))
    assert A in selected(proposed(desk))
    assert filled_desk().programme.draw_lots(OPERATOR, CALL, number="1", source="x") is (
        Refusal.CALL_HAS_NO_LOTTERY
    )
