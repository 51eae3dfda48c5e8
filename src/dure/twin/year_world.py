"""The pool of 2030 at work, imagined: who holds what, what they submit each day, what breaks.

All of it follows from a size and a seed. The workload model's projects, three sizes of them, and
besides open-access projects, through which people without an allocation of their own run small
jobs: they are what makes ten million jobs a year of 300,000 GPUs.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import polars as pl

from dure.core import columns as col
from dure.core.calendar import DAY_S, moment_s
from dure.core.columns import IntArray
from dure.core.pool import Pool
from dure.core.quota import Right, allocated_most, provider_rights
from dure.core.state import Account, Jobs, State
from dure.twin.demand import FaultFacts, Owners, columns_of, fault_facts, pool_of
from dure.twin.endless import given_up
from dure.twin.fault_model import draw_faults, read_fault_model
from dure.twin.tables import pool_for_clusters
from dure.twin.workload_model import WorkloadModel, draw_jobs, read_workload_model
from dure.twin.workload_parameters import Behaviour

FROM_S = moment_s("2030-01-01")
ACCELERATOR = "B200"
NODE_GPUS, CLUSTER_NODES = 8, 1_920
# Times the projects' demand: with the parts below about four fifths of the pool.
LOAD = 0.98
OPEN_ACCESS = Behaviour(
    name="open_access",
    groups={},
    demand=0.9,
    spread=0.10,
    gpu_hours={"tries": 0.09, "node": 0.91},
    weeks=None,
    ramp=None,
    service=None,
)


@dataclass(frozen=True, slots=True)
class Part:
    """Projects of one size: what each holds, and all of them together of the pool."""

    gpus: int
    of_pool: float
    groups: tuple[str, ...]
    behaviour: str | None = None


# What is left is the providers' own, which they lend.
PARTS = (
    Part(2048, 0.14, ("national",)),
    Part(512, 0.61, ("academia", "research", "industry", "national")),
    Part(16, 0.05, ("academia", "research", "industry")),
    Part(2048, 0.055, ("academia",), OPEN_ACCESS.name),
)


def imagined_projects(gpus: int) -> pl.DataFrame:
    """Return the projects of a pool of so many GPUs, as ``draw_jobs`` takes them.

    In a small pool no project holds more than a tenth of it, and at least a node.
    """
    most = max(NODE_GPUS, gpus // 10 // NODE_GPUS * NODE_GPUS)
    rows = []
    for number, part in enumerate(PARTS):
        size = min(part.gpus, most)
        for i in range(round(part.of_pool * gpus / size)):
            group = part.groups[i % len(part.groups)]
            rows.append((f"p{number}-{i:04}", group, "", part.behaviour, ACCELERATOR, size))
    names = ("project", "group", "provider", "behaviour", "accelerator")
    schema = dict.fromkeys(names, pl.String) | {"gpus": pl.Int64}
    return pl.DataFrame(rows, schema=schema, orient="row")


def _workload() -> WorkloadModel:
    model = read_workload_model()
    return replace(model, behaviours={**model.behaviours, OPEN_ACCESS.name: OPEN_ACCESS})


@dataclass
class YearWorld:
    """What happens in the pool, a day at a time (``endless.Days``).

    Args:
        node_count: nodes of eight GPUs.
        days: how long; nothing is submitted or breaks after.
        seed: of jobs and faults.
        load: times the projects' demand, except that of services.
    """

    node_count: int
    days: int
    seed: int
    load: float = LOAD
    nodes: pl.DataFrame = field(init=False)
    pool: Pool = field(init=False)
    projects: pl.DataFrame = field(init=False)
    faults_drawn: pl.DataFrame = field(init=False)
    _owners: Owners = field(init=False)
    _workload: WorkloadModel = field(init=False)
    _faults: FaultFacts = field(init=False)

    def __post_init__(self) -> None:
        clusters = -(-self.node_count // CLUSTER_NODES)
        sizes = {
            f"site-{i + 1:02}": (self.node_count + i) // clusters * NODE_GPUS
            for i in range(clusters)
        }
        nodes = pool_for_clusters(sizes, NODE_GPUS, accelerator=ACCELERATOR)
        # Every site may hold data of any grade.
        self.nodes = nodes.with_columns(grade=pl.lit("C"))
        self.pool = pool_of(self.nodes)
        self.projects = imagined_projects(self.node_count * NODE_GPUS)
        self._workload = _workload()
        self._owners = Owners.of(self.pool, self._project_rights())
        self.faults_drawn = draw_faults(
            read_fault_model(),
            self.nodes,
            from_s=FROM_S,
            to_s=self.to_s,
            seed=self.seed,
            epoch_s=FROM_S,
        )
        self._faults = fault_facts(self.faults_drawn, self.pool, start_s=FROM_S)

    @property
    def to_s(self) -> int:
        return FROM_S + self.days * DAY_S

    def _project_rights(self) -> list[Right]:
        rows = self.projects.select("project", "gpus").iter_rows()
        return [(name, ACCELERATOR, gpus * col.WHOLE, 0, col.FOREVER_S) for name, gpus in rows]

    def rights(self) -> list[Right]:
        """Return what providers keep and projects hold."""
        projects = self._project_rights()
        return [*provider_rights(self.pool, allocated_most(projects)), *projects]

    def allocations(self) -> pl.DataFrame:
        """Return what projects hold, as ``dure twin run --allocations`` reads it."""
        return self.projects.select(
            "project",
            "accelerator",
            "gpus",
            from_s=pl.lit(0, pl.Int64),
            to_s=pl.lit(col.FOREVER_S, pl.Int64),
        )

    def jobs_table(self, day_from_s: int) -> pl.DataFrame:
        """Return the jobs of one Korean day; none after the last."""
        jobs = draw_jobs(
            self._workload, self.projects, day_from_s=day_from_s, seed=self.seed, load=self.load
        )
        return jobs if day_from_s < self.to_s else jobs.clear()

    # --- what the loop asks at each midnight ---------------------------------------------------
    def open_day(self, day_from_s: int) -> Sequence[Account]:
        return self._owners.accounts if day_from_s == FROM_S else ()

    def jobs(self, day_from_s: int, state: State) -> Jobs:
        return columns_of(self.jobs_table(day_from_s), self.pool, self._owners)

    def faults(self, day_from_s: int, to_s: int) -> IntArray:
        from_row, to_row = self._faults.at_s.searchsorted([day_from_s, to_s])
        return self._faults.facts[from_row:to_row]

    def cancellations(self, state: State, now_s: int) -> IntArray:
        return given_up(state, now_s)
