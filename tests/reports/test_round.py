"""The result of a call as a document."""

from typing import Any

from dure.reports.round import decisions_csv, round_report


def row(name: str, group: str, asked: int, gpus: int, decision: str, score: int) -> dict[str, Any]:
    return {
        "application": name,
        "group": group,
        "track": group,
        "accelerator": "H200",
        "asked_gpus": asked,
        "months": 6,
        "decision": decision,
        "status": decision or "withdrawn",
        "gpus": gpus,
        "score_milli": score,
        "raw_milli": score,
        "rank": 1,
        "position": 0,
        "reason": "Selected" if decision == "selected" else "",
        "synthetic": True,
    }


ROWS = [
    row("a", "academia", 16, 16, "selected", 80_000),
    row("b", "industry", 24, 8, "selected", 75_000),
    row("c", "academia", 40, 0, "waitlisted", 70_000),
    row("d", "academia", 8, 0, "", 0),
]


def test_a_round_sums_up() -> None:
    report = round_report(ROWS, "t", {"H200": 24})

    assert report["applications"] == {
        "submitted": 4,
        "selected": 2,
        "waitlisted": 1,
        "withdrawn": 1,
        "undecided": 0,
    }
    assert report["awarded"] == {
        "projects": 2,
        "gpus": 24,
        "gpus_by_group": {"academia": 16, "industry": 8},
    }
    assert report["by_group"]["academia"]["gpus_of_asked_milli"] == 250
    assert report["lines"] == [
        {"accelerator": "H200", "track": "academia", "score_milli": 80_000},
        {"accelerator": "H200", "track": "industry", "score_milli": 75_000},
    ]
    assert "compared" not in report


def test_reality_stands_beside_the_result_and_does_not_change_it() -> None:
    published = {"selected": 159, "gpus_awarded": 4224, "gpus_awarded_by_group": {"academia": 2624}}

    report = round_report(ROWS, "t", {"H200": 24}, published=published)
    compared = report.pop("compared")

    assert report == round_report(ROWS, "t", {"H200": 24})
    assert {"figure": "selected", "ours": 2, "published": 159} in compared
    assert {"figure": "gpus_awarded_academia", "ours": 16, "published": 2624} in compared
    assert {"figure": "gpus_asked", "ours": 88, "published": None} in compared


def test_decisions_are_a_table() -> None:
    lines = decisions_csv(ROWS[:1]).splitlines()

    assert lines == [
        "application,group,track,accelerator,asked_gpus,months,decision,gpus,score_milli,"
        "raw_milli,rank,position,reason,synthetic",
        "a,academia,academia,H200,16,6,selected,16,80000,80000,1,0,Selected,True",
    ]
