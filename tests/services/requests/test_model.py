"""A request survives its JSON, and is checked however it came."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dure.core.errors import InputError
from dure.core.events import EVENTS
from dure.core.events.work import JobRequested
from dure.core.orders import Recipe
from dure.services.requests import JobRequest, parse_job_json, parse_job_yaml


def test_a_request_in_an_event_comes_back_as_it_was() -> None:
    request = parse_job_yaml("run: 'echo 가 $X'\nenvs: {X: y}\ndure: {class: own}", "job.yaml")
    event = JobRequested(
        at_s=1, by="kim", job="j-1", request=msgspec.json.encode(request).decode(), key="k"
    )

    stored = msgspec.json.decode(msgspec.json.encode(event), type=JobRequested)

    assert parse_job_json(stored.request, "event") == request
    assert JobRequested in EVENTS


def test_defaults_are_not_written_so_that_old_requests_stay_short() -> None:
    assert (
        msgspec.json.encode(JobRequest(run="x", gang_class="own")) == b'{"run":"x","class":"own"}'
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "truncated"),
        ("[]", "Expected `object`"),
        ('{"run":"x","gpus":"8"}', "api gpus"),
        ('{"run":"x","gpus":8.5}', "api gpus"),
        ('{"run":"x","gpus":-1}', "api gpus"),
        ('{"run":"x","gpus":1e99}', "api gpus"),
        ('{"run":"x","gpu":8}', "unknown field `gpu`"),
        ('{"run":"x","class":"mine"}', "api class"),
        ('{"run":"x","env":{"A":3}}', "api env"),
        ('{"run":"x","command":["y"]}', "found run and command"),
        ('{"command":[""]}', "the first ''"),
        ('{"run":"x","after":["a;b"]}', "a;b"),
        ('{"run":"x","notice_signal":"KILL"}', "'KILL'"),
        ('{"run":"x","locality":"preferred:rack:5"}', "rack"),
        ('{"run":"x","submit_dir":"relative"}', "api submit_dir"),
        ('{"run":"x","deadline_at_s":99999999999999}', "api deadline_at_s"),
    ],
)
def test_json_that_is_no_request_is_refused_by_field(text: str, words: str) -> None:
    with pytest.raises(InputError) as wrong:
        parse_job_json(text, "api")

    assert words in str(wrong.value)


HOSTILE_TEXT = ("NaN", "-Infinity", "1e400", "-1.5", "null", "[]", "{}", "9" * 30, "-" + "9" * 30)
FIELDS = {one.encode_name: one.type for one in msgspec.structs.fields(JobRequest)}
NUMBERS = sorted(name for name, kind in FIELDS.items() if kind is int)
LISTS = {"command", "after", "after_any", "after_start", "env", "notes"}


@given(name=st.sampled_from(sorted(set(FIELDS) - LISTS)), text=st.sampled_from(HOSTILE_TEXT))
def test_what_no_field_can_hold_is_refused(name: str, text: str) -> None:
    fields = {"run": '"x"'} | {name: text}

    with pytest.raises(InputError):
        parse_job_json("{" + ",".join(f'"{key}":{one}' for key, one in fields.items()) + "}", "api")


@given(
    name=st.sampled_from(NUMBERS),
    value=st.integers(max_value=-2) | st.integers(min_value=(1 << 40) + 1),
)
def test_a_number_beyond_its_bounds_is_refused_by_field(name: str, value: int) -> None:
    with pytest.raises(InputError) as wrong:
        parse_job_json(f'{{"run":"x","{name}":{value}}}', "api")

    assert wrong.value.where == f"api {name}"


def test_too_much_is_refused() -> None:
    for request in (
        JobRequest(run="x" * 300_000),
        JobRequest(command=("x",) * 2_000),
        JobRequest(command=("x", "y" * 300_000)),
        JobRequest(run="x", name="n" * 101),
        JobRequest(run="x", env={f"A{number}": "" for number in range(257)}),
        JobRequest(run="x", env={"A": "v" * 40_000}),
        JobRequest(run="x", after=("a",) * 65),
    ):
        with pytest.raises(InputError):
            parse_job_json(msgspec.json.encode(request), "api")


def test_a_recipe_holds_what_a_backend_needs_and_no_more() -> None:
    request = JobRequest(run="x", env={"A": "1"}, name="n", project="p", setup="s")

    assert request.recipe() == Recipe(script="x", env={"A": "1"}, name="n", setup="s")
