"""Named events of the programme: from a call to the handover of what was recalled."""

from typing import Any, Literal

import msgspec

from dure.core.calls.model import Call
from dure.core.events.base import Event

Outcome = Literal["selected", "waitlisted", "rejected"]
Group = Literal["academia", "industry", "research", "national", "provider"]


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """The work that an application states; what right-sizing reads. 0 means not stated.

    Attributes:
        kind: pretraining, finetuning, inference, hpc, simulation, robotics, other.
        parameters_m: size of the model, millions.
        tokens_m: tokens of training, millions, all epochs.
        mfu_milli: model FLOP/s utilisation that the applicant has reached, per thousand.
        method: of fine-tuning: full or lora.
        requests_milli_s: requests in 1000 s; ``input_tokens`` and ``output_tokens`` of each.
        latency_ms: longest time between two output tokens.
        node_hours: of a run on one node; ``serial_milli`` of it does not run in parallel.
        scaling: measured (nodes, speed-up over one node in thousandths).
        steps_m: environment steps wanted, millions; ``steps_s`` is what one GPU does a second.
    """

    kind: str = "other"
    parameters_m: int = 0
    tokens_m: int = 0
    mfu_milli: int = 0
    method: str = ""
    requests_milli_s: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    latency_ms: int = 0
    node_hours: int = 0
    serial_milli: int = 0
    scaling: tuple[tuple[int, int], ...] = ()
    steps_m: int = 0
    steps_s: int = 0


class CallPublished(Event, frozen=True):
    """A call opened for applications, with all the rules that will decide them.

    Attributes:
        call: the call's id, for instance ``2026-1``.
        terms: the call. All other fields are those of earlier versions, which had no ``terms``:
            ``core.calls.published.call_of`` reads both.
    """

    call: str
    round: int = 1
    kind: Literal["demand", "supply"] = "demand"
    name_ko: str = ""
    name_en: str = ""
    opens_at_s: int = 0
    closes_at_s: int = 0
    starts_at_s: int = 0
    capacity: dict[str, int] = {}
    caps: dict[str, int] = {}
    months_max: int = 12
    rubric: dict[str, int] = {}
    tracks: dict[str, str] = {}
    shares: dict[str, int] = {}
    organisation_caps: dict[str, int] = {}
    large_from: dict[str, int] = {}
    score_min_milli: int = 0
    large_score_min_milli: int = 0
    reviews_each: int = 3
    node_gpus: int = 8
    synthetic: bool = False
    terms: Call | None = None


class ApplicationSubmitted(Event, frozen=True):
    """A team asked for GPUs of one type.

    Attributes:
        synthetic: imagined for the twin.
        key: of the submission: a second one of the same lead with the same key is the same.
        accepts: other accelerators that would do, the preferred first.
        gpus_min: smallest useful size of ``accelerator``; 0 leaves it to the call.
        answers: what was asked besides: partners, plans, the call's own questions; by field.
        version: a changed application is submitted again under its number, as the next version.
        draft: that was handed in, "" for none.
        previous: the earlier application that it was begun from.
    """

    application: str
    call: str
    project: str
    title_ko: str
    title_en: str
    organisation: str
    group: Group
    category: str
    accelerator: str
    gpus: int
    months: int
    region: str
    lead: str
    work: Work = Work()
    grade: Literal["C", "S", "O"] = "O"
    synthetic: bool = False
    key: str = ""
    answers: dict[str, Any] = {}
    version: int = 1
    draft: str = ""
    previous: str = ""
    accepts: tuple[str, ...] = ()
    gpus_min: int = 0


class ApplicationWithdrawn(Event, frozen=True):
    """The team took its application back before the decision."""

    application: str
    call: str


class ReviewerAssigned(Event, frozen=True):
    """A reviewer without a conflict was asked to review. ``stage``: one of the call's.

    ``due_at_s``: until when the marks are awaited; 0 for no deadline.
    """

    application: str
    call: str
    reviewer: str
    stage: str = "written"
    due_at_s: int = 0


class ReviewGiven(Event, frozen=True):
    """A reviewer marked every criterion, 0 to 100 points each. ``is_late``: after the deadline."""

    application: str
    call: str
    reviewer: str
    marks: dict[str, int]
    stage: str = "written"
    synthetic: bool = False
    is_late: bool = False


class Decided(Event, frozen=True):
    """The committee decided on an application by the call's rules.

    Attributes:
        gpus: size awarded; for a waitlisted one, the size that it waits for; else 0.
        score_milli: comparable score, thousandths of a point.
        raw_milli: plain mean of the weighted marks.
        rank: place in the call by comparable score, 1 is best.
        position: place in the line of its accelerator if waitlisted, else 0.
        reason: a value of ``core.awards.Reason``.
        numbers: what the reason's sentence needs, and what would have changed it.
        stage: the stage that ended its way, for the reason ``StageFailed``.
        from_month: months after the call's start at which the award begins.
        half_milli: half of the interval around the score in which the worth lies nine times in ten.
    """

    application: str
    call: str
    project: str
    accelerator: str
    decision: Outcome
    asked_gpus: int
    gpus: int
    score_milli: int
    raw_milli: int
    rank: int
    position: int
    reason: str
    numbers: dict[str, int]
    stage: str = ""
    from_month: int = 0
    half_milli: int = 0


class AllocationGranted(Event, frozen=True):
    """A project got a dated, typed right to GPUs.

    Attributes:
        cause: award, handover, or the kind of request that was granted; ``release`` is what an
            interim stage had held back.
    """

    allocation: str
    call: str
    application: str
    project: str
    accelerator: str
    gpus: int
    from_s: int
    to_s: int
    shape: str = ""
    lendable: bool = True
    cause: Literal[
        "award", "handover", "release", "renewal", "extension", "supplement", "transfer", "advance"
    ] = "award"


class AllocationChanged(Event, frozen=True):
    """An allocation has another size from ``at_s`` on. ``cause``: recall or return."""

    allocation: str
    call: str
    project: str
    accelerator: str
    gpus_before: int
    gpus: int
    cause: str


class AllocationEnded(Event, frozen=True):
    """An allocation is over from ``at_s`` on. ``cause``: recall, return or term."""

    allocation: str
    call: str
    project: str
    accelerator: str
    gpus_before: int
    cause: str


class UseChecked(Event, frozen=True):
    """A month's own use of a project was held against its entitlement.

    Attributes:
        month: the month checked, ``2026-04``; ``from_s``, ``to_s`` are the part of it that counts.
        used_gpu_s: own use.
        entitled_gpu_s: allocated GPUs x time, less what faults took.
        percent: used of entitled, rounded down, at most 100.
        verdict: a value of ``core.recall.Verdict``.
        checks_below: checks in a row, this one included, that were below the warning line.
        take_gpus: what the rules would recall; 0 unless the verdict is recall.
    """

    project: str
    month: str
    from_s: int
    to_s: int
    gpus: int
    used_gpu_s: int
    entitled_gpu_s: int
    percent: int
    verdict: str
    checks_below: int
    take_gpus: int


class UseDiffers(Event, frozen=True):
    """What our ledger counted and a provider's accounting differ by more than is tolerated.

    Attributes:
        who: a project, or a provider for its jobs without one.
        difference_milli: of the larger of the two, in thousandths.
        source: the accounting's SHA-256.
    """

    month: str
    provider: str
    who: str
    ours_gpu_s: int
    theirs_gpu_s: int
    difference_milli: int
    source: str = ""


class RecallNoticed(Event, frozen=True):
    """A project was told that part of its allocation will be recalled after ``due_at_s``."""

    recall: str
    call: str
    project: str
    allocation: str
    accelerator: str
    gpus: int
    month: str
    percent: int
    due_at_s: int


class RecallAnswered(Event, frozen=True):
    """The project accepted the recall, or objected with its reasons."""

    recall: str
    project: str
    answer: Literal["accepted", "objected"]
    text: str = ""


class RecallWithdrawn(Event, frozen=True):
    """The operator followed the objection: nothing is taken."""

    recall: str
    project: str
    cause: str


class AllocationRecalled(Event, frozen=True):
    """The recall was carried out; ``AllocationChanged`` or ``-Ended`` beside it moves the size."""

    recall: str
    call: str
    project: str
    allocation: str
    accelerator: str
    gpus: int
    gpus_left: int


class ReturnedByProject(Event, frozen=True):
    """A project gave part or all of its allocation back by itself."""

    call: str
    project: str
    allocation: str
    accelerator: str
    gpus: int
    gpus_left: int
    cause: str = ""


EVENTS: tuple[type[Event], ...] = (
    CallPublished,
    ApplicationSubmitted,
    ApplicationWithdrawn,
    ReviewerAssigned,
    ReviewGiven,
    Decided,
    AllocationGranted,
    AllocationChanged,
    AllocationEnded,
    UseChecked,
    UseDiffers,
    RecallNoticed,
    RecallAnswered,
    RecallWithdrawn,
    AllocationRecalled,
    ReturnedByProject,
)
