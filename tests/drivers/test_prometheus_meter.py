"""The meter against a real Prometheus, and against answers that no Prometheus should give."""

import time
from pathlib import Path

import httpx
import numpy as np
import pytest

from dure.core.errors import DriverError
from dure.core.measured import BUSY, ENERGY, MEMORY, POWER, Aside, Measured, Sieve, Unit
from dure.drivers.prometheus_meter import SETTLE_S, PrometheusMeter
from dure.twin.exporter import Exporter, ImaginedGpus
from tests.drivers.polling import until
from tests.drivers.prometheus_bench import prometheus_over, wait_for_scrapes


def gpus_at_work() -> ImaginedGpus:
    gpus = ImaginedGpus(["n1", "n2"], gpus=2)
    gpus.busy[:] = [[90, 90], [0, 0]]
    gpus.job[0] = "j-7"
    return gpus


def test_a_real_prometheus_is_read_by_the_exporters_own_names(tmp_path: Path) -> None:
    gpus = gpus_at_work()
    gpus.broken = [
        'DCGM_FI_DEV_GPU_UTIL{gpu="0",Hostname="stranger"} 5',
        'DCGM_FI_DEV_GPU_UTIL{gpu="1",Hostname="n2",pci="again"} NaN',
        'DCGM_FI_DEV_GPU_UTIL{gpu="MIG-1",Hostname="n1"} 5',
        'DCGM_FI_DEV_FB_USED{gpu="7",Hostname="n1"} -4',
    ]
    with prometheus_over(gpus, tmp_path) as url:
        since_s = int(time.time()) - 5
        wait_for_scrapes(3)
        gpus.xid[1, 0] = 79
        wait_for_scrapes(3 + SETTLE_S)
        meter = PrometheusMeter(url, since_s=since_s)
        measured = meter.read(int(time.time()))
        again = meter.read(int(time.time()))
        meter.close()

    sieve = Sieve({"n1": 8, "n2": 8})
    samples = sieve.sift(measured, now_s=int(time.time()))
    units = [samples.units[place] for place in samples.unit.tolist()]
    busy = {
        unit: [int(samples.values[BUSY, row]) for row, one in enumerate(units) if one == unit]
        for unit in set(units)
    }
    assert {Unit("n1", 0, "j-7"), Unit("n1", 1, "j-7"), Unit("n2", 0)} <= set(busy)
    assert all(700 <= value <= 1000 for value in busy[Unit("n1", 0, "j-7")])
    assert set(busy[Unit("n2", 0)]) == {0}
    working = [row for row, unit in enumerate(units) if unit == Unit("n1", 0, "j-7")]
    assert set(samples.values[MEMORY, working].tolist()) == {65_247}
    power, energy = samples.values[POWER, working], samples.values[ENERGY, working]
    # What the energy counter grew by is the power over the time between two scrapes.
    expected = (power * samples.covers_s[working])[2:-1].sum()
    assert 0.8 * expected < energy[2:-1].sum() < 1.2 * expected
    assert [(one.node, one.device, one.xid) for one in samples.signals] == [("n2", 0, 79)]
    assert sieve.aside[Aside.UNKNOWN_NODE] >= 4
    assert sieve.aside[Aside.NOT_A_NUMBER] >= 4
    assert sieve.aside[Aside.UNREADABLE] == 1
    assert sieve.aside[Aside.NEGATIVE] >= 4
    assert again.unit.size == 0 or again.at_s.min() >= measured.upto_s


def test_what_was_missed_while_it_was_away_is_read_afterwards(tmp_path: Path) -> None:
    gpus = gpus_at_work()
    with prometheus_over(gpus, tmp_path) as url:
        since_s = int(time.time())
        meter = PrometheusMeter("http://127.0.0.1:9", since_s=since_s)
        with pytest.raises(DriverError, match="does not answer"):
            meter.read(int(time.time()) + SETTLE_S + 5)
        meter.close()
        wait_for_scrapes(4)
        late = PrometheusMeter(url, since_s=since_s)

        def all_read() -> bool:
            return int(time.time()) - SETTLE_S >= since_s + 4

        until(all_read)
        measured = late.read(int(time.time()))
        late.close()

    moments = sorted(set(measured.at_s.tolist()))
    assert len(moments) >= 3
    assert min(moments) >= since_s and max(moments) <= measured.upto_s


def answering(body: bytes, status: int = 200) -> PrometheusMeter:
    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(status, content=body)

    return PrometheusMeter("http://p", since_s=0, transport=httpx.MockTransport(answer))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b'{"status":"error","error":"query timed out"}',
        b'{"status":"success","data":{"result":[{"metric":{"gpu":1},"values":[]}]}}',
        b'{"status":"success","data":{"result":[{"metric":{"__name__":"DCGM_FI_DEV_GPU_UTIL",'
        b'"Hostname":"n","gpu":"0"},"values":[["x","1"]]}]}}',
        b'{"status":"success","data":{"res',
        b'{"status":"success","data":{"result":[{"metric":{"__name__":"up","Hostname":"n",'
        b'"gpu":"0"},"values":[[1,"1"]]}]}}',
        b'{"status":"success","data":{"result":[{"metric":{"__name__":"DCGM_FI_DEV_GPU_UTIL",'
        b'"Hostname":"n","gpu":"0"},"values":[[1]]}]}}',
        b'{"status":"success","data":{"result":[{"metric":{"__name__":"DCGM_FI_DEV_GPU_UTIL",'
        b'"Hostname":"n","gpu":"0"},"values":{"a":[1,"2"]}}]}}',
    ],
)
def test_an_answer_that_is_none_is_an_error_and_the_same_is_asked_again(body: bytes) -> None:
    meter = answering(body)

    for _ in range(2):
        with pytest.raises(DriverError):
            meter.read(100)


def test_an_error_before_our_first_look_is_no_news() -> None:
    series = (
        b'{"metric":{"__name__":"DCGM_FI_DEV_XID_ERRORS","Hostname":"n1","gpu":"0"},'
        b'"values":[[1,"31"],[16,"31"],[31,"94"],[46,"94"],[61,"x"]]}'
    )
    meter = answering(b'{"status":"success","data":{"result":[' + series + b"]}}")

    measured: Measured = meter.read(100)

    assert [(one.at_s, one.xid) for one in measured.signals] == [(31, 94)]
    assert [one.reason for one in measured.aside] == [Aside.NOT_A_NUMBER]


def test_the_exporter_serves_what_it_is_told() -> None:
    gpus = gpus_at_work()
    gpus.silent.add("n1")
    exporter = Exporter(gpus)
    exporter.start()
    try:
        page = httpx.get(f"http://127.0.0.1:{exporter.port}/metrics").text
    finally:
        exporter.close()

    values = [line for line in page.splitlines() if line.startswith("DCGM_FI_DEV_GPU_UTIL{")]
    assert [line.split("Hostname=")[1] for line in values] == ['"n2"} 0', '"n2"} 0']
    assert np.all(gpus.busy[1] == 0)
