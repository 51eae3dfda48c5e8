"""A meter that asks a Prometheus for what its DCGM exporters report, under their own names.

The raw samples are asked for, with the moments at which they were scraped, so that after an hour
without an answer the hour is still read, piece by piece.
"""

from collections.abc import Sequence

import httpx
import msgspec
import numpy as np

from dure.core.errors import DriverError
from dure.core.measured import (
    BUSY,
    ENERGY,
    MEMORY,
    METRICS,
    POWER,
    Aside,
    FloatArray,
    IntArray,
    Measured,
    SetAside,
    Signal,
    Unit,
)

# Row of ``METRICS`` and how many of ours one of theirs is: percent, MiB, W, mJ.
DCGM = {
    "DCGM_FI_DEV_GPU_UTIL": (BUSY, 10.0),
    "DCGM_FI_DEV_FB_USED": (MEMORY, 1.0),
    "DCGM_FI_DEV_POWER_USAGE": (POWER, 1000.0),
    "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION": (ENERGY, 1.0),
}
XIDS, XID_ROW, XID_MOST = "DCGM_FI_DEV_XID_ERRORS", -1, 1_000_000
ROWS = {name: row for name, (row, _) in DCGM.items()} | {XIDS: XID_ROW}
SCALES = np.ones(len(METRICS))
for _row, _scale in DCGM.values():
    SCALES[_row] = _scale
# What numbers are written with; anything else is read with care.
NUMERIC = b"0123456789.,+-eEaAfFiInN"
SELECTOR = '{__name__=~"' + "|".join((*DCGM, XIDS)) + '"}'
# One question asks for at most so much time, and for less where that is much.
WINDOW_S_MAX, WINDOW_S_FIRST = 300, 15
ANSWER_BYTES_WANTED, ANSWER_BYTES_MAX = 1 << 26, 1 << 29
# What is scraped needs so long to be there for sure.
SETTLE_S = 3
ANSWER_S_MAX = 60.0


class _Labels(msgspec.Struct, frozen=True, gc=False):
    """Those of a series' labels that we need; decoding all of them takes three times as long."""

    name: str = msgspec.field(name="__name__", default="")
    host: str = msgspec.field(name="Hostname", default="")
    gpu: str = ""
    hpc_job: str = ""


class _Series(msgspec.Struct, gc=False):
    """A series; its ``[moment, "value"]`` pairs stay text until all are read in one go."""

    metric: _Labels
    values: msgspec.Raw


class _Data(msgspec.Struct):
    result: list[_Series]


class _Answer(msgspec.Struct):
    status: str
    data: _Data | None = None
    error: str = ""


class PrometheusMeter:
    """Reads the samples of all GPUs that one Prometheus knows.

    Args:
        url: of the Prometheus, ``http://host:9090``.
        since_s: begin after this moment.
        token: sent as ``Authorization: Bearer``, "" for none.
    """

    def __init__(
        self,
        url: str,
        *,
        since_s: int,
        token: str = "",
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._client = httpx.Client(
            base_url=url, headers=headers, timeout=ANSWER_S_MAX, transport=transport
        )
        self._upto_s, self._window_s = since_s, WINDOW_S_FIRST
        self._xids: dict[tuple[str, int], int] = {}
        self._decoder = msgspec.json.Decoder(_Answer)

    def read(self, now_s: int) -> Measured:
        """Return the next samples up to now, or a part of them where there are many.

        Raises:
            DriverError: if it does not answer, or not as Prometheus does; the next call asks for
                the same again.
        """
        from_s, to_s = self._upto_s, min(now_s - SETTLE_S, self._upto_s + self._window_s)
        series = self._ask(from_s, to_s) if to_s > from_s else []
        table = _Table(from_s, self._xids)
        try:
            for one in series:
                table.add(one)
            measured = table.measured(max(from_s, to_s))
        except (msgspec.MsgspecError, KeyError) as wrong:
            raise DriverError(f"Prometheus answers what was not asked for: {wrong}") from wrong
        self._upto_s = measured.upto_s
        return measured

    def close(self) -> None:
        self._client.close()

    def _ask(self, from_s: int, to_s: int) -> Sequence[_Series]:
        question = {"query": f"{SELECTOR}[{to_s - from_s}s]", "time": str(to_s)}
        body = bytearray()
        try:
            with self._client.stream("POST", "/api/v1/query", data=question) as response:
                for part in response.iter_bytes():
                    body += part
                    if len(body) > ANSWER_BYTES_MAX:
                        raise DriverError(
                            f"Prometheus answers {to_s - from_s} s with more than "
                            f"{ANSWER_BYTES_MAX} bytes; asking for less next time."
                        )
            answer = self._decoder.decode(body)
        except httpx.HTTPError as wrong:
            raise DriverError(f"Prometheus does not answer: {type(wrong).__name__}") from wrong
        except msgspec.MsgspecError as wrong:
            raise DriverError(
                f"Prometheus answers {response.status_code} and no samples: {wrong}"
            ) from wrong
        finally:
            self._fit_window(len(body))
        if answer.status != "success" or answer.data is None:
            raise DriverError(f"Prometheus refuses the question: {answer.error[:200]}")
        return answer.data.result

    def _fit_window(self, size: int) -> None:
        if size > ANSWER_BYTES_WANTED:
            self._window_s = max(1, self._window_s // 2)
        elif size < ANSWER_BYTES_WANTED // 4:
            self._window_s = min(WINDOW_S_MAX, self._window_s * 2)


class _Table:
    """Series put side by side: what one scrape said of one GPU becomes one sample.

    Args:
        after_s: what is not later was read before.
        xids: the last error of each (node, gpu); kept up to date.
    """

    def __init__(self, after_s: int, xids: dict[tuple[str, int], int]) -> None:
        self._after_ms, self._xids = after_s * 1000, xids
        self._places: dict[tuple[str, str, str], int] = {}
        self._units: list[Unit] = []
        # By series.
        self._place: list[int] = []
        self._row: list[int] = []
        self._pairs: list[bytes] = []
        self._aside: list[SetAside] = []

    def add(self, series: _Series) -> None:
        labels = series.metric
        key = (labels.host, labels.gpu, labels.hpc_job)
        place = self._places.get(key)
        if place is None:
            if not labels.host or not labels.gpu.isdecimal() or len(labels.gpu) > 4:
                what = f"{labels.name} without Hostname or gpu"
                self._aside.append(SetAside(Aside.UNREADABLE, what))
                return
            place = self._places[key] = len(self._units)
            self._units.append(Unit(labels.host, int(labels.gpu), labels.hpc_job))
        self._place.append(place)
        self._row.append(ROWS[labels.name])
        self._pairs.append(bytes(series.values))

    def measured(self, upto_s: int) -> Measured:
        """Put everything together. Raises MsgspecError if a series holds no pairs."""
        count, at_s, value = _numbers(self._pairs)
        at_ms = np.rint(1000 * at_s).astype(np.int64)
        unit = np.repeat(np.array(self._place, dtype=np.int64), count)
        row = np.repeat(np.array(self._row, dtype=np.int64), count)
        new = at_ms > self._after_ms
        is_xid = row == XID_ROW
        signals = self._signals(unit[new & is_xid], at_ms[new & is_xid], value[new & is_xid])
        new &= ~is_xid
        unit, row, value, at_ms = unit[new], row[new], value[new], at_ms[new]
        # All metrics of a target bear the moment of its scrape.
        span = int(at_ms.max(initial=0)) + 1
        keys, sample = np.unique(unit * span + at_ms, return_inverse=True)
        values = np.zeros((len(METRICS), keys.size))
        given = np.zeros((len(METRICS), keys.size), dtype=np.bool_)
        values[row, sample], given[row, sample] = SCALES[row] * value, True
        moments = keys % span // 1000
        return Measured(
            self._units, keys // span, moments, values, given, upto_s, signals, self._aside
        )

    def _signals(self, unit: IntArray, at_ms: IntArray, value: FloatArray) -> list[Signal]:
        """Tell errors by the gauge's changes: it shows the last XID until the next one."""
        found = []
        for place, ms, xid in zip(unit.tolist(), at_ms.tolist(), value.tolist(), strict=True):
            about = self._units[place]
            if not 0 <= xid < XID_MOST or xid != int(xid):
                self._aside.append(SetAside(Aside.NOT_A_NUMBER, f"{XIDS} of {about.node}"))
                continue
            where = (about.node, about.device)
            known = self._xids.get(where)
            self._xids[where] = int(xid)
            # The first look at a GPU shows what may be a month old.
            if xid and known is not None and xid != known:
                found.append(Signal(ms // 1000, *where, int(xid), about.job))
        return sorted(found)


def _numbers(pairs: Sequence[bytes]) -> tuple[IntArray, FloatArray, FloatArray]:
    """Return (pairs of each series, moments, values); what is no number is NaN."""
    count = np.array([one.count(b"[") - 1 for one in pairs], dtype=np.int64)
    text = b",".join(pairs).translate(None, b'[]" ')
    if not text.translate(None, NUMERIC):
        numbers = np.fromstring(text, dtype=np.float64, sep=",")
        if numbers.size == 2 * count.sum():
            return count, numbers[::2], numbers[1::2]
    read = [msgspec.json.decode(one, type=list[tuple[float, str]]) for one in pairs]
    found = [(at_s, _number(value)) for one in read for at_s, value in one]
    table = np.array(found, dtype=np.float64).reshape(-1, 2)
    return np.array([len(one) for one in read], dtype=np.int64), table[:, 0], table[:, 1]


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")
