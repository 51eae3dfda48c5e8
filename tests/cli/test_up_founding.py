"""``dure up`` with the founding scenario: a full first page, two pools, killed and started."""

import time
from collections.abc import Iterator

import httpx
import pytest

from tests.cli.up_process import UpProcess
from tests.drivers.polling import until

# Compiling and three simulated months, on a machine that is busy.
FIRST_START_S_MAX = 900.0

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UpProcess]:
    data = tmp_path_factory.mktemp("platform") / "data"
    process = UpProcess(data, "--scenario", "founding", "--speed", "3600")
    process.start(within_s=FIRST_START_S_MAX)
    yield process
    process.close()


def now_s(up: UpProcess) -> int:
    pools = {pool["pool"]: pool for pool in up.http.get("/pools").json()}
    return int(pools["founding"]["now_s"])


def page(up: UpProcess, path: str) -> str:
    answer = httpx.get(f"{up.url}{path}", trust_env=False)
    assert answer.status_code == 200, path
    return answer.text


def test_the_first_page_is_full_from_the_first_second(up: UpProcess) -> None:
    first = page(up, "/")

    assert "13,136" in first
    assert "10,456" in first
    overview = up.http.get("/pools/founding/overview").json()
    assert sum(overview["kinds_milli"].values()) == 13_136_000
    assert overview["lending"]["returned"] > 1000
    assert overview["lending"]["late"] == 0
    assert overview["done_jobs"] > 50_000
    for path in ("/map", "/loans", "/calls", "/waitlist", "/?pool=here"):
        page(up, path)


def test_it_goes_on_at_its_speed_and_after_a_kill_from_where_it_stood(up: UpProcess) -> None:
    begun_s, real_s = now_s(up), time.monotonic()
    until(lambda: now_s(up) > begun_s + 2 * 3600)
    assert (now_s(up) - begun_s) / (time.monotonic() - real_s) < 2 * 3600
    before_s = now_s(up)

    up.kill()
    begin_s = time.monotonic()
    up.start()
    took_s = time.monotonic() - begin_s

    # A moment that was only shown, between two cycles, is not kept; an hour there is a second.
    assert now_s(up) >= before_s - 3600
    assert "13,136" in page(up, "/")
    assert took_s < 15, "it takes two seconds; this machine may be busy"


def test_real_jobs_run_beside_the_simulated_nation(up: UpProcess) -> None:
    job = up.submit("echo beside")

    up.wait_for(job, "COMPLETED")

    assert up.run("output", job).stdout == "beside\n"
    refused = up.http.post(
        "/pools/founding/jobs",
        json={"form": "yaml", "text": "run: x", "project": ""},
        headers={"idempotency-key": "k"},
    )
    assert refused.status_code == 422
