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
XIDS = "DCGM_FI_DEV_XID_ERRORS"
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
    metric: _Labels
    values: list[tuple[float, str]]


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
        for one in series:
            table.add(one)
        measured = table.measured(max(from_s, to_s))
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
        # Flat lists of numbers: a list or tuple a series would cost more than reading it.
        self._place: list[int] = []
        self._row: list[int] = []
        self._at_s: list[float] = []
        self._value: list[float] = []
        self._signals: list[Signal] = []
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
        if labels.name == XIDS:
            self._add_xids(self._units[place], series.values)
            return
        row, scale = DCGM[labels.name]
        for at_s, text in series.values:
            self._place.append(place)
            self._row.append(row)
            self._at_s.append(at_s)
            self._value.append(scale * float(text))

    def measured(self, upto_s: int) -> Measured:
        at_ms = np.rint(1000 * np.array(self._at_s, dtype=np.float64)).astype(np.int64)
        new = at_ms > self._after_ms
        unit = np.array(self._place, dtype=np.int64)[new]
        row = np.array(self._row, dtype=np.int64)[new]
        value, at_ms = np.array(self._value, dtype=np.float64)[new], at_ms[new]
        # All metrics of a target bear the moment of its scrape.
        span = int(at_ms.max(initial=0)) + 1
        keys, sample = np.unique(unit * span + at_ms, return_inverse=True)
        values = np.zeros((len(METRICS), keys.size))
        given = np.zeros((len(METRICS), keys.size), dtype=np.bool_)
        values[row, sample], given[row, sample] = value, True
        moments = keys % span // 1000
        signals = sorted(self._signals)
        return Measured(
            self._units, keys // span, moments, values, given, upto_s, signals, self._aside
        )

    def _add_xids(self, unit: Unit, values: Sequence[tuple[float, str]]) -> None:
        """Tell errors by the gauge's changes: it shows the last XID until the next one."""
        where = (unit.node, unit.device)
        for at_s, text in values:
            if round(1000 * at_s) <= self._after_ms:
                continue
            if not text.isdecimal() or len(text) > 6:
                self._aside.append(SetAside(Aside.NOT_A_NUMBER, f"{XIDS} of {unit.node}"))
                continue
            xid, known = int(text), self._xids.get(where)
            self._xids[where] = xid
            # The first look at a GPU shows what may be a month old.
            if xid and known is not None and xid != known:
                self._signals.append(Signal(int(at_s), *where, xid, unit.job))
