"""The programme as screens see it."""

from collections.abc import Sequence

from dure.core.calendar import moment_s
from dure.reports.messages import has, text
from dure.services.desks import Applied, ProgrammeDesk, Refused
from dure.services.programme_screen import ProgrammeScreen
from dure.services.programme_views import FieldProblem, MonthUse
from dure.services.views import Name
from tests.services.programme_desk import CLOSES_S, OPERATOR, Desk, applicant, form


class AprilUse:
    """A project that runs 8 GPUs now and used half of its April."""

    def now(self, project: str) -> tuple[int, int]:
        return (8, 3) if project == "p-t-0001" else (0, 0)

    def months(self) -> Sequence[MonthUse]:
        return [MonthUse("2026-04", "p-t-0001", 1000, 500, 20, 0, 300)]


def answers(lead: str, gpus: int = 8) -> dict[str, str]:
    return {name: str(value) for name, value in form(lead, gpus).items()}


def test_a_sent_form_is_taken_once() -> None:
    desk = Desk()
    desk.publish()
    screen: ProgrammeDesk = ProgrammeScreen(desk.programme)
    lead = applicant("lead")

    first = screen.apply("t", answers("lead"), by=lead, key="k1")
    again = screen.apply("t", answers("lead"), by=lead, key="k1")
    other = screen.apply("t", answers("lead"), by=lead, key="k2")

    assert first == Applied("t-0001")
    assert again == Applied("t-0001", is_repeat=True)
    assert other == Refused((FieldProblem("", "ProjectHasApplied", {"application": "t-0001"}),))


def test_a_call_shows_its_form_rules_and_result() -> None:
    desk = Desk()
    desk.award((90, 40), (80, 24), (70, 8))
    screen = ProgrammeScreen(desk.programme, published={"t": {"selected": 159}})

    call = screen.call("t")

    assert call is not None
    assert (call.status, call.rounds[0].status, call.rounds[0].closes_at_s) == (
        "decided",
        "decided",
        CLOSES_S,
    )
    assert (call.rounds[0].gpus_asked, call.rounds[0].gpus_awarded) == (72, 64)
    assert call.criteria[1] == (Name("AI 생태계 기여도", "Contribution to the AI ecosystem"), 40)
    assert [one.name for one in call.form if one.is_required] == [
        "title_ko",
        "organisation",
        "group",
        "accelerator",
        "gpus",
        "months",
    ]
    assert [
        (one.ours, one.published) for one in screen.compared("t") if one.code == "selected"
    ] == [(2, 159)]


def test_every_code_on_a_screen_has_its_words() -> None:
    desk = Desk()
    desk.award((90, 40), (80, 24), (70, 8), (50, 8))
    desk.grant()
    screen = ProgrammeScreen(desk.programme)

    keys = [f"application_status.{row.status}" for row in screen.applications()]
    keys += [f"award_reason.{row.reason}" for row in screen.applications()]
    keys += [f"waitlist_status.{row.status}" for row in screen.waitlist()]
    keys += [f"project_status.{row.status}" for row in screen.projects()]
    keys += [f"form.{one.name}" for call in screen.calls() for one in call.form]

    assert [key for key in keys if not has(key)] == []
    for row in screen.applications():
        assert text("ko", f"award_reason.{row.reason}", **dict(row.numbers))
    for waiting in screen.waitlist():
        assert text("en", f"waitlist_reason.{waiting.reason}", **dict(waiting.numbers))


def test_a_project_shows_what_it_holds_and_used() -> None:
    desk = Desk()
    desk.award((90, 40))
    desk.grant()
    desk.clock.at_s = moment_s("2026-04-01")
    desk.programme.check_use(OPERATOR, "2026-03", {})
    screen = ProgrammeScreen(desk.programme, use=AprilUse())

    page = screen.project("p-t-0001")

    assert page is not None
    assert (page.row.gpus, page.row.running_gpus, page.row.waiting_jobs) == (40, 8, 3)
    assert (page.row.status, page.row.used_percent) == ("active", 50)
    assert page.allocations[0].entitled_gpu_s == 40 * 31 * 86_400
    assert [(one.month, one.status) for one in page.checks] == [("2026-03", "warn")]
    assert screen.project("p-x") is None
    assert screen.use("2026-04")[0].own_gpu_s == 500


def test_a_recall_shows_where_it_stands() -> None:
    desk = Desk()
    desk.award((90, 40))
    desk.grant()
    for at, month in (("2026-04-01", "2026-03"), ("2026-05-01", "2026-04")):
        desk.clock.at_s = moment_s(at)
        desk.programme.check_use(OPERATOR, month, {})
    desk.programme.notify_recalls(OPERATOR)
    screen = ProgrammeScreen(desk.programme)

    (noticed,) = screen.recalls()
    desk.programme.answer_recall(applicant("lead0"), noticed.recall, "accepted")
    (accepted,) = screen.recalls()
    desk.programme.carry_out_recalls(OPERATOR)
    (recalled,) = screen.recalls()

    assert [one.status for one in (noticed, accepted, recalled)] == [
        "noticed",
        "accepted",
        "recalled",
    ]
    # 40 GPUs unused: all of them by the table, but a node stays.
    assert recalled.gpus == 32
