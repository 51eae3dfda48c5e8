"""Calls as files: examples are good, what is written reads the same, mistakes have lines."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dure.core.calls.model import Call
from dure.core.errors import InputError
from dure.core.programme import Refusal
from dure.services.requests.call_yaml import Mistake, read_call, write_call

ROOT = Path(__file__).resolve().parents[3]
FILES = [
    *sorted((ROOT / "examples" / "calls").glob("*.yaml")),
    *sorted((ROOT / "src/dure/twin/models/calls").glob("*.yaml")),
]
PLAIN = """\
call: t
name: {ko: 시험, en: Test}
opens: 2026-01-05 09:00
closes: 2026-01-31
starts: 2026-03-01
capacity: {H200: 64}
rubric: {impact: 60, ecosystem: 40}
tracks: {academia: public}
score_min: 60.5
"""


def read(text: str) -> Call:
    found = read_call(text, "x.yaml")
    assert isinstance(found, Call), found
    return found


def mistakes(text: str) -> list[tuple[int, str]]:
    found = read_call(text, "x.yaml")
    assert not isinstance(found, Call)
    return [(one.line, one.field) for one in found]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_call_that_we_ship_can_be_published_and_is_written_as_it_was_read(
    file: Path,
) -> None:
    call = read(file.read_text(encoding="utf-8"))

    again = write_call(call)

    assert read(again) == call
    assert write_call(read(again)) == again


def test_the_policies_of_others_are_all_there() -> None:
    said = {file.stem: read(file.read_text(encoding="utf-8")) for file in FILES}

    assert said["indiaai"].instant and said["indiaai"].instant.gpu_hours_below == 5_000
    assert said["uk-airr"].peer_review and said["uk-airr"].peer_review.each == 5
    assert said["uk-airr"].lottery and said["uk-airr"].lottery.within_milli == 1_500
    assert said["canada-rac"].scales_awards
    assert said["access"].stages[-1].hold and said["access"].stages[-1].hold.gpus_percent == 50
    pullback = said["alcf"].pullback
    assert pullback and pullback.by_date == {
        "05-01": {"15": 15, "10": 30},
        "09-01": {"50": 33, "33": 50, "10": 75},
    }
    assert [one.top for one in said["foundation-models"].stages] == [10, 5, 0]


def test_points_and_moments_are_written_for_people() -> None:
    call = read(PLAIN)

    assert call.score_min_milli == 60_500
    assert "score_min: 60.5\n" in write_call(call)
    assert "closes: 2026-01-31 00:00\n" in write_call(call)


@pytest.mark.parametrize(
    ("was", "now", "expected"),
    [
        ("closes: 2026-01-31", "closes: soon", [(4, "closes")]),
        ("capacity: {H200: 64}", "capacity: {H200: many}", [(6, "capacity.H200")]),
        ("capacity: {H200: 64}", "capacity: 64", [(6, "capacity")]),
        ("capacity: {H200: 64}", "capacities: {H200: 64}", [(6, "")]),
        ("score_min: 60.5", "score_min: 60.1234", [(9, "score_min")]),
        ("closes: 2026-01-31\n", "", [(1, "closes")]),
        ("name: {ko: 시험, en: Test}", "name: {ko: 시험}", [(2, "name.en")]),
        ("call: t", "schema: dure-call-2\ncall: t", [(1, "")]),
        ("closes: 2026-01-31", "closes: 2026-01-05", [(4, "closes")]),
        ("ecosystem: 40}", "ecosystem: 41}", [(7, "rubric")]),
        ("academia: public}", "banks: public}", [(8, "tracks")]),
        (
            "call: t\n",
            "stages: [{stage: a, kind: lunch, role: operator, passes: decision}]\ncall: t\n",
            [(1, "stages[0].kind")],
        ),
    ],
)
def test_a_mistake_has_its_line_and_field(
    was: str, now: str, expected: list[tuple[int, str]]
) -> None:
    assert was in PLAIN

    assert mistakes(PLAIN.replace(was, now)) == expected


def test_all_that_cannot_be_read_is_said_at_once() -> None:
    text = PLAIN.replace("2026-01-31", "soon").replace("60.5", "much").replace("64", "-1")

    assert mistakes(text) == [(4, "closes"), (6, "capacity.H200"), (9, "score_min")]


def test_a_broken_rule_says_which() -> None:
    found = read_call(PLAIN.replace("ecosystem: 40}", "ecosystem: 41}"), "x.yaml")

    assert isinstance(found, tuple)
    (one,) = found
    assert one.problem is not None and one.problem.refusal is Refusal.SUM_IS_WRONG
    assert one.problem.numbers == {"found": 101, "expected": 100}


def test_a_value_that_cannot_be_read_says_found_and_expected() -> None:
    found = read_call(PLAIN.replace("capacity: {H200: 64}", "capacity: {H200: many}"), "x.yaml")

    said = "found 'many'; expected a whole number, 0 to 1000000000."
    assert found == (Mistake(6, "capacity.H200", None, said),)


def test_an_alias_is_refused() -> None:
    text = PLAIN + "form: &f []\neligibility: *f\n"

    assert mistakes(text) == [(10, "eligibility")]


@pytest.mark.parametrize(
    "text", ["", "[", "a: " + "[" * 3_000, "- 1\n", "x" * 2_000_000, "&a [*a]"]
)
def test_what_is_no_call_at_all_is_refused(text: str) -> None:
    try:
        found = read_call(text, "x.yaml")
    except InputError as wrong:
        assert "x.yaml" in str(wrong)
    else:
        assert not isinstance(found, Call)


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(data=st.data())
def test_a_file_with_a_line_gone_or_changed_is_read_or_refused(data: st.DataObject) -> None:
    lines = (ROOT / "examples/calls/2026-2.yaml").read_text(encoding="utf-8").splitlines()
    place = data.draw(st.integers(0, len(lines) - 1))
    lines[place] = data.draw(st.sampled_from(["", "  x: [", lines[place].replace(":", ": 9")]))

    try:
        found = read_call("\n".join(lines), "x.yaml")
    except InputError:
        return
    if isinstance(found, Call):
        assert read(write_call(found)) == found
    else:
        assert all(one.line >= 0 and (one.said or one.problem) for one in found)
