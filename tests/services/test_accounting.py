"""A provider's accounting, and the two books: what other meters got wrong is right here.

The six defects of apache/airavata-custos (issues 535 and 542) have a test each.
"""

from pathlib import Path

import pytest

from dure.core.calendar import moment_s, month_window_s
from dure.core.errors import InputError
from dure.core.two_sided import Compared, compare_books
from dure.services.access import Actor, Forbidden, Role
from dure.services.accounting import Accounted, read_accounting
from dure.services.care_desk import CareAnswer
from tests.services.care_bench import CareBench

HEADER = "JobID|User|Account|Start|End|State|NNodes|AllocTRES"
FROM_S, TO_S = month_window_s("2026-04")
HOUR_S = 3_600


def accounted(folder: Path, *lines: str, month: str = "2026-04", now_s: int = TO_S) -> Accounted:
    file = folder / "accounting.txt"
    file.write_text("\n".join([HEADER, *lines, ""]), encoding="utf-8")
    return read_accounting(file, month, now_s=now_s)


def line(job: str = "1", *, user: str = "kim", account: str = "team", start: str = "",
         end: str = "", tres: str = "cpu=64,gres/gpu=8,node=1", nodes: int = 1) -> str:  # fmt: skip
    start, end = start or "2026-04-02T10:00:00", end or "2026-04-02T12:00:00"
    return f"{job}|{user}|{account}|{start}|{end}|COMPLETED|{nodes}|{tres}"


def test_defect_1_a_job_of_an_unknown_user_counts(tmp_path: Path) -> None:
    found = accounted(tmp_path, line(user="nobody-we-know"), line("2", user=""))

    assert found.gpu_s == {"team": 2 * 8 * 2 * HOUR_S}


def test_defect_2_a_jobs_time_is_from_its_start_to_its_end(tmp_path: Path) -> None:
    found = accounted(
        tmp_path,
        line("1", start="2026-04-02T23:59:59", end="2026-04-03T00:00:01"),
        line("2", start="1775100000", end="1775100007", account="epoch"),
        line("3", start="2026-04-29T12:00:00", end="Unknown", account="runs").replace(
            "COMPLETED", "RUNNING"
        ),
        now_s=moment_s("2026-04-29 13:00"),
    )

    assert found.gpu_s == {"team": 16, "epoch": 56, "runs": 8 * HOUR_S}


def test_defect_3_one_line_that_cannot_be_read_stops_nothing(tmp_path: Path) -> None:
    found = accounted(
        tmp_path,
        line("1"),
        "17|kim",
        line("3", start="yesterday"),
        line("4", end="2026-04-01T00:00:00"),
        line("5", end="Unknown"),
        line("6"),
    )

    assert (found.gpu_s, found.jobs, found.aside) == ({"team": 2 * 16 * HOUR_S}, 2, 4)
    assert [one.split(":")[0] for one in found.examples] == [
        "line 3", "line 4", "line 5", "line 6",
    ]  # fmt: skip


def test_defect_4_a_job_across_the_edge_of_a_month_is_in_both_for_its_part(tmp_path: Path) -> None:
    across = line(start="2026-04-30T23:00:00", end="2026-05-01T02:00:00")
    on_it = line("2", start="2026-05-01T00:00:00", end="2026-05-01T00:00:00")
    months = [
        accounted(tmp_path, across, on_it, month=month).gpu_s.get("team", 0)
        for month in ("2026-03", "2026-04", "2026-05", "2026-06")
    ]

    assert months == [0, 8 * HOUR_S, 16 * HOUR_S, 0]


def test_defect_5_gpus_of_a_job_are_not_multiplied_by_its_nodes(tmp_path: Path) -> None:
    found = accounted(tmp_path, line(tres="cpu=128,gres/gpu=16,node=2", nodes=2))

    assert found.gpu_s == {"team": 16 * 2 * HOUR_S}


@pytest.mark.parametrize(
    ("tres", "gpus"),
    [
        ("billing=8,cpu=8,gres/gpu=4,mem=1G,node=1", 4),
        ("cpu=8,gres/gpu:h100=4,node=1", 4),
        ("cpu=8,gres/gpu:a100=2,gres/gpu:h100=4,node=1", 6),
        ("cpu=8,gres/gpu:h100=4,gres/gpu=4,node=1", 4),
        ("gres/gpumem=80G,gres/gpu=1,gres/gpuutil=40", 1),
    ],
)
def test_defect_6_gpus_are_found_however_slurm_writes_them(
    tmp_path: Path, tres: str, gpus: int
) -> None:
    assert accounted(tmp_path, line(tres=tres)).gpu_s == {"team": gpus * 2 * HOUR_S}


def test_steps_jobs_without_gpus_and_jobs_that_never_started_count_nothing(tmp_path: Path) -> None:
    found = accounted(
        tmp_path,
        line("1"),
        line("1.batch"),
        line("1.0"),
        line("2", tres="cpu=8,mem=4G"),
        line("3", start="Unknown", end="Unknown"),
        line("4_7"),
    )

    assert (found.gpu_s, found.aside) == ({"team": 2 * 16 * HOUR_S}, 0)


def test_plain_csv_is_read_as_well(tmp_path: Path) -> None:
    file = tmp_path / "use.csv"
    file.write_text(
        f"job,project,gpus,start_s,end_s\na,p,4,{FROM_S},{FROM_S + 10}\nb,p,-1,0,1\n",
        encoding="utf-8",
    )

    found = read_accounting(file, "2026-04", now_s=TO_S)

    assert (found.gpu_s, found.aside) == ({"p": 40}, 1)


@pytest.mark.parametrize("content", ["", "a,b\n1,2\n", "\x00\xff"])
def test_what_is_no_accounting_is_refused(tmp_path: Path, content: str) -> None:
    file = tmp_path / "what"
    file.write_bytes(content.encode("latin-1"))

    with pytest.raises(InputError):
        read_accounting(file, "2026-04", now_s=TO_S)


def test_more_than_one_percent_differs_and_whoever_stands_in_one_book_alone() -> None:
    ours = {"same": 10_000, "near": 10_000, "apart": 10_000, "ours": 500, "round": 30}
    theirs = {"same": 10_000, "near": 10_100, "apart": 10_102, "theirs": 500}

    assert compare_books(ours, theirs) == [
        Compared("apart", 10_000, 10_102, 11, True),
        Compared("near", 10_000, 10_100, 10, False),
        Compared("ours", 500, 0, 1_000, True),
        Compared("round", 30, 0, 1_000, False),
        Compared("same", 10_000, 10_000, 0, False),
        Compared("theirs", 0, 500, 1_000, True),
    ]


def test_a_difference_is_raised_with_both_numbers(tmp_path: Path) -> None:
    bench = CareBench(tmp_path)
    provider = Actor("park", frozenset({Role.PROVIDER}), provider="here")
    bench.live.allocate("team", 4)
    job = bench.live.submit("gpus: 2", project="team")
    bench.live.turn(1)
    bench.measure(600)
    bench.live.end(job)
    bench.live.turn(1)
    month = "2026-09"

    ours = bench.live.publisher.used_at("here", month)
    assert 2 * 600 <= ours["team"] <= 2 * 604
    fine = bench.desk.compare("here", month, ours, source="ab", by=provider)
    before = bench.live.ledger.head()
    assert isinstance(fine, list) and not any(row.differs for row in fine)
    raised = bench.desk.compare("here", month, {"team": 900}, source="ab", by=provider)

    assert isinstance(raised, list)
    assert [(row.who, row.theirs_gpu_s, row.differs) for row in raised] == [("team", 900, True)]
    assert bench.live.ledger.head()[0] == before[0] + 1
    stranger = Actor("lim", frozenset({Role.PROVIDER}), provider="elsewhere")
    with pytest.raises(Forbidden):
        bench.desk.compare("here", month, {}, source="", by=stranger)
    nowhere = Actor("noh", frozenset({Role.OPERATOR}))
    assert bench.desk.compare("nowhere", month, {}, source="", by=nowhere) is CareAnswer.NOT_FOUND
