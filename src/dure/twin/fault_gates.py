"""The published figures that the failure model must reproduce before anyone believes the twin."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from dure.core.errors import InputError
from dure.twin.fault_model import PLANNED, SOFTWARE, FaultModel, draw_faults

NODE_GPUS = 8
LEAF_NODES = 32
DAY_S, HOUR_S = 86_400, 3_600
# InfiniteHBD watched 400 servers for 348 days. Repairs are so uneven (the longest tenth holds three
# quarters of the time) that one such fleet tells the mean within a fifth at best; so we draw 100.
INFINITEHBD_NODES, INFINITEHBD_DAYS, INFINITEHBD_FLEETS = 400, 348, 100
META_NODES, META_DAYS, META_WARM_UP_DAYS = 2_048, 180, 60


@dataclass(frozen=True, slots=True)
class GateResult:
    """One figure of a gate: what was published, what the model gives, how far apart they may be."""

    gate: str
    figure: str
    measured: float
    expected: float
    tolerance: float

    @property
    def passed(self) -> bool:
        return abs(self.measured - self.expected) <= self.tolerance * self.expected


@dataclass(frozen=True, slots=True)
class Outages:
    """What a fleet's fault intervals amount to.

    Args:
        node_time_down: share of all node-time in the window, intervals cut at its ends.
        repair_h_median: of the intervals that begin in the window, uncut.
        repair_h_mean: of the same.
        faults_per_1000_node_days: intervals that begin in the window.
    """

    node_time_down: float
    repair_h_median: float
    repair_h_mean: float
    faults_per_1000_node_days: float


def run_gates(model: FaultModel, *, seed: int) -> tuple[GateResult, ...]:
    """Run every gate of the model; print as a table or count those that did not pass."""
    return tuple(result for gate in model.gates for result in run_gate(model, gate, seed=seed))


def run_gate(model: FaultModel, gate: str, *, seed: int) -> tuple[GateResult, ...]:
    """Draw the gate's fleet and compare it with what was published about the real one.

    Args:
        model: from ``read_fault_model``; its ``gates`` say what is expected, and how closely.
        gate: llama3, meta_rsc1 or infinitehbd.
        seed: any; a gate is to pass with nearly all of them.

    Raises:
        InputError: if the model has no such gate, or none of that name can be run.
    """
    runs = {"llama3": _llama3, "meta_rsc1": _meta_rsc1, "infinitehbd": _infinitehbd}
    if gate not in model.gates or gate not in runs:
        raise InputError("gate", found=repr(gate), expected=f"one of {', '.join(runs)}")
    figures = runs[gate](model, seed)
    told = model.gates[gate]
    return tuple(
        GateResult(gate, figure, measured, told[figure], told["tolerance"])
        for figure, measured in figures.items()
    )


def imagined_nodes(count: int) -> pl.DataFrame:
    """Return nodes of eight GPUs in leaves of 32, the fleet that the gates draw on."""
    number = np.arange(count)
    return pl.DataFrame(
        {
            "node": [f"n{one:06d}" for one in number],
            "gpus": np.full(count, NODE_GPUS),
            "leaf": [f"l{one:05d}" for one in number // LEAF_NODES],
        }
    )


def interruptions(faults: pl.DataFrame, nodes: list[str] | None = None) -> int:
    """Count how often a job on these nodes (None: on all) stops; a leaf's fault stops it once."""
    if nodes is not None:
        faults = faults.filter(pl.col("node").is_in(nodes))
    return faults.filter(pl.col("class") != PLANNED)["from_s"].n_unique()


def measure_outages(
    faults: pl.DataFrame,
    *,
    nodes: int,
    from_s: float,
    to_s: float,
    lasted_h: str | None = None,
) -> Outages:
    """Measure a fleet's outages in a window; the intervals of a node must not overlap.

    Args:
        faults: ``from_s, to_s`` of what took a node down, whole (as drawn, or as recorded).
        nodes: how many nodes the fleet has, also those without a fault.
        from_s, to_s: the window.
        lasted_h: a column with the uncut duration, if the intervals are cut.
    """
    window_s = to_s - from_s
    cut = faults.filter(pl.col("to_s") > from_s).select(
        down_s=pl.col("to_s").clip(from_s, to_s) - pl.col("from_s").clip(from_s, to_s)
    )
    begun = faults.filter(pl.col("from_s").is_between(from_s, to_s, closed="left"))
    lasted = pl.col(lasted_h) if lasted_h else (pl.col("to_s") - pl.col("from_s")) / HOUR_S
    hours = begun.select(lasted_h=lasted).to_series().to_numpy()
    return Outages(
        node_time_down=float(cut["down_s"].sum()) / (nodes * window_s),
        repair_h_median=float(np.median(hours)),
        repair_h_mean=float(hours.mean()),
        faults_per_1000_node_days=begun.height / (nodes * window_s / DAY_S) * 1_000,
    )


def _llama3(model: FaultModel, seed: int) -> dict[str, float]:
    told = model.gates["llama3"]
    nodes = imagined_nodes(int(told["gpus"]) // NODE_GPUS)
    faults = draw_faults(
        model, nodes, from_s=0, to_s=int(told["days"]) * DAY_S, seed=seed, fleet="llama3"
    )
    return {"interruptions": float(interruptions(faults))}


def _meta_rsc1(model: FaultModel, seed: int) -> dict[str, float]:
    """Run 16 jobs of 1,024 GPUs side by side, their nodes taken at random from the fleet."""
    nodes = imagined_nodes(META_NODES)
    from_s, to_s = META_WARM_UP_DAYS * DAY_S, (META_WARM_UP_DAYS + META_DAYS) * DAY_S
    faults = draw_faults(model, nodes, from_s=from_s, to_s=to_s, seed=seed, fleet="meta_rsc1")
    job_nodes = 1_024 // NODE_GPUS
    names = np.random.Generator(np.random.PCG64(seed)).permutation(nodes["node"].to_numpy())
    jobs = names.reshape(-1, job_nodes)
    stops = sum(interruptions(faults, job.tolist()) for job in jobs)
    return {"gpus_1024_mttf_h": len(jobs) * (to_s - from_s) / HOUR_S / stops}


def _infinitehbd(model: FaultModel, seed: int) -> dict[str, float]:
    """Watch the fleets for 348 days, once as many nodes are down as always will be."""
    nodes = imagined_nodes(INFINITEHBD_NODES * INFINITEHBD_FLEETS)
    from_s = model.repair_s_max
    to_s = from_s + INFINITEHBD_DAYS * DAY_S
    drawn = draw_faults(model, nodes, from_s=0, to_s=to_s, seed=seed, fleet="infinitehbd")
    faults = drawn.filter(pl.col("class") != SOFTWARE)
    seen = measure_outages(faults, nodes=nodes.height, from_s=from_s, to_s=to_s)
    return {
        "node_time_down": seen.node_time_down,
        "repair_h_median": seen.repair_h_median,
        "repair_h_mean": seen.repair_h_mean,
    }
