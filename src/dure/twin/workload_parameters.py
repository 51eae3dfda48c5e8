"""The workload model's parameters: how long jobs run, when they come, how projects behave."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dure.core.errors import InputError
from dure.twin.parameters import MODELS, Section, read_section

FloatArray = NDArray[np.float64]

GRADES = ("O", "S", "C")
# The standard normal's 90th percentile: a lognormal's p90 is its median x exp(this x sigma).
NORMAL_P90 = 1.2815515655446004


@dataclass(frozen=True, slots=True)
class Lasting:
    """How long jobs of one size run: quantiles, between which the logarithm is linear."""

    gpus: int
    sweep: float  # share of the jobs that follow another of the same sweep
    probabilities: tuple[float, ...]
    quantiles_s: tuple[float, ...]

    def durations_s(self, chance: FloatArray) -> FloatArray:
        """Turn uniform numbers in [0, 1) into durations."""
        return np.exp(np.interp(chance, self.probabilities, np.log(self.quantiles_s)))

    @property
    def mean_s(self) -> float:
        """The mean of the distribution that ``durations_s`` draws from, exactly."""
        low, high = np.array(self.quantiles_s[:-1]), np.array(self.quantiles_s[1:])
        steps = np.diff(self.probabilities)
        ratio = np.log(high / low)
        # The mean of exp over a straight line between two logarithms.
        with np.errstate(invalid="ignore", divide="ignore"):
            means = np.where(ratio > 1e-12, (high - low) / ratio, low)
        return float((steps * means).sum())


@dataclass(frozen=True, slots=True)
class Size:
    """A job size: so many GPUs, or (``gpus`` 0) a part of the project's allocation."""

    weight: float
    gpus: int
    of_allocation: float


@dataclass(frozen=True, slots=True)
class Kind:
    """A group of job sizes that behaviours share their demand among."""

    name: str
    sizes: tuple[Size, ...]
    fractional: bool


@dataclass(frozen=True, slots=True)
class Service:
    """Work that follows the day: parts of the allocation by night, by day, by day at weekends."""

    night: float
    day: float
    weekend: float
    replicas: int


@dataclass(frozen=True, slots=True)
class Behaviour:
    """How a project asks for GPUs; models/workload.yaml says what each number means."""

    name: str
    groups: Mapping[str, float]
    demand: float
    spread: float
    gpu_hours: Mapping[str, float]
    weeks: tuple[float, float] | None  # share of active weeks, demand of a quiet one
    ramp: tuple[float, float] | None  # demand at first, days until it is whole
    service: Service | None


@dataclass(frozen=True, slots=True)
class Checkpoints:
    """How jobs from so many GPUs on save themselves."""

    from_gpus: int
    share: float
    on_notice: float
    every_s: tuple[int, ...]
    takes_s: tuple[int, int]


@dataclass(frozen=True, slots=True)
class WorkloadModel:
    """All that ``draw_jobs`` needs; see models/workload.yaml for the meaning of each number."""

    lasting: tuple[Lasting, ...]
    hour_weights: tuple[float, ...]
    weekend_factor: float
    day_shape: float
    fraction_share: float
    fractions: Mapping[int, float]
    utc_offset_s: int
    node_gpus: int
    accelerators: tuple[str, ...]
    kinds: Mapping[str, Kind]
    gang_gpus_max: int
    behaviours: Mapping[str, Behaviour]
    service_start_h: tuple[float, float]
    service_end_h: tuple[float, float]
    service_not_preemptible: Mapping[str, float]
    batch_not_preemptible: float
    estimate_share: float
    estimate_median: float
    estimate_sigma: float
    estimate_grid_s: tuple[int, ...]
    checkpoints: tuple[Checkpoints, ...]
    locality_from_gpus: int
    locality_share: float
    locality_leaf_gpus_max: int
    locality_patience_s: int
    flexible_share: float
    grades: Mapping[str, tuple[float, ...]]

    def lasting_of(self, gpus: int) -> Lasting:
        """Return the durations of the largest fitted size that is not above ``gpus``."""
        return next((one for one in reversed(self.lasting) if one.gpus <= gpus), self.lasting[0])


def read_workload_model(path: Path | None = None) -> WorkloadModel:
    """Read a workload model; sections that the file leaves out are the shipped ones.

    Args:
        path: a YAML file in the form of models/workload.yaml, or None for that one.

    Raises:
        InputError: naming the key, what was found there and what was expected.
    """
    file = read_section(MODELS / "workload.yaml")
    if path is not None:
        own = read_section(path)
        own.only(*file.values)
        file = Section(own.where, {**file.values, **own.values})
    arrivals, fractions = file.section("arrivals"), file.section("fractions")
    hours = arrivals.numbers("hour_weights")
    if len(hours) != 24 or sum(hours) == 0:
        raise arrivals.refuse("hour_weights", "24 numbers, not all 0")
    milli = fractions.section("gpu_milli")
    kinds = {name: _read_kind(file.section("kinds"), name) for name in file.section("kinds").values}
    estimates, locality = file.section("estimates"), file.section("locality")
    too_long, service = estimates.section("too_long"), file.section("service_hours")
    kept = file.section("service_not_preemptible")
    kept.number("else", high=1)
    return WorkloadModel(
        lasting=_read_lasting(file.section("durations_s")),
        hour_weights=tuple(hours),
        weekend_factor=arrivals.number("weekend_factor"),
        day_shape=arrivals.number("day_shape", low=0.05),
        fraction_share=fractions.number("share_of_single_gpu", high=1),
        fractions={_milli(milli, key): milli.number(key) for key in milli.values},
        utc_offset_s=round(
            file.section("local_time").number("utc_offset_h", low=-12, high=14) * 3_600
        ),
        node_gpus=file.whole("node_gpus", low=1),
        accelerators=tuple(file.words("accelerators")),
        kinds=kinds,
        gang_gpus_max=file.whole("gang_gpus_max", low=1),
        behaviours=_read_behaviours(file.section("behaviours"), kinds),
        service_start_h=_two(service, "start", 24),
        service_end_h=_two(service, "end", 24),
        service_not_preemptible={group: kept.number(group, high=1) for group in kept.values},
        batch_not_preemptible=file.number("batch_not_preemptible", high=1),
        estimate_share=estimates.number("share", high=1),
        estimate_median=too_long.number("median", low=1),
        estimate_sigma=_sigma(too_long),
        estimate_grid_s=tuple(sorted(round(one * 3_600) for one in estimates.numbers("grid_h"))),
        checkpoints=_read_checkpoints(file),
        locality_from_gpus=locality.whole("from_gpus"),
        locality_share=locality.number("share", high=1),
        locality_leaf_gpus_max=locality.whole("leaf_gpus_max"),
        locality_patience_s=locality.whole("patience_s"),
        flexible_share=file.number("flexible_share", high=1),
        grades={
            group: tuple(file.section("grades").section(group).number(one) for one in GRADES)
            for group in file.section("grades").values
        },
    )


def _sigma(too_long: Section) -> float:
    median, p90 = too_long.number("median", low=1), too_long.number("p90", low=1)
    if p90 < median:
        raise too_long.refuse("p90", f"a number from the median, {median:g}, on")
    return float(np.log(p90 / median)) / NORMAL_P90


def _milli(milli: Section, key: str) -> int:
    if not key.isdecimal() or not 1 <= int(key) <= 999:
        raise InputError(milli.name(key), found=f"the key {key!r}", expected="1 to 999 thousandths")
    return int(key)


def _two(section: Section, key: str, high: float) -> tuple[float, float]:
    ends = section.numbers(key, high=high)
    if len(ends) != 2 or ends[0] > ends[1]:
        raise section.refuse(key, "two numbers, the smaller first")
    return ends[0], ends[1]


def _read_lasting(durations: Section) -> tuple[Lasting, ...]:
    probabilities = durations.numbers("probabilities", high=1)
    if probabilities != sorted(probabilities) or probabilities[0] != 0 or probabilities[-1] != 1:
        raise durations.refuse("probabilities", "rising numbers from 0 to 1")
    by_gpus = durations.section("by_gpus")
    read = []
    for key in by_gpus.values:
        if not key.isdecimal() or int(key) < 1:
            raise InputError(by_gpus.name(key), found=f"the key {key!r}", expected="a GPU count")
        one = by_gpus.section(key)
        one.only("sweep", "quantiles")
        quantiles = one.numbers("quantiles", low=1)
        if len(quantiles) != len(probabilities) or quantiles != sorted(quantiles):
            raise one.refuse("quantiles", f"{len(probabilities)} rising numbers of seconds")
        sweep = one.number("sweep", high=0.95)
        read.append(Lasting(int(key), sweep, tuple(probabilities), tuple(quantiles)))
    if not read:
        raise durations.refuse("by_gpus", "at least one size")
    return tuple(sorted(read, key=lambda one: one.gpus))


def _read_kind(kinds: Section, name: str) -> Kind:
    one = kinds.section(name)
    one.only("sizes", "fractional")
    sizes = []
    for given in one.sections("sizes"):
        told = "gpus" if "gpus" in given.values else "of_allocation"
        given.only("weight", told)
        sizes.append(
            Size(
                weight=given.number("weight", low=1e-9),
                gpus=given.whole("gpus", low=1) if told == "gpus" else 0,
                of_allocation=0.0 if told == "gpus" else given.number(told, low=1e-9, high=100),
            )
        )
    if not sizes:
        raise one.refuse("sizes", "at least one size")
    return Kind(name, tuple(sizes), "fractional" in one.values and one.yes_or_no("fractional"))


def _read_behaviours(behaviours: Section, kinds: Mapping[str, Kind]) -> dict[str, Behaviour]:
    read = {}
    for name in behaviours.values:
        one = behaviours.section(name)
        one.only("groups", "demand", "spread", "gpu_hours", "weeks", "ramp", "service")
        weeks = ramp = service = None
        shares: dict[str, float] = {}
        if "service" in one.values:
            told = one.section("service")
            told.only("night", "day", "weekend", "replicas")
            night = told.number("night", high=1)
            service = Service(
                night,
                told.number("day", low=night, high=1),
                told.number("weekend", high=1),
                told.whole("replicas", low=1),
            )
        else:
            parts = one.section("gpu_hours")
            parts.only(*kinds)
            shares = {kind: parts.number(kind) for kind in parts.values}
            if abs(sum(shares.values()) - 1) > 1e-6:
                raise one.refuse(
                    "gpu_hours", f"shares that sum to 1 (not {sum(shares.values()):g})"
                )
        if "weeks" in one.values:
            told = one.section("weeks")
            weeks = told.number("active_share", low=0.01, high=1), told.number("quiet", high=1)
        if "ramp" in one.values:
            told = one.section("ramp")
            ramp = told.number("from", high=1), told.number("days", low=1)
        groups = one.section("groups")
        read[name] = Behaviour(
            name=name,
            groups={group: groups.number(group) for group in groups.values},
            demand=one.number("demand"),
            spread=one.number("spread", high=3),
            gpu_hours=shares,
            weeks=weeks,
            ramp=ramp,
            service=service,
        )
    return read


def _read_checkpoints(file: Section) -> tuple[Checkpoints, ...]:
    read = []
    for one in file.sections("checkpoints"):
        one.only("from_gpus", "share", "on_notice", "every_s", "takes_s")
        takes = _two(one, "takes_s", 1e6)
        read.append(
            Checkpoints(
                from_gpus=one.whole("from_gpus", low=1),
                share=one.number("share", high=1),
                on_notice=one.number("on_notice", high=1),
                every_s=tuple(round(value) for value in one.numbers("every_s", low=1)),
                takes_s=(round(takes[0]), round(takes[1])),
            )
        )
    return tuple(sorted(read, key=lambda one: one.from_gpus))
