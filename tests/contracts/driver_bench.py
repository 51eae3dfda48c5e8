"""What a backend brings to be held to the contract of ``services.ports.Driver``."""

from abc import ABC, abstractmethod
from dataclasses import replace
from enum import Enum
from pathlib import Path
from typing import Protocol

from dure.core.orders import StartOrder
from dure.drivers.local import LocalDriver
from dure.drivers.remote.driver import pool_name
from dure.drivers.slurm.commands import SlurmCommands
from dure.drivers.slurm.driver import SlurmDriver
from dure.services.ports import Driver
from tests.drivers.local_bench import SLOTS, driver_at, end_all, order
from tests.sites.line import SITE, AgentSide, CentreSide, Line, node_named
from tests.slurm_cluster import SlurmCluster


class Behaviour(Enum):
    """What the work of an order does."""

    SUCCEEDS = "ends by itself with 0"
    FAILS = "ends by itself with 3"
    RUNS_ON = "runs until it is stopped, and does not listen to notices"
    SAVES_ON_NOTICE = "runs until it gets notice, then saves and leaves with 85"
    DEFIES_STOP = "ignores every request to end"
    CANNOT_START = "names a program that there is not"


class Bench(Protocol):
    """A backend under test. A new one joins by a class like ``LocalBench`` in the suite's fixture.

    Attributes:
        driver: the driver as it is now.
    """

    @property
    def driver(self) -> Driver: ...

    def order(self, job: str, behaviour: Behaviour, *, attempt: int = 1) -> StartOrder: ...

    def starts(self, job: str) -> int:
        """Return how often the work of a job really began."""
        ...

    def is_at_work(self, job: str) -> bool:
        """Tell whether the work has begun and is ready for what comes."""
        ...

    def pass_time(self) -> None:
        """Let a moment pass, on whatever clock the backend lives by."""
        ...

    def restart(self) -> None:
        """Put a new driver in the place of the old one, as after a kill -9 of its process."""
        ...

    def close(self) -> None:
        """Leave nothing running."""
        ...


SCRIPTS = {
    Behaviour.SUCCEEDS: "true",
    Behaviour.FAILS: "exit 3",
    Behaviour.RUNS_ON: "touch ready; sleep 600",
    Behaviour.SAVES_ON_NOTICE: (
        "trap 'echo saved > $DURE_CHECKPOINT_DIR/state; exit 85' USR1\n"
        "touch ready; while true; do sleep 0.02; done"
    ),
    Behaviour.DEFIES_STOP: "trap '' TERM INT HUP USR1; touch ready; while true; do sleep 0.1; done",
}


class WorkingBench(ABC):
    """A backend that really runs processes; ``ROOT/jobs/JOB/work`` is where they work."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.driver: LocalDriver | SlurmDriver = self.made()

    @abstractmethod
    def made(self) -> LocalDriver | SlurmDriver:
        """Return a new driver over the same folder."""

    def order(self, job: str, behaviour: Behaviour, *, attempt: int = 1) -> StartOrder:
        if behaviour is Behaviour.CANNOT_START:
            return order(job, command=("there-is-no-such-program",), attempt=attempt)
        return order(job, f"echo start >> starts\n{SCRIPTS[behaviour]}\n", attempt=attempt)

    def starts(self, job: str) -> int:
        written = self._root / "jobs" / job / "work" / "starts"
        return len(written.read_text().split()) if written.exists() else 0

    def is_at_work(self, job: str) -> bool:
        return (self._root / "jobs" / job / "work" / "ready").exists()

    def pass_time(self) -> None:
        # `until` itself waits between two looks; real time passes by itself.
        return

    def restart(self) -> None:
        self.driver = self.made()

    def close(self) -> None:
        end_all(self.driver)


class LocalBench(WorkingBench):
    """Real processes on this machine."""

    def made(self) -> LocalDriver:
        return driver_at(self._root)


class SlurmBench(WorkingBench):
    """A real Slurm on loopback."""

    def __init__(self, root: Path, cluster: SlurmCluster) -> None:
        self._cluster = cluster
        super().__init__(root)

    def made(self) -> SlurmDriver:
        commands = SlurmCommands(self._cluster.environment)
        return SlurmDriver(self._root, commands, grace_s=1, queue_s=0.2)

    def order(self, job: str, behaviour: Behaviour, *, attempt: int = 1) -> StartOrder:
        plain = super().order(job, behaviour, attempt=attempt)
        return replace(plain, devices=((self._cluster.names[0], 0),))


class AgentBench:
    """A site's agent over another backend, and the engine's driver that speaks with it."""

    def __init__(self, root: Path, site: WorkingBench) -> None:
        self._site = site
        self._own = site.order("any", Behaviour.SUCCEEDS).devices[0][0]
        nodes = [node_named(self._own, SLOTS)]
        self._centre = CentreSide(root / "centre", {self._own: SLOTS})
        line = Line(self._centre, self._centre.key)
        self._agent = AgentSide(root / "site", line, lambda: self._site.driver, nodes)

    @property
    def driver(self) -> Driver:
        return self._centre.driver

    def order(self, job: str, behaviour: Behaviour, *, attempt: int = 1) -> StartOrder:
        plain = self._site.order(job, behaviour, attempt=attempt)
        return replace(plain, devices=((pool_name(SITE, self._own), 0),))

    def starts(self, job: str) -> int:
        return self._site.starts(job)

    def is_at_work(self, job: str) -> bool:
        return self._site.is_at_work(job)

    def pass_time(self) -> None:
        # The engine looks often; only then does it let agents in.
        self._centre.driver.observe()
        for _ in range(3):
            self._agent.agent.turn()

    def restart(self) -> None:
        self._site.restart()
        self._centre.begin()
        self._agent.begin()

    def close(self) -> None:
        self._site.close()
