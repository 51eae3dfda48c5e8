"""Who is told what: letters for the events that call for one, sentences for every code."""

import inspect
import re

import msgspec
import pytest

from dure.core import notices as rule
from dure.core.events import EVENTS
from dure.core.events.notices import LetterIssued, LetterKind
from dure.core.letters import letter_kind, letter_number
from dure.core.notices import told
from dure.reports.letters import letter_in, letter_text
from dure.reports.messages import catalogue, text
from tests.ledger.event_samples import sample_line

SAMPLES = {one.__name__: msgspec.json.decode(sample_line(one), type=one) for one in EVENTS}


def test_every_event_is_told_in_words_that_both_catalogues_have() -> None:
    codes = set()
    for event in SAMPLES.values():
        for one in told(event):
            codes.add(one.code)
            for lang in ("ko", "en"):
                assert text(lang, f"notice.{one.code}", **one.numbers)  # type: ignore[arg-type]
    known = {key.removeprefix("notice.") for key in catalogue("ko") if key.startswith("notice.")}

    # What a sample's first values do not bring is named in the rule, or made of a closed list.
    source = inspect.getsource(rule)
    letters = {f"letter_{kind}" for kind in LetterKind.__args__}  # type: ignore[attr-defined]
    made = letters | {"request_granted", "request_refused"}
    assert codes <= known
    assert {one for one in known - codes - made if f'"{one}"' not in source} == set()


def test_an_event_is_told_to_somebody_or_to_nobody_but_never_by_name_of_the_office() -> None:
    for event in SAMPLES.values():
        for one in told(event):
            assert (one.who == "") == (one.audience == "office"), one
            assert re.fullmatch(r"[a-z_]+", one.code), one


@pytest.mark.parametrize("kind", LetterKind.__args__)  # type: ignore[attr-defined]
@pytest.mark.parametrize("lang", ["ko", "en"])
def test_every_kind_of_letter_is_written_from_its_event_alone(kind: LetterKind, lang: str) -> None:
    fields = {
        "programme_ko": "가", "programme_en": "A", "title_ko": "나", "title_en": "B",
        "organisation": "다솜연구원", "accelerator": "H200", "gpus": 16, "due_at_s": 1_770_476_400,
        "cause": "decision", "month": "2026-04", "percent": 20, "checks_below": 1, "gpus_left": 8,
        "allocation": "a-1", "recall": "r-1",
    }  # fmt: skip
    if kind in ("rejection", "waitlist"):
        numbers = {"score_milli": 55_000, "score_needed_milli": 60_000}
        fields |= {"reason": "BelowScoreLine", "numbers": numbers}
    issued = LetterIssued("2026-00012", kind, "kim", "t-0001", "t", "p-t-0001", fields,
                          at_s=1_770_000_000, by="x")  # fmt: skip

    letter = letter_in(lang, issued)  # type: ignore[arg-type]
    whole = letter_text(lang, issued)  # type: ignore[arg-type]

    assert letter.number.endswith("2026-00012") and "다솜연구원" in letter.receiver
    assert len(letter.paragraphs) >= 2 and "{" not in whole
    assert whole.endswith(f"{letter.number}  {letter.date}\n")
    if kind == "rejection":
        assert any("60.000" in line for line in letter.paragraphs)


def test_only_what_is_official_calls_for_a_letter() -> None:
    kinds = {name: letter_kind(event) for name, event in SAMPLES.items()}

    # A sample takes the first of a closed list: `rejected`, and a verdict that is none.
    assert {name: kind for name, kind in kinds.items() if kind} == {
        "AwardOffered": "award",
        "Decided": "rejection",
        "OfferLapsed": "lapse",
        "RecallNoticed": "recall",
        "AllocationRecalled": "recalled",
    }


def test_numbers_count_within_the_year_in_korea() -> None:
    # The last second of 2026 in Korea, and the next.
    assert letter_number(1_798_729_199, {2026: 11}) == (2026, "2026-00012")
    assert letter_number(1_798_729_200, {2026: 11}) == (2027, "2027-00001")
