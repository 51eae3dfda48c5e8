"""The monthly check of use, and what it takes back."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from dure.core.errors import PolicyError

DAY_S = 86_400


class Verdict(Enum):
    """What a monthly check says. ``early``: held too short a time to tell."""

    OK = "ok"
    WARN = "warn"
    RECALL = "recall"
    EARLY = "early"


@dataclass(frozen=True, slots=True)
class PullbackRow:
    """Below this use, this part of what stood unused is taken back, both in percent."""

    below_percent: int
    take_percent: int


@dataclass(frozen=True, slots=True)
class RecallPolicy:
    """How use is checked. No threshold of the real programme is published: these are assumed.

    Attributes:
        warn_below_percent: use below it is a warning, and a recall after ``checks_before_recall``.
        checks_before_recall: checks in a row below the line at which GPUs are recalled, >= 1.
        rows: what is taken; the row of the smallest ``below_percent`` above the use applies.
        early_s: an allocation held a shorter time within the window is not judged yet.
        notice_s: from the notice to the earliest recall; the project answers within it.
        keep_gpus: what is left to the project at least.
        node_gpus: what is taken are whole nodes.
    """

    warn_below_percent: int = 50
    checks_before_recall: int = 2
    rows: tuple[PullbackRow, ...] = (
        PullbackRow(50, 50),
        PullbackRow(30, 75),
        PullbackRow(10, 100),
    )
    early_s: int = 14 * DAY_S
    notice_s: int = 7 * DAY_S
    keep_gpus: int = 8
    node_gpus: int = 8


@dataclass(frozen=True, slots=True)
class Check:
    """The outcome of one check; fields as in ``UseChecked``."""

    percent: int
    verdict: Verdict
    checks_below: int
    take_gpus: int


def pullback_rows(table: Mapping[str, int]) -> tuple[PullbackRow, ...]:
    """Read a table as policies write it: ``{"<50": 33, "<33": 50, "<10": 75}``.

    Raises:
        PolicyError: for another sign, or a percentage beyond 0 .. 100.
    """
    rows = []
    for condition, take_percent in table.items():
        below = condition.removeprefix("<").strip()
        if not condition.startswith("<") or not below.isdigit() or int(below) > 100:
            raise PolicyError(f"found {condition!r} in a table of recall; expected like '<50'.")
        if not 0 <= take_percent <= 100:
            raise PolicyError(f"{condition}: {take_percent} percent; expected 0 .. 100.")
        rows.append(PullbackRow(int(below), take_percent))
    return tuple(sorted(rows, key=lambda row: row.below_percent))


def used_percent(used_gpu_s: int, entitled_gpu_s: int) -> int:
    """Return use of the entitlement, percent, rounded down, at most 100; of nothing: 100."""
    return min(100, used_gpu_s * 100 // entitled_gpu_s) if entitled_gpu_s > 0 else 100


def pullback_gpus(gpus: int, percent: int, policy: RecallPolicy) -> int:
    """Work out the whole nodes to take back from an allocation used by ``percent``."""
    rows = [row for row in policy.rows if percent < row.below_percent]
    if not rows:
        return 0
    row = min(rows, key=lambda row: row.below_percent)
    # Of the part unused, a part: two percentages in one division, rounded once.
    take = gpus * (100 - percent) * row.take_percent // 10_000
    take = min(take, gpus - policy.keep_gpus)
    return max(0, take // policy.node_gpus * policy.node_gpus)


def check_use(
    *,
    gpus: int,
    used_gpu_s: int,
    entitled_gpu_s: int,
    held_s: int,
    below_before: int,
    policy: RecallPolicy,
) -> Check:
    """Judge a month of a project.

    Args:
        gpus: its allocation at the end of the window.
        used_gpu_s: its own use in the window.
        entitled_gpu_s: GPUs x time it was entitled to, less what faults took from it.
        held_s: how long it held an allocation within the window.
        below_before: its checks in a row, up to now, below the warning line.
        policy: thresholds and table.
    """
    percent = used_percent(used_gpu_s, entitled_gpu_s)
    if held_s < policy.early_s:
        return Check(percent, Verdict.EARLY, below_before, 0)
    if percent >= policy.warn_below_percent:
        return Check(percent, Verdict.OK, 0, 0)
    below = below_before + 1
    take = pullback_gpus(gpus, percent, policy)
    if below < policy.checks_before_recall or take == 0:
        return Check(percent, Verdict.WARN, below, 0)
    return Check(percent, Verdict.RECALL, below, take)
