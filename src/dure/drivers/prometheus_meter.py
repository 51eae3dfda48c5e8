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
# One question asks for at most so much time; what is scraped needs so long to be there for sure.
WINDOW_S_MAX = 300
SETTLE_S = 3
ANSWER_S_MAX = 60.0
ANSWER_BYTES_MAX = 1 << 30


class _Series(msgspec.Struct):
    metric: dict[str, str]
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
        self._upto_s = since_s
        self._xids: dict[tuple[str, int], int] = {}
        self._decoder = msgspec.json.Decoder(_Answer)

    def read(self, now_s: int) -> Measured:
        """Return the next samples up to now, at most ``WINDOW_S_MAX`` seconds of them.

        Raises:
            DriverError: if it does not answer, or not as Prometheus does; the next call asks for
                the same again.
        """
        from_s, to_s = self._upto_s, min(now_s - SETTLE_S, self._upto_s + WINDOW_S_MAX)
        series = self._ask(from_s, to_s) if to_s > from_s else []
        table = _Table(from_s)
        for one in series:
            table.add(one)
        measured = table.measured(max(from_s, to_s), self._xids)
        self._upto_s = measured.upto_s
        return measured

    def close(self) -> None:
        self._client.close()

    def _ask(self, from_s: int, to_s: int) -> Sequence[_Series]:
        question = {"query": f"{SELECTOR}[{to_s - from_s}s]", "time": str(to_s)}
        try:
            with self._client.stream("POST", "/api/v1/query", data=question) as response:
                body = bytearray()
                for part in response.iter_bytes():
                    body += part
                    if len(body) > ANSWER_BYTES_MAX:
                        raise DriverError(
                            f"Prometheus answers with more than {ANSWER_BYTES_MAX} bytes; "
                            "let one serve fewer nodes."
                        )
            answer = self._decoder.decode(body)
        except httpx.HTTPError as wrong:
            raise DriverError(f"Prometheus does not answer: {type(wrong).__name__}") from wrong
        except msgspec.MsgspecError as wrong:
            raise DriverError(
                f"Prometheus answers {response.status_code} and no samples: {wrong}"
            ) from wrong
        if answer.status != "success" or answer.data is None:
            raise DriverError(f"Prometheus refuses the question: {answer.error[:200]}")
        return answer.data.result


class _Table:
    """Series put side by side: what one scrape said of one GPU becomes one sample."""

    def __init__(self, after_s: int) -> None:
        self._after_ms = after_s * 1000
        self._units: dict[Unit, int] = {}
        self._parts: list[tuple[int, int, list[int], list[float]]] = []
        self._xids: list[tuple[Unit, list[tuple[float, str]]]] = []
        self._aside: list[SetAside] = []

    def add(self, series: _Series) -> None:
        labels = series.metric
        name, gpu = labels.get("__name__", ""), labels.get("gpu", "")
        if "Hostname" not in labels or not gpu.isdecimal() or len(gpu) > 4:
            self._aside.append(SetAside(Aside.UNREADABLE, f"{name} without Hostname or gpu"))
            return
        unit = Unit(labels["Hostname"], int(gpu), labels.get("hpc_job", ""))
        if name == XIDS:
            self._xids.append((unit, series.values))
            return
        row, scale = DCGM[name]
        place = self._units.setdefault(unit, len(self._units))
        times = [round(1000 * at_s) for at_s, _ in series.values]
        self._parts.append((place, row, times, [scale * float(text) for _, text in series.values]))

    def measured(self, upto_s: int, last_xids: dict[tuple[str, int], int]) -> Measured:
        count = [len(times) for _, _, times, _ in self._parts]
        unit = np.repeat(np.array([part[0] for part in self._parts], dtype=np.int64), count)
        row = np.repeat(np.array([part[1] for part in self._parts], dtype=np.int64), count)
        at_ms = np.array([ms for part in self._parts for ms in part[2]], dtype=np.int64)
        value = np.array([one for part in self._parts for one in part[3]], dtype=np.float64)
        new = at_ms > self._after_ms
        unit, row, at_ms, value = unit[new], row[new], at_ms[new], value[new]
        # All metrics of a target bear the moment of its scrape.
        span = int(at_ms.max(initial=0)) + 1
        keys, sample = np.unique(unit * span + at_ms, return_inverse=True)
        values = np.zeros((len(METRICS), keys.size))
        given = np.zeros((len(METRICS), keys.size), dtype=np.bool_)
        values[row, sample], given[row, sample] = value, True
        signals = self._signals(last_xids)
        moments = keys % span // 1000
        return Measured(
            list(self._units), keys // span, moments, values, given, upto_s, signals, self._aside
        )

    def _signals(self, last: dict[tuple[str, int], int]) -> list[Signal]:
        """Tell errors by the gauge's changes: it shows the last XID until the next one."""
        found = []
        for unit, values in self._xids:
            for at_s, text in values:
                if round(1000 * at_s) <= self._after_ms:
                    continue
                if not text.isdecimal() or len(text) > 6:
                    self._aside.append(SetAside(Aside.NOT_A_NUMBER, f"{XIDS} of {unit.node}"))
                    continue
                xid, known = int(text), last.get((unit.node, unit.device))
                last[unit.node, unit.device] = xid
                # The first look at a GPU shows what may be a month old.
                if xid and known is not None and xid != known:
                    found.append(Signal(int(at_s), unit.node, unit.device, xid, unit.job))
        return sorted(found)
