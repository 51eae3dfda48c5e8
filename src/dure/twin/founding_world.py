"""What the founding scenario imagines: who works when, what they submit, what breaks.

Everything is drawn by day or by chunk of 30 days from the seed and from what the programme had
granted by that day, so a simulation that stops, starts again or goes on for ever draws the same.
"""

import hashlib
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from dure.core import columns as col
from dure.core.calendar import DAY_S
from dure.core.columns import IntArray
from dure.core.pool import Pool
from dure.core.quota import Right, provider_rights
from dure.core.state import Account, Jobs, State, no_facts
from dure.services.programme_states import AllocationState
from dure.services.programme_tables import ProgrammeTables
from dure.twin.demand import FAULT_CLASSES_FROM, Owners, columns_of, fault_facts, pool_of
from dure.twin.fault_model import CHUNK_S, FaultModel, draw_faults, read_fault_model
from dure.twin.workload_columns import JOB_SCHEMA
from dure.twin.workload_model import WorkloadModel, draw_jobs, read_workload_model

NO_FLEET = "none"
OWN_GROUP = "provider-own"
# Assumptions: of those that wait for an allocation so many run on what stands idle meanwhile, at
# this part of the load that they would have with one, and work in one of these ways.
WAITING_SHARE = 0.5
WAITING_LOAD = 0.6
WAITING_BEHAVIOURS = ("fine_tuner", "bursty_researcher")
WAITING_STREAM = 8
_PROJECTS = {
    "project": pl.String,
    "group": pl.String,
    "provider": pl.String,
    "behaviour": pl.String,
    "accelerator": pl.String,
    "gpus": pl.Int64,
    "from_s": pl.Int64,
    "to_s": pl.Int64,
}
_FAULTS = {
    "node": pl.String,
    "from_s": pl.Int64,
    "to_s": pl.Int64,
    "class": pl.String,
    "gpus": pl.Int64,
}


@dataclass(frozen=True)
class World:
    """The people and the machines' bad luck.

    Attributes:
        nodes: the pool table.
        seed: of jobs and faults; each has its own chance.
        epoch_s: when operation begins; nothing is submitted and nothing breaks before.
        fleet: whose faults (``fault_model``), or ``NO_FLEET``.
        load: times every project's demand.
    """

    nodes: pl.DataFrame
    seed: int
    epoch_s: int
    fleet: str = "usual"
    load: float = 1.0
    workload: WorkloadModel = field(default_factory=read_workload_model)
    breakage: FaultModel = field(default_factory=read_fault_model)
    pool: Pool = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "pool", pool_of(self.nodes))

    def own_rights(self) -> list[Right]:
        """Return what the providers keep for themselves."""
        return provider_rights(self.pool, {})

    def own_use(self) -> pl.DataFrame:
        """Return the same as reports read it: ``provider, accelerator, gpus``."""
        rows = [(name, kind, milli // col.WHOLE) for name, kind, milli, _, _ in self.own_rights()]
        names = ("provider", "accelerator", "gpus")
        return pl.DataFrame(rows, schema={name: _PROJECTS[name] for name in names}, orient="row")

    def projects(self, tables: ProgrammeTables, day_from_s: int) -> pl.DataFrame:
        """Return who works with GPUs of its own on a day, and what it holds at its first second."""
        holders: dict[str, tuple[object, ...]] = {}
        sizes: dict[str, int] = {}
        for state in tables.allocations.values():
            granted, gpus = state.granted, size_at(state, day_from_s)
            if not _has_begun(state, day_from_s) or gpus <= sizes.get(granted.project, 0):
                continue
            # One row a project, its largest allocation.
            sizes[granted.project] = gpus
            group = tables.applications[granted.application].submitted.group
            who = (granted.project, group, "", None, granted.accelerator, gpus)
            holders[granted.project] = (*who, granted.from_s, granted.to_s)
        for name, kind, milli, _, _ in self.own_rights():
            own, gpus = f"own-{name}-{kind.lower()}", milli // col.WHOLE
            holders[own] = (own, OWN_GROUP, name, None, kind, gpus, None, None)
        return pl.DataFrame(list(holders.values()), schema=_PROJECTS, orient="row")

    def waiting(self, tables: ProgrammeTables, day_from_s: int) -> pl.DataFrame:
        """Return who works on idle GPUs while it waits for an allocation, with the size it waits
        for.
        """
        rows = []
        for state in tables.applications.values():
            decided, submitted = state.decided, state.submitted
            if decided is None or decided.decision != "waitlisted" or state.is_withdrawn:
                continue
            if state.status in ("declined", "lapsed"):
                continue
            granted = tables.allocations.get(state.allocation)
            if granted is not None and granted.granted.at_s <= day_from_s:
                continue
            comes, kind = np.random.default_rng(
                [self.seed, WAITING_STREAM, _key(decided.project)]
            ).random(2)
            if comes < WAITING_SHARE and decided.at_s <= day_from_s:
                behaviour = WAITING_BEHAVIOURS[int(kind * len(WAITING_BEHAVIOURS))]
                who = (decided.project, submitted.group, "", behaviour, decided.accelerator)
                rows.append((*who, decided.gpus, None, None))
        return pl.DataFrame(rows, schema=_PROJECTS, orient="row")

    def owners(self, tables: ProgrammeTables, day_from_s: int) -> list[Account]:
        """Return whose accounts the day's jobs need, beside those that the programme's events
        list.
        """
        waiting = self.waiting(tables, day_from_s).select("project", "group").rows()
        providers = dict.fromkeys(right[0] for right in self.own_rights())
        return [
            *(Account(name, col.ACCOUNT_PROVIDER) for name in providers),
            *(Account(name, col.ACCOUNT_PROJECT, group=group) for name, group in waiting),
        ]

    def jobs_of_day(self, tables: ProgrammeTables, day_from_s: int) -> pl.DataFrame:
        """Return the jobs table of one Korean day."""
        held = self._drawn(self.projects(tables, day_from_s), day_from_s, self.load)
        # A provider's own work has no project: it draws on the provider.
        is_own = pl.col("provider") != ""
        held = held.with_columns(
            pl.when(is_own).then(pl.lit("")).otherwise("project").alias("project")
        )
        load = self.load * WAITING_LOAD
        hoping = self._drawn(self.waiting(tables, day_from_s), day_from_s, load)
        # Whoever has no promise runs what may be stopped.
        hoping = hoping.with_columns(
            pl.lit("loan").alias("class"), pl.lit(True).alias("preemptible")
        )
        return pl.concat([held, hoping]).sort("submit_at_s", "job")

    def _drawn(self, projects: pl.DataFrame, day_from_s: int, load: float) -> pl.DataFrame:
        if projects.height == 0:
            return pl.DataFrame(schema=JOB_SCHEMA)
        return draw_jobs(self.workload, projects, day_from_s=day_from_s, seed=self.seed, load=load)

    def columns(self, jobs: pl.DataFrame, state: State) -> Jobs:
        """Return jobs as the engine reads them; their owners must be listed already."""
        owners = Owners(
            list(state.accounts),
            dict(state.account_index),
            {name for kind, name in state.account_index if kind == col.ACCOUNT_PROJECT},
            set(self.pool.providers),
        )
        columns = columns_of(jobs, self.pool, owners)
        assert len(owners.accounts) == len(state.accounts), "a job of a project without a right"
        return columns

    def faults_between(self, from_s: int, to_s: int) -> pl.DataFrame:
        """Return the faults that begin in [from_s, to_s)."""
        if self.fleet == NO_FLEET or to_s <= from_s:
            return pl.DataFrame(schema=_FAULTS)
        return draw_faults(
            self.breakage,
            self.nodes,
            from_s=from_s,
            to_s=to_s,
            seed=self.seed,
            fleet=self.fleet,
            epoch_s=self.epoch_s,
        )

    def chunk_of(self, at_s: int) -> tuple[int, int]:
        """Return the stretch of 30 days, counted from the epoch, that holds a moment."""
        first = self.epoch_s + (at_s - self.epoch_s) // CHUNK_S * CHUNK_S
        return first, first + CHUNK_S

    def fault_facts(self, from_s: int, to_s: int) -> IntArray:
        """Return the faults and repairs that happen in [from_s, to_s), in order of time."""
        if self.fleet == NO_FLEET:
            return no_facts()
        classes = self.breakage.fleet_classes(self.fleet, node_gpus=1.0)
        names = sorted(one.name for one in classes)
        back_s = max(self.epoch_s, from_s - self.breakage.repair_s_max)
        told = fault_facts(self.faults_between(back_s, to_s), self.pool, start_s=self.epoch_s)
        code = np.zeros(len(told.classes) + FAULT_CLASSES_FROM, dtype=np.int64)
        for i, name in enumerate(told.classes):
            # A class keeps its number, whichever others a stretch of time happens to have.
            code[FAULT_CLASSES_FROM + i] = FAULT_CLASSES_FROM + names.index(name)
        facts = told.facts[(told.at_s >= from_s) & (told.at_s < to_s)]
        facts[:, 4] = code[facts[:, 4]]
        return facts


def size_at(state: AllocationState, at_s: int) -> int:
    """Return an allocation's GPUs at a moment, also one that has passed; 0 outside its term."""
    if not state.granted.from_s <= at_s < state.granted.to_s:
        return 0
    return [gpus for since_s, gpus in state.steps if since_s <= at_s][-1]


def _has_begun(state: AllocationState, day_from_s: int) -> bool:
    """Tell whether a project works on a day: one that was next in line begins the day after."""
    wait_s = DAY_S if state.granted.cause == "handover" and state.granted.at_s > 0 else 0
    opened_s = state.granted.from_s if wait_s == 0 else max(state.granted.at_s + wait_s, 0)
    return max(opened_s, state.granted.from_s) <= day_from_s


def _key(name: str) -> int:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:6], "big")
