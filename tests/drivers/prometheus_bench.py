"""Debian's Prometheus on this machine, scraping an exporter of ours that speaks for imagined
nodes.
"""

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from dure.twin.exporter import Exporter, ImaginedGpus
from tests.drivers.polling import until

CONFIG = """
global: {{scrape_interval: 1s, scrape_timeout: 1s}}
scrape_configs:
  - job_name: dcgm
    static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
"""


@contextmanager
def prometheus_over(gpus: ImaginedGpus, folder: Path) -> Iterator[str]:
    """Yield the address of a Prometheus that has scraped ``gpus`` at least once.

    Skips where there is none: ``tools/setup-prometheus.sh`` brings it where apt may.
    """
    command = shutil.which("prometheus")
    if command is None:
        pytest.skip("no prometheus here; make setup-prometheus brings Debian's")
    exporter = Exporter(gpus)
    exporter.start()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    config = folder / "prometheus.yml"
    config.write_text(CONFIG.format(port=exporter.port))
    running = subprocess.Popen(
        [
            command,
            f"--config.file={config}",
            f"--storage.tsdb.path={folder / 'tsdb'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--log.level=error",
        ]
    )
    try:
        url = f"http://127.0.0.1:{port}"
        until(lambda: count_of(url) > 0)
        yield url
    finally:
        running.terminate()
        running.wait(30)
        exporter.close()


def count_of(url: str, selector: str = "DCGM_FI_DEV_GPU_UTIL") -> int:
    """Return how many series answer a question now, 0 while nobody answers."""
    try:
        answer = httpx.get(f"{url}/api/v1/query", params={"query": f"count({selector})"}).json()
    except (httpx.HTTPError, ValueError):
        return 0
    found = answer.get("data", {}).get("result", [])
    return int(found[0]["value"][1]) if found else 0


def wait_for_scrapes(seconds: float) -> None:
    """Let a Prometheus scrape for a while: it has a clock of its own."""
    time.sleep(seconds)
