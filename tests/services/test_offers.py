"""An award is an offer: accepted, declined or lapsed, and who is next."""

import hashlib

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dure.core.calendar import DAY_S, moment_s
from dure.core.events.offers import AgreementSigned, AwardOffered, HandedOver, OfferLapsed
from dure.core.events.programme import AllocationGranted
from dure.core.programme import Refusal
from dure.services.access import Forbidden
from dure.services.awarding import Agreement
from tests.services.programme_desk import CALL, CLOSES_S, OPERATOR, STARTS_S, Desk, applicant

TIMED = msgspec.structs.replace(CALL, answer_days=7)
# CLOSES_S is 31 January: the seven days after it, to their end.
DUE_S = moment_s("2026-02-08")


def test_whoever_is_selected_is_offered_the_award_with_a_deadline() -> None:
    desk = Desk(TIMED)

    names = desk.award((90, 40), (80, 24), (70, 8), (50, 8))

    offers = [desk.programme.tables.applications[name].offer for name in names]
    assert [(one.gpus, one.due_at_s, one.cause) if one else None for one in offers] == [
        (40, DUE_S, "decision"),
        (24, DUE_S, "decision"),
        None,
        None,
    ]
    assert desk.statuses(names) == ["offered", "offered", "waitlisted", "rejected"]


def test_accepting_signs_the_agreement_and_grants_the_allocation() -> None:
    desk = Desk(TIMED)
    (name,) = desk.award((90, 40))
    agreement = desk.programme.agreement(name)
    assert isinstance(agreement, Agreement)

    events = desk.accept(name)

    assert isinstance(events, tuple)
    signed, granted = events
    assert isinstance(signed, AgreementSigned) and isinstance(granted, AllocationGranted)
    assert (signed.by, signed.name, signed.gpus, signed.at_s) == ("lead0", "lead0", 40, CLOSES_S)
    both = f"{signed.text_ko}\n{signed.text_en}"
    assert signed.digest == hashlib.sha256(both.encode()).hexdigest() == agreement.digest
    assert "H200 40장" in signed.text_ko and "H200, 40 GPUs" in signed.text_en
    assert (granted.from_s, granted.gpus, granted.cause) == (STARTS_S, 40, "award")
    assert desk.statuses([name]) == ["allocated"]


def test_what_was_read_is_what_is_signed() -> None:
    desk = Desk(TIMED)
    (name,) = desk.award((90, 40))
    agreement = desk.programme.agreement(name)
    assert isinstance(agreement, Agreement)
    lead, digest = applicant("lead0"), agreement.digest

    answers = [
        desk.programme.accept(lead, name, name="lead0", digest="0" * 64),
        desk.programme.accept(lead, name, name="  ", digest=digest),
        desk.programme.accept(lead, name, name="x" * 81, digest=digest),
        desk.programme.accept(lead, "t-9999", name="lead0", digest=digest),
    ]
    desk.accept(name)
    answers.append(desk.programme.accept(lead, name, name="lead0", digest=digest))

    assert answers == [
        Refusal.DIGEST_DIFFERS,
        Refusal.SIGNATURE_NEEDS_A_NAME,
        Refusal.SIGNATURE_NEEDS_A_NAME,
        Refusal.APPLICATION_IS_UNKNOWN,
        Refusal.AGREEMENT_IS_SIGNED,
    ]
    with pytest.raises(Forbidden):
        desk.programme.accept(applicant("stranger"), name, name="x", digest=digest)
    with pytest.raises(Forbidden):
        desk.programme.decline(applicant("stranger"), name)
    with pytest.raises(Forbidden):
        desk.programme.lapse_offers(lead)


def test_the_agreement_does_not_change_by_being_read_later() -> None:
    desk = Desk(TIMED)
    (name,) = desk.award((90, 40))
    early = desk.programme.agreement(name)

    desk.clock.at_s = STARTS_S + 40 * DAY_S

    assert desk.programme.agreement(name) == early


def test_an_offer_that_nobody_answers_lapses_and_the_next_is_offered() -> None:
    desk = Desk(TIMED)
    names = desk.award((90, 40), (80, 24), (75, 32), (70, 16))
    desk.accept(names[0])
    desk.clock.at_s = DUE_S - 1
    early = desk.programme.lapse_offers(OPERATOR)
    desk.clock.at_s = DUE_S

    late = desk.programme.accept(applicant("lead1"), names[1], name="lead1", digest="x")
    lapsed, handed, offered = desk.programme.lapse_offers(OPERATOR)

    assert (early, late) == ((), Refusal.OFFER_HAS_LAPSED)
    assert isinstance(lapsed, OfferLapsed) and (lapsed.application, lapsed.gpus) == (names[1], 24)
    assert isinstance(handed, HandedOver) and isinstance(offered, AwardOffered)
    assert (handed.application, handed.from_allocations, handed.skipped) == (
        names[3],
        (names[1],),
        (names[2],),
    )
    assert (offered.gpus, offered.cause, offered.due_at_s) == (
        16,
        "handover",
        moment_s("2026-02-16"),
    )
    assert desk.statuses(names) == ["allocated", "lapsed", "waitlisted", "offered"]
    assert desk.programme.tables.free_gpus("t", "H200") == 8
    assert desk.programme.accept(applicant("lead1"), names[1], name="a", digest="x") is (
        Refusal.OFFER_HAS_LAPSED
    )


def test_an_offer_from_the_waitlist_is_accepted_like_any_other() -> None:
    desk = Desk(TIMED)
    names = desk.award((90, 40), (80, 24), (70, 16))
    desk.accept(names[0])
    desk.programme.decline(applicant("lead1"), names[1], cause="other funding")
    desk.clock.at_s = STARTS_S + 5 * DAY_S - 1

    # Too late: the seven days after the decline are over, though nobody looked yet.
    assert desk.accept(names[2]) is Refusal.OFFER_HAS_LAPSED
    desk.clock.at_s = DUE_S - 1
    events = desk.accept(names[2])

    assert isinstance(events, tuple)
    granted = events[1]
    assert isinstance(granted, AllocationGranted)
    assert (granted.cause, granted.gpus, granted.from_s) == ("handover", 16, STARTS_S)
    assert desk.programme.tables.free_gpus("t", "H200") == 8


def test_whoever_signs_while_waiting_gets_it_without_being_asked_again() -> None:
    desk = Desk(TIMED)
    names = desk.award((90, 40), (80, 24), (70, 16))
    ahead = desk.accept(names[2])
    again = desk.accept(names[2])

    events = desk.programme.decline(applicant("lead1"), names[1])

    assert isinstance(ahead, tuple) and [type(one) for one in ahead] == [AgreementSigned]
    assert again is Refusal.AGREEMENT_IS_SIGNED
    assert isinstance(events, tuple)
    assert [type(one).__name__ for one in events] == [
        "AwardDeclined",
        "HandedOver",
        "AllocationGranted",
    ]
    assert desk.statuses(names) == ["offered", "declined", "allocated"]
    assert desk.programme.tables.free_gpus("t", "H200") == 8


def test_a_signature_counts_for_the_size_that_it_names() -> None:
    desk = Desk()
    names = desk.award((90, 64), (80, 32))
    desk.grant()
    # An upheld appeal makes it wait for more than it signed for.
    tables = desk.programme.tables
    decided = tables.applications[names[1]].decided
    assert decided is not None
    tables._decided(msgspec.structs.replace(decided, gpus=48))

    desk.programme.return_part(applicant("lead0"), f"a-{names[0]}", gpus=48)

    assert desk.statuses(names) == ["allocated", "offered"]
    events = desk.accept(names[1])
    assert isinstance(events, tuple) and isinstance(events[1], AllocationGranted)
    assert events[1].gpus == 48


def test_whoever_leaves_the_line_is_passed_over() -> None:
    desk = Desk(TIMED)
    names = desk.award((90, 40), (80, 24), (75, 16), (70, 16))

    desk.programme.decline(applicant("lead2"), names[2])
    desk.programme.decline(applicant("lead1"), names[1])
    over = desk.programme.decline(applicant("lead2"), names[2])

    assert desk.statuses(names) == ["offered", "declined", "declined", "offered"]
    assert over is Refusal.AWARD_IS_NOT_OFFERED
    assert desk.programme.tables.free_gpus("t", "H200") == 8


def test_what_is_returned_goes_to_the_next_at_once() -> None:
    desk = Desk()
    names = desk.award((90, 64), (80, 16))
    desk.grant()

    events = desk.programme.return_part(applicant("lead0"), f"a-{names[0]}", gpus=32)

    assert isinstance(events, tuple)
    assert [type(one).__name__ for one in events] == [
        "ReturnedByProject",
        "AllocationChanged",
        "HandedOver",
        "AllocationGranted",
    ]
    assert desk.statuses(names) == ["allocated", "allocated"]
    assert desk.programme.hand_over_all(OPERATOR) == ()


def test_a_ledger_written_before_there_were_offers_reads_as_it_did() -> None:
    desk = Desk()
    names = desk.award((90, 40), (80, 24))
    old = Desk()
    old.publish()
    tables = old.programme.tables
    for name in names:
        state = desk.programme.tables.applications[name]
        assert state.decided is not None
        tables._application_submitted(state.submitted)
        tables._decided(state.decided)
    tables._agreement_signed(AgreementSigned(names[0], "t", f"p-{names[0]}", 40, at_s=1, by="x"))

    assert [tables.applications[name].status for name in names] == ["signed", "selected"]
    assert tables.free_gpus("t", "H200") == 0
    assert isinstance(old.accept(names[0]), tuple) and isinstance(old.accept(names[1]), tuple)
    assert old.statuses(names) == ["allocated", "allocated"]


acts = st.lists(
    st.tuples(st.sampled_from(["accept", "decline", "lapse", "return", "end"]), st.integers(0, 7)),
    max_size=14,
)


@settings(max_examples=80, deadline=None)
@given(acts)
def test_whatever_is_answered_no_more_is_promised_than_offered_and_nobody_who_fits_waits(
    acts: list[tuple[str, int]],
) -> None:
    desk = Desk(TIMED)
    names = desk.award(*((95 - 3 * place, 8 * (1 + place % 4)) for place in range(8)))
    programme, tables = desk.programme, desk.programme.tables
    for act, which in acts:
        desk.clock.at_s += DAY_S
        name, lead = names[which], applicant(f"lead{which}")
        if act == "accept" and tables.applications[name].status in ("offered", "waitlisted"):
            desk.accept(name)
        elif act == "decline":
            programme.decline(lead, name)
        elif act == "lapse":
            programme.lapse_offers(OPERATOR)
        elif act == "return":
            programme.return_part(lead, f"a-{name}", gpus=8)
        elif act == "end":
            programme.end_terms(OPERATOR)
        free = tables.free_gpus("t", "H200")
        held = sum(
            tables.allocations[state.allocation].gpus if state.allocation else state.awarded_gpus
            for state in (tables.applications[one] for one in names)
            if state.status in ("offered", "allocated")
        )
        assert free + held == 64
        assert all(
            state.decided is not None and state.decided.gpus > free
            for state in tables.waitlist("t", "H200")
        )
