"""Checks of use, recalls and handovers."""

from dure.core.calendar import DAY_S, moment_s
from dure.core.events.offers import HandedOver
from dure.core.events.programme import AllocationChanged, RecallNoticed
from dure.core.programme import Refusal
from tests.services.programme_desk import OPERATOR, STARTS_S, Desk, applicant

MARCH_S = 31 * DAY_S


def two_idle_months() -> Desk:
    """A project of 48 GPUs that uses a fifth of them; another of 16 uses all; two wait."""
    desk = Desk()
    desk.award((90, 48), (80, 16), (75, 32), (70, 24))
    desk.grant()
    for month, at in (("2026-03", "2026-04-01"), ("2026-04", "2026-05-01")):
        desk.clock.at_s = moment_s(at)
        days = MARCH_S if month == "2026-03" else 30 * DAY_S
        used = {"p-t-0001": 48 * days // 5, "p-t-0002": 16 * days}
        desk.programme.check_use(OPERATOR, month, used)
    return desk


def test_the_first_month_warns_and_the_second_recalls() -> None:
    desk = two_idle_months()

    rows = [
        (row["project"], row["month"], row["percent"], row["verdict"], row["take_gpus"])
        for row in desk.programme.check_rows()
    ]

    # 48 GPUs used by 20 %: 38.4 idle, 75 % of that is 28.8, three whole nodes.
    assert rows == [
        ("p-t-0001", "2026-03", 20, "warn", 0),
        ("p-t-0001", "2026-04", 20, "recall", 24),
        ("p-t-0002", "2026-03", 100, "ok", 0),
        ("p-t-0002", "2026-04", 100, "ok", 0),
    ]


def test_what_is_recalled_goes_to_the_next_it_fits() -> None:
    desk = two_idle_months()
    (notice,) = desk.programme.notify_recalls(OPERATOR)
    too_soon = desk.programme.carry_out_recall(OPERATOR, notice.recall)
    desk.clock.at_s = notice.due_at_s

    recalled = desk.programme.carry_out_recalls(OPERATOR)
    handed = recalled[2:]

    assert too_soon is Refusal.RECALL_IS_NOT_DUE
    assert isinstance(recalled[1], AllocationChanged)
    assert (recalled[1].gpus_before, recalled[1].gpus, recalled[1].cause) == (48, 24, "recall")
    assert isinstance(handed[0], HandedOver)
    assert (handed[0].application, handed[0].gpus, handed[0].skipped) == (
        "t-0004",
        24,
        ("t-0003",),
    )
    assert handed[0].from_allocations == ("a-t-0001",)
    (row,) = desk.programme.recall_rows()
    assert (row["outcome"], row["handed_to"]) == ("recalled", ["t-0004"])
    assert desk.programme.tables.free_gpus("t", "H200") == 0


def test_entitlement_follows_the_size_through_the_month() -> None:
    desk = two_idle_months()
    (notice,) = desk.programme.notify_recalls(OPERATOR)
    desk.clock.at_s = notice.due_at_s
    desk.programme.carry_out_recalls(OPERATOR)
    desk.clock.at_s = moment_s("2026-06-01")

    checks = desk.programme.check_use(OPERATOR, "2026-05", {})

    # 48 GPUs for seven days of notice, 24 for the other 24 days of May.
    assert not isinstance(checks, Refusal)
    assert checks[0].entitled_gpu_s == (48 * 7 + 24 * 24) * DAY_S


def test_a_month_is_checked_once() -> None:
    desk = two_idle_months()

    assert desk.programme.check_use(OPERATOR, "2026-04", {}) is Refusal.USE_IS_CHECKED
    assert isinstance(desk.programme.notify_recall(OPERATOR, "p-t-0001"), RecallNoticed)
    assert desk.programme.notify_recall(OPERATOR, "p-t-0001") is Refusal.RECALL_IS_NOTICED
    assert desk.programme.notify_recall(OPERATOR, "p-t-0002") is Refusal.NOTHING_TO_RECALL


def test_what_faults_took_does_not_count_against_a_project() -> None:
    desk = Desk()
    desk.award((90, 48))
    desk.grant()
    desk.clock.at_s = moment_s("2026-04-01")
    entitled = 48 * MARCH_S

    checks = desk.programme.check_use(
        OPERATOR, "2026-03", {"p-t-0001": entitled // 3}, lost_gpu_s={"p-t-0001": entitled // 2}
    )

    assert not isinstance(checks, Refusal)
    assert (checks[0].percent, checks[0].verdict) == (66, "ok")


def test_an_objection_stops_the_recall_until_it_is_decided() -> None:
    desk = two_idle_months()
    (notice,) = desk.programme.notify_recalls(OPERATOR)
    lead = applicant("lead0")

    desk.programme.answer_recall(lead, notice.recall, "objected", text="데이터 구축이 늦어짐")
    desk.clock.at_s = notice.due_at_s
    disputed = desk.programme.carry_out_recall(OPERATOR, notice.recall)
    late = desk.programme.answer_recall(lead, notice.recall, "accepted")
    upheld = desk.programme.carry_out_recall(OPERATOR, notice.recall, upheld=True)
    again = desk.programme.carry_out_recall(OPERATOR, notice.recall)

    assert (disputed, late) == (Refusal.RECALL_IS_DISPUTED, Refusal.RECALL_IS_OVER)
    assert not isinstance(upheld, Refusal)
    assert again is Refusal.RECALL_IS_OVER


def test_an_accepted_recall_need_not_wait() -> None:
    desk = two_idle_months()
    (notice,) = desk.programme.notify_recalls(OPERATOR)

    desk.programme.answer_recall(applicant("lead0"), notice.recall, "accepted")
    events = desk.programme.carry_out_recall(OPERATOR, notice.recall)

    assert not isinstance(events, Refusal)
    assert desk.programme.tables.allocations["a-t-0001"].gpus == 24


def test_what_a_project_returns_itself_is_not_recalled_again() -> None:
    desk = two_idle_months()
    (notice,) = desk.programme.notify_recalls(OPERATOR)
    desk.programme.return_part(applicant("lead0"), "a-t-0001", gpus=16, cause="early end")
    desk.clock.at_s = notice.due_at_s

    desk.programme.carry_out_recalls(OPERATOR)

    assert desk.programme.tables.allocations["a-t-0001"].gpus == 24
    (handed,) = desk.programme.tables.handovers
    assert (handed.application, handed.from_allocations) == ("t-0004", ("a-t-0001",))


def test_a_project_returns_whole_nodes_or_all() -> None:
    desk = Desk()
    desk.award((90, 48))
    desk.grant()
    lead = applicant("lead0")

    answers = [
        desk.programme.return_part(lead, "a-t-0001", gpus=49),
        desk.programme.return_part(lead, "a-t-0001", gpus=0),
        desk.programme.return_part(lead, "a-t-0001", gpus=4),
        desk.programme.return_part(lead, "a-x", gpus=8),
    ]
    desk.clock.at_s = STARTS_S + DAY_S
    desk.programme.return_part(lead, "a-t-0001", gpus=48)
    answers.append(desk.programme.return_part(lead, "a-t-0001", gpus=8))

    assert answers == [
        Refusal.RETURN_IS_TOO_LARGE,
        Refusal.RETURN_IS_TOO_LARGE,
        Refusal.SIZE_IS_NOT_WHOLE_NODES,
        Refusal.ALLOCATION_IS_UNKNOWN,
        Refusal.ALLOCATION_IS_OVER,
    ]
    (row,) = desk.programme.allocation_rows()
    assert (row["from_s"], row["to_s"], row["gpus"]) == (STARTS_S, STARTS_S + DAY_S, 48)
