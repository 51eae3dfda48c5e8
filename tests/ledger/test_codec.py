"""Events written once are read for ever."""

import json
import os
from pathlib import Path
from typing import Any

import msgspec
import pytest

from dure.core.errors import LedgerError
from dure.core.events import EVENTS, Event
from dure.core.events.work import JobCancelRequested, JobRequested
from dure.ledger.codec import decode_events, encode_events
from tests.ledger.event_samples import sample_line

# One event a line, as it was once written. Lines are added by `make golden`, never changed: whoever
# takes one out says that no ledger anywhere holds such an event.
FROZEN = Path(__file__).resolve().parents[1] / "golden" / "events.jsonl"


def frozen_lines() -> list[str]:
    return FROZEN.read_text(encoding="utf-8").splitlines() if FROZEN.exists() else []


def holds(now: Any, then: Any) -> bool:
    """Tell whether all that was written then is still there; more may have come."""
    if isinstance(then, dict) and isinstance(now, dict):
        return all(key in now and holds(now[key], value) for key, value in then.items())
    if isinstance(then, list) and isinstance(now, list):
        return len(now) == len(then) and all(map(holds, now, then))
    return bool(now == then)


@pytest.mark.golden
def test_every_event_class_is_frozen_as_it_is_written_today() -> None:
    lines = frozen_lines()
    missing = [line for event in EVENTS if (line := sample_line(event)) not in lines]
    if os.environ.get("DURE_GOLDEN") and missing:
        FROZEN.parent.mkdir(parents=True, exist_ok=True)
        FROZEN.write_text("".join(f"{line}\n" for line in [*lines, *missing]), encoding="utf-8")
        missing = []

    assert missing == [], "new events or new fields: freeze them with `make golden`"


def test_every_event_ever_written_is_still_read() -> None:
    lines = frozen_lines()
    events = decode_events(b"\x01[" + ",".join(lines).encode() + b"]")

    again = json.loads(encode_events(events)[1:])
    changed = [
        line for line, now in zip(lines, again, strict=True) if not holds(now, json.loads(line))
    ]
    assert changed == []


def test_tags_are_the_names_of_the_classes_and_no_two_are_alike() -> None:
    names = [event.__name__ for event in EVENTS]

    assert len(set(names)) == len(names)
    assert [event.__struct_config__.tag for event in EVENTS] == names


def test_events_come_back_as_they_were() -> None:
    events = [msgspec.json.decode(sample_line(event), type=event) for event in EVENTS]

    assert decode_events(encode_events(events)) == events
    assert decode_events(encode_events([])) == []


def test_the_first_byte_is_the_version_and_the_rest_is_json() -> None:
    payload = encode_events([JobCancelRequested(at_s=5, by="kim", job="j1")])

    assert payload[0] == 1
    assert (
        json.loads(payload[1:])[0] | {"type": "JobCancelRequested", "job": "j1"}
        == json.loads(payload[1:])[0]
    )


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        (b"", "an empty payload"),
        (b"\x02[]", "codec version 2"),
        (b"[]", "codec version 91"),
        (b"\x01", "named events"),
        (b"\x01[", "named events"),
        (b"\x01{}", "named events"),
        (b'\x01[{"type":"NeverHeardOf","at_s":1,"by":"x"}]', "NeverHeardOf"),
        (b'\x01[{"at_s":1,"by":"x"}]', "type"),
        (b'\x01[{"type":"JobRequested","at_s":"soon","by":"x"}]', "named events"),
        (b"\x01[\xff\xfe]", "named events"),
        (b"\x01" + b"[" * 100_000, "named events"),
    ],
)
def test_what_cannot_be_read_is_said_clearly(payload: bytes, said: str) -> None:
    with pytest.raises(LedgerError, match=said):
        decode_events(payload)


def test_an_event_that_could_not_be_read_again_is_not_written() -> None:
    class Unlisted(Event, frozen=True):
        pass

    with pytest.raises(LedgerError, match="Unlisted is not listed"):
        encode_events([Unlisted(at_s=1, by="x")])


def test_fields_added_later_may_be_absent() -> None:
    fields = msgspec.structs.fields(JobRequested)
    old = {one.encode_name for one in fields if one.required}
    content = json.loads(sample_line(JobRequested))
    line = json.dumps({key: value for key, value in content.items() if key in old | {"type"}})

    assert len(decode_events(b"\x01[" + line.encode() + b"]")) == 1
