"""A terminal in a real browser: begun on the portal's page, opened by its link, typed into.

It runs on this machine, and on a node of a real Slurm.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.browser.conftest import Complaints
from tests.cli.up_process import UpProcess

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module", params=["local", pytest.param("slurm", marks=pytest.mark.slurm)])
def up(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[UpProcess]:
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "slurm":
            cluster = request.getfixturevalue("slurm_cluster")
            patch.setenv("SLURM_CONF", str(cluster.conf))
        data = tmp_path_factory.mktemp("sessions") / "data"
        service = UpProcess(data, "--backend", request.param).start()
    yield service
    for session in service.http.get("/sessions").json():
        service.http.post(f"/jobs/{session['row']['job']}/cancel", json={})
        service.wait_for(session["row"]["job"], "CANCELLED", "COMPLETED")
    service.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(viewport={"width": 1200, "height": 760}, locale="ko-KR")
    yield context
    context.close()


def sign_in(page: Page, up: UpProcess) -> None:
    page.goto(f"{up.url}/login")
    page.fill("#user", "admin")
    page.fill("#password", up.passwords["admin"])
    page.click("main button.primary")
    page.wait_for_url(f"{up.url}/")


def picture(page: Page, name: str) -> None:
    if folder := os.environ.get("DURE_PICTURES"):
        page.screenshot(path=Path(folder) / f"{name}.png")


def test_a_terminal_is_begun_on_the_page_opened_once_and_computes(
    up: UpProcess, context: BrowserContext, complaints: Complaints
) -> None:
    page = context.new_page()
    sign_in(page, up)
    page.goto(f"{up.url}/jobs")
    page.click("main a[href='/sessions']")
    page.check("input[name=kind][value=shell]")
    picture(page, "sessions")
    page.click("main form[action='/sessions'] button.primary")
    opener = page.locator("form[action$='/open'] button")
    expect(opener).to_be_visible(timeout=30_000)

    with context.expect_page() as opened:
        opener.click()
    terminal = opened.value
    terminal.wait_for_url("http://here-*.localhost:*/?lang=ko")
    origin = terminal.evaluate("location.origin")
    # Until the session listens, a page stands there that comes again by itself.
    expect(terminal.locator("#terminal")).to_be_visible(timeout=30_000)
    complaints.watch(terminal, origin)
    expect(terminal.locator("#terminal[data-state=open]")).to_be_visible()
    expect(terminal.locator("#bar")).to_contain_text("끝남")
    terminal.keyboard.type("echo $((6*7)) 두레 한글\n")

    expect(terminal.locator(".row", has_text="42 두레 한글").first).to_be_visible()
    terminal.keyboard.type(
        "printf '\\033[1;32mgreen\\033[0m \\033[7minverse\\033[0m\\n'; ls -la /\n"
    )
    expect(terminal.locator("span.bold", has_text="green")).to_be_visible()
    picture(terminal, "terminal")
    # What was printed is there again when the page is.
    terminal.reload()
    expect(terminal.locator(".row", has_text="42 두레 한글").first).to_be_visible()
    names = {one["name"] for one in context.cookies(origin)}
    assert names == {"dure_admission"}
    terminal.keyboard.type("exit\n")
    expect(terminal.locator("#terminal[data-state=over]")).to_be_visible()
    expect(terminal.locator("#bar")).to_have_text("세션이 끝났습니다. 이 창을 닫아도 됩니다.")
    assert complaints.said == []
    # What a page of a session can do to the portal's cookies in a real browser: nothing.
    before = context.cookies(up.url)
    for domain in ("", "; Domain=localhost", "; Domain=127.0.0.1"):
        terminal.evaluate(f"document.cookie = 'dure_session=planted; Path=/jobs{domain}'")
    assert context.cookies(f"{up.url}/jobs") == before
    assert all(one["domain"] == "127.0.0.1" for one in before)
    page.goto(f"{up.url}/jobs")
    expect(page.locator("main h1")).to_have_text("작업")
