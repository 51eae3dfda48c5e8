"""A live pool on paper with a meter on paper: a test says what is measured, and when."""

from pathlib import Path

import numpy as np

from dure.core.errors import DriverError
from dure.core.health import HealthPolicy
from dure.core.measured import BUSY, CPU, HOST, METRICS, Measured, Sieve, Signal, Unit
from dure.drivers.telemetry_files import TelemetryFiles
from dure.services.care_desk import CareDesk
from dure.services.metering import Holders, Metering
from dure.services.watches import HealthWatch, IdleWatch
from tests.services.live_bench import LiveBench

NODE = "here-0001"


class PaperMeter:
    """Says what a test wrote down, a reading at a time."""

    def __init__(self) -> None:
        self.gpus: dict[int, int] = {}
        self.cpu_ms: dict[str, int] = {}
        self.signals: list[Signal] = []
        self.is_away = False

    def read(self, now_s: int) -> Measured:
        if self.is_away:
            raise DriverError("the meter is away")
        rows: list[tuple[Unit, int, int]] = [(Unit(NODE, HOST), CPU, 0)]
        rows += [(Unit(NODE, gpu), BUSY, busy) for gpu, busy in self.gpus.items()]
        rows += [(Unit(NODE, HOST, job), CPU, ms) for job, ms in self.cpu_ms.items()]
        values = np.zeros((len(METRICS), len(rows)))
        given = np.zeros((len(METRICS), len(rows)), dtype=np.bool_)
        for place, (_, row, value) in enumerate(rows):
            values[row, place], given[row, place] = value, True
        signals, self.signals = self.signals, []
        units = [unit for unit, _, _ in rows]
        places = np.arange(len(rows), dtype=np.int64)
        at_s = np.full(len(rows), now_s, dtype=np.int64)
        return Measured(units, places, at_s, values, given, now_s, signals)

    def close(self) -> None:
        """Nothing to close."""


class CareBench:
    """A pool of four slots, measured."""

    def __init__(self, root: Path) -> None:
        self.live = LiveBench(slots=4)
        live, policy = self.live, HealthPolicy()
        self.meter, self.store = PaperMeter(), TelemetryFiles(root)
        view = live.desk.view
        watches = (
            HealthWatch(live.book, live.cared.health, view, lambda: None, policy=policy),
            IdleWatch(live.book, live.cared.cases, self.store, view, lambda: None),
        )
        self.metering = Metering(
            self.meter,
            Sieve({NODE: 4}),
            self.store,
            lambda: Holders(view()).of,
            live.clock,
            listeners=[watch.hear for watch in watches],
        )
        self.desk = CareDesk(
            self.metering,
            live.book,
            live.cared.health,
            live.cared.cases,
            view,
            live.clock,
            lambda: None,
            live.publisher.used_at,
            policy=policy,
        )

    def measure(self, seconds: int = 15) -> None:
        """Let time pass, a reading every 15 s."""
        for _ in range(seconds // 15):
            self.live.clock.at_s += 15
            self.metering.turn()
            self.live.turn()
