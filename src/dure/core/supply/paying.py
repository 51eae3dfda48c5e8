"""Money of an agreement: reimbursement on evidence, instalments, fiscal years, credits for faults.

All amounts are whole won. A fiscal year is a calendar year of Korean time. Three limits hold of
every claim: its instalment, its year's appropriation, its year itself.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from dure.core.calendar import DAY_S, civil, moment_s, month_window_s
from dure.core.calls.supply import Instalment, SupplyTerms
from dure.core.programme import Problem, Refusal

PPM = 10**6


@dataclass(frozen=True, slots=True)
class Claimed:
    """A claim as the limits see it: approved, or asked where it is not decided yet."""

    agreement: str
    instalment: str
    year: int
    amount_krw: int


def fiscal_year(at_s: int) -> int:
    """Return the fiscal year of a moment: the calendar year of Korean time."""
    return civil(at_s).year


def instalment_krw(instalment: Instalment, *, price_krw: int, accepted_gpus: int, gpus: int) -> int:
    """Return what an instalment may come to by now, rounded down.

    Args:
        accepted_gpus: of the ``gpus`` agreed; an instalment after acceptance pays for them only.
    """
    whole = price_krw * instalment.percent // 100
    if instalment.after == "agreement":
        return whole
    return whole * min(accepted_gpus, gpus) // gpus


def check_claim(
    claim: Claimed,
    terms: SupplyTerms,
    before: Iterable[Claimed],
    *,
    price_krw: int,
    accepted_gpus: int,
    gpus: int,
    at_s: int,
) -> Problem | None:
    """Tell why a claim cannot stand: its year, its instalment, or its year's appropriation.

    Args:
        before: all other claims of the call's agreements that are not refused.
    """
    part = terms.instalment(claim.instalment)
    if part is None:
        offered = ", ".join(one.instalment for one in terms.instalments)
        numbers: dict[str, int | str] = {"found": claim.instalment, "offered": offered or "-"}
        return Problem("instalment", Refusal.INSTALMENT_IS_UNKNOWN, numbers)
    year = check_year(part, at_s=at_s)
    if year is not None or claim.year != part.year:
        return year or _out_of_year(part.year, claim.year)
    others = list(before)
    most_krw = instalment_krw(part, price_krw=price_krw, accepted_gpus=accepted_gpus, gpus=gpus)
    mine = ((one.agreement, one.instalment) == (claim.agreement, claim.instalment)
            for one in others)  # fmt: skip
    left_krw = most_krw - sum(
        one.amount_krw for one, is_mine in zip(others, mine, strict=True) if is_mine
    )
    if not 0 < claim.amount_krw <= left_krw:
        over: dict[str, int | str] = {"amount_krw": claim.amount_krw, "left_krw": left_krw}
        over |= {"instalment": claim.instalment, "most_krw": most_krw}
        return Problem("amount_krw", Refusal.CLAIM_IS_OVER_INSTALMENT, over)
    appropriated = terms.appropriations_krw.get(str(claim.year), 0)
    spent = sum(one.amount_krw for one in others if one.year == claim.year)
    if claim.amount_krw > appropriated - spent:
        rest: dict[str, int | str] = {"amount_krw": claim.amount_krw, "year": str(claim.year)}
        rest["left_krw"] = appropriated - spent
        return Problem("amount_krw", Refusal.APPROPRIATION_IS_SPENT, rest)
    return None


def check_year(instalment: Instalment, *, at_s: int) -> Problem | None:
    """Refuse what does not fall into the instalment's fiscal year: it lapses with that year."""
    now = fiscal_year(at_s)
    return None if now == instalment.year else _out_of_year(instalment.year, now)


def _out_of_year(year: int, found: int) -> Problem:
    return Problem("year", Refusal.CLAIM_IS_OUT_OF_YEAR, {"year": str(year), "found": str(found)})


def credit_of(
    terms: SupplyTerms, *, price_krw: int, months: int, down_gpu_s: int, capacity_gpu_s: int
) -> tuple[int, int, int]:
    """Return (availability in millionths, percent, credit in won) of a month, all rounded down.

    The month's part of the price is the price over the months agreed. Availability that no row is
    above, or no capacity at all, gives nothing.
    """
    assert 0 <= down_gpu_s <= capacity_gpu_s
    if capacity_gpu_s == 0:
        return PPM, 0, 0
    ppm = PPM * (capacity_gpu_s - down_gpu_s) // capacity_gpu_s
    rows = [one for one in terms.credits if ppm < one.below_ppm]
    percent = min(rows, key=lambda one: one.below_ppm).percent if rows else 0
    return ppm, percent, price_krw * percent // (100 * months)


def duty_due_at_s(month: str, terms: SupplyTerms) -> int:
    """Return the first second at which a month's report is late."""
    _, next_s = month_window_s(month)
    return moment_s(civil(next_s).strftime(f"%Y-%m-{terms.report_day:02d}")) + DAY_S
