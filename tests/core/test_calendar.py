"""Korean civil time: months and their windows."""

import pytest

from dure.core.calendar import DAY_S, civil, moment_s, month_of, month_window_s, months_later_s
from dure.core.errors import InputError


def test_a_date_is_its_first_second_in_korea() -> None:
    assert moment_s("2026-03-09") == 1_772_982_000  # 2026-03-08 15:00 UTC
    assert civil(1_772_982_000).isoformat() == "2026-03-09T00:00:00+09:00"


def test_a_month_has_its_days() -> None:
    from_s, to_s = month_window_s("2026-02")

    assert to_s - from_s == 28 * DAY_S
    assert (month_of(from_s), month_of(to_s - 1), month_of(to_s)) == (
        "2026-02",
        "2026-02",
        "2026-03",
    )


def test_the_last_day_stands_for_days_that_a_month_lacks() -> None:
    assert months_later_s(moment_s("2026-08-31 10:00"), 6) == moment_s("2027-02-28 10:00")
    assert months_later_s(moment_s("2026-03-09"), 12) == moment_s("2027-03-09")


def test_what_is_no_date_is_refused() -> None:
    with pytest.raises(InputError, match="2026-13"):
        month_window_s("2026-13")
