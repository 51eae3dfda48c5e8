"""An exporter that speaks for imagined nodes in the words of the DCGM exporter.

What a Prometheus scrapes from it is what it would scrape from real nodes, so that meters, rules and
screens can be tried on any number of GPUs without one.
"""

import threading
import time
from collections.abc import Callable, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np

HOST = "127.0.0.1"
MODEL = "NVIDIA H100 80GB HBM3"
IDLE_W, BUSY_W = 75.0, 650.0
FB_MIB = 81_559


class ImaginedGpus:
    """GPUs that work, rest and fail as they are told, and now and then by chance.

    Args:
        nodes: their names; each has ``gpus`` GPUs.
        seed: of the utilisation, which moves a little at every look.
        now_s: a clock; energy is power over its time.

    Attributes:
        busy: utilisation that each GPU moves around, percent, shape (node, gpu); may be set.
        xid: the last error of each GPU, 0 for none, shape (node, gpu); may be set.
        job: what runs on each node, "" for nothing; may be set.
        silent: nodes that say nothing; may be changed.
        broken: lines added as they are, for a meter that must bear anything.
    """

    def __init__(
        self,
        nodes: Sequence[str],
        *,
        gpus: int = 8,
        seed: int = 1,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        self.nodes, self.gpus, self._now_s = list(nodes), gpus, now_s
        shape = (len(self.nodes), gpus)
        self._rng = np.random.default_rng(seed)
        self.busy = self._rng.choice([0.0, 60.0, 92.0], size=(shape[0], 1)) * np.ones(shape)
        self.xid = np.zeros(shape, dtype=np.int64)
        self.job = ["" for _ in self.nodes]
        self.silent: set[str] = set()
        self.broken: list[str] = []
        self._energy_mj = np.zeros(shape)
        self._looked_at_s = now_s()
        self._lock = threading.Lock()

    def page(self) -> str:
        """Return what ``/metrics`` answers now."""
        with self._lock:
            util = np.clip(self.busy + self._rng.normal(0, 3, self.busy.shape), 0, 100)
            util = np.where(self.busy > 0, np.rint(util), 0)
            power_w = IDLE_W + (BUSY_W - IDLE_W) * util / 100
            now_s = self._now_s()
            self._energy_mj += power_w * 1000 * max(0.0, now_s - self._looked_at_s)
            self._looked_at_s = now_s
            memory = np.where(util > 0, FB_MIB * 8 // 10, 4)
            lines: list[str] = []
            for name, values in (
                ("DCGM_FI_DEV_GPU_UTIL", util),
                ("DCGM_FI_DEV_FB_USED", memory),
                ("DCGM_FI_DEV_POWER_USAGE", power_w),
                ("DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", self._energy_mj),
                ("DCGM_FI_DEV_XID_ERRORS", self.xid),
            ):
                kind = "counter" if name.endswith("CONSUMPTION") else "gauge"
                lines.append(f"# TYPE {name} {kind}")
                lines += self._lines(name, values)
            return "\n".join([*lines, *self.broken, ""])

    def _lines(self, name: str, values: np.ndarray) -> list[str]:
        found = []
        for place, node in enumerate(self.nodes):
            if node in self.silent:
                continue
            job = f',hpc_job="{self.job[place]}"' if self.job[place] else ""
            for gpu, value in enumerate(values[place].tolist()):
                found.append(
                    f'{name}{{gpu="{gpu}",UUID="GPU-{place:08x}-{gpu}",device="nvidia{gpu}",'
                    f'modelName="{MODEL}",Hostname="{node}"{job}}} {value:.10g}'
                )
        return found


class Exporter:
    """Serves one set of imagined GPUs on this machine until it is closed.

    Attributes:
        port: where; chosen by the system for port 0.
    """

    def __init__(self, gpus: ImaginedGpus, *, port: int = 0) -> None:
        class Door(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = gpus.page().encode()
                self.send_response(200 if self.path == "/metrics" else 404)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing: a line a scrape helps nobody."""

        self._server = ThreadingHTTPServer((HOST, port), Door)
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
