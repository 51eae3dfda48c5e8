"""Days and months of the programme: Korean civil time, a fixed nine hours before UTC.

Korea has kept +09:00 without summer time since 1988, so a fixed offset is exact and needs no zone
files.
"""

import calendar
from datetime import datetime, timedelta, timezone

from dure.core.errors import InputError

KST = timezone(timedelta(hours=9))
DAY_S = 86_400


def civil(at_s: int) -> datetime:
    """Return the moment as a Korean wall clock shows it."""
    return datetime.fromtimestamp(at_s, tz=KST)


def moment_s(text: str) -> int:
    """Read ``2026-03-09`` (its first second) or ``2026-03-09 14:00`` as Korean civil time.

    A text with an offset of its own (``2026-03-09T05:00+00:00``) keeps it.

    Raises:
        InputError: if it is not a date.
    """
    try:
        read = datetime.fromisoformat(text)
    except ValueError as error:
        raise InputError("date", found=repr(text), expected="2026-03-09 or 2026-03-09 14:00") from (
            error
        )
    if read.tzinfo is None:
        read = read.replace(tzinfo=KST)
    return int(read.timestamp())


def months_later_s(at_s: int, months: int) -> int:
    """Move by calendar months; the last day of a shorter month stands for days that it lacks."""
    start = civil(at_s)
    month = start.month - 1 + months
    year, month = start.year + month // 12, month % 12 + 1
    day = min(start.day, calendar.monthrange(year, month)[1])
    return int(start.replace(year=year, month=month, day=day).timestamp())


def month_of(at_s: int) -> str:
    """Return the month as ``2026-03``."""
    return civil(at_s).strftime("%Y-%m")


def month_window_s(month: str) -> tuple[int, int]:
    """Return the first second of ``2026-03`` and the first after it."""
    from_s = moment_s(f"{month}-01")
    return from_s, months_later_s(from_s, 1)
