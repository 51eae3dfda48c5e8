"""What goes over the wire: typed, in snake case, moments as epoch seconds, null for "not yet"."""

from typing import Any, Literal, TypeVar

import msgspec

from dure.services.views import NEVER_S, Name

Out = TypeVar("Out", bound=msgspec.Struct)


class Words(msgspec.Struct, frozen=True):
    """A name or sentence in both languages."""

    ko: str
    en: str


class PoolSummary(msgspec.Struct, frozen=True):
    pool: str
    title: Words
    imagined: bool
    takes_jobs: bool
    now_s: int
    speed: int
    policy: str
    gpus: int
    public_gpus: int


class Supply(msgspec.Struct, frozen=True):
    """A provider (``cluster`` is "") or a cluster."""

    provider: str
    cluster: str
    name: Words
    accelerator: str
    use: str
    nodes: int
    gpus: int
    public_gpus: int
    kinds_milli: dict[str, int]
    shut_until_s: int | None


class LendingFigures(msgspec.Struct, frozen=True):
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


class Overview(msgspec.Struct, frozen=True):
    pool: PoolSummary
    seq: int
    from_s: int
    kinds_milli: dict[str, int]
    kinds_gpu_s: dict[str, int]
    waiting_jobs: int
    waiting_gpus: int
    running_jobs: int
    done_jobs: int
    supply: list[Supply]
    lending: LendingFigures


class NodeOut(msgspec.Struct, frozen=True):
    """A node; ``states`` and ``jobs`` have one entry a GPU, a job that may not be seen is "".

    ``closed_by`` says who keeps new work off it; it opens when each of them has opened it.
    """

    node: str
    provider: str
    cluster: str
    leaf: str
    accelerator: str
    gpus: int
    is_public: bool
    closed_by: list[str]
    states: list[str]
    jobs: list[str]


class JobOut(msgspec.Struct, frozen=True):
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
    start_at_s: int | None
    end_at_s: int | None
    reason: str
    earliest_s: int | None
    interactive: str
    held_s: int
    gpu_s: int
    exit_code: int | None


class AttemptOut(msgspec.Struct, frozen=True):
    attempt: int
    kind: str
    nodes: list[str]
    gpus: int
    from_s: int
    to_s: int | None
    end_cause: str
    lost_gpu_s: int


class JobDetail(msgspec.Struct, frozen=True):
    pool: str
    row: JobOut
    attempts: list[AttemptOut]
    asked: dict[str, str]
    stop_by_s: int | None
    stop_cause: str


class Help(msgspec.Struct, frozen=True):
    code: str
    text: Words
    numbers: dict[str, int | str]


class HolderOut(msgspec.Struct, frozen=True):
    """Who has what a waiting job needs; ``job`` is "" where the caller may not see it."""

    job: str
    kind: str
    gpus: int
    until_s: int | None


class SpanOut(msgspec.Struct, frozen=True):
    from_s: int
    to_s: int


class WhyOut(msgspec.Struct, frozen=True):
    """Why a job waits; ``waits`` is false for one that does not, and the rest is then empty."""

    job: str
    waits: bool
    code: str = ""
    text: Words = Words("", "")
    numbers: dict[str, int | str] = {}
    earliest_s: int | None = None
    likely_s: int | None = None
    surely_s: int | None = None
    would_help: list[Help] = []
    half: SpanOut | None = None
    most: SpanOut | None = None
    learned_from: int = 0
    held_by: list[HolderOut] = []


class OutputOut(msgspec.Struct, frozen=True):
    """A part of a job's output; ask again from ``next_offset`` unless ``is_end``."""

    job: str
    text: str
    offset: int
    next_offset: int
    is_end: bool


class JobSubmission(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A job as text: ``yaml`` in SkyPilot's words, or an ``sbatch`` script.

    ``submit_dir`` is the whole path that it was submitted from, on the pool's own machine only;
    ``workdir_sha256`` of the files that were sent for it before.
    """

    form: Literal["yaml", "sbatch"]
    text: str
    project: str = ""
    submit_dir: str = ""
    workdir_sha256: str = ""


class JobTaken(msgspec.Struct, frozen=True):
    pool: str
    job: str
    jobs: list[str]


class CancelOut(msgspec.Struct, frozen=True):
    job: str
    answer: str


class DrainAsked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why a node is to take no new work, in a person's words."""

    reason: str = ""


class DrainOut(msgspec.Struct, frozen=True):
    node: str
    answer: str


class LoanOut(msgspec.Struct, frozen=True):
    pool: str
    job: str
    borrower: str
    accelerator: str
    gpus: int
    from_s: int
    claimant_job: str
    lender: str
    due_at_s: int | None


class RoundOut(msgspec.Struct, frozen=True):
    round: str
    name: Words
    opens_at_s: int | None
    closes_at_s: int | None
    capacity: dict[str, int]
    applications: int
    gpus_asked: int
    selected: int
    waitlisted: int
    gpus_awarded: int
    status: str


class FieldOut(msgspec.Struct, frozen=True):
    name: str
    kind: str
    is_required: bool
    choices: list[str]
    labels: list[Words]
    least: int
    most: int
    label: Words | None
    unit: str
    columns: list[str]
    asked_if: str


class CallOut(msgspec.Struct, frozen=True):
    call: str
    name: Words
    summary: Words
    asks: str
    status: str
    is_synthetic: bool
    rounds: list[RoundOut]
    form: list[FieldOut]
    caps: dict[str, int]
    months_max: int


class ApplicationIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Answers by the names of the call's form fields."""

    answers: dict[str, str | int]


class ApplicationOut(msgspec.Struct, frozen=True):
    application: str
    call: str
    round: str
    title: str
    team: str
    group: str
    owner: str
    accelerator: str
    gpus_asked: int
    gpus_awarded: int
    submitted_at_s: int
    status: str
    reason: str
    rank: int


class ApplicationTaken(msgspec.Struct, frozen=True):
    application: str


class ProjectOut(msgspec.Struct, frozen=True):
    project: str
    title: Words
    team: str
    group: str
    status: str
    gpus: int
    accelerator: str
    running_gpus: int
    waiting_jobs: int
    used_percent: int
    is_synthetic: bool


class AllocationOut(msgspec.Struct, frozen=True):
    allocation: str
    project: str
    accelerator: str
    gpus: int
    from_s: int
    to_s: int
    entitled_gpu_s: int
    own_gpu_s: int
    lent_gpu_s: int
    status: str


class MonthUseOut(msgspec.Struct, frozen=True):
    month: str
    who: str
    entitled_gpu_s: int
    own_gpu_s: int
    loan_gpu_s: int
    scavenge_gpu_s: int
    lent_gpu_s: int
    lost_gpu_s: int
    measured_milli: int | None


class ProjectDetail(msgspec.Struct, frozen=True):
    row: ProjectOut
    allocations: list[AllocationOut]
    months: list[MonthUseOut]
    credit: int


class LoginIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    user: str
    password: str
    label: str = "dure login"
    days: int = 30


class LoginOut(msgspec.Struct, frozen=True):
    """``token`` is shown this once: send it as ``Authorization: Bearer``."""

    token: str
    token_id: str
    user: str
    roles: list[str]
    expires_at_s: int


class Health(msgspec.Struct, frozen=True):
    status: str
    version: str
    pools: dict[str, int]


def words(name: Name) -> Words:
    return Words(name.ko, name.en)


def out(kind: type[Out], row: object, **more: Any) -> Out:
    """Show a view's row as ``kind``: fields of the same name, ``NEVER_S`` as null."""
    values: dict[str, Any] = {}
    for field in msgspec.structs.fields(kind):
        if field.name in more:
            values[field.name] = more[field.name]
            continue
        value = getattr(row, field.name)
        if field.name.endswith("_s") and value == NEVER_S and type(None) in _arms(field.type):
            value = None
        elif isinstance(value, Name):
            value = words(value)
        values[field.name] = value
    return kind(**values)


def _arms(kind: Any) -> tuple[Any, ...]:
    return getattr(kind, "__args__", ())
