"""What screens see of the judging: proposals before the committee and what moving them does."""

from dataclasses import dataclass

from dure.core.sizing import Evidence


@dataclass(frozen=True, slots=True)
class ProposalRow:
    """A share-out that was put before the committee.

    Attributes:
        line_milli: the score below which nothing is awarded in it.
        selected, waitlisted, rejected: applications.
        gpus: awarded, by accelerator.
        value_points: score x GPUs (x months) of all awards; ``bound_points`` is what no share-out
            under the same rules exceeds, ``rank_points`` what the plain walk by rank is worth.
        status: ``open`` (may be signed), ``superseded`` or ``signed``.
    """

    call: str
    number: int
    rule: str
    line_milli: int
    pinned: tuple[str, ...]
    excluded: tuple[tuple[str, str], ...]
    selected: int
    waitlisted: int
    rejected: int
    gpus: tuple[tuple[str, int], ...]
    value_points: int
    bound_points: int
    rank_points: int
    digest: str
    at_s: int
    by: str
    status: str
    signed_by: tuple[str, ...] = ()

    @property
    def gain_ppm(self) -> int:
        """How much more than the walk by rank it is worth, in millionths."""
        return (self.value_points - self.rank_points) * 10**6 // max(self.rank_points, 1)

    @property
    def gap_ppm(self) -> int:
        """How much more any share-out could be worth at most, in millionths."""
        return (self.bound_points - self.value_points) * 10**6 // max(self.bound_points, 1)


@dataclass(frozen=True, slots=True)
class ProposedAward:
    """What a proposal says about one application; ``status`` is the decision it would bring."""

    rank: int
    application: str
    title: str
    team: str
    group: str
    status: str
    accelerator: str
    gpus_asked: int
    gpus: int
    from_month: int
    is_pinned: bool = False
    is_excluded: bool = False


@dataclass(frozen=True, slots=True)
class DrawRow:
    """The lots of a call: (application, score by which it is served, lot), first served first."""

    call: str
    number: str
    source: str
    lots: tuple[tuple[str, int, int], ...]


@dataclass(frozen=True, slots=True)
class Moved:
    """What a later proposal changes of an earlier one.

    ``changes``: (application, GPUs before, GPUs after).
    """

    before: int
    after: int
    comes_in: tuple[str, ...]
    goes_out: tuple[str, ...]
    changes: tuple[tuple[str, int, int], ...]
    lost_points: int


@dataclass(frozen=True, slots=True)
class SizingView:
    """The wish beside the evidence, for each accelerator of the call.

    Attributes:
        evidence: for ``accelerator`` first, then the call's others; empty where there is none.
        node_gpus: sizes are whole nodes of so many.
        units: worth of one GPU by accelerator, in exchange units.
    """

    application: str
    accelerator: str
    wish_gpus: int
    months: int
    node_gpus: int
    units: tuple[tuple[str, int], ...]
    evidence: tuple[Evidence, ...]

    @property
    def is_wish_above(self) -> bool:
        """Tell whether more is wished than the evidence shows, in whole nodes."""
        if not self.evidence:
            return False
        needed = -(-self.evidence[0].gpus // self.node_gpus) * self.node_gpus
        return self.wish_gpus > needed


@dataclass(frozen=True, slots=True)
class ReviewPaper:
    """What a reviewer sees of an application: what the call does not keep blind.

    Attributes:
        fields: (name of the form's field, answer), blind ones left out.
        criteria: (criterion, weight in percent).
        marks: the reviewer's own, empty until given.
    """

    application: str
    call: str
    title: str
    stage: str
    due_at_s: int
    fields: tuple[tuple[str, str], ...]
    criteria: tuple[tuple[str, int], ...]
    marks: tuple[tuple[str, int], ...]
    sizing: SizingView | None


@dataclass(frozen=True, slots=True)
class ReviewerRow:
    """A person of the pool, and how many reviews they were asked for and gave."""

    reviewer: str
    organisation: str
    areas: tuple[str, ...]
    asked: int
    given: int
