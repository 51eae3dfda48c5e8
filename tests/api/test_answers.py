"""What the API answers: figures, lists in parts, repeats, the document, the metrics."""

import base64
import re
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from dure.api.application import make_app
from dure.api.pool_routes import map_document
from dure.api.stream import map_changes, runs
from dure.services.access import Role
from dure.services.desks import Services
from dure.services.views import DEVICE_STATES
from tests.api.calling import Caller, calling
from tests.portal.filled import founding_view
from tests.portal.filled_here import FilledPool
from tests.portal.filled_programme import filled_services


@pytest.fixture(scope="module")
def services() -> Services:
    return filled_services()


def everything(caller: Caller, path: str) -> list[Any]:
    """Follow the ``Link`` headers to the end."""
    rows: list[Any] = []
    for _ in range(1000):
        answer = caller.get(path)
        assert answer.status_code == 200
        rows += answer.json()
        link = answer.headers.get("link")
        if link is None:
            return rows
        found = re.fullmatch(r'</api/v1(/[^>]+)>; rel="next"', link)
        assert found is not None
        path = found.group(1)
    raise AssertionError("the list has no end")


def test_the_overview_adds_up(services: Services) -> None:
    with calling(services) as caller:
        found = caller.get("/pools/founding/overview").json()

    assert found["pool"]["gpus"] == 13_136 and found["pool"]["public_gpus"] == 10_456
    assert sum(found["kinds_milli"].values()) == 13_136_000
    clusters = [row for row in found["supply"] if row["cluster"]]
    assert sum(row["gpus"] for row in clusters) == 13_136
    for kind in DEVICE_STATES:
        assert sum(row["kinds_milli"][kind] for row in clusters) == found["kinds_milli"][kind]


@pytest.mark.parametrize("limit", [1, 7, 100, 1000])
def test_parts_of_a_list_are_the_list(services: Services, limit: int) -> None:
    with calling(services, Role.MEMBER) as caller:
        whole = caller.get("/waitlist?limit=1000").json()
        assert everything(caller, f"/waitlist?limit={limit}") == whole
    assert len(whole) == 118


def test_a_list_that_changed_is_taken_up_behind_the_last_name() -> None:
    services = filled_services()
    with calling(services, Role.OPERATOR) as caller:
        answer = caller.get("/applications?limit=1")
        first = services.programme.applications()[0]
        added = replace(first, application="2026-1-0000")
        services.programme.handed_in.insert(0, added)  # type: ignore[attr-defined]
        link = answer.headers["link"].split(">")[0].removeprefix("</api/v1")

        assert [row["application"] for row in caller.get(link).json()] == ["2026-1-0107"]


def test_the_map_holds_every_gpu(services: Services) -> None:
    with calling(services) as caller:
        found = caller.get("/pools/founding/map").json()
    state = np.frombuffer(base64.b64decode(found["state"]), dtype=np.uint8)
    view = services.pools["founding"].view()

    assert found["kinds"] == list(DEVICE_STATES)
    assert sum(found["nodes"]["gpus"]) == len(state) == 13_136
    assert state.tolist() == view.device_state.tolist()
    assert len(set(found["nodes"]["id"])) == 1_642
    assert found["clusters"][1] == {
        "id": "naver-h200-b", "ko": "naver-h200-b", "en": "naver-h200-b", "accelerator": "H200",
        "gpus": 256, "use": "public",
    }  # fmt: skip


states = st.lists(st.integers(0, 6), min_size=1, max_size=60)


@given(before=states, data=st.data())
def test_changes_applied_to_the_old_map_give_the_new_one(
    before: list[int], data: st.DataObject
) -> None:
    after = data.draw(st.lists(st.integers(0, 6), min_size=len(before), max_size=len(before)))
    old, new = np.array(before, dtype=np.uint8), np.array(after, dtype=np.uint8)

    for device, count, kind in runs(np.flatnonzero(old != new), new):
        old[device : device + count] = kind

    assert old.tolist() == new.tolist()


def test_small_changes_are_sent_as_changes_and_large_ones_whole() -> None:
    view = founding_view()
    before = view.device_state.copy()
    before[:16] = (before[:16] + 1) % 7

    assert map_changes(view, view.device_state) == {"seq": 1, "changed": []}
    assert sum(run[1] for run in map_changes(view, before)["changed"]) == 16
    assert "state" in map_changes(view, None)
    assert "state" in map_changes(view, (view.device_state + 1) % 7)


def test_the_same_view_gives_the_same_map() -> None:
    view = founding_view()

    assert map_document(view) is map_document(view)
    assert msgspec.json.decode(map_document(view))["pool"] == "founding"


def test_a_job_tells_why_it_waits_in_both_languages(services: Services) -> None:
    with calling(services, Role.MEMBER) as caller:
        why = caller.get("/jobs/j200007/why").json()
        running = caller.get("/jobs/h1/why").json()

    assert why["waits"] and why["code"] == "WaitingForPreemptedWorkloads"
    assert "반환" not in why["text"]["en"] and "저장" in why["text"]["ko"]
    assert why["earliest_s"] < why["likely_s"] < why["surely_s"]
    assert [one["code"] for one in why["would_help"]] == ["allow_preemption", "smaller"]
    assert (why["half"]["to_s"], why["learned_from"]) == (why["earliest_s"] + 3600, 400)
    assert why["held_by"][1] == {"job": "", "kind": "own", "gpus": 8, "until_s": None}
    assert not running["waits"]


def test_not_yet_is_null(services: Services) -> None:
    with calling(services, Role.MEMBER) as caller:
        row = caller.get("/jobs/j200007").json()["row"]

    assert row["start_at_s"] is None and row["end_at_s"] is None
    assert row["earliest_s"] > row["submit_at_s"]


JOB = {"form": "yaml", "text": "run: true"}


def test_a_job_sent_twice_with_one_key_is_taken_once() -> None:
    services = filled_services()
    with calling(services, Role.MEMBER) as caller:
        first = caller.post("/pools/here/jobs", JOB, key="k")
        again = caller.post("/pools/here/jobs", JOB, key="k")
        other = caller.post("/pools/here/jobs", {**JOB, "text": "run: false"}, key="k")
        without = caller.post("/pools/here/jobs", JOB, key="")

    assert first.status_code == again.status_code == 201
    taken = {"pool": "here", "job": "h1", "jobs": ["h1"]}
    assert first.json() == again.json() == taken
    assert first.headers["location"] == "/api/v1/jobs/h1?pool=here"
    assert (other.status_code, other.json()["code"]) == (422, "idempotency-key-reused")
    assert (without.status_code, without.json()["code"]) == (400, "idempotency-key-missing")
    assert list(services.pools["here"].submitted) == ["kang.min:k"]  # type: ignore[attr-defined]


def test_two_callers_may_choose_the_same_key() -> None:
    services = filled_services()
    for role in (Role.MEMBER, Role.APPLICANT):
        with calling(services, role) as caller:
            assert caller.post("/pools/here/jobs", JOB, key="k").status_code == 201

    taken = services.pools["here"].submitted  # type: ignore[attr-defined]
    assert sorted(taken) == ["kang.min:k", "seo.yun:k"]


def test_a_refused_job_can_be_sent_again_corrected() -> None:
    services = filled_services()
    too_large = {"form": "yaml", "text": "resources: {accelerators: GPU:99}"}
    with calling(services, Role.MEMBER) as caller:
        refused = caller.post("/pools/here/jobs", {**JOB, "text": "accelerators: GPU:99"}, key="k")
        taken = caller.post("/pools/here/jobs", JOB, key="k")

    assert refused.status_code == 422, too_large
    assert refused.json()["errors"] == [
        {"field": "gpus", "code": "TooManyGpus", "numbers": {"gpus": 99}}
    ]
    assert taken.status_code == 201


@pytest.mark.parametrize(
    ("pool", "body", "status"),
    [
        ("founding", JOB, 422),
        ("nope", JOB, 404),
        ("here", {**JOB, "project": "p-2026-1-0001"}, 403),
        ("here", {**JOB, "form": "csh"}, 400),
        ("here", {**JOB, "more": 1}, 400),
        ("here", {"form": "yaml"}, 400),
        ("here", [], 400),
    ],
)
def test_a_job_that_may_not_or_cannot_be_is_refused(
    services: Services, pool: str, body: object, status: int
) -> None:
    with calling(services, Role.MEMBER) as caller:
        assert caller.post(f"/pools/{pool}/jobs", body).status_code == status


def test_an_application_names_everything_that_is_wrong(services: Services) -> None:
    with calling(services, Role.APPLICANT) as caller:
        answer = caller.post("/calls/2026-2/applications", {"answers": {"gpus": 12}})

    fields = {one["field"] for one in answer.json()["errors"]}
    assert answer.status_code == 422
    assert {"title_ko", "organisation", "group", "accelerator", "gpus", "months"} <= fields


def test_use_is_told_by_month_to_those_whom_it_concerns(services: Services) -> None:
    seen = {}
    for role in (Role.MEMBER, Role.PROVIDER, Role.AUDITOR):
        with calling(services, role) as caller:
            seen[role] = [row["who"] for row in caller.get("/usage?month=2026-04").json()]
            assert caller.get("/usage?month=2026-4").status_code == 400

    assert seen[Role.MEMBER] == ["p-2026-1-0003"]
    assert seen[Role.PROVIDER] == ["naver-cloud"]
    assert len(seen[Role.AUDITOR]) == 24 + 3


def test_output_is_read_from_an_offset(services: Services) -> None:
    with calling(services, Role.MEMBER) as caller:
        part = caller.get("/jobs/h1/output?offset=6").json()
        assert caller.get("/jobs/h1/output?offset=-1").status_code == 400

    assert part["text"] == "from here-1\n" and part["next_offset"] == 18


def test_metrics_are_read_by_prometheus_and_name_nobody(services: Services) -> None:
    with calling(services) as caller:
        text = caller.client.get("/metrics").text
    families = {family.name: family for family in text_string_to_metric_families(text)}
    gpus = [one for one in families["dure_gpus"].samples if one.labels["pool"] == "founding"]

    assert sum(one.value for one in gpus) == 13_136
    assert {"dure_pending_jobs", "dure_gpu_seconds", "dure_reclaims"} <= set(families)
    assert "kang.min" not in text and "p-2026" not in text and "j1000" not in text


def test_health_says_how_far_each_pool_is(services: Services) -> None:
    with calling(services) as caller:
        assert caller.client.get("/healthz").json() == {
            "status": "ok",
            "version": "0.1.0",
            "pools": {"founding": 1, "here": 1},
        }


def test_the_document_describes_every_path_and_its_problems(services: Services) -> None:
    with calling(services) as caller:
        document = caller.client.get("/api/openapi.json").json()

    assert document["openapi"].startswith("3.1")
    served = {
        re.sub(r"\{(\w+):\w+\}", r"{\1}", route.path)
        for route in make_app(services).routes
        if route.path.startswith("/api/v1")
    }
    assert served <= set(document["paths"])
    for path, methods in document["paths"].items():
        for method, one in methods.items():
            assert one.get("description"), (path, method)
            for status, answer in one["responses"].items():
                if int(status) >= 400:
                    assert list(answer["content"]) == ["application/problem+json"], path


def test_the_stream_tells_figures_first_and_then_changes() -> None:
    import anyio

    from dure.api import stream

    pool = FilledPool(founding_view(), takes_jobs=False)
    listeners = stream.Listeners()

    async def listen() -> list[tuple[str, dict[str, Any]]]:
        heard = []
        changes = stream.changes(pool, listeners, with_map=True)
        async for message in changes:
            heard.append((str(message.event), msgspec.json.decode(str(message.data))))
            if len(heard) == 2:
                assert listeners.count == 1
                state = pool.shown.device_state.copy()
                state[8:16] = 6
                pool.shown = replace(pool.shown, seq=2, device_state=state)
            if len(heard) == 4:
                await changes.aclose()
                return heard
        return heard

    heard = anyio.run(listen)

    assert [event for event, _ in heard] == ["figures", "map", "figures", "map"]
    assert heard[0][1]["gpus"] == 13_136
    assert heard[3][1]["changed"][0] == [8, 8, 6] or heard[3][1]["changed"][0][2] == 6
    assert listeners.count == 0
