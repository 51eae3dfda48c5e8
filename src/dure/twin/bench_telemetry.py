"""How many telemetry records a second one core takes, from Prometheus' answers to roll-ups on disk.

A record is one GPU's sample: utilisation, memory, power, energy and the last XID. What answers for
Prometheus is another process, so that only the reading side is measured; it stays on one core.
"""

import multiprocessing
import os
import resource
import time
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, HTTPServer
from itertools import pairwise
from multiprocessing.connection import Connection
from pathlib import Path
from urllib.parse import parse_qs

import numpy as np

from dure.core.measured import Sieve, Unit
from dure.drivers.prometheus_meter import SETTLE_S, PrometheusMeter
from dure.drivers.telemetry_files import TelemetryFiles
from dure.services.metering import Metering

# Each GPU is scraped so often; a second's records are those of one group of nodes.
SCRAPE_S = 15
GPUS_PER_NODE = 8
METRICS = (
    "DCGM_FI_DEV_GPU_UTIL",
    "DCGM_FI_DEV_FB_USED",
    "DCGM_FI_DEV_POWER_USAGE",
    "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION",
    "DCGM_FI_DEV_XID_ERRORS",
)
_MOMENT, _ENERGY = b"@MOMENT@", b"@ENERGY@"


class Answers(BaseHTTPRequestHandler):
    """Answers a range of raw samples as Prometheus would, for one group of nodes a second."""

    groups: list[bytes] = []
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Answer ``SELECTOR[Ns]`` at a time."""
        asked = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        to_s, seconds = int(asked["time"][0]), int(asked["query"][0].split("[")[1][:-2])
        parts = []
        for at_s in range(to_s - seconds + 1, to_s + 1):
            part = self.groups[at_s % SCRAPE_S].replace(_MOMENT, b"%d.281" % at_s)
            parts.append(part.replace(_ENERGY, b"%d" % (600_000 * (at_s % 1_000_000))))
        body = b'{"status":"success","data":{"resultType":"matrix","result":['
        body += b",".join(parts) + b"]}}"
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: a line an answer helps nobody."""


def node_name(place: int) -> str:
    return f"node-{place:05}"


def group_body(nodes: range, rng: np.random.Generator) -> bytes:
    """Return the series of some nodes with all the labels of a DCGM exporter."""
    out = []
    for node in nodes:
        for gpu in range(GPUS_PER_NODE):
            labels = (
                f'"DCGM_FI_DRIVER_VERSION":"550.90.07","Hostname":"{node_name(node)}",'
                f'"UUID":"GPU-{node:08x}-0000-0000-0000-{gpu:012x}","device":"nvidia{gpu}",'
                f'"gpu":"{gpu}","hpc_job":"{node // 4}","instance":"{node_name(node)}:9400",'
                '"job":"dcgm","modelName":"NVIDIA H100 80GB HBM3","pci_bus_id":"00000000:3B:00.0"'
            )
            values = (rng.integers(0, 101), 64_000, f"{rng.uniform(80, 700):.3f}", "@ENERGY@", 0)
            for name, value in zip(METRICS, values, strict=True):
                metric = f'{{"__name__":"{name}",{labels}}}'
                out.append(f'{{"metric":{metric},"values":[[@MOMENT@,"{value}"]]}}')
    return ",".join(out).encode()


def serve_answers(nodes: int, cores: Sequence[int], port: Connection) -> None:
    """Serve until the process is ended, on any of these cores."""
    os.sched_setaffinity(0, cores)
    rng = np.random.default_rng(1)
    edges = [nodes * group // SCRAPE_S for group in range(SCRAPE_S + 1)]
    Answers.groups = [group_body(range(a, b), rng) for a, b in pairwise(edges)]
    server = HTTPServer(("127.0.0.1", 0), Answers)
    port.send(server.server_address[1])
    server.serve_forever()


class _WallClock:
    def now_s(self) -> int:
        return int(time.time())


def run_telemetry_bench(
    folder: Path, *, records_per_s: int, seconds: int, server_cores: Sequence[int]
) -> dict[str, float | int]:
    """Take records as they come for a while; return rates, lags and what it cost.

    Args:
        server_cores: where what answers for Prometheus may run.

    Returns:
        ``records`` taken and ``records_per_s``; ``lag_s_max``: the oldest that a record was when it
        could be read; ``durable_lag_s_max``: when it was on disk; ``cpu_s_per_s`` of the one
        core; ``rss_mb_max``; ``set_aside``, which should be 0.
    """
    nodes = records_per_s * SCRAPE_S // GPUS_PER_NODE
    ours, theirs = multiprocessing.Pipe()
    answers = multiprocessing.Process(
        target=serve_answers, args=(nodes, server_cores, theirs), daemon=True
    )
    answers.start()
    try:
        url = f"http://127.0.0.1:{ours.recv()}"
        clock, begin_s = _WallClock(), int(time.time())
        store = TelemetryFiles(folder)
        meter = PrometheusMeter(url, since_s=begin_s - SETTLE_S)
        sieve = Sieve({node_name(place): GPUS_PER_NODE for place in range(nodes)})
        metering = Metering(meter, sieve, store, lambda: _by_label, clock)
        lags = _take(metering, begin_s + seconds)
        spent = resource.getrusage(resource.RUSAGE_SELF)
    finally:
        answers.kill()
        answers.join()
    took_s = time.time() - begin_s
    return {
        "records": metering.progress.samples,
        "records_per_s": round(metering.progress.samples / took_s),
        "seconds": round(took_s),
        "lag_s_max": round(max(lag for lag, _ in lags), 1),
        "durable_lag_s_max": round(max(lag for _, lag in lags), 1),
        "cpu_s_per_s": round((spent.ru_utime + spent.ru_stime) / took_s, 3),
        "rss_mb_max": spent.ru_maxrss // 1024,
        "set_aside": sum(sieve.aside.values()),
        "troubles": metering.progress.troubles,
    }


def _by_label(unit: Unit) -> tuple[str, int]:
    return unit.job, 0


def _take(metering: Metering, until_s: int) -> list[tuple[float, float]]:
    """Turn once a second; return the lags of each turn: until readable, until durable."""
    lags = []
    flushed_s = time.time()
    segments = 0
    while (begin_s := time.time()) < until_s:
        before_s = metering.progress.upto_s
        metering.turn()
        now_s = time.time()
        kept = sum(1 for _ in metering.store.root.glob("samples/*/*.parquet"))  # type: ignore[attr-defined,misc]
        durable_lag_s = now_s - flushed_s if kept > segments else 0.0
        if kept > segments:
            segments, flushed_s = kept, now_s
        lags.append((now_s - before_s, durable_lag_s))
        time.sleep(max(0.0, 1 - (now_s - begin_s)))
    lags.append((0.0, time.time() - flushed_s))
    return lags
