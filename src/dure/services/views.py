"""What screens see of a pool: one immutable view, published by its engine after each cycle.

A view is complete by itself, so that a page never mixes two moments. Large tables are columns
(NumPy arrays and sequences of names); a row is made only when a page shows it. Everything that is
looked up one by one (a job's story, why it waits) is a function of the view, which answers for
the same moment or for the newest one.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from dure.core.columns import (
    CORDONERS,
    DOWN,
    DRAINING,
    IDLE,
    KINDS,
    LOAN,
    OWN,
    RESERVED,
    SCAVENGE,
)

ByteArray = NDArray[np.uint8]
Int32Array = NDArray[np.int32]
Int64Array = NDArray[np.int64]

# A device's state is the kind of its use, as a small number; the order is the engine's.
DEVICE_STATES = KINDS
IN_USE = (OWN, LOAN, SCAVENGE)
NOT_IN_USE = (IDLE, RESERVED, DRAINING, DOWN)
# Who may keep new work off a node, in the order of the bits that say so.
CLOSERS = (*CORDONERS, "probation")
NO_JOB = -1
NEVER_S = -1

Numbers = Mapping[str, int | str]


def closers(bits: int) -> list[str]:
    """Return who keeps new work off a node."""
    return [name for place, name in enumerate(CLOSERS) if bits >> place & 1]


@dataclass(frozen=True, slots=True)
class Name:
    """A name in both languages; neither is the original."""

    ko: str
    en: str


@dataclass(frozen=True, slots=True)
class SupplyRow:
    """A provider (``cluster`` is "") or one of its clusters, with what its GPUs do now.

    Attributes:
        use: ``public``, ``own`` (the provider's own) or ``mixed`` (a provider's row).
        kinds_milli: milli-GPU by ``KINDS``; adds up to ``gpus * 1000``.
    """

    provider: str
    cluster: str
    name: Name
    accelerator: str
    use: str
    nodes: int
    gpus: int
    public_gpus: int
    kinds_milli: tuple[int, ...]
    shut_until_s: int = NEVER_S


@dataclass(frozen=True, slots=True, eq=False)
class NodeColumns:
    """The pool's nodes in map order: by provider, cluster, leaf, node.

    Attributes:
        ids: node names, shape (node,).
        provider, cluster, leaf, accelerator: index into the names beside, shape (node,).
        gpus: devices of the node; they are consecutive in ``device_state``, shape (node,).
        is_public: 1 for public use, 0 for the provider's own, shape (node,).
        sites, grades: of each node; empty where a view does not tell.
    """

    ids: Sequence[str]
    providers: Sequence[str]
    clusters: Sequence[str]
    leaves: Sequence[str]
    accelerators: Sequence[str]
    provider: Int32Array
    cluster: Int32Array
    leaf: Int32Array
    accelerator: Int32Array
    gpus: Int32Array
    is_public: ByteArray
    sites: Sequence[str] = ()
    grades: Sequence[str] = ()

    def first_device(self) -> Int64Array:
        """Return where each node's devices begin, shape (node,)."""
        ends = np.cumsum(self.gpus, dtype=np.int64)
        return ends - self.gpus


@dataclass(frozen=True, slots=True)
class JobRow:
    """A job as a list shows it; times are ``NEVER_S`` until they happen.

    Attributes:
        state: Slurm's name.
        kind: how it runs now (own, loan, scavenge), "" when it does not.
        reason: why it waits or why it was refused, "" otherwise.
        earliest_s: the earliest start the plan foresees for a waiting job, or ``NEVER_S``.
        interactive: what session it is, "" for none.
        held_s: how long it stood on GPUs, in all attempts so far; ``gpu_s`` on how many of them.
        exit_code: how its process ended, None if it did not, or long ago.
    """

    job: str
    title: str
    project: str
    provider: str
    user: str
    state: str
    kind: str
    accelerator: str
    gpus: int
    gpu_milli: int
    submit_at_s: int
    start_at_s: int
    end_at_s: int
    reason: str
    earliest_s: int
    interactive: str = ""
    held_s: int = 0
    gpu_s: int = 0
    exit_code: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class JobColumns:
    """Running and waiting jobs, and the most recently ended; all columns have shape (job,)."""

    ids: Sequence[str]
    row: Callable[[int], JobRow]
    project: Sequence[str]
    provider: Sequence[str]
    user: Sequence[str]
    state: Sequence[str]

    def rows(self, which: Sequence[int]) -> list[JobRow]:
        return [self.row(index) for index in which]


@dataclass(frozen=True, slots=True)
class Holder:
    """Who has what a waiting job needs.

    Attributes:
        job: its name, "" where the reader may not see it.
        kind: how it runs, "" for a claimant that what is free is held for.
        until_s: when it leaves by its own estimate, or ``NEVER_S`` if it gave none.
    """

    job: str
    kind: str
    gpus: int
    until_s: int


@dataclass(frozen=True, slots=True)
class Span:
    """Two moments; what is foreseen comes between them, both included."""

    from_s: int
    to_s: int


@dataclass(frozen=True, slots=True)
class Why:
    """Why a job waits: a code with its numbers, and the earliest start as an interval.

    Attributes:
        code: a stable code; ``why.CODE`` is its sentence in the catalogues.
        numbers: what fills the sentence's gaps.
        earliest_s: the earliest start if all goes as estimated, or ``NEVER_S`` if unknown.
        likely_s: with even odds it has started by then, or ``NEVER_S``.
        surely_s: nine times in ten it has started by then, or ``NEVER_S``.
        would_help: what would let it start now: codes ``help.CODE`` with their numbers.
        half, most: jobs of its kind start within, one in two and nine in ten.
        learned_from: waits that the two rest on; 0 if nothing is known yet and they are assumed.
        held_by: who has what it needs, those that leave first; some of them, where there are many.
    """

    code: str
    numbers: Numbers = field(default_factory=dict)
    earliest_s: int = NEVER_S
    likely_s: int = NEVER_S
    surely_s: int = NEVER_S
    would_help: tuple[tuple[str, Numbers], ...] = ()
    half: Span | None = None
    most: Span | None = None
    learned_from: int = 0
    held_by: tuple[Holder, ...] = ()


@dataclass(frozen=True, slots=True)
class Attempt:
    """One stay of a job on GPUs; ``to_s`` is ``NEVER_S`` while it lasts."""

    attempt: int
    kind: str
    nodes: tuple[str, ...]
    gpus: int
    from_s: int
    to_s: int
    end_cause: str
    lost_gpu_s: int


@dataclass(frozen=True, slots=True)
class JobStory:
    """All that is known of one job, also after its end.

    Attributes:
        stop_by_s, stop_cause: when it must have left, and for what: reclaimed, yielded (to another
            job of its owner), preempted (moved) or ordered.
    """

    row: JobRow
    attempts: tuple[Attempt, ...]
    asked: Mapping[str, str]
    stop_by_s: int = NEVER_S
    stop_cause: str = ""


@dataclass(frozen=True, slots=True)
class LoanRow:
    """GPUs that a job uses though somebody else is entitled to them."""

    job: str
    borrower: str
    accelerator: str
    gpus: int
    from_s: int
    claimant_job: str = ""
    lender: str = ""
    due_at_s: int = NEVER_S


@dataclass(frozen=True, slots=True)
class ReclaimRow:
    """A lender called its GPUs back; times are ``NEVER_S`` until they happen."""

    lender: str
    claimant_job: str
    borrower_job: str
    gpus: int
    asked_at_s: int
    due_at_s: int
    vacated_at_s: int
    cleaned_at_s: int
    started_at_s: int
    outcome: str


@dataclass(frozen=True, slots=True)
class Lending:
    """Lending and return since the start: the promise beside what was kept."""

    promise_s: int
    loan_gpu_s: int
    scavenge_gpu_s: int
    reclaims: int
    returned: int
    withdrawn: int
    late: int
    return_s_p50: int
    return_s_p99: int
    return_s_max: int


@dataclass(frozen=True, slots=True, eq=False)
class History:
    """Samples of the pool at equal steps (hourly), oldest first, for charts.

    Attributes:
        at_s: moments, shape (sample,).
        kinds_milli: milli-GPU by ``KINDS``, shape (kind, sample).
        waiting_jobs, waiting_gpus: the queue, shape (sample,).
    """

    at_s: Int64Array
    kinds_milli: Int64Array
    waiting_jobs: Int64Array
    waiting_gpus: Int64Array


@dataclass(frozen=True, slots=True, eq=False)
class PoolView:
    """A pool at one moment.

    Attributes:
        name: ``founding``, ``here`` ...
        imagined: True if machines and jobs are simulated; every page then says so.
        seq: grows with every published view; equal numbers mean equal views.
        now_s: the pool's clock. speed: its seconds in one second of ours.
        kinds_milli: milli-GPU by ``KINDS``; adds up to ``gpus * 1000``.
        kinds_gpu_s: GPU-seconds by ``KINDS`` since ``from_s``.
        supply: each provider followed by its clusters.
        device_state: index into ``DEVICE_STATES``, shape (device,), in the order of ``nodes``.
        device_job: index into ``jobs``, or ``NO_JOB``, shape (device,).
        closed_by: who keeps new work off each node, a bit for each of ``CLOSERS``, shape (node,).
        why: a waiting job's reason, or None if the job does not wait here.
        story: everything about a job, or None if there is none of this name.
    """

    name: str
    title: Name
    imagined: bool
    seq: int
    now_s: int
    from_s: int
    speed: int
    policy: str
    gpus: int
    public_gpus: int
    kinds_milli: tuple[int, ...]
    kinds_gpu_s: tuple[int, ...]
    waiting_jobs: int
    waiting_gpus: int
    running_jobs: int
    done_jobs: int
    supply: Sequence[SupplyRow]
    nodes: NodeColumns
    device_state: ByteArray
    device_job: Int32Array
    closed_by: ByteArray
    jobs: JobColumns
    loans: Sequence[LoanRow]
    reclaims: Sequence[ReclaimRow]
    lending: Lending
    history: History
    why: Callable[[str], Why | None]
    story: Callable[[str], JobStory | None]
