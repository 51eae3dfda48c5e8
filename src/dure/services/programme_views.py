"""What screens see of the programme: calls, applications, projects, waitlist, checks, recalls.

Rows are frozen and complete; money, marks and GPUs are integers. Codes (a status, a group, a
ground for recall) are stable words whose sentences stand in the message catalogues.
"""

from dataclasses import dataclass

from dure.services.views import NEVER_S, Name, Numbers


@dataclass(frozen=True, slots=True)
class FormField:
    """One question of a call's application form.

    Attributes:
        kind: ``text``, ``long``, ``whole`` (a whole number), ``choice``, ``choices``, ``date``,
            ``file`` or ``table``.
        choices: of a choice; ``choice.NAME.VALUE`` is the label of each, unless ``labels`` has it.
        least, most: bounds of a number, or of a text's length, or of a table's rows.
        label: ``form.NAME`` if there is none: a question that every form has.
        asked_if: the field whose answer decides whether this is asked; "" for always.
        asked_among: the answers for which it is; empty where a number decides.
    """

    name: str
    kind: str
    is_required: bool = True
    choices: tuple[str, ...] = ()
    least: int = 0
    most: int = 4000
    label: Name | None = None
    hint: Name | None = None
    unit: str = ""
    labels: tuple[Name, ...] = ()
    columns: tuple["FormField", ...] = ()
    asked_if: str = ""
    asked_among: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """What is wrong with one answer; ``problem.CODE`` is its sentence."""

    field: str
    code: str
    numbers: Numbers


@dataclass(frozen=True, slots=True)
class RoundRow:
    """One intake of a call, and what it came to; ``NEVER_S`` for a date not fixed."""

    round: str
    name: Name
    opens_at_s: int
    closes_at_s: int
    capacity: tuple[tuple[str, int], ...]
    applications: int
    gpus_asked: int
    selected: int
    waitlisted: int
    gpus_awarded: int
    status: str


@dataclass(frozen=True, slots=True)
class CallRow:
    """A call with its rounds. ``asks`` is ``demand`` (teams) or ``supply`` (providers)."""

    call: str
    name: Name
    summary: Name
    asks: str
    status: str
    rounds: tuple[RoundRow, ...]
    form: tuple[FormField, ...]
    criteria: tuple[tuple[Name, int], ...] = ()
    caps: tuple[tuple[str, int], ...] = ()
    months_max: int = 12
    is_synthetic: bool = False

    def open_round(self, now_s: int) -> RoundRow | None:
        """Return the round that takes applications now."""
        for one in self.rounds:
            if one.opens_at_s <= now_s < one.closes_at_s:
                return one
        return None


@dataclass(frozen=True, slots=True)
class ComparedFigure:
    """What the rules award beside what was awarded in reality; ``figure.CODE`` is its name."""

    code: str
    ours: int
    published: int | None
    unit: str = "gpus"


@dataclass(frozen=True, slots=True)
class ApplicationRow:
    """An application as its team or the operator sees it."""

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
    reason: str = ""
    numbers: tuple[tuple[str, int | str], ...] = ()
    rank: int = 0
    score_milli: int = -1
    raw_milli: int = -1
    half_milli: int = 0


@dataclass(frozen=True, slots=True)
class AllocationRow:
    """The dated, typed right of a project, and what it did with it so far (GPU-seconds)."""

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
    application: str = ""


@dataclass(frozen=True, slots=True)
class ProjectRow:
    """A project: who, what it holds, what it uses now and used so far."""

    project: str
    title: Name
    team: str
    group: str
    status: str
    gpus: int
    accelerator: str
    running_gpus: int
    waiting_jobs: int
    used_percent: int
    is_synthetic: bool = False


@dataclass(frozen=True, slots=True)
class ProjectPage:
    """A project with all that its page shows; use is by month in GPU-seconds."""

    row: ProjectRow
    summary: Name
    members: tuple[tuple[str, str], ...]
    allocations: tuple[AllocationRow, ...]
    months: tuple["MonthUse", ...]
    checks: tuple["CheckRow", ...]
    recalls: tuple["RecallRow", ...]
    credit: int = 0


@dataclass(frozen=True, slots=True)
class MonthUse:
    """GPU-seconds of one month: entitled, used as own, borrowed, scavenged, lent to others."""

    month: str
    who: str
    entitled_gpu_s: int
    own_gpu_s: int
    loan_gpu_s: int
    scavenge_gpu_s: int
    lent_gpu_s: int
    lost_gpu_s: int = 0


@dataclass(frozen=True, slots=True)
class WaitRow:
    """One entry of the waitlist; ``team`` is masked for whoever may not see it.

    Attributes:
        before, before_gpus: how many stand before it, and how much they want.
        expected_s: when its turn is expected, between ``expected_early_s`` and
            ``expected_late_s``; ``NEVER_S`` for what cannot be told.
        counts_on: by ``waitlist_source.CODE``, GPUs that come free until then.
        flow_days: over so many days the rate of what comes free before its time was taken.
        is_signed: ahead of its turn.
    """

    rank: int
    application: str
    call: str
    round: str
    team: str
    group: str
    owner: str
    accelerator: str
    gpus: int
    since_s: int
    status: str
    reason: str
    numbers: tuple[tuple[str, int | str], ...] = ()
    expected_s: int = NEVER_S
    expected_late_s: int = NEVER_S
    expected_early_s: int = NEVER_S
    before: int = 0
    before_gpus: int = 0
    counts_on: tuple[tuple[str, int], ...] = ()
    flow_days: int = 0
    is_signed: bool = False


@dataclass(frozen=True, slots=True)
class CheckRow:
    """A monthly check of how an allocation is used."""

    project: str
    month: str
    used_percent: int
    threshold_percent: int
    status: str
    at_s: int


@dataclass(frozen=True, slots=True)
class RecallRow:
    """A recall: notice, appeal, decision, and to whom the GPUs went.

    ``handed_to`` are applications of the waitlist, joined by commas.
    """

    recall: str
    project: str
    allocation: str
    accelerator: str
    gpus: int
    ground: str
    noticed_at_s: int
    effective_at_s: int
    status: str
    handed_to: str = ""


@dataclass(frozen=True, slots=True)
class ReviewRow:
    """What a reviewer was asked to review, and what came of it.

    Attributes:
        stage: ``written`` or ``panel``.
        marks: points by criterion, empty until given.
        given_at_s: ``NEVER_S`` until given.
        due_at_s: until when it is awaited; ``NEVER_S`` for no deadline.
        is_late: the marks came after that.
        is_vote: a vote is awaited, no marks; it is cast on the page of its stage.
        is_given: the marks or the vote came.
    """

    application: str
    call: str
    title: str
    accelerator: str
    gpus_asked: int
    reviewer: str
    stage: str
    marks: tuple[tuple[str, int], ...] = ()
    given_at_s: int = NEVER_S
    due_at_s: int = NEVER_S
    is_late: bool = False
    is_vote: bool = False
    is_given: bool = False
