"""Codes of answers and their words."""

from pathlib import Path

import pytest
import yaml

from dure.reports.form_words import choices_of, code_of, words_of

CALLS = sorted((Path(__file__).parents[2] / "examples" / "calls").glob("*.yaml"))


def test_an_answer_is_read_in_words_of_either_language_and_told_in_one() -> None:
    assert code_of("region", "서울") == code_of("region", "seoul") == code_of("region", "Seoul")
    assert words_of("ko", "region", "seoul") == "서울"


def test_an_answer_that_nobody_named_stays_as_it_was_written() -> None:
    assert code_of("category", "협동조합") == words_of("ko", "category", "협동조합") == "협동조합"


@pytest.mark.parametrize("field", ["category", "region"])
def test_what_the_published_calls_go_by_has_words(field: str) -> None:
    among = {
        one for call in CALLS for one in _among(field, yaml.safe_load(call.read_text("utf-8")))
    }

    assert among and sorted(among - choices_of("ko", field).keys()) == []


def _among(field: str, part: object) -> set[str]:
    """Return the answers to a field that rules and conditions anywhere in a call name."""
    if isinstance(part, list):
        return {found for one in part for found in _among(field, one)}
    if not isinstance(part, dict):
        return set()
    here = part.get("field", part.get("rule"))
    named = here == field or (here == "organisation_kind" and field == "category")
    found = set(part.get("among", ())) if named else set()
    return found | {one for below in part.values() for one in _among(field, below)}
