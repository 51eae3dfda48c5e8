"""Which event calls for an official letter, of which kind, and what it must say."""

from collections.abc import Mapping
from typing import Any

from dure.core.awards import Reason
from dure.core.calendar import civil
from dure.core.calls.model import Call
from dure.core.events import Event
from dure.core.events.notices import LetterKind
from dure.core.events.offers import AwardOffered, OfferLapsed
from dure.core.events.programme import (
    AllocationRecalled,
    ApplicationSubmitted,
    Decided,
    RecallNoticed,
    UseChecked,
)
from dure.core.recall import Verdict

NUMBER_DIGITS = 5


def letter_kind(event: Event) -> LetterKind | None:
    """Return the kind of letter that an event calls for; most call for none."""
    match event:
        case AwardOffered():
            return "award"
        case Decided(decision="waitlisted"):
            return "waitlist"
        case Decided(decision="rejected"):
            return "rejection"
        case OfferLapsed():
            return "lapse"
        case UseChecked() if event.verdict == Verdict.WARN.value:
            return "warning"
        case RecallNoticed():
            return "recall"
        case AllocationRecalled():
            return "recalled"
        case _:
            return None


def letter_fields(event: Event, submitted: ApplicationSubmitted, call: Call) -> dict[str, Any]:
    """Return all that a letter's text needs: the application's name and the event's numbers."""
    fields: dict[str, Any] = {
        "programme_ko": call.name.ko,
        "programme_en": call.name.en,
        "title_ko": submitted.title_ko,
        "title_en": submitted.title_en,
        "organisation": submitted.organisation,
        "accelerator": submitted.accelerator,
    }
    names = (
        "accelerator", "gpus", "due_at_s", "cause", "position", "score_milli", "month", "percent",
        "used_gpu_s", "entitled_gpu_s", "checks_below", "gpus_left", "allocation", "recall",
    )  # fmt: skip
    fields |= {name: getattr(event, name) for name in names if hasattr(event, name)}
    if isinstance(event, Decided):
        fields["reason"], fields["numbers"] = event.reason, dict(event.numbers)
        stage = call.stage(event.stage)
        if event.reason == Reason.STAGE_FAILED.value and stage is not None:
            fields["stage"] = stage.stage
            fields["stage_kind"] = stage.kind
            if stage.name is not None:
                fields |= {"stage_ko": stage.name.ko, "stage_en": stage.name.en}
    return fields


def letter_number(at_s: int, issued: Mapping[int, int]) -> tuple[int, str]:
    """Return the year of a letter and its number, one more than that year's ``issued`` so far."""
    year = civil(at_s).year
    return year, f"{year}-{issued.get(year, 0) + 1:0{NUMBER_DIGITS}d}"
