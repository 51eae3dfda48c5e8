"""What became of an allocation, and of a recall, as the programme's events tell it."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from dure.core.events import programme as ev


@dataclass(slots=True)
class AllocationState:
    """An allocation; ``steps`` are the sizes it had, each from its moment on."""

    granted: ev.AllocationGranted
    gpus: int
    steps: list[tuple[int, int]]
    ended_at_s: int | None = None

    def spans(self) -> Iterator[tuple[int, int, int]]:
        """Yield (from_s, to_s, gpus) for each size that lasted."""
        ends = [*(at_s for at_s, _ in self.steps[1:]), self.granted.to_s]
        for (from_s, gpus), to_s in zip(self.steps, ends, strict=True):
            to_s = min(to_s, self.granted.to_s)
            if gpus > 0 and to_s > from_s:
                yield from_s, to_s, gpus

    def entitled_gpu_s(self, from_s: int, to_s: int) -> int:
        """Return GPUs x time within an interval, as the size was then."""
        return sum(
            gpus * max(0, min(end_s, to_s) - max(start_s, from_s))
            for start_s, end_s, gpus in self.spans()
        )

    def held_s(self, from_s: int, to_s: int) -> int:
        """Return how long it held any GPU within an interval."""
        return sum(
            max(0, min(end_s, to_s) - max(start_s, from_s)) for start_s, end_s, _ in self.spans()
        )

    def is_active(self, at_s: int) -> bool:
        return self.gpus > 0 and self.granted.from_s <= at_s < self.granted.to_s


@dataclass(slots=True)
class RecallState:
    """A recall from its notice on. ``outcome``: "" while open, then recalled or withdrawn."""

    noticed: ev.RecallNoticed
    answer: str = ""
    returned_gpus: int = 0
    outcome: str = ""
    handed_to: list[str] = field(default_factory=list)
