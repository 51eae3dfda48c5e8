"""Charts as SVG text: geometry only; colours come by class from the style sheet.

Each chart is a picture with a name; the page that shows it puts a table of the same figures beside
it. A kind of use is told by colour and by pattern (``url(#pat-KIND)``, defined once a page).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from numpy.typing import NDArray

from dure.core.calendar import DAY_S, civil, moment_s
from dure.reports.formats import Lang, compact, date, number

Int64Array = NDArray[np.int64]

WIDTH, HEIGHT, QUEUE_HEIGHT = 960, 300, 84
LEFT, RIGHT, TOP, BOTTOM = 62, 12, 14, 26
POINTS_MAX = 240
# These two are told by lightness alone, so they carry no pattern.
PLAIN = frozenset({"own", "idle"})
BAR_WIDTH, BAR_HEIGHT = 1000, 24
MILLI = 1000


@dataclass(frozen=True, slots=True)
class Series:
    """One band of an area chart: its kind and a value a sample."""

    kind: str
    values: Int64Array


def stacked_bar(parts: Sequence[tuple[str, int]], *, label: str) -> str:
    """Draw one bar of 100 %, parts in order; ``label`` says in words what it shows.

    Args:
        parts: kind and amount, >= 0; parts of nothing are left out.
    """
    total = sum(amount for _, amount in parts) or 1
    shapes, done = [], 0
    for kind, amount in parts:
        if amount <= 0:
            continue
        from_x = BAR_WIDTH * done / total
        width = BAR_WIDTH * amount / total
        shapes.append(
            f'<rect class="k k-{kind}" x="{from_x:.2f}" width="{width:.2f}" y="0" '
            f'height="{BAR_HEIGHT}"/><rect x="{from_x:.2f}" width="{width:.2f}" y="0" '
            f'height="{BAR_HEIGHT}" fill="url(#pat-{kind})"/>'
        )
        done += amount
    return (
        f'<svg class="chart-bar" viewBox="0 0 {BAR_WIDTH} {BAR_HEIGHT}" '
        f'preserveAspectRatio="none" role="img" aria-label="{escape(label)}">'
        + "".join(shapes)
        + "</svg>"
    )


def use_over_time(
    at_s: Int64Array,
    bands: Sequence[Series],
    waiting: Int64Array,
    *,
    capacity: int,
    lang: Lang,
    label: str,
    waiting_label: str,
) -> str:
    """Draw what a pool's GPUs did over time, and under it how many GPUs the queue waited for.

    Args:
        at_s: moments of the samples, shape (sample,), growing, at least two.
        bands: from the bottom up; values in milli-GPU.
        waiting: GPUs waited for, shape (sample,).
        capacity: top of the scale, GPUs.
    """
    at_s, columns = _thin(at_s, [*(band.values for band in bands), waiting])
    x = _scale(at_s, int(at_s[0]), int(at_s[-1]), LEFT, WIDTH - RIGHT)
    floor = np.zeros(len(at_s), dtype=np.int64)
    shapes = [_grid(capacity, TOP, HEIGHT - BOTTOM, lang)]
    for band, values in zip(bands, columns[:-1], strict=True):
        top = floor + values
        outline = _outline(x, _height(floor, capacity), _height(top, capacity))
        shapes.append(
            f'<path class="k k-{band.kind}" d="{outline}"/>'
            + ("" if band.kind in PLAIN else f'<path d="{outline}" fill="url(#pat-{band.kind})"/>')
        )
        floor = top
    shapes.append(_days(at_s, HEIGHT - BOTTOM, lang))
    shapes.append(_queue(x, columns[-1], lang, waiting_label))
    return (
        f'<svg class="chart-area" viewBox="0 0 {WIDTH} {HEIGHT + QUEUE_HEIGHT}" role="img" '
        f'aria-label="{escape(label)}">' + "".join(shapes) + "</svg>"
    )


def return_times(*, p50_s: int, p99_s: int, promise_s: int, label: str) -> str:
    """Draw how long returns took on a scale that ends a little after the promise.

    Args:
        label: the same in words; the figures stand in text beside the picture.
    """
    end_s = max(promise_s * 108 // 100, p99_s, 1)
    p50, p99, promise = (round(1000 * value / end_s) for value in (p50_s, p99_s, promise_s))
    return (
        f'<svg class="chart-promise" viewBox="0 0 1000 36" preserveAspectRatio="none" role="img" '
        f'aria-label="{escape(label)}">'
        '<rect class="scale" x="0" y="12" width="1000" height="12" rx="6"/>'
        f'<rect class="kept most" x="0" y="12" width="{p99}" height="12" rx="6"/>'
        f'<rect class="kept half" x="0" y="12" width="{p50}" height="12" rx="6"/>'
        f'<line class="promise" x1="{promise}" x2="{promise}" y1="2" y2="34"/></svg>'
    )


def _thin(at_s: Int64Array, columns: Sequence[Int64Array]) -> tuple[Int64Array, list[Int64Array]]:
    """Average neighbours, so that a picture holds no more points than it can show."""
    step = max(1, -(-len(at_s) // POINTS_MAX))
    if step == 1:
        return at_s, list(columns)
    starts = np.arange(0, len(at_s), step)
    counts = np.diff(np.append(starts, len(at_s)))
    return at_s[starts], [np.add.reduceat(column, starts) // counts for column in columns]


def _scale(values: Int64Array, least: int, most: int, start: float, end: float) -> list[float]:
    span = max(most - least, 1)
    return [round(start + (end - start) * (int(value) - least) / span, 1) for value in values]


def _height(milli: Int64Array, capacity: int) -> list[float]:
    return _scale(milli, 0, capacity * MILLI, HEIGHT - BOTTOM, TOP)


def _outline(x: Sequence[float], low: Sequence[float], high: Sequence[float]) -> str:
    there = [f"{a:g} {b:g}" for a, b in zip(x, high, strict=True)]
    back = [f"{a:g} {b:g}" for a, b in zip(reversed(x), reversed(low), strict=True)]
    return "M" + "L".join(there + back) + "Z"


def _round_steps(most: int, count: int) -> list[int]:
    """Return round numbers from 0 up to ``most``, about ``count`` of them."""
    raw = max(most / count, 1)
    unit = 10 ** (len(str(int(raw))) - 1)
    step = next(unit * factor for factor in (1, 2, 5, 10) if unit * factor >= raw)
    steps = list(range(0, most + 1, step))
    # The top itself is a figure people look for, if its number does not lie on another.
    return [*steps, most] if (most - steps[-1]) * 12 > most else steps


def _grid(most: int, top: int, bottom: int, lang: Lang) -> str:
    lines = []
    for value in _round_steps(most, 5):
        y = round(bottom - (bottom - top) * value / max(most, 1), 1)
        lines.append(
            f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}"/>'
            f'<text class="tick" x="{LEFT - 8}" y="{y + 4}" text-anchor="end">'
            f"{number(lang, value)}</text>"
        )
    return "".join(lines)


def _days(at_s: Int64Array, bottom: int, lang: Lang) -> str:
    """Write dates under the time axis, at midnights, about eight of them."""
    first, last = int(at_s[0]), int(at_s[-1])
    span_days = max((last - first) // DAY_S, 1)
    step = next((days for days in (1, 2, 7, 14, 28, 91) if span_days / days <= 9), 182)
    midnight = moment_s(civil(first).strftime("%Y-%m-%d"))
    parts = []
    for day_s in range(midnight, last + 1, step * DAY_S):
        if day_s < first:
            continue
        place = round(LEFT + (WIDTH - RIGHT - LEFT) * (day_s - first) / max(last - first, 1), 1)
        parts.append(
            f'<line class="axis" x1="{place}" x2="{place}" y1="{bottom}" y2="{bottom + 5}"/>'
            f'<text class="tick" x="{place}" y="{bottom + 19}" text-anchor="middle">'
            f"{date(lang, day_s)}</text>"
        )
    return "".join(parts)


def _queue(x: Sequence[float], waiting: Int64Array, lang: Lang, label: str) -> str:
    most = max(int(waiting.max()), 1)
    bottom, top = HEIGHT + QUEUE_HEIGHT - 8, HEIGHT + 22
    y = _scale(waiting, 0, most, bottom, top)
    points = "L".join(f"{a:g} {b:g}" for a, b in zip(x, y, strict=True))
    area = f"M{x[0]:g} {bottom}L{points}L{x[-1]:g} {bottom}Z"
    return (
        f'<text class="label" x="{LEFT}" y="{HEIGHT + 14}">{escape(label)}</text>'
        f'<path class="queue-area" d="{area}"/><path class="queue-line" d="M{points}"/>'
        f'<line class="axis" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{bottom}" y2="{bottom}"/>'
        f'<text class="tick" x="{LEFT - 8}" y="{top + 6}" text-anchor="end">'
        f"{compact(lang, most)}</text>"
    )


def utilisation(
    at_s: Int64Array, milli: Sequence[int | None], *, length_s: int, most: int, label: str
) -> str:
    """Draw a job's measured utilisation, a step a period; where nothing was measured is a gap.

    Args:
        at_s: begins of the periods, shape (period,), growing, at least one.
        milli: thousandths by period. most: what the top of the scale is.
    """
    width, height = 960, 120
    span_s = int(at_s[-1]) + length_s - int(at_s[0])
    shapes = [
        f'<line class="grid" x1="{LEFT}" x2="{width - RIGHT}" y1="{y}" y2="{y}"/>'
        f'<text class="tick" x="{LEFT - 8}" y="{y + 4}" text-anchor="end">{shown} %</text>'
        for y, shown in ((TOP, most // 10), (height - BOTTOM, 0))
    ]
    for begin_s, value in zip(at_s.tolist(), milli, strict=True):
        if value is None:
            continue
        x, wide = (
            round((width - RIGHT - LEFT) * seconds / span_s, 2)
            for seconds in (begin_s - int(at_s[0]), length_s)
        )
        tall = round((height - TOP - BOTTOM) * min(value, most) / max(most, 1), 1)
        shapes.append(
            f'<rect class="k k-own" x="{LEFT + x:g}" y="{height - BOTTOM - tall:g}" '
            f'width="{max(wide, 0.5):g}" height="{tall:g}"/>'
        )
    return (
        f'<svg class="chart-area" viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="{escape(label)}">' + "".join(shapes) + "</svg>"
    )
