"""Numbers, money, moments and durations as people read them, in Korean and in English.

Own functions, because the usual library's Korean 12-hour clock and compact numbers read badly.
Moments are epoch seconds, shown in Korean civil time.
"""

from collections.abc import Callable
from typing import Literal, get_args

from dure.core.calendar import civil

Lang = Literal["ko", "en"]
LANGS: tuple[Lang, ...] = get_args(Lang)

_UNITS: dict[Lang, tuple[tuple[int, str], ...]] = {
    "ko": ((10**12, "조"), (10**8, "억"), (10**4, "만")),
    "en": ((10**12, "T"), (10**9, "B"), (10**6, "M"), (10**3, "K")),
}
_WEEKDAYS: dict[Lang, str] = {"ko": "월화수목금토일", "en": ""}
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_SPANS: dict[Lang, tuple[tuple[int, str], ...]] = {
    "ko": ((86_400, "일"), (3_600, "시간"), (60, "분"), (1, "초")),
    "en": ((86_400, " d"), (3_600, " h"), (60, " min"), (1, " s")),
}


def number(lang: Lang, value: int) -> str:
    """Show every digit, in threes: 13,712 in both languages."""
    return f"{value:,}"


def compact(lang: Lang, value: int) -> str:
    """Show a rounded figure and its unit: 1.4만, 2.1조; 13.7K, 2.1T. Tenths up to 100, half up."""
    sign, size = ("-" if value < 0 else ""), abs(value)
    shown, limit = f"{size:,}", None
    for unit, name in reversed(_UNITS[lang]):
        # The unit fits, or rounding the one below reached it: 9,999.6만 is 1억, not 10,000만.
        if size < unit and (limit is None or limit < unit):
            break
        step = unit // 10 if size < 100 * unit else unit
        rounded = (size + step // 2) // step * step
        whole, tenth = rounded // unit, rounded % unit * 10 // unit
        shown, limit = f"{whole:,}{f'.{tenth}' if tenth else ''}{name}", rounded
    return f"{sign}{shown}"


def won(lang: Lang, value: int) -> str:
    """Show an amount exactly: 1억 2,345만 6,789원; ₩123,456,789."""
    if lang == "en":
        return f"-₩{-value:,}" if value < 0 else f"₩{value:,}"
    rest, parts = abs(value), []
    for unit, name in _UNITS["ko"]:
        whole, rest = divmod(rest, unit)
        if whole:
            parts.append(f"{whole:,}{name}")
    if rest or not parts:
        parts.append(f"{rest:,}")
    return f"{'-' if value < 0 else ''}{' '.join(parts)}원"


def gpus(lang: Lang, value: int) -> str:
    """Count GPUs: 8장; 8 GPUs."""
    return f"{value:,}장" if lang == "ko" else f"{value:,} GPU{'' if value == 1 else 's'}"


def nodes(lang: Lang, value: int) -> str:
    """Count nodes: 3대; 3 nodes."""
    return f"{value:,}대" if lang == "ko" else f"{value:,} node{'' if value == 1 else 's'}"


def day(lang: Lang, at_s: int) -> str:
    """Show a day: 2026년 3월 9일(월); 9 Mar 2026."""
    at = civil(at_s)
    if lang == "ko":
        return f"{at.year}년 {at.month}월 {at.day}일({_WEEKDAYS['ko'][at.weekday()]})"
    return f"{at.day} {_MONTHS[at.month - 1]} {at.year}"


def date(lang: Lang, at_s: int) -> str:
    """Show a day of a year that is known, where there is little room: 3/9; 9 Mar."""
    at = civil(at_s)
    return f"{at.month}/{at.day}" if lang == "ko" else f"{at.day} {_MONTHS[at.month - 1]}"


def clock(lang: Lang, at_s: int) -> str:
    """Show the time of day on the 24-hour clock: 09:05."""
    return civil(at_s).strftime("%H:%M")


def moment(lang: Lang, at_s: int) -> str:
    """Show day and time: 2026년 3월 9일(월) 14:00; 9 Mar 2026, 14:00."""
    return f"{day(lang, at_s)}{' ' if lang == 'ko' else ', '}{clock(lang, at_s)}"


def duration(lang: Lang, value_s: int) -> str:
    """Show a length of time by its two largest parts, rounded down: 3일 4시간; 3 d 4 h."""
    sign, rest = ("-" if value_s < 0 else ""), abs(value_s)
    spans = _SPANS[lang]
    for place, (unit, name) in enumerate(spans):
        if rest < unit and unit > 1:
            continue
        whole, rest = divmod(rest, unit)
        shown = f"{sign}{whole:,}{name}"
        if place + 1 < len(spans) and rest >= spans[place + 1][0]:
            below, below_name = spans[place + 1]
            shown += f" {rest // below}{below_name}"
        return shown
    raise AssertionError("the last span is one second")


def percent(lang: Lang, value_milli: int) -> str:
    """Show thousandths of the whole with one decimal: 309 -> 30.9%."""
    sign, size = ("-" if value_milli < 0 else ""), abs(value_milli)
    return f"{sign}{size // 10}.{size % 10}%"


def share(lang: Lang, value_milli: int) -> str:
    """Show a chosen part of a whole as exactly as it was chosen: 500 -> 50%, 125 -> 12.5%."""
    return percent(lang, value_milli) if value_milli % 10 else f"{value_milli // 10}%"


def points(lang: Lang, value_milli: int) -> str:
    """Show a score exactly, for a thousandth may decide: 81,250 -> 81.250점; 81.250 points."""
    sign, size = ("-" if value_milli < 0 else ""), abs(value_milli)
    shown = f"{sign}{size // 1000}.{size % 1000:03d}"
    return f"{shown}점" if lang == "ko" else f"{shown} points"


def size(lang: Lang, value: int) -> str:
    """Show an amount of data in units of 1,024, tenths rounded down: 1.5 GiB; bytes below 1 KiB."""
    sign, rest, tenth, unit = ("-" if value < 0 else ""), abs(value), 0, "B"
    for name in ("KiB", "MiB", "GiB", "TiB", "PiB"):
        if rest < 1024:
            break
        rest, tenth, unit = rest // 1024, rest % 1024 * 10 // 1024, name
    shown = f"{rest:,}.{tenth}" if tenth and rest < 100 else f"{rest:,}"
    return f"{sign}{shown} {unit}"


# What may stand after the colon of a placeholder in a message: {due_at_s:moment}.
SPECS: dict[str, Callable[[Lang, int], str]] = {
    "clock": clock,
    "compact": compact,
    "day": day,
    "duration": duration,
    "gpus": gpus,
    "moment": moment,
    "nodes": nodes,
    "number": number,
    "percent": percent,
    "points": points,
    "share": share,
    "size": size,
    "won": won,
}

# The last sound of each digit as Korean reads it: 영 일 이 삼 사 오 육 칠 팔 구.
_DIGIT_CLOSES, _LETTER_CLOSES = "013678", "LMNR"
_DIGIT_LIQUID, _LETTER_LIQUID = "178", "LR"
_RIEUL = 8


def particle(word: str, pair: str) -> str:
    """Choose the Korean particle after ``word``: ``은/는``, ``이/가``, ``을/를``, ``으로/로``.

    Args:
        word: what it follows; a hangul syllable, digit or capital letter at its end decides, marks
            of punctuation after that do not.
        pair: the form after a final consonant, a slash, the form after a vowel.
    """
    closed_form, open_form = pair.split("/")
    last = next((sign for sign in reversed(word) if sign.isalnum()), "")
    if "가" <= last <= "힣":
        final = (ord(last) - ord("가")) % 28
        closes, liquid = final != 0, final == _RIEUL
    else:
        closes = last in _DIGIT_CLOSES + _LETTER_CLOSES if last else False
        liquid = last in _DIGIT_LIQUID + _LETTER_LIQUID if last else False
    if closed_form == "으로" and liquid:
        return open_form
    return closed_form if closes else open_form
