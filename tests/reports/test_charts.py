"""Charts: their geometry adds up, their words are escaped, they hold no more than they show."""

import re

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dure.reports.charts import (
    BAR_WIDTH,
    POINTS_MAX,
    Series,
    return_times,
    stacked_bar,
    use_over_time,
)


@given(st.lists(st.integers(0, 10**7), min_size=1, max_size=7))
def test_a_bar_is_full(amounts: list[int]) -> None:
    svg = stacked_bar([("own", amount) for amount in amounts], label="x")

    widths = [float(width) for width in re.findall(r'class="k k-own"[^>]* width="([^"]+)"', svg)]
    assert len(widths) == sum(amount > 0 for amount in amounts)
    if any(amounts):
        assert abs(sum(widths) - BAR_WIDTH) < 0.01 * len(amounts)


def test_words_are_escaped() -> None:
    assert '"&lt;b&gt; &amp; &quot;"' in stacked_bar([("own", 1)], label='<b> & "')


def area(samples: int) -> str:
    at_s = np.arange(samples, dtype=np.int64) * 3600
    half = np.full(samples, 5_000_000, dtype=np.int64)
    return use_over_time(
        at_s,
        [Series("own", half), Series("loan", half)],
        np.arange(samples, dtype=np.int64),
        capacity=10_000,
        lang="ko",
        label="x",
        waiting_label="y",
    )


def test_a_long_history_is_drawn_with_no_more_points_than_fit() -> None:
    points = [path.count("L") + 1 for path in re.findall(r'd="(M[^"]+)"', area(5_000))]

    assert max(points) <= 2 * POINTS_MAX


def test_bands_lie_on_one_another_and_fill_the_scale() -> None:
    own, loan = re.findall(r'class="k k-(?:own|loan)" d="([^"]+)"', area(10))

    # Half of the scale each: 274 is the floor, 14 the top.
    assert own.startswith("M62 144L") and loan.startswith("M62 14L")
    assert own.endswith("L62 274Z") and loan.endswith("L62 144Z")


def test_the_promise_stands_where_it_was_given() -> None:
    svg = return_times(p50_s=54, p99_s=540, promise_s=600, label="x")

    assert 'x1="926"' in svg and 'width="833"' in svg and 'width="83"' in svg
