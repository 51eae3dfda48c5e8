"""The result of a call as a document: what the rules award, beside what was awarded in reality."""

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]
Document = dict[str, Any]

COLUMNS = (
    "application", "group", "track", "accelerator", "asked_gpus", "months", "decision", "gpus",
    "score_milli", "raw_milli", "rank", "position", "reason", "synthetic",
)  # fmt: skip


def round_report(
    rows: Sequence[Row],
    call: str,
    capacity: Mapping[str, int],
    *,
    published: Mapping[str, Any] | None = None,
) -> Document:
    """Sum a call up.

    Args:
        rows: one an application, withdrawn ones too; ``gpus`` is what was awarded, else 0.
        call: its id.
        capacity: GPUs offered by accelerator.
        published: figures of reality under the names used in ``awarded``; they are set beside the
            result and never change it.

    Returns:
        ``asked``, ``awarded``, ``by_group``, ``by_accelerator``, ``lines`` (lowest score selected),
        ``reasons``, ``synthetic`` (applications imagined), and ``compared`` if published is given.
    """
    selected = [row for row in rows if row["decision"] == "selected"]
    document: Document = {
        "call": call,
        "capacity": dict(capacity),
        "synthetic": sum(bool(row["synthetic"]) for row in rows),
        "applications": _outcomes(rows),
        "asked": _amounts(rows, "asked_gpus"),
        "awarded": _amounts(selected, "gpus"),
        "by_group": _by(rows, "group"),
        "by_accelerator": _by(rows, "accelerator"),
        "lines": _lines(selected),
        "reasons": _counts(rows, "reason"),
    }
    if published is not None:
        document["compared"] = _compared(document, published)
    return document


def decisions_csv(rows: Sequence[Row]) -> str:
    """Write one line an application, by rank."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(sorted(rows, key=lambda row: (row["rank"], row["application"])))
    return text.getvalue()


def _outcomes(rows: Sequence[Row]) -> Document:
    decided = _counts([row for row in rows if row["decision"]], "decision")
    withdrawn = sum(row["status"] == "withdrawn" for row in rows)
    waiting = len(rows) - sum(decided.values()) - withdrawn
    return {"submitted": len(rows), **decided, "withdrawn": withdrawn, "undecided": waiting}


def _amounts(rows: Sequence[Row], column: str) -> Document:
    gpus = sum(int(row[column]) for row in rows)
    groups = sorted({str(row["group"]) for row in rows})
    return {
        "projects": len(rows),
        "gpus": gpus,
        "gpus_by_group": {
            group: sum(int(row[column]) for row in rows if row["group"] == group)
            for group in groups
        },
    }


def _by(rows: Sequence[Row], column: str) -> Document:
    result: Document = {}
    for value in sorted({str(row[column]) for row in rows}):
        here = [row for row in rows if row[column] == value]
        asked = sum(int(row["asked_gpus"]) for row in here)
        gpus = sum(int(row["gpus"]) for row in here)
        result[value] = {
            "applications": len(here),
            "selected": sum(row["decision"] == "selected" for row in here),
            "asked_gpus": asked,
            "gpus": gpus,
            "gpus_of_asked_milli": 1000 * gpus // asked if asked else 0,
        }
    return result


def _lines(selected: Sequence[Row]) -> list[Document]:
    """Return the lowest score selected for each accelerator and track."""
    keys = sorted({(str(row["accelerator"]), str(row["track"])) for row in selected})
    return [
        {
            "accelerator": accelerator,
            "track": track,
            "score_milli": min(
                int(row["score_milli"])
                for row in selected
                if (row["accelerator"], row["track"]) == (accelerator, track)
            ),
        }
        for accelerator, track in keys
    ]


def _counts(rows: Sequence[Row], column: str) -> dict[str, int]:
    values = sorted(str(row[column]) for row in rows if row[column])
    return {value: values.count(value) for value in dict.fromkeys(values)}


def _compared(document: Document, published: Mapping[str, Any]) -> list[Document]:
    asked, awarded = document["asked"], document["awarded"]
    ours: dict[str, int] = {
        "applications": document["applications"]["submitted"],
        "gpus_asked": asked["gpus"],
        "gpus_asked_by_academia": asked["gpus_by_group"].get("academia", 0),
        "selected": awarded["projects"],
        "gpus_awarded": awarded["gpus"],
        "servers_awarded": awarded["gpus"] // 8,
    }
    reality: dict[str, Any] = dict(published)
    for group, gpus in dict(reality.pop("gpus_awarded_by_group", {})).items():
        reality[f"gpus_awarded_{group}"] = gpus
        ours[f"gpus_awarded_{group}"] = awarded["gpus_by_group"].get(group, 0)
    return [
        {"figure": figure, "ours": value, "published": reality.get(figure)}
        for figure, value in ours.items()
    ]
