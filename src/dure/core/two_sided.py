"""The two books of use: what our ledger counted beside what a provider's accounting says."""

from collections.abc import Mapping
from dataclasses import dataclass

# Differences of more than 1 % are raised. Below so many GPU-seconds they are rounding.
TOLERANCE_MILLI = 10
LEAST_GPU_S = 60


@dataclass(frozen=True, slots=True)
class Compared:
    """One project's GPU-seconds in both books.

    Attributes:
        difference_milli: of the larger of the two, in thousandths; 1000 if one side has none.
        differs: it is more than is tolerated.
    """

    who: str
    ours_gpu_s: int
    theirs_gpu_s: int
    difference_milli: int
    differs: bool


def compare_books(ours: Mapping[str, int], theirs: Mapping[str, int]) -> list[Compared]:
    """Hold both books against one another, by project; whoever stands in one alone differs.

    Args:
        ours, theirs: GPU-seconds, >= 0.
    """
    rows = []
    for who in sorted({*ours, *theirs}):
        own, other = ours.get(who, 0), theirs.get(who, 0)
        apart, most = abs(own - other), max(own, other)
        milli = -(-1_000 * apart // most) if most else 0
        differs = apart >= LEAST_GPU_S and 1_000 * apart > TOLERANCE_MILLI * most
        rows.append(Compared(who, own, other, milli, differs))
    return rows
