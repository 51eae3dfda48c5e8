"""What an application's GPUs cost: a price, the part of it that a group pays, stacked discounts."""

from typing import Any

from dure.core.calls.model import Charges, holds


def gpu_hour_krw(charges: Charges | None, answers: dict[str, Any]) -> int:
    """Work out what a GPU-hour costs an applicant, won, rounded down; 0 where nothing is charged.

    Each discount is taken off what the one before left: 50 and 50 percent are 75, not 100. Together
    they are never more than ``discount_percent_max`` of the group's part.
    """
    if charges is None:
        return 0
    price = charges.gpu_hour_krw.get(str(answers.get("accelerator", "")), 0)
    part = charges.percent.get(str(answers.get("group", "")), 100)
    # Exact until the one division at the end: hundredths multiply up, they are not rounded each.
    left, whole = part, 100
    for discount in charges.discounts:
        if holds(discount.when, answers):
            left, whole = left * (100 - discount.percent), whole * 100
    least = part * (100 - charges.discount_percent_max)
    return max(price * left // whole, price * least // 10_000)
