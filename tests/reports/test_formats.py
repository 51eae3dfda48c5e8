"""Numbers, money, moments and durations as people read them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dure.core.calendar import moment_s
from dure.reports import formats

NOON = moment_s("2026-03-09 14:05")


@pytest.mark.parametrize(
    ("value", "ko", "en"),
    [
        (0, "0", "0"),
        (999, "999", "999"),
        (9_999, "9,999", "10K"),
        (13_712, "1.4만", "13.7K"),
        (123_456, "12.3만", "123K"),
        (999_950, "100만", "1M"),
        (12_000_000, "1,200만", "12M"),
        (99_999_999, "1억", "100M"),
        (2_080_000_000_000, "2.1조", "2.1T"),
        (-13_712, "-1.4만", "-13.7K"),
    ],
)
def test_compact(value: int, ko: str, en: str) -> None:
    assert (formats.compact("ko", value), formats.compact("en", value)) == (ko, en)


def test_money_is_exact() -> None:
    assert formats.won("ko", 2_080_000_000_000) == "2조 800억원"
    assert formats.won("ko", 123_456_789) == "1억 2,345만 6,789원"
    assert formats.won("ko", 0) == "0원"
    assert formats.won("en", 123_456_789) == "₩123,456,789"
    assert formats.won("en", -5) == "-₩5"


def test_counts_have_their_counters() -> None:
    assert (formats.gpus("ko", 13_712), formats.gpus("en", 1)) == ("13,712장", "1 GPU")
    assert (formats.nodes("ko", 1_714), formats.nodes("en", 2)) == ("1,714대", "2 nodes")


def test_a_short_date_is_not_taken_for_another() -> None:
    assert [formats.date(lang, NOON) for lang in formats.LANGS] == ["3/9", "9 Mar"]


def test_a_share_of_a_device_is_shown_as_it_was_chosen() -> None:
    assert [formats.share("ko", milli) for milli in (500, 810, 125)] == ["50%", "81%", "12.5%"]


def test_moments_are_korean_civil_time_on_24_hours() -> None:
    assert formats.moment("ko", NOON) == "2026년 3월 9일(월) 14:05"
    assert formats.moment("en", NOON) == "9 Mar 2026, 14:05"
    # A quarter to midnight in London is the next morning in Seoul.
    assert formats.moment("en", moment_s("2026-03-08T23:45+00:00")) == "9 Mar 2026, 08:45"


@pytest.mark.parametrize(
    ("value", "ko", "en"),
    [
        (0, "0초", "0 s"),
        (59, "59초", "59 s"),
        (61, "1분 1초", "1 min 1 s"),
        (3_600, "1시간", "1 h"),
        (277_200, "3일 5시간", "3 d 5 h"),
        (86_400, "1일", "1 d"),
        (-90, "-1분 30초", "-1 min 30 s"),
    ],
)
def test_durations(value: int, ko: str, en: str) -> None:
    assert (formats.duration("ko", value), formats.duration("en", value)) == (ko, en)


@pytest.mark.parametrize(
    ("word", "pair", "expected"),
    [
        ("과제", "은/는", "는"),
        ("신청", "이/가", "이"),
        ("서울", "으로/로", "로"),
        ("B200", "을/를", "을"),
        ("2", "이/가", "가"),
        ("GPU", "은/는", "는"),
        ("8장)", "을/를", "을"),
        ("", "은/는", "는"),
    ],
)
def test_particles(word: str, pair: str, expected: str) -> None:
    assert formats.particle(word, pair) == expected


@given(st.integers(0, 10**15))
def test_an_amount_in_words_reads_back(value: int) -> None:
    units = {"조": 10**12, "억": 10**8, "만": 10**4}
    total = 0
    for part in formats.won("ko", value).removesuffix("원").replace(",", "").split(" "):
        total += int(part[:-1]) * units[part[-1]] if part[-1] in units else int(part)

    assert total == value
