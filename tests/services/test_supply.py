"""Supply from the failed call to the agreement, over a ledger in memory."""

import pytest

from dure.core.calendar import DAY_S, moment_s
from dure.core.events.supply import CallFailed, CallRepeated, NegotiationOpened, OfferMade
from dure.core.programme import Refusal
from dure.services.access import Forbidden
from dure.services.programme_screen import ProgrammeScreen
from tests.services.programme_desk import OPERATOR
from tests.services.supply_desk import (
    CALL,
    SupplyBench,
    numbers,
    offer,
    provider,
    refusals,
)

# -- bidders and failure


def test_a_call_with_one_bidder_fails_is_repeated_and_then_lets_one_be_negotiated_with() -> None:
    bench = SupplyBench()
    bench.publish()
    name = bench.bid("a", 32, 800)
    programme = bench.programme
    bench.clock.at_s = CALL.closes_at_s

    assert refusals(programme.repeat_call(OPERATOR, "s", "s2", opens_at_s=0, closes_at_s=1)) == [
        "CallHasNotFailed"
    ]
    failed = programme.fail_call(OPERATOR, "s")
    assert isinstance(failed, CallFailed)
    assert (failed.bidders, failed.failures, failed.then) == (1, 1, "repeat")
    assert bench.statuses([name]) == ["rejected"]
    direct = programme.open_negotiation(
        OPERATOR, provider="a-cloud", call="s", organisation="org-a"
    )
    assert refusals(direct) == ["FailuresAreTooFew"]
    assert numbers(direct) == {"failures": 1, "needed": 2}

    opens, closes = moment_s("2026-02-10"), moment_s("2026-02-20")
    again = programme.repeat_call(OPERATOR, "s", "s2", opens_at_s=opens, closes_at_s=closes)
    assert isinstance(again, CallRepeated)
    terms = programme.tables.drafts["s2"][-1].terms
    # The start moved as far as the closing: 20 days.
    assert (terms.round, terms.starts_at_s) == (2, CALL.starts_at_s + 20 * DAY_S)
    assert terms.supply == CALL.supply
    programme.publish_call(OPERATOR, "s2")
    bench.clock.at_s = closes
    failed = programme.fail_call(OPERATOR, "s2")
    assert isinstance(failed, CallFailed)
    assert (failed.bidders, failed.failures, failed.then) == (0, 2, "negotiate")
    third = programme.repeat_call(OPERATOR, "s2", "s3", opens_at_s=opens, closes_at_s=closes)
    assert refusals(third) == ["RepeatsAreOver"]

    opened = programme.open_negotiation(
        OPERATOR, provider="a-cloud", call="s2", organisation="org-a"
    )
    assert isinstance(opened, NegotiationOpened)
    assert (opened.application, opened.limit_krw) == ("", 1_000)


def test_two_proposals_of_one_institution_are_one_bidder() -> None:
    bench = SupplyBench()
    bench.publish()
    bench.bid("a", 32, 400)
    bench.bid("a", 16, 200, title_ko="둘째 안")
    bench.clock.at_s = CALL.closes_at_s

    assert isinstance(bench.programme.fail_call(OPERATOR, "s"), CallFailed)


def test_a_call_with_bidders_enough_does_not_fail() -> None:
    bench = SupplyBench()
    bench.publish()
    bench.bid("a", 32, 800)
    second = bench.bid("b", 32, 800)

    assert refusals(bench.programme.fail_call(OPERATOR, "s")) == ["CallIsStillOpen"]
    bench.clock.at_s = CALL.closes_at_s
    answer = bench.programme.fail_call(OPERATOR, "s")
    assert (refusals(answer), numbers(answer)) == (
        ["BiddersAreEnough"],
        {"bidders": 2, "bidders_min": 2},
    )
    # One that took its proposal back is no bidder any more.
    bench.programme.withdraw(provider("b"), second)
    assert isinstance(bench.programme.fail_call(OPERATOR, "s"), CallFailed)


def test_one_bidder_alone_is_not_decided_on() -> None:
    bench = SupplyBench()
    bench.publish()
    name = bench.bid("a", 32, 800)
    bench.clock.at_s = CALL.closes_at_s
    with pytest.raises(AssertionError, match="BIDDERS_ARE_TOO_FEW"):
        bench.close({name: 90})


# -- scores, negotiation, agreement


def test_computed_marks_decide_beside_the_reviewers() -> None:
    bench = SupplyBench()
    bench.publish()
    # Equal marks for the plan: 60 x 80 + 30 x figures + 10 x cooling, in hundredths.
    low = bench.bid("a", 32, 500, public_percent=70, cooling="air")
    high = bench.bid("b", 32, 500, public_percent=100)
    bench.close({low: 80, high: 80})
    decided = {name: state.decided for name, state in bench.programme.tables.applications.items()}

    assert {name: one.score_milli for name, one in decided.items() if one} == {
        low: 48_000 + 21_000 + 5_000,
        high: 48_000 + 30_000 + 10_000,
    }
    reviews = bench.programme.tables.applications[low].reviews
    # What is on record of a reviewer is what the reviewer gave.
    assert [one.marks for one in reviews] == [{"plan": 80}] * 2


def test_an_award_is_negotiated_within_what_was_awarded_and_signed_by_both() -> None:
    bench = SupplyBench()
    bench.publish()
    first, second = bench.bid("a", 32, 800), bench.bid("b", 32, 800)
    bench.close({first: 90, second: 70})
    programme = bench.programme

    opened = programme.open_negotiation(OPERATOR, provider="a-cloud", application=first)
    assert isinstance(opened, NegotiationOpened) and opened.limit_krw == 800
    # 200 are left of 1,000: the second waits for 800.
    assert refusals(programme.open_negotiation(OPERATOR, provider="b-cloud", application=second)) \
        == ["PriceIsOverLimit"]  # fmt: skip
    dear = programme.offer(provider("a"), opened.negotiation, offer(32, 801, public_percent=60))
    assert refusals(dear) == ["PriceIsOverLimit", "PublicShareIsTooSmall"]
    own = programme.offer(provider("a"), opened.negotiation, offer(title="provider"))
    assert refusals(own) == ["TitleIsFixed"]
    with pytest.raises(Forbidden):
        programme.offer(provider("b"), opened.negotiation, offer())

    theirs = programme.offer(provider("a"), opened.negotiation, offer(32, 800))
    ours = programme.offer(OPERATOR, opened.negotiation, offer(32, 700), note="예산 절감")
    assert isinstance(theirs, OfferMade) and isinstance(ours, OfferMade)
    assert (ours.number, ours.side, theirs.side) == (2, "agency", "provider")

    def agree(who: object, digest: str, *names: str) -> list[str]:
        return refusals(
            programme.agree(who, opened.negotiation, digest=digest, names=names)  # type: ignore[arg-type]
        )

    assert agree(OPERATOR, theirs.digest, "kim", "lee") == ["OfferIsNotTheLast"]
    assert agree(OPERATOR, "0" * 64, "kim", "lee") == ["OfferIsUnknown"]
    assert agree(OPERATOR, ours.digest, "kim", "lee") == ["OfferIsOnesOwn"]
    assert agree(provider("a"), ours.digest, "kim", "kim ") == ["AgreementNeedsNames"]
    assert agree(provider("a"), ours.digest, "kim", "lee") == []
    assert agree(provider("a"), ours.digest, "kim", "lee") == ["NegotiationIsOver"]
    (agreed,) = bench.programme.supply.agreements.values()
    assert (agreed.offer.price_krw, agreed.names) == (700, ("kim", "lee"))
    # A supplier signs no agreement of a project.
    signed = programme.accept(OPERATOR, first, name="kim", digest="")
    assert signed is Refusal.AWARD_IS_NOT_OFFERED


def test_a_negotiation_broken_off_lets_the_next_in_rank_in() -> None:
    bench = SupplyBench()
    bench.publish()
    first, second = bench.bid("a", 32, 800), bench.bid("b", 32, 800)
    bench.close({first: 90, second: 70})
    opened = bench.programme.open_negotiation(OPERATOR, provider="a-cloud", application=first)
    assert isinstance(opened, NegotiationOpened)

    bench.programme.break_off(OPERATOR, opened.negotiation, cause="가격 이견")
    next_ = bench.programme.open_negotiation(OPERATOR, provider="b-cloud", application=second)

    assert isinstance(next_, NegotiationOpened) and next_.limit_krw == 800
    # And the first cannot come back for the same money.
    made = bench.programme.offer(provider("b"), next_.negotiation, offer())
    assert isinstance(made, OfferMade)
    bench.programme.agree(OPERATOR, next_.negotiation, digest=made.digest, names=("kim", "lee"))
    again = bench.programme.open_negotiation(OPERATOR, provider="a-cloud", application=first)
    assert (refusals(again), numbers(again)) == (
        ["PriceIsOverLimit"],
        {"price_krw": 800, "limit_krw": 200},
    )


def test_of_two_that_negotiate_for_the_same_money_the_first_to_sign_has_it() -> None:
    bench = SupplyBench()
    bench.publish()
    names = {who: bench.bid(who, 32, 800) for who in ("a", "b")}
    bench.close({names["a"]: 90, names["b"]: 70})
    programme = bench.programme

    def open_and_offer(who: str) -> OfferMade:
        opened = programme.open_negotiation(
            OPERATOR, provider=f"{who}-cloud", application=names[who]
        )
        assert isinstance(opened, NegotiationOpened), opened
        made = programme.offer(provider(who), opened.negotiation, offer())
        assert isinstance(made, OfferMade)
        return made

    def agree(made: OfferMade) -> object:
        signers = ("kim", "lee")
        return programme.agree(OPERATOR, made.negotiation, digest=made.digest, names=signers)

    first = open_and_offer("a")
    programme.break_off(OPERATOR, first.negotiation, cause="가격 이견")
    second, again = open_and_offer("b"), open_and_offer("a")

    assert refusals(agree(second)) == []
    late = agree(again)
    assert (refusals(late), numbers(late)) == (
        ["PriceIsOverLimit"],
        {"price_krw": 800, "limit_krw": 200},
    )


def test_a_bidder_that_gave_its_award_up_signs_nothing_and_one_that_signed_keeps_it() -> None:
    bench = SupplyBench()
    agreed = bench.agree()
    assert bench.programme.decline(provider("a"), agreed.application) is Refusal.AGREEMENT_IS_SIGNED

    other = SupplyBench()
    other.publish()
    first, second = other.bid("a", 32, 800), other.bid("b", 32, 800)
    other.close({first: 90, second: 70})
    opened = other.programme.open_negotiation(OPERATOR, provider="a-cloud", application=first)
    assert isinstance(opened, NegotiationOpened)
    made = other.programme.offer(provider("a"), opened.negotiation, offer())
    assert isinstance(made, OfferMade)
    other.programme.decline(provider("a"), first)
    late = other.programme.agree(
        OPERATOR, opened.negotiation, digest=made.digest, names=("kim", "lee")
    )
    assert refusals(late) == ["ProposalIsNotSelected"]


def test_a_provider_selected_is_no_project() -> None:
    bench = SupplyBench()
    bench.agree()
    screen = ProgrammeScreen(bench.programme)

    assert screen.projects() == []
    assert [one.status for one in screen.applications()] == ["selected", "waitlisted"]
    assert bench.programme.tables.suppliers() == {"org-a"}
