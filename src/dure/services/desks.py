"""What screens ask of the house: one desk a concern, assembled by ``app`` into ``Services``.

Desks take who asks as an ``Actor`` where the answer depends on it, and a refusal is a value. They
may be called from any thread; reading never blocks on the engine.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, Protocol

from dure.core.conflicts import Reviewer
from dure.core.site_words import NoLine
from dure.services.access import Actor
from dure.services.care_desk import CareDesk
from dure.services.committee import Move
from dure.services.engine_figures import EngineFigures
from dure.services.holding_desk import HoldingDesk
from dure.services.interactive import Interactive
from dure.services.judging_views import (
    DrawRow,
    Moved,
    ProposalRow,
    ProposedAward,
    ReviewerRow,
    ReviewPaper,
    SizingView,
)
from dure.services.notice_desk import NoticeDesk
from dure.services.offer_desk import OfferDesk
from dure.services.office_desks import Applied as Applied
from dure.services.office_desks import OfficeDesk as OfficeDesk
from dure.services.office_desks import PaperDesk as PaperDesk
from dure.services.people import People
from dure.services.ports import Line
from dure.services.programme_views import (
    ApplicationRow,
    CallRow,
    CheckRow,
    ComparedFigure,
    FieldProblem,
    MonthUse,
    ProjectPage,
    ProjectRow,
    RecallRow,
    ReviewRow,
    WaitRow,
)
from dure.services.refusing import Refused as Refused
from dure.services.sites import NoSites, SitesDesk
from dure.services.storage import Storage
from dure.services.views import Name, PoolView
from dure.services.workdirs import Workdirs

if TYPE_CHECKING:
    from dure.services.supply_screen import SupplyScreen


class WorkForm(Enum):
    """How a job's text is written."""

    YAML = "yaml"
    SBATCH = "sbatch"


@dataclass(frozen=True, slots=True)
class Submission:
    """A job as a person hands it in.

    Attributes:
        project: who pays; "" draws on the provider's or the whole pool's capacity.
        key: the caller's idempotency key; the same key and text give the same job again.
        submit_dir: where it was submitted from, if on the pool's machine; a whole path, "" if not.
        workdir_sha256: of the archive of files sent before for it; "" if none was.
    """

    form: WorkForm
    text: str
    project: str
    key: str
    submit_dir: str = ""
    workdir_sha256: str = ""


@dataclass(frozen=True, slots=True)
class Submitted:
    """The job is in the ledger; ``is_repeat`` if this key had brought it before.

    Attributes:
        jobs: the elements of a job array, or the job alone.
    """

    job: str
    jobs: tuple[str, ...]
    is_repeat: bool = False


class CancelAnswer(Enum):
    """What became of a wish to cancel."""

    CANCELLED = "cancelled"
    STOPPING = "stopping"
    ALREADY_ENDED = "already_ended"
    NOT_FOUND = "not_found"


class DrainAnswer(Enum):
    """What became of a wish to close a node to new work, or to open it."""

    CLOSED = "closed"
    OPENED = "opened"
    STILL_CLOSED = "still_closed"
    NOT_FOUND = "not_found"


@dataclass(frozen=True, slots=True)
class Output:
    """A part of what a job printed, from byte ``offset`` on; ``is_end`` if no more will come."""

    text: str
    offset: int
    next_offset: int
    is_end: bool


class PoolDesk(Protocol):
    """One pool: its newest view, and what people may ask its engine for."""

    def view(self) -> PoolView:
        """Return the newest published view; never waits."""
        ...

    def takes_jobs(self) -> bool:
        """Say whether people may submit here (an imagined pool lives by its own people)."""
        ...

    def submit(self, submission: Submission, *, by: Actor) -> Submitted | Refused:
        """Take a job; it is durable when this returns. Raises InputError on unreadable text."""
        ...

    def elements(self, job: str) -> tuple[str, ...]:
        """Return the jobs of a job array by index; none if ``job`` is no array."""
        ...

    def cancel(self, job: str, *, by: Actor) -> CancelAnswer: ...

    def drain(self, node: str, *, reason: str, by: Actor) -> DrainAnswer:
        """Close a node to new work, in the name of whoever asks."""
        ...

    def resume(self, node: str, *, by: Actor) -> DrainAnswer:
        """Lift what the asker's side had asked for; others' wishes stay."""
        ...

    def output(self, job: str, *, offset: int) -> Output | None:
        """Return up to 64 KiB of a job's output, None where output is not kept."""
        ...

    def has_sessions(self) -> bool:
        """Say whether people reach interactive sessions here."""
        ...

    def line(self, job: str) -> Line | NoLine | None:
        """Return a stream to a session that runs; None if it does not listen (yet)."""
        ...


class ProgrammeDesk(Protocol):
    """Calls, applications, projects, waitlist, checks: what people judged and decided.

    Listings return everything; the screen shows what the actor may see. ``now_s`` is the
    programme's clock.
    """

    def now_s(self) -> int: ...

    def calls(self) -> Sequence[CallRow]: ...

    def call(self, call: str) -> CallRow | None: ...

    def compared(self, call: str) -> Sequence[ComparedFigure]:
        """Return what the rules award beside what was awarded in reality, if published."""
        ...

    def check_answers(self, call: str, answers: Mapping[str, str]) -> Sequence[FieldProblem]:
        """Return what is wrong with an application that is not handed in yet."""
        ...

    def apply(
        self, call: str, answers: Mapping[str, str], *, by: Actor, key: str
    ) -> Applied | Refused: ...

    def applications(self) -> Sequence[ApplicationRow]: ...

    def reviews(self) -> Sequence[ReviewRow]:
        """Return every review asked for, a row a reviewer and application."""
        ...

    def review(
        self, application: str, marks: Mapping[str, int], *, by: Actor
    ) -> ReviewRow | Refused: ...

    def projects(self) -> Sequence[ProjectRow]: ...

    def project(self, project: str) -> ProjectPage | None: ...

    def waitlist(self) -> Sequence[WaitRow]: ...

    def checks(self) -> Sequence[CheckRow]: ...

    def recalls(self) -> Sequence[RecallRow]: ...

    def use(self, month: str) -> Sequence[MonthUse]:
        """Return a month's use (``2026-03``), a row a project and a row a provider."""
        ...

    def provider_name(self, provider: str) -> Name: ...


class JudgingDesk(Protocol):
    """What stands between the applications and the decision. Refusals are values."""

    def sizing(self, application: str) -> SizingView | None:
        """Return the wish beside the evidence; None if there is no such application."""
        ...

    def paper(self, application: str, reviewer: str) -> ReviewPaper | None:
        """Return what a reviewer sees of an application; None unless they were asked for it."""
        ...

    def answers(self, application: str, by: Actor) -> Mapping[str, Any] | None:
        """Return an application's answers by field, as far as this person may read them."""
        ...

    def reviewers(self) -> Sequence[ReviewerRow]: ...

    def register_reviewer(self, reviewer: Reviewer, *, by: Actor) -> ReviewerRow | Refused: ...

    def assign_reviewers(
        self, call: str, *, stage: str, due_at_s: int, reviewers: Mapping[str, str], by: Actor
    ) -> int | Refused:
        """Ask reviewers, of the pool or those named (name -> institution); return how many reviews
        were asked for.
        """
        ...

    def replace_late(self, call: str, *, due_at_s: int, by: Actor) -> int | Refused:
        """Ask others in place of the late; return how many were."""
        ...

    def bid(self, application: str, bid: str, *, by: Actor) -> Refused | None: ...

    def declare_conflict(
        self, application: str, reviewer: str, reason: str, *, by: Actor
    ) -> Refused | None: ...

    def proposals(self, call: str) -> Sequence[ProposalRow]:
        """Return what was put before the call's committee, the first first."""
        ...

    def proposed_awards(self, call: str, number: int) -> Sequence[ProposedAward] | None:
        """Return a proposal's awards in order of rank, None if there is no such proposal."""
        ...

    def draw_lots(self, call: str, *, number: str, source: str, by: Actor) -> DrawRow | Refused: ...

    def propose(self, call: str, *, by: Actor) -> ProposalRow | Refused: ...

    def move(self, call: str, move: Move, *, by: Actor) -> ProposalRow | Refused: ...

    def compare(self, call: str, before: int, after: int) -> Moved | Refused: ...

    def sign_minutes(
        self, call: str, *, number: int, digest: str, names: Sequence[str], by: Actor
    ) -> ProposalRow | Refused: ...


@dataclass(frozen=True, slots=True)
class Services:
    """Everything a screen may ask for. ``pools`` are in the order in which screens offer them;
    ``care`` has the measured ones, ``engines`` says how each pool's engine does."""

    pools: Mapping[str, PoolDesk]
    programme: ProgrammeDesk
    office: OfficeDesk
    papers: PaperDesk
    judging: JudgingDesk
    offers: OfferDesk
    notices: NoticeDesk
    holding: HoldingDesk
    supply: "SupplyScreen"
    people: People
    storage: Storage
    workdirs: Workdirs
    interactive: Interactive
    version: str
    care: Mapping[str, CareDesk] = field(default_factory=dict)
    engines: Mapping[str, Callable[[], EngineFigures]] = field(default_factory=dict)
    sites: SitesDesk = field(default_factory=NoSites)
