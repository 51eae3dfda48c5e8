"""The failure model's parameters: what breaks how often, what it takes down, when it is back."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from dure.core.errors import InputError
from dure.twin.parameters import MODELS, Section, read_section

# The standard normal's 90th percentile: a lognormal's p90 is its median x exp(this x sigma).
NORMAL_P90 = 1.2815515655446004
HOUR_S = 3_600
NODE_FAULT = "node_fault"
SOFTWARE = "software_or_hang"
PLANNED = "maintenance_planned"
SECTIONS = (
    *("rates_per_gpu_h", "classes", "fleet_factor", "lemons", "repairs_that_do_not_fix"),
    *("returns_after_h", "repair_days_max", "slow_faults", "fleets", "gates"),
)
# Sections of the same file that other rooms read (the core's node states, the breaker).
OTHERS_READ = ("node_states", "breaker")


@dataclass(frozen=True, slots=True)
class Repair:
    """One way a fault ends.

    Args:
        weight: how often, against the other ways of the class.
        by: automatic, manual or sure; the first two may not fix.
        low_s: uniform from this; or, if ``sigma`` is above 0, the lognormal's median.
        high_s: uniform to this; unused by a lognormal.
        sigma: of the logarithm; 0 is a uniform.
    """

    weight: float
    by: str
    low_s: float
    high_s: float
    sigma: float

    def mean_s(self, at_most_s: float) -> float:
        """Return the mean duration when longer ones end at ``at_most_s``."""
        if self.sigma == 0:
            return (self.low_s + self.high_s) / 2
        limit = math.log(at_most_s / self.low_s) / self.sigma
        whole = self.low_s * math.exp(self.sigma**2 / 2)
        return whole * _normal_cdf(limit - self.sigma) + at_most_s * _normal_cdf(-limit)


@dataclass(frozen=True, slots=True)
class FaultClass:
    """A kind of fault in one fleet; the rate counts returns after a repair that did not fix."""

    name: str
    rate_per_gpu_h: float
    blast: str
    leaf_share: float
    lemons: bool
    repairs: tuple[Repair, ...]


@dataclass(frozen=True, slots=True)
class Fleet:
    """A fleet whose faults were published: its own rates instead of the model's.

    Args:
        factor: times the model's rates; 0 if the fleet is told by node-days.
        node_faults_per_1000_node_days: all faults of a node; 0 if told by the model's rates.
        hang_rate_per_gpu_h: job-level hangs, beside the node faults.
        repair: how its faults end, if told; None is as gpu_hard.
    """

    name: str
    factor: float
    node_faults_per_1000_node_days: float = 0.0
    hang_rate_per_gpu_h: float = 0.0
    repair: Repair | None = None


@dataclass(frozen=True, slots=True)
class FaultModel:
    """All that ``draw_faults`` needs; see models/faults.yaml for the meaning of each number."""

    classes: tuple[FaultClass, ...]
    fleets: Mapping[str, Fleet]
    lemon_share: float
    lemon_times: float
    does_not_fix: Mapping[str, float]
    returns_after_s: float
    repair_s_max: int
    slow_faults: Mapping[str, float]
    gates: Mapping[str, Mapping[str, float]]

    def fleet_classes(self, fleet: str, *, node_gpus: float) -> tuple[FaultClass, ...]:
        """Return the classes of a fleet with its rates.

        Args:
            fleet: llama3, meta_rsc1, infinitehbd, calm, usual, harsh, or another of the file.
            node_gpus: GPUs of a node, to turn rates by node-day into rates by GPU-hour.

        Raises:
            InputError: if the model has no such fleet.
        """
        if fleet not in self.fleets:
            raise InputError(
                "fleet", found=repr(fleet), expected=f"one of {', '.join(self.fleets)}"
            )
        told = self.fleets[fleet]
        if not told.node_faults_per_1000_node_days:
            return tuple(
                replace(one, rate_per_gpu_h=one.rate_per_gpu_h * told.factor)
                for one in self.classes
            )
        by_name = {one.name: one for one in self.classes}
        rate = told.node_faults_per_1000_node_days / 1_000 / 24 / node_gpus
        repairs = (told.repair,) if told.repair else by_name["gpu_hard"].repairs
        fault = FaultClass(NODE_FAULT, rate, "node", 0.0, True, repairs)
        return fault, replace(by_name[SOFTWARE], rate_per_gpu_h=told.hang_rate_per_gpu_h)

    def hang_rate_per_gpu_h(self, fleet: str) -> float:
        """Return how often a job's software stops it, per GPU-hour of the job."""
        classes = self.fleet_classes(fleet, node_gpus=1)
        return sum(one.rate_per_gpu_h for one in classes if one.name == SOFTWARE)


def read_fault_model(path: Path | None = None) -> FaultModel:
    """Read a failure model; sections that the file leaves out are the shipped ones.

    Args:
        path: a YAML file in the form of models/faults.yaml, or None for that one.

    Raises:
        InputError: naming the key, what was found there and what was expected.
    """
    file = read_section(MODELS / "faults.yaml")
    if path is not None:
        own = read_section(path)
        own.only(*SECTIONS, *OTHERS_READ)
        file = Section(own.where, {**file.values, **own.values})
    lemons = file.section("lemons")
    lemons.only("share_of_nodes", "times")
    fails = file.section("repairs_that_do_not_fix")
    fails.only("automatic", "manual")
    return FaultModel(
        classes=_read_classes(file),
        fleets=_read_fleets(file),
        lemon_share=lemons.number("share_of_nodes", high=1),
        lemon_times=lemons.number("times", low=1),
        # At 0.9 a fault already comes back ten times; nearer to 1 it would for ever.
        does_not_fix={by: fails.number(by, high=0.9) for by in ("automatic", "manual")},
        returns_after_s=file.number("returns_after_h") * HOUR_S,
        repair_s_max=file.whole("repair_days_max", low=1, high=3_600) * 86_400,
        slow_faults=_numbers(file.section("slow_faults")),
        gates={
            gate: _numbers(file.section("gates").section(gate))
            for gate in file.section("gates").values
        },
    )


def _read_classes(file: Section) -> tuple[FaultClass, ...]:
    rates, classes = file.section("rates_per_gpu_h"), file.section("classes")
    rates.only(*classes.values)
    for needed in ("gpu_hard", SOFTWARE):
        classes.section(needed)
    read = []
    for name in classes.values:
        one = classes.section(name)
        one.only("blast", "lemons", "leaf_share", "repair")
        blast = one.word("blast", "job", "gpu", "node", "link")
        repairs = tuple(_read_way(way) for way in one.sections("repair"))
        if bool(repairs) == (blast == "job"):
            raise one.refuse("repair", "ways to repair, and none for blast: job")
        read.append(
            FaultClass(
                name=name,
                rate_per_gpu_h=rates.number(name, high=1) if name in rates.values else 0.0,
                blast=blast,
                leaf_share=one.number("leaf_share", high=1) if blast == "link" else 0.0,
                lemons=one.yes_or_no("lemons"),
                repairs=repairs,
            )
        )
    return tuple(read)


def _read_way(way: Section) -> Repair:
    unit = "hours" if "hours" in way.values else "minutes"
    way.only("weight", "by", unit)
    by = way.word("by", "automatic", "manual", "sure")
    weight = way.number("weight", low=1e-9)
    return _read_duration(way.section(unit), HOUR_S if unit == "hours" else 60, by, weight)


def _read_duration(given: Section, unit_s: int, by: str, weight: float) -> Repair:
    """Read a uniform, or a lognormal told by its median and either its mean or its p90."""
    if "uniform" in given.values:
        given.only("uniform")
        ends = given.numbers("uniform")
        if len(ends) != 2 or ends[0] > ends[1]:
            raise given.refuse("uniform", "two numbers, the smaller first")
        return Repair(weight, by, ends[0] * unit_s, ends[1] * unit_s, 0.0)
    given.only("lognormal_median", "mean", "p90")
    median = given.number("lognormal_median", low=1e-9)
    told = "mean" if "mean" in given.values else "p90"
    ratio = math.log(given.number(told, low=1e-9) / median)
    if ratio <= 0:
        raise given.refuse(told, f"a number above the median, {median:g}")
    sigma = math.sqrt(2 * ratio) if told == "mean" else ratio / NORMAL_P90
    return Repair(weight, by, median * unit_s, 0.0, sigma)


def _read_fleets(file: Section) -> dict[str, Fleet]:
    factors, fleets = file.section("fleet_factor"), file.section("fleets")
    read = {name: Fleet(name, factors.number(name, low=1e-9)) for name in factors.values}
    for name in fleets.values:
        one = fleets.section(name)
        if "rates" in one.values:
            one.only("rates", "factor")
            one.word("rates", "as above")
            read[name] = Fleet(name, one.number("factor", low=1e-9))
            continue
        one.only(
            *("node_faults_per_1000_node_days", "repair_h"),
            *("job_hang_per_h_at_1024_gpus", "job_hang_grows_with"),
        )
        hang = 0.0
        if "job_hang_per_h_at_1024_gpus" in one.values:
            one.word("job_hang_grows_with", "gpus")
            hang = one.number("job_hang_per_h_at_1024_gpus") / 1_024
        told = "repair_h" in one.values
        read[name] = Fleet(
            name,
            factor=0.0,
            node_faults_per_1000_node_days=one.number("node_faults_per_1000_node_days", low=1e-9),
            hang_rate_per_gpu_h=hang,
            # "sure": a recorded interval lasts until the node was back for good.
            repair=_read_duration(one.section("repair_h"), HOUR_S, "sure", 1.0) if told else None,
        )
    return read


def _numbers(section: Section) -> dict[str, float]:
    return {key: section.number(key) for key in section.values}


def _normal_cdf(x: float) -> float:
    return (1 + math.erf(x / math.sqrt(2))) / 2
