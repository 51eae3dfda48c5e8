"""What a site's meter measured, as it travels to the centre."""

from typing import cast

import msgspec
import numpy as np

from dure.core.measured import METRICS, Aside, IntArray, Measured, SetAside, Signal, Unit


class Reading(msgspec.Struct, frozen=True):
    """One reading of a meter, ``Measured`` with its arrays as bytes.

    Attributes:
        number: grows with each reading of an agent's run.
        values: float64, little-endian, shape (metric, sample). given: a byte each, same shape.
    """

    number: int
    units: list[tuple[str, int, str]]
    unit: list[int]
    at_s: list[int]
    values: bytes
    given: bytes
    upto_s: int
    signals: list[tuple[int, str, int, int, str]] = []
    aside: list[tuple[Aside, str]] = []


def reading_of(measured: Measured, *, number: int) -> Reading:
    """Return a reading to be sent."""
    return Reading(
        number,
        [cast(tuple[str, int, str], tuple(one)) for one in measured.units],
        measured.unit.tolist(),
        measured.at_s.tolist(),
        measured.values.astype("<f8").tobytes(),
        measured.given.astype(np.uint8).tobytes(),
        measured.upto_s,
        [cast(tuple[int, str, int, int, str], tuple(one)) for one in measured.signals],
        [(one.reason, one.what) for one in measured.aside],
    )


def measured_of(reading: Reading, *, prefix: str) -> Measured | None:
    """Return what was measured, its nodes named with ``prefix``; None if its parts do not fit."""
    samples = len(reading.at_s)
    shape = (len(METRICS), samples)
    cells = len(METRICS) * samples
    fits = (len(reading.values), len(reading.given)) == (8 * cells, cells)
    is_known = all(0 <= unit < len(reading.units) for unit in reading.unit)
    if not fits or not is_known or len(reading.unit) != samples:
        return None
    try:
        unit: IntArray = np.array(reading.unit, dtype=np.int64)
        at_s: IntArray = np.array(reading.at_s, dtype=np.int64)
    except OverflowError:
        return None
    return Measured(
        [Unit(prefix + node, device, job) for node, device, job in reading.units],
        unit,
        at_s,
        np.frombuffer(reading.values, dtype="<f8").reshape(shape).astype(np.float64),
        np.frombuffer(reading.given, dtype=np.uint8).reshape(shape) != 0,
        reading.upto_s,
        [
            Signal(at, prefix + node, device, xid, job)
            for at, node, device, xid, job in reading.signals
        ],
        [SetAside(reason, f"{prefix}{what}"[:200]) for reason, what in reading.aside],
    )
