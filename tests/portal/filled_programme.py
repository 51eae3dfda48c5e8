"""A filled programme and people, for tests of screens; all content is invented."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

from argon2 import PasswordHasher

from dure.core.calendar import DAY_S, moment_s
from dure.core.calls.model import Call
from dure.drivers.storage import LocalFiles
from dure.drivers.workdirs import LocalWorkdirs
from dure.ledger.codec import decode_events, encode_events
from dure.ledger.memory import MemoryLedger
from dure.services.access import Actor, Role
from dure.services.admissions import Admissions
from dure.services.book import Book
from dure.services.desks import Applied, Refused, Services
from dure.services.interactive import Address, Interactive
from dure.services.people import People
from dure.services.programme import Programme
from dure.services.programme_views import (
    AllocationRow,
    ApplicationRow,
    CallRow,
    CheckRow,
    ComparedFigure,
    FieldProblem,
    FormField,
    MonthUse,
    ProjectPage,
    ProjectRow,
    RecallRow,
    ReviewRow,
    RoundRow,
    WaitRow,
)
from dure.services.requests.call_yaml import read_call
from dure.services.storage import Storage
from dure.services.views import NEVER_S, Name
from dure.services.workdirs import Workdirs
from tests.portal.filled import (
    FROM_S,
    NOW_S,
    PROVIDERS,
    FixedClock,
    founding_view,
)
from tests.portal.filled_desks import desks_over
from tests.portal.filled_here import FilledPool, here_view
from tests.portal.filled_judging import filled_judging
from tests.portal.filled_supply import filled_supply

EXAMPLE_CALLS = Path(__file__).resolve().parents[2] / "examples" / "calls"
TITLES = (
    ("한국어 의료 상담 언어모델", "Korean medical dialogue model"),
    ("단백질 구조 예측 기반모델", "Foundation model for protein structure"),
    ("조선소 용접 로봇의 시각 학습", "Vision learning for shipyard welding robots"),
    ("기상 예측 확산모델", "Diffusion model for weather forecasting"),
    ("다국어 법률 문서 이해", "Understanding legal documents in many languages"),
    ("신소재 탐색 그래프 신경망", "Graph networks for materials discovery"),
    ("청각장애인을 위한 수어 생성", "Sign-language generation"),
    ("반도체 결함 검출", "Defect detection for semiconductors"),
)
TEAMS = ("가온대학교", "나루기술", "다솜연구원", "라온대학교", "마루소프트", "바다연구소")
GROUPS = ("academia", "industry", "research", "academia", "industry", "research")
SESSIONS = Address("http://*.sessions.test")
QUOTA_BYTES = 1 << 20
WORKDIR_BYTES = 1 << 16
_DISKS = TemporaryDirectory(prefix="dure-filled-")
_disks = count()
PASSWORD = "correct-horse-battery"
# Each role, and what belongs to it.
USERS = (
    ("seo.yun", "서윤아 (시범)", Role.APPLICANT, ("p-2026-1-0003",), ""),
    ("kang.min", "강민호 (시범)", Role.MEMBER, ("p-2026-1-0003",), ""),
    ("im.jiwon", "임지원 (시범)", Role.REVIEWER, (), ""),
    ("ha.eun", "하은정 (시범)", Role.OPERATOR, (), ""),
    ("bae.jun", "배준서 (시범)", Role.PROVIDER, (), "naver-cloud"),
    ("noh.dain", "노다인 (시범)", Role.AUDITOR, (), ""),
    ("admin", "관리자 (시범)", Role.ADMIN, (), ""),
)
# Fast on purpose; the product keeps argon2's own parameters.
CHEAP_HASHER = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)

FORM = (
    FormField("title_ko", "text", most=200),
    FormField("title_en", "text", is_required=False, most=200),
    FormField("organisation", "text", most=200),
    FormField("group", "choice", choices=("academia", "industry", "research")),
    FormField("accelerator", "choice", choices=("B200", "H200")),
    FormField("gpus", "whole", least=8, most=256),
    FormField("months", "whole", least=1, most=12),
    FormField("grade", "choice", is_required=False, choices=("C", "S", "O")),
    FormField("work_kind", "choice", choices=("pretraining", "finetuning", "other")),
    FormField("parameters_m", "whole", is_required=False),
    FormField("tokens_m", "whole", is_required=False),
)


def calls() -> list[CallRow]:
    first = RoundRow("1", Name("1차 공모", "Round 1"), moment_s("2025-12-22"),
                     moment_s("2026-01-28 18:00"), (("H200", 2296), ("B200", 2040)), 514, 13_712,
                     161, 118, 4_240, "decided")  # fmt: skip
    second = RoundRow("2", Name("2차 공모", "Round 2"), NOW_S - 10 * DAY_S, NOW_S + 20 * DAY_S,
                      (("B200", 5000),), 3, 96, 0, 0, 0, "open")  # fmt: skip
    title = Name("첨단 GPU 활용지원 사업", "Advanced GPU support programme")
    about = Name(
        "산업계·학계·연구계의 AI 개발과 연구에 국가 GPU를 지원합니다.",
        "National GPUs for AI development and research in industry, academia and institutes.",
    )
    criteria = (
        (Name("기술·사회적 파급효과", "Technical and social impact"), 40),
        (Name("AI 생태계 기여도", "Contribution to the AI ecosystem"), 30),
        (Name("역량·준비도·실현가능성", "Capability, readiness, feasibility"), 30),
    )
    caps = (("H200", 256), ("B200", 128))
    return [
        CallRow("2026-1", title, about, "demand", "decided", (first,), FORM, criteria, caps,
                is_synthetic=True),
        CallRow("2026-2", title, about, "demand", "open", (second,), FORM, criteria, caps),
    ]  # fmt: skip


def project_row(index: int) -> ProjectRow:
    ko, en = TITLES[index % len(TITLES)]
    accelerator = ("B200", "H200")[index % 2]
    return ProjectRow(
        f"p-2026-1-{index:04d}",
        Name(ko, en),
        TEAMS[index % len(TEAMS)],
        GROUPS[index % len(GROUPS)],
        "active",
        8 * (1 + index * 5 % 16),
        accelerator,
        8 * (index * 3 % 9),
        index % 4,
        (17, 92, 64, 81, 38, 77)[index % 6],
        is_synthetic=True,
    )


class FilledProgramme:
    """A programme desk over fixed rows; an application is checked for the simplest mistakes."""

    def __init__(self, clock: FixedClock) -> None:
        self.clock = clock
        self.handed_in: list[ApplicationRow] = [
            ApplicationRow("2026-1-0003", "2026-1", "1", TITLES[3][0], TEAMS[3], "academia",
                           "seo.yun", "H200", 64, 56, moment_s("2026-01-20 16:40"), "allocated",
                           rank=31, score_milli=84_250),
            ApplicationRow("2026-1-0107", "2026-1", "1", TITLES[5][0], TEAMS[1], "industry",
                           "someone.else", "B200", 32, 0, moment_s("2026-01-27 23:10"),
                           "waitlisted", rank=173, score_milli=71_100),
        ]  # fmt: skip
        self.keys: dict[str, str] = {}
        self.marks: dict[str, int] = {}

    def now_s(self) -> int:
        return self.clock.now_s()

    def calls(self) -> Sequence[CallRow]:
        return calls()

    def call(self, call: str) -> CallRow | None:
        return next((row for row in calls() if row.call == call), None)

    def compared(self, call: str) -> Sequence[ComparedFigure]:
        if call != "2026-1":
            return ()
        figures = (
            ("applications", 514, 514),
            ("gpus_asked", 13_712, 13_712),
            ("selected", 161, 159),
            ("gpus_awarded", 4_240, 4_224),
            ("gpus_awarded_academia", 2_560, 2_624),
            ("gpus_awarded_industry", 1_352, 1_288),
            ("gpus_awarded_research", 328, 312),
        )
        return [ComparedFigure(*figure) for figure in figures]

    def check_answers(self, call: str, answers: Mapping[str, str]) -> Sequence[FieldProblem]:
        problems = [
            FieldProblem(field.name, "FieldIsMissing", {})
            for field in FORM
            if field.is_required and not answers.get(field.name)
        ]
        gpus = answers.get("gpus", "")
        if gpus and not gpus.isdecimal():
            problems.append(FieldProblem("gpus", "FieldIsNoNumber", {}))
        elif gpus and int(gpus) % 8:
            numbers = {"asked_gpus": int(gpus), "node_gpus": 8}
            problems.append(FieldProblem("gpus", "SizeIsNotWholeNodes", numbers))
        return problems

    def apply(
        self, call: str, answers: Mapping[str, str], *, by: Actor, key: str
    ) -> Applied | Refused:
        problems = tuple(self.check_answers(call, answers))
        if problems:
            return Refused(problems)
        if key in self.keys:
            return Applied(self.keys[key], is_repeat=True)
        number = f"{call}-{len(self.handed_in) + 1:04d}"
        self.keys[key] = number
        self.handed_in.append(
            ApplicationRow(number, call, "2", answers["title_ko"], answers["organisation"],
                           answers["group"], by.user, answers["accelerator"],
                           int(answers["gpus"]), 0, self.now_s(), "submitted")
        )  # fmt: skip
        return Applied(number)

    def applications(self) -> Sequence[ApplicationRow]:
        return self.handed_in

    def reviews(self) -> Sequence[ReviewRow]:
        asked = self.handed_in[1]
        place = (asked.application, asked.call, asked.title, asked.accelerator, asked.gpus_asked)
        return [
            ReviewRow(*place, "im.jiwon", "written", tuple(self.marks.items()),
                      self.now_s() if self.marks else NEVER_S),
            ReviewRow(*place, "someone.else", "written", (("impact", 70),), NOW_S),
        ]  # fmt: skip

    def review(
        self, application: str, marks: Mapping[str, int], *, by: Actor
    ) -> ReviewRow | Refused:
        row = next((row for row in self.reviews() if row.reviewer == by.user), None)
        if row is None or row.application != application:
            return Refused((FieldProblem("", "ReviewerIsNotAssigned", {}),))
        if self.marks:
            return Refused((FieldProblem("", "ReviewIsGiven", {}),))
        self.marks = dict(marks)
        return self.reviews()[0]

    def projects(self) -> Sequence[ProjectRow]:
        return [project_row(index) for index in range(1, 25)]

    def project(self, project: str) -> ProjectPage | None:
        row = next((row for row in self.projects() if row.project == project), None)
        if row is None:
            return None
        span_s = NOW_S - FROM_S
        entitled = row.gpus * span_s
        used = entitled * row.used_percent // 100
        allocation = AllocationRow(f"a-{row.project}", row.project, row.accelerator, row.gpus,
                                   FROM_S, FROM_S + 365 * DAY_S, entitled, used,
                                   (entitled - used) * 6 // 10, "active")  # fmt: skip
        months = tuple(
            MonthUse(month, row.project, row.gpus * 30 * DAY_S, row.gpus * days * DAY_S,
                     row.gpus * 4 * DAY_S, row.gpus * DAY_S // 2, row.gpus * (29 - days) * DAY_S)
            for month, days in (("2026-03", 12), ("2026-04", 21), ("2026-05", 25))
        )  # fmt: skip
        return ProjectPage(
            row,
            Name("", ""),
            (("seo.yun", "lead"), ("kang.min", "member")),
            (allocation,),
            months,
            tuple(check for check in self.checks() if check.project == project),
            tuple(recall for recall in self.recalls() if recall.project == project),
            credit=1_240,
        )

    def waitlist(self) -> Sequence[WaitRow]:
        return [
            WaitRow(index + 1, f"2026-1-{100 + index:04d}", "2026-1", "1",
                    TEAMS[index % len(TEAMS)], GROUPS[index % len(GROUPS)],
                    "seo.yun" if index == 4 else "", ("B200", "H200")[index % 2],
                    8 * (1 + index % 7), moment_s("2026-03-03"), "waiting", "NothingFree",
                    (("gpus", 8 * (1 + index % 7)),),
                    NOW_S + (5 + 3 * index) * DAY_S if index < 12 else NEVER_S,
                    NOW_S + (20 + 5 * index) * DAY_S if index < 12 else NEVER_S,
                    NOW_S + 2 * index * DAY_S if index < 12 else NEVER_S, index, 32 * index,
                    (("term", 8 * index), ("flow", 16)), 120)
            for index in range(118)
        ]  # fmt: skip

    def checks(self) -> Sequence[CheckRow]:
        return [
            CheckRow(f"p-2026-1-{index:04d}", "2026-05", (17, 92, 64, 81, 38, 77)[index % 6], 50,
                     ("recall", "ok", "ok", "ok", "warn", "ok")[index % 6], moment_s("2026-06-01"))
            for index in range(1, 25)
        ]  # fmt: skip

    def recalls(self) -> Sequence[RecallRow]:
        return [
            RecallRow("r-1", "p-2026-1-0003", "a-p-2026-1-0003", "H200", 16, "low_use",
                      moment_s("2026-06-01"), moment_s("2026-06-15"), "noticed"),
            RecallRow("r-2", "p-2026-1-0018", "a-p-2026-1-0018", "B200", 24, "low_use",
                      moment_s("2026-05-02"), moment_s("2026-05-16"), "recalled", "2026-1-0101"),
        ]  # fmt: skip

    def use(self, month: str) -> Sequence[MonthUse]:
        rows = [one for row in self.projects() for one in self._months(row.project)]
        rows += [
            MonthUse(month, provider, 10**9, 7 * 10**8, 10**8, 10**7, 2 * 10**8)
            for provider in PROVIDERS
        ]
        return [row for row in rows if row.month == month]

    def _months(self, project: str) -> tuple[MonthUse, ...]:
        page = self.project(project)
        assert page is not None
        return page.months

    def provider_name(self, provider: str) -> Name:
        return PROVIDERS.get(provider, Name(provider, provider))


class CountedBytes:
    """A source of "random" bytes that repeats exactly."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, length: int) -> bytes:
        self.count += 1
        return (self.count.to_bytes(4, "big") * (length // 4 + 1))[:length]


def filled_people(clock: FixedClock) -> People:
    """Return people with an account for each role, all with the same password."""
    return filled_people_and_admissions(clock)[0]


def filled_people_and_admissions(clock: FixedClock) -> tuple[People, Admissions]:
    """Return the same people, and beside them who was admitted to sessions."""
    book = Book(MemoryLedger(), encode=encode_events, decode=decode_events)
    people = People(book, clock, CountedBytes(), hasher=CHEAP_HASHER)
    admissions = Admissions(book, clock, CountedBytes())
    for user, name, role, projects, provider in USERS:
        people.add(user, PASSWORD, roles=[role], by="test", display_name=name,
                   projects=projects, provider=provider, is_demo=True)  # fmt: skip
    return people, admissions


def filled_office(clock: FixedClock) -> Programme:
    """Return a real programme with one call, published and open."""
    book = Book(MemoryLedger(), encode=encode_events, decode=decode_events)
    programme = Programme(book, clock)
    office = Actor("ha.eun", frozenset({Role.OPERATOR}))
    call = read_call((EXAMPLE_CALLS / "2026-2.yaml").read_text(encoding="utf-8"), "2026-2.yaml")
    assert isinstance(call, Call), call
    programme.draft_call(office, call)
    programme.publish_call(office, "2026-2")
    return programme


def filled_services(clock: FixedClock | None = None) -> Services:
    """Return a whole platform: a founding pool, a real one, a programme and people."""
    clock = clock or FixedClock()
    desks = desks_over(filled_office(clock))
    desks |= {"programme": FilledProgramme(clock), "judging": filled_judging()}
    pools = {
        "founding": FilledPool(founding_view(), takes_jobs=False),
        "here": FilledPool(here_view(), takes_jobs=True),
    }
    people, admissions = filled_people_and_admissions(clock)
    return Services(
        pools=pools,
        **desks,
        supply=filled_supply(),
        people=people,
        storage=filled_storage(clock),
        workdirs=Workdirs(LocalWorkdirs(_new_disk(), bytes_max=WORKDIR_BYTES)),
        interactive=Interactive(pools, people, admissions, SESSIONS),
        version="0.1.0",
    )


def _new_disk() -> Path:
    return Path(_DISKS.name) / str(next(_disks))


def filled_storage(clock: FixedClock) -> Storage:
    """Return real storage with two files of the member's project, on a disk of its own."""
    disk = LocalFiles(_new_disk(), now_s=clock.now_s)
    folder = disk.folder("p-2026-1-0003")
    (folder / "sets").mkdir()
    (folder / "sets" / "시험.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    (folder / "notes.txt").write_bytes(b"0123456789" * 10)
    book = Book(MemoryLedger(), encode=encode_events, decode=decode_events)
    return Storage(disk, book, clock, quota_bytes=QUOTA_BYTES)


def real_services(clock: FixedClock) -> Services:
    """Return the same people and pools over a programme that is real, and empty."""
    programme = Programme(Book(MemoryLedger(), encode=encode_events, decode=decode_events), clock)
    return replace(filled_services(clock), **desks_over(programme))
