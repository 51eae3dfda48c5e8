"""The size that stated work and measured use need: evidence beside the wish, with its formula.

Each kind of work has one formula. Its terms are data (name, value, unit, source), so that pages in
any language can print it; what an applicant does not state is assumed by ``Sizing`` and says so.
Low and high are the same formula with the assumptions at the ends of their ranges.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise

from dure.core.events.programme import Work
from dure.core.rates import RATES, Rate

DAY_S, HOUR_S = 86_400, 3600
# Answers of a form that right-sizing reads, beside the kind; 0 means not stated.
WORK_NUMBERS = (
    "parameters_m", "tokens_m", "mfu_milli", "requests_milli_s", "input_tokens", "output_tokens",
    "latency_ms", "node_hours", "serial_milli", "steps_m", "steps_s",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Sizing:
    """What is assumed where an application does not say; each with a better and a worse end.

    Attributes:
        mfu_milli: model FLOP/s utilisation, per thousand, if none is stated.
        mfu_milli_min: a stated one below it counts as this: poor code is not paid in GPUs.
        available_milli: part of the term in which the GPUs compute (faults, waiting, loading).
        trials_milli: compute of the whole project for each 1000 of the final run.
        serving_milli: FLOP/s utilisation when serving a model.
        batch: requests that a served model answers together.
        bandwidth_milli: part of the memory bandwidth that reading weights reaches.
        weights_milli: part of the memory that weights may fill; the rest is for requests.
        efficiency_milli_min: a parallel run counts up to the nodes at which it reaches this.
        growth_milli: GPUs granted for each 1000 used before, where use is the evidence.
        past_days_min: use of fewer days is no evidence.
        low_use_percent: below it, use before bounds what stated work may claim.
    """

    mfu_milli: int = 350
    mfu_milli_min: int = 200
    available_milli: int = 850
    trials_milli: int = 2000
    serving_milli: int = 250
    batch: int = 32
    bandwidth_milli: int = 600
    weights_milli: int = 600
    efficiency_milli_min: int = 500
    growth_milli: int = 2000
    past_days_min: int = 28
    low_use_percent: int = 50


BETTER = {"mfu_milli": 450, "available_milli": 950, "trials_milli": 1500, "serving_milli": 400,
          "batch": 64, "bandwidth_milli": 750, "growth_milli": 1500}  # fmt: skip
WORSE = {"mfu_milli": 250, "available_milli": 750, "trials_milli": 3000, "serving_milli": 150,
         "batch": 16, "bandwidth_milli": 450, "growth_milli": 3000}  # fmt: skip


@dataclass(frozen=True, slots=True)
class PastUse:
    """What the applicant's earlier projects did, measured.

    Attributes:
        days: for which they held GPUs.
        used_gpu_s, held_gpu_s: used and held in that time.
    """

    days: int = 0
    used_gpu_s: int = 0
    held_gpu_s: int = 0

    @property
    def used_gpus_milli(self) -> int:
        """Return the GPUs used on average, in thousandths."""
        return 1000 * self.used_gpu_s // (self.days * DAY_S) if self.days else 0

    @property
    def percent(self) -> int:
        """Return the use of what was held, rounded down; 0 where nothing was held."""
        return 100 * self.used_gpu_s // self.held_gpu_s if self.held_gpu_s else 0


@dataclass(frozen=True, slots=True)
class Term:
    """One number of a formula. ``source``: stated, assumed, measured, data sheet, derived."""

    name: str
    value: int
    unit: str
    source: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """A size with its interval and its formula.

    Attributes:
        formula: ``sizing.formula.NAME`` is its sentence.
        gpus, gpus_low, gpus_high: whole GPUs, >= 1, low <= gpus <= high.
        terms: what went in and came out, in the order of the formula.
        bound_by: the term that decided the size.
    """

    formula: str
    accelerator: str
    gpus: int
    gpus_low: int
    gpus_high: int
    terms: tuple[Term, ...]
    bound_by: str


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a formula reads."""

    work: Work
    rate: Rate
    term_s: int
    rules: Sizing


Formula = Callable[[_Asked], tuple[int, str, tuple[Term, ...]] | None]


def evidence(
    work: Work,
    *,
    accelerator: str,
    months: int,
    sizing: Sizing | None = None,
    past: PastUse | None = None,
) -> Evidence | None:
    """Work out the size that the stated work needs on an accelerator within the term.

    Earlier use below ``low_use_percent`` bounds it to what was used and some growth; where nothing
    can be derived from the work, earlier use alone is the evidence.

    Returns:
        The evidence; None where there is none (numbers or accelerator not known, no earlier use):
        then the wish stands alone before the reviewers.
    """
    rules = sizing or Sizing()
    rate = RATES.get(accelerator)
    formula = _FORMULAS.get(work.kind)
    if work.kind == "finetuning" and work.method == "lora":
        formula = _adapting
    found = None
    if rate is not None and rate.serves_only and work.kind != "inference":
        formula = None
    if rate is not None and formula is not None and months >= 1:
        asked = _Asked(work, rate, months * 30 * DAY_S, rules)
        found = _with_interval(formula, asked, work, accelerator)
    return _bounded(found, accelerator, rules, past or PastUse())


def needed_gpus(
    work: Work,
    *,
    accelerator: str,
    months: int,
    sizing: Sizing | None = None,
    past: PastUse | None = None,
) -> int | None:
    """Return the size of ``evidence`` alone."""
    found = evidence(work, accelerator=accelerator, months=months, sizing=sizing, past=past)
    return None if found is None else found.gpus


def _with_interval(
    formula: Formula, asked: _Asked, work: Work, accelerator: str
) -> Evidence | None:
    middle = formula(asked)
    if middle is None:
        return None
    gpus, bound_by, terms = middle
    ends = [
        found[0]
        for assumed in (BETTER, WORSE)
        if (found := formula(replace(asked, rules=replace(asked.rules, **assumed)))) is not None
    ]
    name = "adapting" if formula is _adapting else work.kind
    return Evidence(name, accelerator, gpus, min(gpus, *ends), max(gpus, *ends), terms, bound_by)


def _bounded(
    found: Evidence | None, accelerator: str, rules: Sizing, past: PastUse
) -> Evidence | None:
    if past.days < rules.past_days_min:
        return found
    used = Term("used_gpus", past.used_gpus_milli, "milli_gpus", "measured")
    growth = Term("growth", rules.growth_milli, "milli", "assumed")
    size = _up(past.used_gpus_milli * rules.growth_milli, 10**6)
    if found is None:
        low, high = (
            _up(past.used_gpus_milli * ends["growth_milli"], 10**6) for ends in (BETTER, WORSE)
        )
        return Evidence("past_use", accelerator, size, low, high, (used, growth), "used_gpus")
    if past.percent >= rules.low_use_percent or size >= found.gpus:
        return found
    terms = (*found.terms, used, Term("used_percent", past.percent, "percent", "measured"), growth)
    low = min(found.gpus_low, size)
    return replace(found, gpus=size, gpus_low=low, terms=terms, bound_by="used_gpus")


def _training(asked: _Asked, *, flop_each: int = 6) -> tuple[int, str, tuple[Term, ...]] | None:
    """``6 x parameters x tokens`` FLOP, times the trials, over what one GPU does in the term.

    Source:
        Kaplan et al. 2020 (arXiv 2001.08361), C = 6 N D.
    """
    work, rules = asked.work, asked.rules
    if work.parameters_m < 1 or work.tokens_m < 1:
        return None
    mfu_milli = max(work.mfu_milli or rules.mfu_milli, rules.mfu_milli_min)
    # Both sides in units of 1e12 FLOP; a millionth and three thousandths are multiplied out.
    wanted = flop_each * work.parameters_m * work.tokens_m * rules.trials_milli * 1000
    one_gpu = asked.rate.peak_tflops * mfu_milli * rules.available_milli * asked.term_s
    gpus = _up(wanted, one_gpu)
    terms = (
        Term("flop_each", flop_each, "flop", "literature"),
        Term("parameters", work.parameters_m, "million", "stated"),
        Term("tokens", work.tokens_m, "million", "stated"),
        Term("trials", rules.trials_milli, "milli", "assumed"),
        Term("peak", asked.rate.peak_tflops, "tflops", asked.rate.source),
        Term("mfu", mfu_milli, "milli", "stated" if work.mfu_milli else "assumed"),
        Term("available", rules.available_milli, "milli", "assumed"),
        Term("term", asked.term_s // DAY_S, "days", "stated"),
    )
    return gpus, "tokens", terms


def _adapting(asked: _Asked) -> tuple[int, str, tuple[Term, ...]] | None:
    """Train adapters (LoRA): frozen weights need no gradients of their own, so 4 N D."""
    return _training(asked, flop_each=4)


def _inference(asked: _Asked) -> tuple[int, str, tuple[Term, ...]] | None:
    """Whole replicas, each large enough for the weights and the latency, enough for the load.

    A token costs ``2 x parameters`` FLOP; each step of a batch reads all weights once (2 bytes a
    parameter).
    """
    work, rate, rules = asked.work, asked.rate, asked.rules
    if work.parameters_m < 1 or work.requests_milli_s < 1 or work.output_tokens < 1:
        return None
    weights_mb = 2 * work.parameters_m
    for_memory = _up(weights_mb, rate.memory_gb * rules.weights_milli)
    # GB/s are MB/ms.
    reads = rate.bandwidth_gb_s * rules.bandwidth_milli
    for_latency = _up(1000 * weights_mb, reads * work.latency_ms) if work.latency_ms else 1
    replica = max(for_memory, for_latency)
    tokens = work.input_tokens + work.output_tokens
    flop = work.requests_milli_s * tokens * 2 * work.parameters_m
    for_compute = _up(flop, rate.peak_tflops * rules.serving_milli * 10**6)
    for_reading = _up(work.requests_milli_s * work.output_tokens * weights_mb,
                      reads * rules.batch * 10**3)  # fmt: skip
    load = max(for_compute, for_reading)
    gpus = replica * _up(load, replica)
    bounds = {"for_compute": for_compute, "for_reading": for_reading,
              "for_memory": for_memory, "for_latency": for_latency}  # fmt: skip
    terms = (
        Term("parameters", work.parameters_m, "million", "stated"),
        Term("requests", work.requests_milli_s, "requests_1000s", "stated"),
        Term("request_tokens", tokens, "tokens", "stated"),
        Term("peak", rate.peak_tflops, "tflops", rate.source),
        Term("serving", rules.serving_milli, "milli", "assumed"),
        Term("memory", rate.memory_gb, "gb", rate.source),
        Term("weights_share", rules.weights_milli, "milli", "assumed"),
        Term("bandwidth", rate.bandwidth_gb_s, "gb_s", rate.source),
        Term("batch", rules.batch, "requests", "assumed"),
        *(Term(name, value, "gpus", "derived") for name, value in bounds.items()),
    )
    return gpus, max(bounds, key=lambda name: bounds[name]), terms


def _hpc(asked: _Asked) -> tuple[int, str, tuple[Term, ...]] | None:
    """The fewest nodes that finish in the term, but no more than run efficiently.

    Node-hours are those of a run on one node. The speed-up comes from measured points, straight
    lines between them and none beyond the last, or from Amdahl's law.
    """
    work, rules = asked.work, asked.rules
    if work.node_hours < 1:
        return None
    hours = asked.term_s * rules.available_milli // 1000 // HOUR_S
    wanted = work.node_hours * rules.trials_milli
    last = max((nodes for nodes, _ in work.scaling), default=NODES_MAX)
    efficient = _last_true(last, lambda n: speedup_milli(work, n) >= n * rules.efficiency_milli_min)
    # The fewest nodes whose speed-up is enough.
    slow = _last_true(last, lambda n: speedup_milli(work, n) * hours < wanted)
    enough = min(slow + 1, last)
    nodes = max(1, min(enough, efficient))
    source = "measured" if work.scaling else "stated" if work.serial_milli else "assumed"
    terms = (
        Term("node_hours", work.node_hours, "node_hours", "stated"),
        Term("trials", rules.trials_milli, "milli", "assumed"),
        Term("term_hours", hours, "hours", "derived"),
        Term("speedup", speedup_milli(work, nodes), "milli", source),
        Term("efficiency_min", rules.efficiency_milli_min, "milli", "assumed"),
        Term("nodes_enough", enough, "nodes", "derived"),
        Term("nodes_efficient", efficient, "nodes", "derived"),
    )
    bound_by = "nodes_efficient" if efficient < enough else "nodes_enough"
    return nodes * NODE_GPUS, bound_by, terms


def _stepping(asked: _Asked) -> tuple[int, str, tuple[Term, ...]] | None:
    """Environment steps wanted over what one GPU steps in the term."""
    work, rules = asked.work, asked.rules
    if work.steps_m < 1 or work.steps_s < 1:
        return None
    wanted = work.steps_m * 10**6 * rules.trials_milli
    gpus = _up(wanted, work.steps_s * asked.term_s * rules.available_milli)
    terms = (
        Term("steps", work.steps_m, "million", "stated"),
        Term("trials", rules.trials_milli, "milli", "assumed"),
        Term("steps_s", work.steps_s, "steps_s", "stated"),
        Term("available", rules.available_milli, "milli", "assumed"),
        Term("term", asked.term_s // DAY_S, "days", "stated"),
    )
    return gpus, "steps", terms


_FORMULAS: dict[str, Formula] = {
    "pretraining": _training,
    "finetuning": _training,
    "inference": _inference,
    "hpc": _hpc,
    "simulation": _stepping,
    "robotics": _stepping,
}
NODE_GPUS = 8
NODES_MAX = 4096


def speedup_milli(work: Work, nodes: int) -> int:
    """Return how much faster than one node so many are, in thousandths; never falls with nodes."""
    if not work.scaling:
        serial = min(work.serial_milli, 1000)
        return 10**6 * nodes // (serial * nodes + 1000 - serial)
    measured = {1: 1000}
    for count, speed in sorted(work.scaling):
        measured[max(count, 1)] = max(speed, 1000)
    best = 1000
    for (few, slow), (many, fast) in pairwise(sorted(measured.items())):
        if nodes >= few:
            reached = min(nodes, many)
            best = max(best, slow + (fast - slow) * (reached - few) // (many - few))
    return best


def _last_true(most: int, holds: Callable[[int], bool]) -> int:
    """Return the last of 1 .. most for which it holds, having held for all before; 0 for none."""
    low, high = 0, most
    while low < high:
        middle = (low + high + 1) // 2
        if holds(middle):
            low = middle
        else:
            high = middle - 1
    return low


def _up(total: int, each: int) -> int:
    """Divide, rounded up, at least 1."""
    return max(1, -(-total // each))
